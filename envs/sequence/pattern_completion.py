"""PatternCompletion: see patterns, then restore one of them from a corrupted copy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.neurons.energy import mean_product_recall
from ..checks.options import choice, integer, number
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, BACKGROUND, INK, MUTED, Canvas, Rect
from .letters import LETTER_SIDE, letters

KINDS = ("random", "letters", "orthogonal")
MODES = ("set", "flip")
SWEEPS = 10  # updates of all units by which the expert recalls


@dataclass(frozen=True)
class PatternCompletionState:
    """The stored patterns, the cue and what was made of it.

    Attributes:
        patterns: (B, M, N) float32 of -1 and 1, in the order in which they are shown.
        index: (B,) int64 which of them is to be restored.
        cue: (B, N) float32 of -1, 0 (blank) and 1.
        bits: (B, N) float32 of -1, 0 and 1: the cue as it stands now.
        time: (B,) int64 steps taken.
    """

    patterns: Tensor
    index: Tensor
    cue: Tensor
    bits: Tensor
    time: Tensor

    @property
    def target(self) -> Tensor:
        """(B, N) the pattern to be restored."""
        return self.patterns.gather(1, self.index[:, None, None].expand(-1, 1, self.patterns.shape[2]))[:, 0]


class PatternCompletion(Task[PatternCompletionState]):
    """See patterns of bits, then restore one of them from a corrupted copy.

    Isolates content-addressable memory: what is stored is found by a part of itself. Every episode has its own `stored`
    patterns on a grid of `side` x `side` cells, shown one a step; then comes the cue: one of them, in which `blanked`
    rows are blank and a share `noise` of the other bits is flipped.

    Observation: (side^2 + 1,) float32: the bits shown, rows below each other, each -1, 1, or 0 where it is blank; then
        0 while patterns are shown and 1 while the cue is to be completed.
    Action: with ``mode="set"`` MultiBinary(side^2), all bits at once; with ``mode="flip"`` Discrete(side^2 + 1), a bit
        to turn (a blank one becomes 1), or, the last one, that it is done. Ignored while patterns are shown.
    Reward: the share of the corruption that the action repairs, a blank bit counting as half a wrong one: all steps
        together 1 for the pattern itself, 0 for the cue left as it is, less than 0 for what is further away.
    Episode: terminates with the answer in mode "set", when it is done in mode "flip"; there it is truncated after
        side^2 steps with the cue.
    Metrics: complete, whether every bit is right at the end; overlap, the mean of bits times the pattern's.
    Expert: Hopfield recall: all bits take the signs of their fields under the mean-product rule W = X^T X / M without
        self-connections, ten times. It returns 0.94 by default and less with more patterns or with similar ones, which
        it confuses, so it may be beaten. Random bits return -1.5, the cue as it is 0.
    Source: Hopfield (1982); letters as in MacKay (2003), chapter 42. A cue in a context that is new in every episode
        is what attention completes: Ramsauer et al. (2021).

    Args:
        patterns: "random" bits; "letters", different ones of the alphabet (on a 5 x 5 grid); or "orthogonal", rows of a
            Hadamard matrix with random signs of its columns (on a 4 x 4 or 8 x 8 grid).
        side: cells along the grid; N = side^2 bits.
        stored: M, patterns shown: the load is M / N.
        noise: share of the cue's bits that is flipped, of those that are not blank, rounded to whole bits.
        blanked: rows of the cue that are blank, chosen at random.
        mode: "set" or "flip".

    Raises:
        InvalidInput: an unknown kind or mode, a number outside its limits, a grid that the patterns do not have, or a
            cue that is left intact.
    """

    variants = (
        {"patterns": "letters", "blanked": 2, "noise": 0.0},
        {"patterns": "orthogonal", "side": 4, "stored": 4},
        {"mode": "flip", "blanked": 1, "noise": 0.1},
    )

    alphabet: Tensor

    def __init__(
        self,
        *,
        patterns: str = "random",
        side: int = 5,
        stored: int = 3,
        noise: float = 0.2,
        blanked: int = 0,
        mode: str = "set",
    ) -> None:
        super().__init__()
        self.kind, self.mode = choice("PatternCompletion: patterns", patterns, KINDS), mode
        choice("PatternCompletion: mode", mode, MODES)
        self.side = integer("PatternCompletion: side", side, 2, 16)
        self.units = self.side**2
        grids = {"letters": (LETTER_SIDE,), "orthogonal": (2, 4, 8, 16)}.get(patterns, (self.side,))
        if self.side not in grids:
            told = " or ".join(map(str, grids))
            raise InvalidInput(f"PatternCompletion: side must be {told} with patterns={patterns!r}; got {side}")
        alphabet = letters() if patterns == "letters" else _hadamard(self.units if patterns == "orthogonal" else 1)
        self.register_buffer("alphabet", alphabet, persistent=False)
        most = 1000 if patterns == "random" else len(alphabet)
        self.stored = integer("PatternCompletion: stored", stored, 1, most)
        self.blanked = integer("PatternCompletion: blanked", blanked, 0, self.side)
        visible = self.units - self.blanked * self.side
        self.flipped = round(number("PatternCompletion: noise", noise, 0, 0.5) * visible)
        self.corruption = self.flipped + (self.units - visible) / 2
        if not self.corruption:
            raise InvalidInput(f"PatternCompletion: noise must flip a bit where no row is blanked; got {noise}")
        drawn = {"random": self.stored * self.units, "letters": len(alphabet), "orthogonal": 2 * self.units}
        self.widths = [drawn[patterns], 1, self.side, self.units]
        self.reset_noise = sum(self.widths)
        self.horizon = self.stored + (1 if mode == "set" else self.units)
        self.observation_space = spaces.Box(-1, 1, (self.units + 1,), np.float32)
        self.action_space: spaces.Space = (
            spaces.MultiBinary(self.units) if mode == "set" else spaces.Discrete(self.units + 1)
        )

    def reset(self, noise: Tensor) -> PatternCompletionState:
        """The patterns, which of them is asked for, its blank rows and its flipped bits."""
        drawn, asked, rows, flips = noise.split(self.widths, 1)
        patterns = self._patterns(drawn)  # (B, M, N)
        index = (asked[:, 0] * self.stored).long()
        blank = _smallest(rows, self.blanked).repeat_interleave(self.side, 1)  # (B, N)
        flip = _smallest(flips + blank, self.flipped)  # blank bits come last
        time = torch.zeros_like(index)
        state = PatternCompletionState(patterns, index, flips, flips, time)
        cue = torch.where(flip, -state.target, state.target).masked_fill(blank, 0.0)
        return replace(state, cue=cue, bits=cue)

    def _patterns(self, drawn: Tensor) -> Tensor:
        if self.kind == "random":
            return torch.where(drawn < 0.5, -1.0, 1.0).to(torch.float32).unflatten(1, (self.stored, self.units))
        chosen = drawn[:, : len(self.alphabet)].argsort(dim=1, stable=True)[:, : self.stored]  # (B, M)
        patterns = self.alphabet[chosen]
        if self.kind == "letters":
            return patterns
        signs = torch.where(drawn[:, self.units :] < 0.5, -1.0, 1.0).to(torch.float32)
        return patterns * signs[:, None]

    def step(self, state: PatternCompletionState, action: Tensor, noise: Tensor) -> Step[PatternCompletionState]:
        """Shows the next pattern, or changes the cue."""
        asked, target = state.time >= self.stored, state.target
        if self.mode == "set":
            bits, done = 2 * action.to(torch.float32) - 1, asked
        else:
            place = torch.arange(self.units, device=action.device) == action[:, None]
            turned = torch.where(state.bits == 0, 1.0, -state.bits)
            bits, done = torch.where(place, turned, state.bits), asked & (action == self.units)
        bits = torch.where(asked[:, None], bits, state.bits)
        reward = (_errors(state.bits, target) - _errors(bits, target)) / self.corruption
        time = state.time + 1
        last = done | (time >= self.horizon)
        metrics = {
            "complete": (bits == target).all(1).float().masked_fill(~last, torch.nan),
            "overlap": (bits * target).mean(1).masked_fill(~last, torch.nan),
        }
        return Step(replace(state, bits=bits, time=time), reward, done, metrics)

    def observe(self, state: PatternCompletionState) -> Tensor:
        """The pattern shown, or the cue as it stands, and which of them it is, (B, N + 1)."""
        asked = (state.time >= self.stored).to(torch.float32)[:, None]
        return torch.cat([torch.where(asked > 0, state.bits, self._shown(state)), asked], 1)

    def _shown(self, state: PatternCompletionState) -> Tensor:
        """(B, N) the pattern of this step."""
        now = state.time.clamp(max=self.stored - 1)[:, None, None]
        return state.patterns.gather(1, now.expand(-1, 1, self.units))[:, 0]

    def expert(self, state: PatternCompletionState) -> Tensor:
        """What Hopfield recall makes of the cue, or the next bit to turn; the pattern itself while it is shown."""
        asked, recalled = state.time >= self.stored, mean_product_recall(state.patterns, state.cue, SWEEPS)
        if self.mode == "set":
            return (torch.where(asked[:, None], recalled, self._shown(state)) > 0).to(torch.int8)
        apart = torch.cat([recalled != state.bits, torch.ones_like(asked)[:, None]], 1)  # (B, N + 1)
        first = apart.to(torch.uint8).argmax(1)
        return torch.where(asked, first, self.units)

    def draw(self, state: PatternCompletionState, canvas: Canvas) -> None:
        """The patterns shown so far, the cue, what became of it and what it should be."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, time = canvas.width // 2, int(state.time)
        asked, index = time >= self.stored, int(state.index)
        told = "Restore the pattern that this is a copy of" if asked else "Remember these patterns"
        canvas.text(told, (middle, 28), 30, anchor="center")
        told = "shown, then hidden; framed: the one asked for" if asked else "shown, then hidden; framed: now"
        canvas.text(told, (middle, 60), 20, MUTED, "center")
        columns = max(4, -(-self.stored // 2))  # two rows at most
        width, top = (min(108, 440 // columns), 240) if self.stored <= columns else (min(90, 440 // columns), 330)
        for k in range(min(time + 1, self.stored)):
            area = (20 + k % columns * width + 4, 78 + k // columns * (width + 22), width - 8, width - 8)
            self._grid(state.patterns[k], area, canvas)
            if k == (index if asked else time):
                canvas.outline((area[0] - 4, area[1] - 4, area[2] + 8, area[3] + 8), ACCENT, 3)
        if not asked:
            canvas.text(f"pattern {time + 1} of {self.stored}", (middle, 430), 24, anchor="center")
            return
        for k, (name, bits) in enumerate((("cue", state.cue), ("completed so far", state.bits))):
            left = 20 + 230 * k
            canvas.text(name, (left + 105, top - 13), 22, anchor="center")
            self._grid(bits, (left, top, 210, 444 - top), canvas)
        wrong = float(_errors(state.bits[None], state.patterns[None, index]))
        canvas.text(f"wrong bits: {wrong:g} of {self.units} (blank: one half)", (middle, 460), 22, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The pattern shown now, or the cue as it stands."""
        middle, asked = canvas.width // 2, float(observation[-1]) > 0
        told = "Restore the pattern that this is a copy of" if asked else "Remember this pattern"
        canvas.text(told, (middle, 35), 30, anchor="center")
        self._grid(observation[:-1], (80, 70, 320, 320), canvas)
        told = "some cells are wrong, or blank (?)" if asked else "what you choose counts only when a cue is shown"
        canvas.text(told, (middle, 430), 22, MUTED, "center")

    def _grid(self, bits: Tensor, area: Rect, canvas: Canvas) -> None:
        """Dark cells for 1, pale ones for -1, a question mark on blank ones."""
        cells = bits.view(self.side, self.side)
        labels = np.where(cells.cpu().numpy() == 0, "?", "")
        place = canvas.grid((cells > 0).long() + 2 * (cells == 0).long(), area, (BACKGROUND, INK, MUTED), labels)
        canvas.outline(place, MUTED, 1)

    def entries(self) -> list[str]:
        """Each cell by its row and column."""
        if self.mode == "flip":
            return []
        return [f"{row + 1},{column + 1}" for row in range(self.side) for column in range(self.side)]


def _errors(bits: Tensor, target: Tensor) -> Tensor:
    """(B,) wrong bits, a blank one counting half."""
    return (bits.shape[1] - (bits * target).sum(1)) / 2


def _smallest(values: Tensor, count: int) -> Tensor:
    """(B, K) bool: the `count` smallest of each row's values."""
    rank = values.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return rank < count


def _hadamard(size: int) -> Tensor:
    """(size, size) float32 of -1 and 1 with orthogonal rows, by Sylvester; size a power of two."""
    matrix = torch.ones(1, 1, dtype=torch.float32)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix
