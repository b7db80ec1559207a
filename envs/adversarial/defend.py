"""Defend: choose what is done to an image, which may have been attacked, before a classifier reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.robustness.adversarial import fgsm, pgd
from ..checks.options import choice, integer, number
from ..classification.sources.images import load_images
from ..classification.sources.preprocessing import PREPROCESSINGS
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..core.tree import select
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice, numbered
from ..frozen.classifiers import NAMES, classifier

ATTACKS = {"mixed": ("clean", "fgsm", "pgd"), "fgsm": ("clean", "fgsm"), "pgd": ("clean", "pgd")}
DONE = {"clean": "nothing was done to it", "fgsm": "attacked by FGSM", "pgd": "attacked by projected gradient"}
STRENGTHS = (0.5, 1.0, 2.0)  # of attacks, in epsilons
PGD_STEPS = 10
OPEN = -1  # the choice before it is made


@dataclass(frozen=True)
class DefendState:
    """Which images are shown, and what was chosen last.

    Attributes:
        row: (B, T) int64 the rows of all images of the episode, in order: of N clean ones, then N for each strength of
            one attack, then of the next.
        time: (B,) int64 images judged.
        choice: (B,) int64 the last preprocessing, their number for passing; -1 before.
    """

    row: Tensor
    time: Tensor
    choice: Tensor


class Defend(Task[DefendState]):
    """Choose how an image is cleaned before a classifier reads it, or pass.

    Digits are shown, one after the other, as they are or as an attack on a shipped classifier has left them, and the
    agent says what is to be done to each before that classifier reads it. An attack may be weak, of middle strength or
    strong: its traces show.

    Isolates the choice of a defence: each restores other images and spoils others. Whether one is needed at all has to
    be seen in the image, and whether one still helps: of the strongest attacks hardly any image recovers, and passing
    is cheaper. The attacker knows the classifier and not the defence.

    Observation: (1, 8, 8) uint8, the image; the last one again at the end.
    Action: Discrete(10): 0 leave it as it is, 1 stretch the contrast, 2 make dark pixels black, 3 to 5 round to four,
        three or two greys, 6 round the coefficients of its cosine transform as JPEG does, 7 blur, 8 take medians of
        3 x 3, 9 pass.
    Reward: over length: 1 if the classifier then names the digit, -1 if it does not, -`fee` for passing.
    Episode: terminates after `length` images.
    Metrics: clean, the accuracy on images that were left as they are; robust, that on attacked ones, passing being
        wrong in both; passed, the share of images passed on.
    Expert: knows the answers: the first action after which the classifier is right, passing if there is none. So no
        defence can return more; with the default options it returns 0.69, the best constant choice, to stretch the
        contrast, 0.36, and random ones 0.14.
    Source: Guo et al. (2018) for transformations against attacks, Xu et al. (2018) for fewer greys and medians; Chow
        (1970) for the fee; attacks of Goodfellow et al. (2015) and Madry et al. (2018); digits of Alpaydin and Kaynak
        (1998).

    Args:
        victim: the classifier: "plain", "robust", "trades" or "ensemble"; see `frozen.classifiers.classifier`.
        attack: "fgsm", "pgd", 10 steps of a quarter of its strength, or "mixed"; with one attack half of the images are
            clean, with both a third.
        epsilon: the largest change of a pixel in an attack of middle strength, from black to white being 1; a third of
            the attacks are half as strong, a third twice.
        fee: what passing costs, from 0 to 1.
        length: images of an episode.
        split: "train", "validation" or "test", the digits. The classifier learned from all but those of "test".

    Raises:
        InvalidInput: an unknown name, or a number outside its limits.
    """

    variants = (
        {"split": "test"},
        {"attack": "pgd", "epsilon": 0.2, "fee": 0.1},
        {"attack": "fgsm", "victim": "ensemble", "split": "validation"},
    )

    images: Tensor
    labels: Tensor
    answers: Tensor

    def __init__(
        self,
        *,
        victim: str = "plain",
        attack: str = "mixed",
        epsilon: float = 0.15,
        fee: float = 0.3,
        length: int = 4,
        split: str = "train",
    ) -> None:
        super().__init__()
        choice("Defend: victim", victim, NAMES)
        self.kinds = ATTACKS[choice("Defend: attack", attack, ATTACKS)]
        self.epsilon = number("Defend: epsilon", epsilon, 0.001, 0.5)
        self.fee = number("Defend: fee", fee, 0, 1)
        self.horizon = integer("Defend: length", length, 1, 1000)
        self.reset_noise = 3 * self.horizon
        choice("Defend: split", split, SPLITS)
        images, labels, self.class_names = load_images("digits", split)
        network = classifier(victim).double()
        clean, label = torch.from_numpy(images).double() / 255, torch.from_numpy(labels)
        attacks = [(kind, strength * self.epsilon) for kind in self.kinds[1:] for strength in STRENGTHS]
        shown = torch.cat([clean, *(attacked(kind, network, clean, label, radius) for kind, radius in attacks)])
        with torch.no_grad():
            said = [network(preprocess(shown)).argmax(1) for preprocess in PREPROCESSINGS.values()]
        self.rows = len(clean)
        self.register_buffer("images", (255 * shown).round().to(torch.uint8), persistent=False)
        self.register_buffer("labels", label.repeat(1 + len(attacks)), persistent=False)
        self.register_buffer("answers", torch.stack(said, 1), persistent=False)  # (rows, preprocessings)
        self.observation_space = spaces.Box(0, 255, images.shape[1:], np.uint8)
        self.action_space = spaces.Discrete(len(PREPROCESSINGS) + 1)

    def reset(self, noise: Tensor) -> DefendState:
        """Digits drawn uniformly, and what is done to each: the kind, then how strongly."""
        kinds, strengths, digits = noise.chunk(3, 1)
        kind, strength = (kinds * len(self.kinds)).long(), (strengths * len(STRENGTHS)).long()
        block = torch.where(kind > 0, 1 + (kind - 1) * len(STRENGTHS) + strength, 0)
        row = block * self.rows + (digits * self.rows).long()
        time = torch.zeros_like(row[:, 0])
        return DefendState(row, time, torch.full_like(time, OPEN))

    def _shown(self, state: DefendState) -> Tensor:
        """(B,) the row of the image that is shown."""
        return state.row.gather(1, state.time.clamp(max=self.horizon - 1)[:, None])[:, 0]

    def _right(self, row: Tensor) -> Tensor:
        """(B, 10) whether the classifier is right about images (B,) after each choice; never after passing."""
        right = self.answers[row] == self.labels[row][:, None]
        return torch.cat([right, torch.zeros_like(right[:, :1])], 1)

    def step(self, state: DefendState, action: Tensor, noise: Tensor) -> Step[DefendState]:
        """Judges what the classifier says of the image after that preprocessing."""
        row, time = self._shown(state), state.time + 1
        right = self._right(row).gather(1, action[:, None])[:, 0].float()
        passed = (action == len(PREPROCESSINGS)).float()
        clean = row < self.rows
        metrics = {
            "clean": right.masked_fill(~clean, torch.nan),
            "robust": right.masked_fill(clean, torch.nan),
            "passed": passed,
        }
        reward = torch.where(passed > 0, -self.fee, 2 * right - 1) / self.horizon
        return Step(DefendState(state.row, time, action), reward, time >= self.horizon, metrics)

    def observe(self, state: DefendState) -> Tensor:
        """The image, (B, 1, 8, 8)."""
        return select(self.images, self._shown(state))

    def expert(self, state: DefendState) -> Tensor:
        """The first choice after which the classifier is right, else to pass."""
        right = self._right(self._shown(state))
        right[:, -1] = True
        places = torch.arange(right.shape[1], device=right.device)
        return torch.where(right, places, len(places)).amin(1)

    def draw(self, state: DefendState, canvas: Canvas) -> None:
        """The image with what was done to it; after a choice, what was made of it and what the classifier says."""
        made, time = int(state.choice), int(state.time)
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        index, middle = int(state.row[max(time - 1, 0)]), canvas.width // 2
        image, label = self.images[index], int(self.labels[index])
        told = self._done(index // self.rows)
        if made == OPEN:
            self.draw_seen(image, canvas)
            canvas.text(f"it is a {label}; {told}", (middle, 464), 20, MUTED, "center")
            return
        canvas.text("What is to be done before a classifier reads it?", (middle, 24), 26, anchor="center")
        canvas.text(f"image {time} of {self.horizon}", (middle, 464), 20, MUTED, "center")
        canvas.text("as shown", (124, 66), 24, anchor="center")
        canvas.image(image, (24, 84, 200, 200), border=MUTED)
        canvas.text(told, (middle, 316), 24, MUTED, "center")
        if made == len(PREPROCESSINGS):
            canvas.text("passed", (356, 184), 34, anchor="center")
            canvas.text(f"it is a {label}; passing costs {self.fee:g}", (middle, 400), 26, anchor="center")
            return
        name, preprocess = list(PREPROCESSINGS.items())[made]
        canvas.text(name, (356, 66), 24, anchor="center", max_width=220)
        after = preprocess(image[None].double() / 255)[0]
        canvas.image((255 * after).round().to(torch.uint8), (256, 84, 200, 200), border=MUTED)
        said = int(self.answers[index, made])
        canvas.verdict(said == label, (middle - 190, 345, 380, 104))
        canvas.text(f"the classifier says {said}", (middle, 378), 28, anchor="center")
        canvas.text(f"it is a {label}", (middle, 416), 28, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The image and what can be done to it."""
        middle = canvas.width // 2
        canvas.text("What is to be done before a classifier reads it?", (middle, 24), 26, anchor="center")
        canvas.image(observation, (middle - 110, 46, 220, 220), border=MUTED)
        names = [*PREPROCESSINGS, f"pass, for {self.fee:g}"]
        for k, name in enumerate(names):
            canvas.text(f"{k}  {name}", (44 + 220 * (k // 5), 292 + 34 * (k % 5)), 22, anchor="midleft")

    def _done(self, block: int) -> str:
        """What was done to the images of a block of rows."""
        if block == 0:
            return DONE["clean"]
        kind, strength = divmod(block - 1, len(STRENGTHS))
        percent = 100 * STRENGTHS[strength] * self.epsilon
        return f"{DONE[self.kinds[1 + kind]]}, up to {percent:.3g} % a pixel"

    def choices(self) -> list[Choice]:
        """A number for each preprocessing, the last one to pass."""
        return numbered([*PREPROCESSINGS, "pass"])


def attacked(kind: str, network: Callable[[Tensor], Tensor], clean: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Images (N, 1, 8, 8) float64 in [0, 1] after an attack on a classifier, rounded to multiples of 1/255."""
    changed = clean
    if kind == "fgsm":
        changed = fgsm(network, clean, labels, epsilon)
    elif kind == "pgd":
        changed = pgd(network, clean, labels, epsilon, step_size=epsilon / 4, steps=PGD_STEPS)
    return (255 * changed).round() / 255
