"""Evade: change a digit a little, within limits, until a classifier names it wrongly."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.robustness.adversarial import NORMS, input_gradient, project, steepest_step, with_room
from ..checks.options import choice, integer, number
from ..classification.sources.images import load_images
from ..core.noise import normal
from ..core.splits import SPLITS
from ..core.task import Observation, Step, Task
from ..core.tree import select
from ..drawing.canvas import ACCENT, BAD, MUTED, Canvas
from ..frozen.classifiers import NAMES, classifier

KNOWLEDGE = ("gradient", "scores", "label")
GOALS, REWARDS = ("any", "class"), ("margin", "smallest")
RADIUS = {"linf": 0.15, "l2": 0.75, "l1": 4.0}  # of the ball, where none is given
WIDEST = {"linf": 1.0, "l2": 8.0, "l1": 64.0}  # from which on the ball holds every image
TOLD = "Change the digit until the classifier errs"
LOOKS = 4  # of the victim through a sensor with noise
FORTH, BACK = 0.5, 0.25  # of a step: how far the expert goes on, or back, where the smallest change is asked for


@dataclass(frozen=True)
class EvadeState:
    """The digit, what became of it, and what the victim says.

    Attributes:
        image: (B, 1, 8, 8) uint8 the digit as it was.
        label: (B,) int64 its class, which the victim named rightly.
        start: (B,) float32 the margin before the first query.
        perturbed: (B, 64) float32 the digit as it is now, in [0, 1].
        scores: (B, 10) float32 the victim's log-probabilities for it.
        time: (B,) int64 queries made.
        goal: (B,) int64 the class that the victim is to name; the digit's own where any other will do.
        least: (B,) float32 the smallest change that has fooled the victim, as a share of epsilon; 1 before the first.
    """

    image: Tensor
    label: Tensor
    start: Tensor
    perturbed: Tensor
    scores: Tensor
    time: Tensor
    goal: Tensor
    least: Tensor


class Evade(Task[EvadeState]):
    """Change a digit a little until a classifier names it wrongly.

    Change a digit step by step within a small ball, so that a shipped classifier names it wrongly.

    Isolates the search for an adversarial example from as much as the attacker may know. The victim names the unchanged
    digit rightly: others are never drawn. A step moves the perturbation by up to 2.5 `epsilon` / `queries`, brings it
    back into the ball of radius `epsilon` and every pixel into [0, 1], and asks the victim once.

    Observation: Dict. ``image``, (1, 8, 8) uint8: the unchanged digit. ``perturbation``, Box(-1, 1, (64,)): the change
        of each pixel as a share of `epsilon`. ``answer``, Discrete(10): the class that the victim names, which is the
        right one until the episode ends. With knowledge "scores" or "gradient" also ``scores``, (10,) float32: the
        victim's log-probabilities. With "gradient" also ``gradient``, Box(-1, 1, (64,)): the gradient of its
        cross-entropy by pixel, scaled to Euclidean length 1; with goal "class", that of minus its cross-entropy with
        the goal. With goal "class" also ``goal``, Discrete(10): the class it is to name, drawn from the wrong ones.
    Action: Box(-1, 1, (64,)), the move of each pixel as a share of the step; with norm "l2" an action longer than 1 is
        shortened to length 1, with "l1" brought to the nearest point of that length.
    Reward: 0.5 for the query at which the victim is fooled, and 0.5 times the share of the first margin (how far the
        right class's log-probability is above the best other's) that a step takes away, so that fooling it returns 1
        and a failed attack 0.5 times the share it took. With knowledge "label" the margin is not to be known, so the
        reward is 1 for fooling the victim and 0 otherwise. With goal "class" the victim is fooled when it names the
        goal, and the margin is how far that is below the likeliest class. With reward "smallest" a query that fools it
        with a smaller change than any before is paid what that is smaller by, as a share of `epsilon`, from which on it
        counts. So an episode returns 1 less the share of the smallest one, whenever it was found, and 0 if none was.
    Episode: terminates when the victim is fooled, with reward "smallest" not even then; truncated after `queries`
        steps.
    Metrics: fooled, for each episode; with reward "smallest" also size, of the smallest change that fooled it, in that
        norm.
    Expert: projected gradient (Madry et al., 2018), whatever the knowledge. By default it fools the plain victim with
        89 % of the digits and returns 0.94; random actions fool it with 1 % and return 0.04. The robust victim is
        fooled with 12 % of the training and validation digits and 20 % of the test digits. For the smallest change it
        takes half a step on, and a quarter of one back towards the digit from where the victim is fooled, which is no
        more than a good rule. Through a sensor it follows the gradient without noise.
    Source: Szegedy et al. (2014), Madry et al. (2018) with their step of 2.5 epsilon / steps; Ilyas et al. (2018) for
        attacks by queries; Athalye et al. (2018) for noise that an attack survives; digits of Alpaydin and Kaynak
        (1998), by scikit-learn.

    Args:
        victim: "plain"; "robust" or "trades", which were trained against such attacks; or "ensemble"; see
            `frozen.classifiers.classifier`.
        knowledge: "gradient", "scores" or "label".
        norm: "linf", the largest change of a pixel, "l2", the Euclidean length of all changes, or "l1", their sum.
        epsilon: radius of the ball, pixels being in [0, 1]: at most 1 for "linf", 8 for "l2" and 64 for "l1"; None for
            0.15, 0.75 and 4.
        queries: steps of an episode.
        split: "train", "validation" or "test", the digits that are attacked. The victim learned from all but those of
            "test", so it withstands on "validation" as it does on "train".
        goal: "any" wrong class, or a given "class".
        reward: "margin", or "smallest".
        sensor: deviation of the noise through which the victim sees each pixel of a changed digit, from 0 to 1. It
            looks four times, each time with other noise, and what it says is the mean probability: so a change has to
            survive the noise.

    Raises:
        InvalidInput: an unknown name, or a number outside its limits.
    """

    variants = (
        {"split": "test"},
        {"knowledge": "gradient", "victim": "robust"},
        {"knowledge": "label", "norm": "l2", "queries": 5},
        {"goal": "class", "victim": "trades", "epsilon": 0.3},
        {"reward": "smallest", "norm": "l2", "knowledge": "gradient", "epsilon": 1.5},
        {"norm": "l1", "victim": "ensemble"},
        {"sensor": 0.1, "knowledge": "gradient", "split": "test"},
    )

    images: Tensor
    labels: Tensor
    clean_scores: Tensor

    def __init__(
        self,
        *,
        victim: str = "plain",
        knowledge: str = "scores",
        norm: str = "linf",
        epsilon: float | None = None,
        queries: int = 10,
        split: str = "train",
        goal: str = "any",
        reward: str = "margin",
        sensor: float = 0.0,
    ) -> None:
        super().__init__()
        choice("Evade: victim", victim, NAMES)
        self.knowledge = choice("Evade: knowledge", knowledge, KNOWLEDGE)
        self.norm = choice("Evade: norm", norm, NORMS)
        self.epsilon = number("Evade: epsilon", RADIUS[norm] if epsilon is None else epsilon, 0.001, WIDEST[norm])
        self.horizon = integer("Evade: queries", queries, 1)
        choice("Evade: split", split, SPLITS)
        self.targeted = choice("Evade: goal", goal, GOALS) == "class"
        self.smallest = choice("Evade: reward", reward, REWARDS) == "smallest"
        self.sensor = number("Evade: sensor", sensor, 0, 1)
        self.reset_noise = 2 if self.targeted else 1
        self.step_size = 2.5 * self.epsilon / self.horizon
        # In float64, and rounded after: so the victim says the same of a row alone as of that row in any batch.
        self.victim = classifier(victim).double()
        images, labels, self.class_names = load_images("digits", split)
        self.register_buffer("images", torch.from_numpy(images), persistent=False)
        self.register_buffer("labels", torch.from_numpy(labels), persistent=False)
        scores = self._scores(_pixels(self.images))
        right = _margin(scores, self.labels) > 0
        self.images, self.labels = self.images[right], self.labels[right]
        self.register_buffer("clean_scores", scores[right], persistent=False)
        pixels, classes = images[0].size, len(self.class_names)
        self.step_noise = LOOKS * pixels if self.sensor else 0
        parts: dict[str, spaces.Space[object]] = {
            "image": spaces.Box(0, 255, images.shape[1:], np.uint8),
            "perturbation": spaces.Box(-1, 1, (pixels,), np.float32),
            "answer": spaces.Discrete(classes),
        }
        if knowledge != "label":
            parts["scores"] = spaces.Box(-np.inf, 0, (classes,), np.float32)
        if self.targeted:
            parts["goal"] = spaces.Discrete(classes)
        if knowledge == "gradient":
            parts["gradient"] = spaces.Box(-1, 1, (pixels,), np.float32)
        self.observation_space = spaces.Dict(parts)
        self.action_space = spaces.Box(-1, 1, (pixels,), np.float32)

    def _scores(self, pixels: Tensor) -> Tensor:
        """The victim's log-probabilities (B, 10) for pixels (B, 64)."""
        return self.victim(pixels.double().unflatten(1, self.images.shape[1:])).log_softmax(1).float()

    def sensed(self, pixels: Tensor, noise: Tensor) -> Tensor:
        """Pixels (B, ...) as the sensor shows them in each of some looks, from uniforms (B, looks, 64).

        Returns:
            (B, looks, ...) float64 in [0, 1].
        """
        seen = pixels.double().flatten(1).unsqueeze(1) + self.sensor * normal(noise.double())
        return seen.clamp(0, 1).unflatten(2, pixels.shape[1:])

    def _said(self, pixels: Tensor, noise: Tensor) -> Tensor:
        """The victim's log-probabilities (B, 10) for pixels (B, 64), through the sensor if there is one."""
        if not self.sensor:
            return self._scores(pixels)
        seen = self.sensed(pixels, noise.unflatten(1, (LOOKS, -1))).flatten(0, 1)  # (B looks, 64)
        each = self.victim(seen.unflatten(1, self.images.shape[1:])).log_softmax(1).unflatten(0, (-1, LOOKS))
        return (each.logsumexp(1) - math.log(LOOKS)).float()

    def _gradient(self, state: EvadeState) -> Tensor:
        """(B, 64) float64, the gradient of what is to rise: the victim's cross-entropy, or minus that of the goal."""
        pixels = state.perturbed.double().unflatten(1, state.image.shape[1:])
        gradient = input_gradient(self.victim, pixels, state.goal).flatten(1)
        return -gradient if self.targeted else gradient

    def _left(self, scores: Tensor, goal: Tensor) -> Tensor:
        """(B,) how far the victim is from being fooled, which it is below 0."""
        return -_margin(scores, goal) if self.targeted else _margin(scores, goal)

    def _size(self, change: Tensor) -> Tensor:
        """(B,) the length of changes (B, 64) as a share of epsilon, at most 1."""
        order = {"linf": torch.inf, "l2": 2, "l1": 1}[self.norm]
        return (torch.linalg.vector_norm(change, ord=order, dim=1) / self.epsilon).clamp(max=1)

    def reset(self, noise: Tensor) -> EvadeState:
        """A digit, drawn uniformly from those that the victim names rightly, as it is."""
        index = (noise[:, 0] * len(self.labels)).long()  # (B,)
        image, label = select(self.images, index), self.labels.index_select(0, index)
        scores, goal = self.clean_scores.index_select(0, index), label
        if self.targeted:
            classes = len(self.class_names)
            goal = (label + 1 + (noise[:, 1] * (classes - 1)).long()) % classes
        start, time = self._left(scores, goal), torch.zeros_like(label)
        return EvadeState(image, label, start, _pixels(image), scores, time, goal, torch.ones_like(start))

    def step(self, state: EvadeState, action: Tensor, noise: Tensor) -> Step[EvadeState]:
        """Moves the pixels, keeps them within the limits and asks the victim."""
        original = _pixels(state.image)
        moved = state.perturbed + self.step_size * project(action, 1.0, self.norm)
        perturbed = (original + project(moved - original, self.epsilon, self.norm)).clamp(0, 1)
        scores, time = self._said(perturbed, noise), state.time + 1
        before, after = (self._left(each, state.goal) for each in (state.scores, scores))
        fooled = after < 0
        following = replace(state, perturbed=perturbed, scores=scores, time=time)
        if self.smallest:
            return self._smallest(state, following, self._size(perturbed - original).where(fooled, 1.0))
        if self.knowledge == "label":
            reward = fooled.float()
        else:
            reward = 0.5 * (before - after.clamp(min=0)) / state.start + 0.5 * fooled.float()
        ended = fooled | (time >= self.horizon)
        return Step(following, reward, fooled, {"fooled": fooled.float().masked_fill(~ended, torch.nan)})

    def _smallest(self, state: EvadeState, following: EvadeState, size: Tensor) -> Step[EvadeState]:
        """Pays for what a change of that size (B,), 1 where it does not fool, is smaller than the smallest before."""
        least = torch.minimum(state.least, size)
        fooled, ended = least < 1, following.time >= self.horizon
        metrics = {
            "fooled": fooled.float().masked_fill(~ended, torch.nan),
            "size": (self.epsilon * least).masked_fill(~(ended & fooled), torch.nan),
        }
        return Step(replace(following, least=least), state.least - least, torch.zeros_like(ended), metrics)

    def observe(self, state: EvadeState) -> Observation:
        """The digit, its perturbation and the victim's answer, with as much of its inside as is known."""
        change = (state.perturbed - _pixels(state.image)) / self.epsilon
        observation = {"image": state.image, "perturbation": change.clamp(-1, 1), "answer": state.scores.argmax(1)}
        if self.knowledge != "label":
            observation["scores"] = state.scores
        if self.targeted:
            observation["goal"] = state.goal
        if self.knowledge == "gradient":
            observation["gradient"] = steepest_step(self._gradient(state), 1.0, "l2").clamp(-1, 1).float()
        return observation

    def expert(self, state: EvadeState) -> Tensor:
        """The step along which the victim's cross-entropy rises, or the goal's falls, most, (B, 64)."""
        gradient = self._gradient(state)
        if self.norm == "l1":
            gradient = with_room(gradient, state.perturbed, (0.0, 1.0))
        if not self.smallest:
            return steepest_step(gradient, 1.0, self.norm).clamp(-1, 1).float()
        change = state.perturbed - _pixels(state.image)
        home = change / change.abs().amax(1, keepdim=True).clamp(min=1e-12) if self.norm == "linf" else change
        back = -project(home, BACK, self.norm)
        fooled = (self._left(state.scores, state.goal) < 0)[:, None]
        return torch.where(fooled, back, steepest_step(gradient, FORTH, self.norm).float()).clamp(-1, 1)

    def draw(self, state: EvadeState, canvas: Canvas) -> None:
        """The digit, the change and the changed digit side by side; below, how likely the victim finds each class."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        label, answer, middle = int(state.label), int(state.scores.argmax()), canvas.width // 2
        told = f"Change the digit until the classifier says {int(state.goal)}" if self.targeted else TOLD
        canvas.text(told, (middle, 26), size=28, anchor="center")
        share = ((state.perturbed - _pixels(state.image[None])[0]) / self.epsilon).view(8, 8).clamp(-1, 1)
        self._draw_sum(state.image, share, state.perturbed.view(8, 8), canvas)
        made = f"+ brighter, - darker; step {int(state.time)} of {self.horizon}"
        if self.smallest:
            least = f"smallest that fooled: {100 * float(state.least):.0f} % of the most"
            made = f"step {int(state.time)} of {self.horizon}; {least if float(state.least) < 1 else 'none fooled yet'}"
        canvas.text(made, (middle, 228), size=22, colour=MUTED, anchor="center")
        told = f"it is a {label}, the classifier says {answer}"
        if int(state.time):
            fooled = answer == int(state.goal) if self.targeted else answer != label
            told = f"{'fooled' if fooled else 'not fooled'}: {told}"
            canvas.verdict(fooled, (22, 246, canvas.width - 44, 50))
        canvas.text(told, (middle, 271), size=25, anchor="center")
        canvas.text("how likely the classifier finds each class", (middle, 314), size=22, colour=MUTED, anchor="center")
        colours = [ACCENT if k == label else BAD if k == answer else MUTED for k in range(len(self.class_names))]
        area = (22, 326, canvas.width - 44, 146)
        canvas.bars(state.scores.exp(), area, labels=self.class_names, colours=colours, highlight=label, maximum=1.0)

    def _draw_sum(self, image: Tensor, share: Tensor, changed: Tensor, canvas: Canvas) -> None:
        """The digit, its change (8, 8) in shares of the largest one and the changed digit side by side."""
        for k, (panel, caption) in enumerate(
            ((image, "digit"), (_signed(share), "change"), (changed.clamp(0, 1), "changed digit"))
        ):
            left = 22 + 152 * k
            canvas.text(caption, (left + 66, 64), size=24, colour=MUTED, anchor="center")
            canvas.image(panel, (left, 78, 132, 132), border=MUTED)
        canvas.text("+", (164, 144), size=32, anchor="center")
        canvas.text("=", (316, 144), size=32, anchor="center")
        _draw_signs(share, (174, 78, 132, 132), canvas)

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The digit, its change and the victim's answer, with as much of its inside as is known."""
        middle, change = canvas.width // 2, observation["perturbation"].view(8, 8)
        told = f"Change the digit until the classifier says {int(observation['goal'])}" if self.targeted else TOLD
        canvas.text(told, (middle, 26), size=28, anchor="center")
        changed = observation["image"][0].float() / 255 + self.epsilon * change
        self._draw_sum(observation["image"], change, changed, canvas)
        told = f"+ brighter, - darker; the classifier says {int(observation['answer'])}"
        canvas.text(told, (middle, 230), size=24, anchor="center")
        left = 22
        if "gradient" in observation:
            slope = observation["gradient"].view(8, 8)
            slope = slope / slope.abs().max().clamp(min=1e-12)
            canvas.text("what would raise its error", (99, 268), size=20, colour=MUTED, anchor="center")
            canvas.image(_signed(slope), (22, 284, 154, 154), border=MUTED)
            _draw_signs(slope, (22, 284, 154, 154), canvas)
            left = 196
        if "scores" in observation:
            area = (left, 284, canvas.width - 22 - left, 180)
            canvas.text("how likely it finds each class", (left + area[2] // 2, 268), 20, MUTED, "center")
            canvas.bars(observation["scores"].exp(), area, labels=self.class_names, maximum=1.0)
        elif left == 22:
            canvas.text("nothing more of it is known", (middle, 340), size=24, colour=MUTED, anchor="center")


def _pixels(image: Tensor) -> Tensor:
    """An image (B, 1, 8, 8) uint8 as (B, 64) float32 in [0, 1]."""
    return image.flatten(1).float() / 255


def _margin(scores: Tensor, label: Tensor) -> Tensor:
    """(B,) the right class's score less the best other's: (B, K) and (B,)."""
    own = scores.gather(1, label[:, None])
    return (own - scores.scatter(1, label[:, None], -torch.inf).amax(1, keepdim=True)).squeeze(1)


def _draw_signs(share: Tensor, rect: tuple[int, int, int, int], canvas: Canvas) -> None:
    """A plus or a minus on every cell that changes by a tenth of the most or more."""
    side = rect[2] / share.shape[1]
    for row, column in (share.abs() >= 0.1).nonzero().tolist():
        centre = (rect[0] + (column + 0.5) * side, rect[1] + (row + 0.5) * side)
        canvas.text("+" if share[row, column] > 0 else "-", centre, size=16, anchor="center")


def _signed(share: Tensor) -> Tensor:
    """Shares from -1 to 1 (H, W) as a picture (3, H, W): white for 0, red above and blue below."""
    ends = torch.tensor([BAD, ACCENT], device=share.device)[:, :, None, None] / 255  # (2, 3, 1, 1)
    return 1 - share.clamp(min=0) * (1 - ends[0]) + share.clamp(max=0) * (1 - ends[1])
