"""FewShot: name characters of an alphabet never seen before, each learned from the few times it was shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, integer
from ..core.task import Observation, ProblemTask, Step
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice, numbered
from .sources.domains import CHANGED, in_target
from .sources.glyphs import ALPHABETS, DRAWING_NOISE, NORMALS, PROGRAM_NOISE, SIZE, draw_glyphs, draw_programs


@dataclass(frozen=True)
class FewShotState:
    """The classes, the order they come in and where the episode stands.

    Attributes:
        programs: (B, N, 18) int64 the stroke program of each class.
        order: (B, L) int64 the class of each drawing.
        image: (B, 1, 16, 16) uint8 the drawing shown.
        previous: (B, 1, 16, 16) uint8 the one before, black at first.
        seen: (B, N) int64 how often each class's label was shown.
        time: (B,) int64 drawings named.
        guess: (B,) int64 the last guess, -1 at first.
    """

    programs: Tensor
    order: Tensor
    image: Tensor
    previous: Tensor
    seen: Tensor
    time: Tensor
    guess: Tensor


class FewShot(ProblemTask[FewShotState, Tensor]):
    """Name glyphs never seen before, each from the few times it was shown.

    N-way, K-shot: drawings of N unknown glyphs appear in random order; name each, then see its label.

    Isolates learning from a handful of examples: glyphs and their labels are new in every episode, so only what was
    shown within it helps. A class is a random stroke program, a drawing a shaky copy of it. Each class appears K + 1
    times; when it appears for the (k + 1)-th time, k of its drawings were shown with their label. With
    ``episodes=n`` the environment is a `Trial`: n episodes with fresh drawings of the same classes.

    Observation: Dict of ``image`` (1, 16, 16) uint8, the drawing to name, and ``label`` (N,) float32, the one-hot label
        of the drawing before; all 0 at first.
    Action: Discrete(N), the class.
    Reward: 1 / (N (K + 1)) for the right class, 0 for a wrong one, so the return is the accuracy.
    Episode: terminates after N (K + 1) drawings.
    Metrics: accuracy; shot_k for k from 0 to K, the accuracy on drawings of classes seen k times.
    Expert: names a class whose label was shown, and on a new class guesses the first label not yet shown, which is
        right once in N, N - 1, ..., 1 times: (N K + H) / (N (K + 1)) for H = 1 / N + ... + 1 / 2 + 1, which is 0.891 by
        default. No learner that tells all glyphs apart at first sight does better in one episode; in a trial's later
        episodes one that remembers does, as this expert starts over. Random guesses return 1 / N.
    Source: Lake et al. (2015), characters as strokes; Santoro et al. (2016), the label shown after the guess; target
        domains are those of `DigitBandit`.

    Args:
        ways: N, the classes of an episode.
        shots: K.
        split: "train", "validation" or "test", three alphabets without a common class.
        domain: "source", the drawings as they are, or "target", as `target` says.
        target: "inverted", "rotated" or "textured", see `DigitBandit`. Programs are as likely in any turn, so "rotated"
            changes next to nothing.

    Raises:
        InvalidInput: an unknown split, domain or target, or a number outside its limits.
    """

    variants = (
        {"split": "test"},
        {"shots": 1, "split": "test"},
        {"shots": 5, "split": "test"},
        {"ways": 2, "shots": 1},
        {"ways": 3, "shots": 1, "episodes": 2},
        {"domain": "target", "target": "inverted", "split": "test"},
    )

    normals: Tensor

    def __init__(
        self,
        *,
        ways: int = 5,
        shots: int = 4,
        split: str = "train",
        domain: str = "source",
        target: str = "inverted",
    ) -> None:
        super().__init__()
        self.ways = integer("FewShot: ways", ways, 2, 50)
        self.shots = integer("FewShot: shots", shots, 1, 50)
        self.split = choice("FewShot: split", split, ALPHABETS)
        self.elsewhere = choice("FewShot: domain", domain, ("source", "target")) == "target"
        self.target = choice("FewShot: target", target, CHANGED)
        self.horizon = self.ways * (self.shots + 1)
        self.sample_noise = self.ways * PROGRAM_NOISE
        self.begin_noise = self.horizon + DRAWING_NOISE
        self.step_noise = DRAWING_NOISE
        self.register_buffer("normals", NORMALS, persistent=False)
        image = spaces.Box(0, 255, (1, SIZE, SIZE), np.uint8)
        self.observation_space = spaces.Dict({"image": image, "label": spaces.Box(0, 1, (self.ways,), np.float32)})
        self.action_space = spaces.Discrete(self.ways)

    def sample(self, noise: Tensor) -> Tensor:
        """The stroke programs of the classes, (B, N, 18)."""
        return draw_programs(noise.unflatten(1, (self.ways, PROGRAM_NOISE)), self.split)

    def begin(self, problem: Tensor, noise: Tensor) -> FewShotState:
        """A random order and the first drawing."""
        order = noise[:, : self.horizon].argsort(dim=1, stable=True) % self.ways  # (B, L), each class K + 1 times
        image = self._drawing(problem, order[:, 0], noise[:, self.horizon :])
        time = torch.zeros_like(order[:, 0])
        seen = torch.zeros_like(problem[..., 0])
        return FewShotState(problem, order, image, torch.zeros_like(image), seen, time, time - 1)

    def _drawing(self, programs: Tensor, chosen: Tensor, noise: Tensor) -> Tensor:
        """A drawing of one class (B,) in each environment."""
        rows = torch.arange(len(chosen), device=chosen.device) * self.ways + chosen
        glyphs = draw_glyphs(programs.flatten(0, 1).index_select(0, rows), noise, self.normals)
        return in_target(glyphs, self.target) if self.elsewhere else glyphs

    def _class(self, state: FewShotState, time: Tensor) -> Tensor:
        """(B,) the class of the drawing at a time; of the first and the last where it lies beyond them."""
        return state.order.gather(1, time.clamp(0, self.horizon - 1)[:, None])[:, 0]

    def _one_hot(self, label: Tensor) -> Tensor:
        """(B, N) bool."""
        return label[:, None] == torch.arange(self.ways, device=label.device)

    def step(self, state: FewShotState, action: Tensor, noise: Tensor) -> Step[FewShotState]:
        """Judges the guess, shows the label and the next drawing."""
        label, time = self._class(state, state.time), state.time + 1
        correct = (action == label).float()
        known = state.seen.gather(1, label[:, None])[:, 0]
        metrics = {"accuracy": correct}
        metrics |= {f"shot_{k}": correct.masked_fill(known != k, torch.nan) for k in range(self.shots + 1)}
        image = self._drawing(state.programs, self._class(state, time), noise)
        seen = state.seen + self._one_hot(label)
        following = FewShotState(state.programs, state.order, image, state.image, seen, time, action)
        return Step(following, correct / self.horizon, time >= self.horizon, metrics)

    def observe(self, state: FewShotState) -> Observation:
        """The drawing, and the label of the one before."""
        label = self._one_hot(self._class(state, state.time - 1)) & (state.time > 0)[:, None]
        return {"image": state.image, "label": label.float()}

    def expert(self, state: FewShotState) -> Tensor:
        """The class, if its label was shown; else the first label that was not."""
        label = self._class(state, state.time)
        known = state.seen.gather(1, label[:, None])[:, 0] > 0
        return torch.where(known, label, state.seen.clamp(max=1).argmin(1))

    def draw(self, state: FewShotState, canvas: Canvas) -> None:
        """The drawing to name; beside it the last one with guess and label; below how often each class was shown."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        time, width = int(state.time), canvas.width
        ended = time >= self.horizon
        canvas.text("Name the large glyph", (width // 2, 60), size=28, anchor="center")
        if ended:
            canvas.text("all are named", (135, 205), size=24, anchor="center")
        else:
            canvas.image(state.image, (40, 110, 190, 190))
        canvas.text(
            "before it" if time else "nothing was shown before", (355, 92), size=22, anchor="center", colour=MUTED
        )
        if time:
            label, guess = int(state.order[time - 1]), int(state.guess)
            canvas.image(state.previous, (300, 110, 110, 110))
            canvas.verdict(guess == label, (265, 228, 180, 72))
            canvas.text(f"guess: {guess}", (340, 250), size=24, anchor="center")
            canvas.text(f"label: {label}", (340, 278), size=24, anchor="center")
        canvas.text("labels shown so far", (width // 2, 330), size=22, anchor="center", colour=MUTED)
        labels = [str(k) for k in range(self.ways)]
        canvas.bars(state.seen, (40, 345, width - 80, 90), labels=labels, maximum=self.shots + 1)
        canvas.text(
            f"glyph {min(time + 1, self.horizon)} of {self.horizon}", (width // 2, 455), size=22, anchor="center"
        )

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The drawing to name, and the label of the one before."""
        middle, label = canvas.width // 2, observation["label"]
        canvas.text("Name this glyph", (middle, 60), size=30, anchor="center")
        canvas.image(observation["image"], (middle - 130, 90, 260, 260))
        told = "the glyph before it was" if bool(label.any()) else "no glyph came before it"
        canvas.text(told, (middle, 385), size=24, anchor="center")
        if bool(label.any()):
            canvas.cards([str(int(label.argmax()))], (middle - 40, 402, 80, 64))

    def choices(self) -> list[Choice]:
        """A number for each class."""
        return numbered([str(k) for k in range(self.ways)])
