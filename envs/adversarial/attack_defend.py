"""AttackDefend: one player changes digits a little, the other names them all the same, or passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.robustness.adversarial import pgd
from ..checks.options import choice, integer, number
from ..classification.sources.images import load_images
from ..core.game import Game, Opponent
from ..core.splits import SPLITS
from ..core.task import Step
from ..core.tree import select
from ..drawing.canvas import BAD, GOOD, MUTED, Canvas
from ..drawing.choices import Choice, numbered
from ..frozen.classifiers import classifier
from .lookup import Lookup

EXPERT_STEPS = 10  # of projected gradient
SCRIPTED_STEPS = 4  # of the scripted attacker: as strong against the plain classifier, and quicker
NOTHING = -1  # the answer before the first


@dataclass(frozen=True)
class AttackDefendState:
    """What each player sees, and the last answer.

    Attributes:
        index: (B,) int64 the digit before the attacker.
        source: (B,) int64 the digit that was changed into the one before the defender.
        shown: (B, 1, 8, 8) uint8 what the defender sees.
        answered: (B,) int64 the digit answered last.
        answer: (B,) int64 that answer, -1 before the first.
        time: (B,) int64 steps taken.
    """

    index: Tensor
    source: Tensor
    shown: Tensor
    answered: Tensor
    answer: Tensor
    time: Tensor


class AttackDefend(Game[AttackDefendState]):
    """Disguise digits by small changes, or see through the disguise.

    An attacker changes handwritten digits within narrow limits; a defender names them, or passes.

    Isolates robustness against an adversary that adapts: what withstands one attack need not withstand the next. The
    two act at the same time: in each step the attacker changes a digit while the defender answers to the one that the
    attacker changed in the step before. So the attacker's reward for a change comes one step later. The first digit
    that the defender sees in an episode is unchanged and does not count.

    As a task for one agent, ``player=`` names the one it plays and ``opponent=`` a scripted other one: for the defender
    the attackers "pgd" (projected gradient on the shipped plain classifier, with four steps), "random" (uniform
    changes) and "none"; for the attacker the shipped classifiers "plain" and "robust", which never pass.

    Observation: attacker a Dict of ``image`` (1, 8, 8) uint8, the digit, and ``label`` Discrete(10), its class;
        defender (1, 8, 8) uint8, the changed digit.
    Action: attacker Box(-1, 1, (64,)), the change of each pixel as a share of `epsilon`, rounded to whole grey levels
        and kept within 0 to 255; defender Discrete(11), the class, or 10 to pass.
    Reward: for the defender 1 for the right class, -1 for a wrong one and `passing` for none, divided by `digits`; for
        the attacker minus that.
    Episode: terminates after `digits` + 1 steps, with `digits` of them answered; the last change is not shown.
    Metrics: accuracy, whether the class is right; fooled, whether a wrong one is named; passed.
    Expert: the defender's is the class, which it sees in the state: return 1. The attacker's is projected gradient
        (Madry et al., 2018) on the classifier it faces, with 10 steps: it returns 0.99 against "plain" and -0.41
        against "robust", random changes -0.98 and -0.97. Random answers return -0.73.
    Source: the game is Palaestra's, after the saddle point of Madry et al. (2018) and the rejection of Chow (1970);
        digits of Alpaydin and Kaynak (1998), by scikit-learn.

    Args:
        epsilon: largest change of a pixel, as a share of the range from black to white.
        passing: what the defender earns for naming no class.
        digits: answered digits of an episode.
        split: "train", "validation" or "test", the digits; the shipped classifiers learned from all but those of
            "test".

    Raises:
        InvalidInput: an unknown split, or a number outside its limits.
    """

    variants = (
        {"split": "test"},
        {"opponent": "robust"},
        {"player": "defender", "split": "test"},
        {"player": "defender", "opponent": "random", "passing": -0.5},
        {"player": "defender", "opponent": "none", "digits": 3},
    )

    players = ("attacker", "defender")
    images: Tensor
    labels: Tensor

    def __init__(self, *, epsilon: float = 0.2, passing: float = 0.0, digits: int = 8, split: str = "train") -> None:
        super().__init__()
        self.reach = int(255 * number("AttackDefend: epsilon", epsilon, 0.01, 1.0))  # in grey levels
        self.passing = number("AttackDefend: passing", passing, -1.0, 1.0)
        self.digits = integer("AttackDefend: digits", digits, 1, 1000)
        choice("AttackDefend: split", split, SPLITS)
        images, labels, self.class_names = load_images("digits", split)
        self.register_buffer("images", torch.from_numpy(images), persistent=False)
        self.register_buffer("labels", torch.from_numpy(labels), persistent=False)
        self.horizon, self.reset_noise, self.step_noise = self.digits + 1, 2, 1
        image, classes = spaces.Box(0, 255, images.shape[1:], np.uint8), len(self.class_names)
        self.observation_space = spaces.Dict(
            {"attacker": spaces.Dict({"image": image, "label": spaces.Discrete(classes)}), "defender": image}
        )
        self.action_space = spaces.Dict(
            {"attacker": spaces.Box(-1, 1, (images[0].size,), np.float32), "defender": spaces.Discrete(classes + 1)}
        )

    def reset(self, noise: Tensor) -> AttackDefendState:
        """A digit for the attacker, and another one, unchanged, for the defender."""
        index, source = (noise * len(self.labels)).long().unbind(1)  # (B,)
        zero = torch.zeros_like(index)
        return AttackDefendState(index, source, select(self.images, source), source, zero + NOTHING, zero)

    def step(self, state: AttackDefendState, action: Any, noise: Tensor) -> Step[AttackDefendState]:
        """Judges the answer and shows the digit that the attacker changed."""
        answer, counts = action["defender"], state.time > 0
        right, passed = answer == self.labels[state.source], answer == len(self.class_names)
        wrong = ~(right | passed)
        payoff = (right.float() - wrong.float() + self.passing * passed.float()) * counts / self.digits
        image = select(self.images, state.index)
        change = (self.reach * action["attacker"]).round().view_as(image)
        time = state.time + 1
        following = AttackDefendState(
            index=(noise[:, 0] * len(self.labels)).long(),
            source=state.index,
            shown=(image + change).clamp(0, 255).to(torch.uint8),
            answered=state.source,
            answer=torch.where(counts, answer, NOTHING),
            time=time,
        )
        metrics = {
            name: value.float().masked_fill(~counts, torch.nan)
            for name, value in (("accuracy", right), ("fooled", wrong), ("passed", passed))
        }
        return Step(following, {"attacker": -payoff, "defender": payoff}, time > self.digits, metrics)

    def observe(self, state: AttackDefendState) -> dict[str, Any]:
        """The digit and its class for the attacker, the changed digit (B, 1, 8, 8) for the defender."""
        seen = {"image": select(self.images, state.index), "label": self.labels[state.index]}
        return {"attacker": seen, "defender": state.shown}

    def expert(self, state: AttackDefendState) -> Any:
        """The defender's: the class. The attacker's depends on whom it faces, see `Classifier.best_response`."""
        return {"defender": self.labels[state.source]}

    def opponents(self, player: str) -> dict[str, Callable[[], Opponent]]:
        """Attackers, and defenders that are the shipped classifiers."""
        if player == "defender":
            return {kind: partial(Classifier, kind, self.reach) for kind in ("plain", "robust")}
        pixels = self.images[0].numel()
        attackers: dict[str, Callable[[], Opponent]] = {
            "pgd": partial(Gradient, self.reach, self.images, self.labels),
            "random": partial(Noise, pixels),
            "none": partial(Idle, pixels),
        }
        return attackers

    def draw(self, state: AttackDefendState, canvas: Canvas) -> None:
        """The digit, its change and what the defender sees of it; below, the last answer."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, source, ended = canvas.width // 2, self.images[state.source].cpu(), int(state.time) == self.horizon
        change = (state.shown.float() - source.float()) / 255
        canvas.text("See through the disguise", (middle, 35), size=32, anchor="center")
        size, top = 136, 100
        parts = (("digit", source), ("change", (change + 1) / 2), ("defender sees", state.shown))
        for place, (word, picture) in enumerate(parts):
            left = 16 + place * (size + 20)
            canvas.text(word, (left + size // 2, top - 16), size=24, anchor="center")
            canvas.image(picture, (left, top, size, size), border=MUTED)
        for sign, left in (("+", 162), ("=", 318)):
            canvas.text(sign, (left, top + size // 2), size=34, anchor="center")
        told = "grey: as it was; darker, brighter: changed"
        if int(state.time) == 0:
            told = "untouched: this one does not count"
        if ended:
            told = "the game is over: this last one is not answered"
        canvas.text(told, (middle, top + size + 22), size=22, colour=MUTED, anchor="center")
        answer, label = int(state.answer), int(self.labels[state.answered])
        line = f"digit {min(int(state.time) + 1, self.horizon)} of {self.horizon}"
        line = f"all {self.digits} digits are answered" if ended else line
        canvas.text(line, (middle, 300), size=22, colour=MUTED, anchor="center")
        if answer == NOTHING:
            canvas.text("no answer yet", (middle, 385), size=28, colour=MUTED, anchor="center")
            return
        passed = answer == len(self.class_names)
        told = f"the {'last ' if ended else ''}answer to the digit before this one"
        canvas.text(told, (middle, 330), size=22, anchor="center")
        if not passed:
            canvas.verdict(answer == label, (70, 350, 340, 100))
        told = "passed" if passed else f"defender: {self.class_names[answer]}"
        colour = MUTED if passed else GOOD if answer == label else BAD
        canvas.text(told, (middle, 380), size=32, colour=colour, anchor="center")
        canvas.text(f"truth: {self.class_names[label]}", (middle, 422), size=32, anchor="center")

    def draw_player(self, player: str, observation: Any, canvas: Canvas) -> None:
        """The digit to disguise, or the one to see through."""
        middle, attacks = canvas.width // 2, player == "attacker"
        if attacks:
            told, name = "Change it, so that it is named wrongly", self.class_names[int(observation["label"])]
            below = f"this is a {name}; each pixel moves by up to {self.reach} of 255 greys"
        else:
            told, below = "Which digit is it? It may be disguised", "in doubt you can pass"
        canvas.text(told, (middle, 45), size=30, anchor="center")
        canvas.image(observation["image"] if attacks else observation, (70, 75, 340, 340), border=MUTED)
        canvas.text(below, (middle, 445), size=22, colour=MUTED, anchor="center")

    def choices_of(self, player: str) -> list[Choice]:
        """The defender's: a number for each class, p to pass."""
        if player == "attacker":
            return []
        return [*numbered(self.class_names), Choice("p", "pass", len(self.class_names))]


class Classifier(Opponent):
    """A shipped classifier as a defender that never passes.

    Its network computes in float64, so that it says the same of a row alone as of that row in any batch.

    Args:
        kind: "plain" or "robust".
        reach: the largest change of a pixel, in grey levels.
    """

    def __init__(self, kind: str, reach: int) -> None:
        super().__init__()
        self.network, self.radius = classifier(kind).double(), reach / 255

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B,) the likeliest class of images (B, 1, 8, 8)."""
        return self.network(observation.double() / 255).argmax(1)

    def best_response(self, observation: Any) -> Tensor:
        """(B, 64) the change that projected gradient finds for an attacker's image and class."""
        return self.change(observation, EXPERT_STEPS)

    def change(self, observation: Any, steps: int) -> Tensor:
        """(B, 64) the change that so many steps of projected gradient find for an attacker's image and class."""
        pixels, radius = observation["image"].double() / 255, self.radius
        attacked = pgd(self.network, pixels, observation["label"], radius, step_size=2.5 * radius / steps, steps=steps)
        return ((attacked - pixels) / radius).flatten(1).float().clamp(-1, 1)


class Gradient(Opponent):
    """An attacker that changes digits by projected gradient on the shipped plain classifier, whoever defends.

    Its change depends on the digit alone, so it is worked out once for each and recalled from then on. An image that
    is none of the digits stays as it is.

    Args:
        reach: the largest change of a pixel, in grey levels.
        images: (N, 1, 8, 8) uint8 the digits.
        labels: (N,) int64 their classes.
    """

    changes: Tensor

    def __init__(self, reach: int, images: Tensor, labels: Tensor) -> None:
        super().__init__()
        self.lookup = Lookup(images)
        changes = Classifier("plain", reach).change({"image": images, "label": labels}, SCRIPTED_STEPS)
        none = torch.zeros_like(changes[:1])  # the last row, that of images which are not found
        self.register_buffer("changes", torch.cat([changes, none]), persistent=False)  # (N + 1, 64)

    def forward(self, observation: Any, noise: Tensor) -> Tensor:
        """(B, 64) shares of the largest change."""
        return self.changes[self.lookup(observation["image"])]


class Noise(Opponent):
    """An attacker whose changes are uniform."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.noise = pixels

    def forward(self, observation: Any, noise: Tensor) -> Tensor:
        """(B, 64) shares of the largest change."""
        return 2 * noise - 1


class Idle(Opponent):
    """An attacker that changes nothing."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.pixels = pixels

    def forward(self, observation: Any, noise: Tensor) -> Tensor:
        """(B, 64) zeros."""
        return noise.new_zeros(len(noise), self.pixels)
