"""Brackets: close each bracket with the right kind."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..checks.options import integer
from ..core.task import Step, Task
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice, numbered

DEEP = 10  # steps between a bracket's opening and its closing, beyond which it counts as deep
PAIRS = ("()", "[]", "{}", "<>", "/\\", "«»")


@dataclass(frozen=True)
class BracketsState:
    """The text so far and what is open.

    Attributes:
        text: (B, length) int64 what was written: i < kinds opens kind i, kinds + i closes it; -1 is not written yet.
        stack: (B, depth) int64 the places of those that are open, the outermost first; what lies above `height` means
            nothing.
        height: (B,) int64 how many are open.
        closing: (B,) bool whether a bracket is to be closed now.
        time: (B,) int64 steps taken.
        answer: (B,) int64 the kind last named for a closing bracket, -1 where none was.
    """

    text: Tensor
    stack: Tensor
    height: Tensor
    closing: Tensor
    time: Tensor
    answer: Tensor


class Brackets(Task[BracketsState]):
    """Read nested brackets and say of which kind each closing one must be.

    Isolates a memory that works as a stack: the bracket to close is the last one that is still open, however much was
    opened and closed since. The text is a word of the Dyck language of `kinds` pairs in which at most `depth` brackets
    are open at once: wherever a bracket may be opened and one closed, either happens with probability 1/2, and every
    kind is as likely as the others.

    Observation: Discrete(kinds + 2): the kind that is opened now; `kinds` where the innermost open bracket is to be
        closed now; kinds + 1 once the text is complete.
    Action: Discrete(kinds), the kind that closes; ignored where a bracket opens.
    Reward: 2 / length for the right kind, minus that for a wrong one, 0 where a bracket opens. The text goes on with
        the right one.
    Episode: terminates after `length` steps, half of which close.
    Metrics: accuracy of the closing kinds; deep, the same where the bracket was opened more than ten steps before.
    Expert: return 1. A random guess returns 2 / kinds - 1.
    Source: the Dyck languages of Chomsky and Schützenberger (1963), bounded in depth as in Hewitt et al. (2020).

    Args:
        kinds: of brackets, 2 to 6.
        depth: how many may be open at once.
        length: of the text, even.

    Raises:
        InvalidInput: an odd length, or a number outside its limits.
    """

    variants = ({"kinds": 2, "depth": 10, "length": 60},)

    step_noise = reset_noise = 2

    def __init__(self, *, kinds: int = 3, depth: int = 4, length: int = 40) -> None:
        super().__init__()
        self.kinds = integer("Brackets: kinds", kinds, 2, len(PAIRS))
        self.depth = integer("Brackets: depth", depth, 1, 64)
        self.horizon = integer("Brackets: length", length, 2, 10_000)
        if self.horizon % 2:
            raise InvalidInput(f"Brackets: length must be even, as every bracket is closed; got {length}")
        self.observation_space = spaces.Discrete(self.kinds + 2)
        self.action_space = spaces.Discrete(self.kinds)

    def reset(self, noise: Tensor) -> BracketsState:
        """An empty text, and the first bracket that is opened."""
        zero = torch.zeros(len(noise), dtype=torch.int64, device=noise.device)
        text, stack = (zero[:, None].repeat(1, width) for width in (self.horizon, self.depth))
        return self._write(BracketsState(text - 1, stack, zero, zero > 0, zero, zero - 1), noise)

    def _write(self, state: BracketsState, noise: Tensor) -> BracketsState:
        """What comes at this time: an opening bracket is written at once, a closing one is asked for."""
        left = self.horizon - state.time
        closing = (left > 0) & (state.height > 0)
        may_open = (state.height < self.depth) & (left > state.height + 1)
        closing = closing & (~may_open | (noise[:, 0] < 0.5))
        opens = ~closing & (left > 0)
        kind = (noise[:, 1] * self.kinds).long()
        now = torch.arange(self.horizon, device=noise.device) == state.time[:, None]
        text = torch.where(now & opens[:, None], kind[:, None], state.text)
        top = torch.arange(self.depth, device=noise.device) == state.height[:, None]
        stack = torch.where(top & opens[:, None], state.time[:, None], state.stack)
        return BracketsState(text, stack, state.height + opens.long(), closing, state.time, state.answer)

    def _innermost(self, state: BracketsState) -> tuple[Tensor, Tensor]:
        """The kind (B,) of the innermost open bracket and its place (B,); of the outermost, once none is open."""
        place = state.stack.gather(1, (state.height - 1).clamp(min=0)[:, None])
        return state.text.gather(1, place)[:, 0], place[:, 0]

    def step(self, state: BracketsState, action: Tensor, noise: Tensor) -> Step[BracketsState]:
        """Judges the closing bracket, writes the right one, and goes on."""
        closing, (kind, place) = state.closing, self._innermost(state)
        correct = (kind == action).float()
        reward = (2 * correct - 1) * closing * (2 / self.horizon)
        now = torch.arange(self.horizon, device=noise.device) == state.time[:, None]
        text = torch.where(now & closing[:, None], self.kinds + kind[:, None], state.text)
        height, time = state.height - closing.long(), state.time + 1
        answer = action.masked_fill(~closing, -1)
        metrics = {
            "accuracy": correct.masked_fill(~closing, torch.nan),
            "deep": correct.masked_fill(~closing | (state.time - place <= DEEP), torch.nan),
        }
        following = self._write(BracketsState(text, state.stack, height, closing, time, answer), noise)
        return Step(following, reward, time >= self.horizon, metrics)

    def observe(self, state: BracketsState) -> Tensor:
        """What is opened now, or that a bracket is to be closed, or that the text is complete, (B,)."""
        shown = torch.where(state.closing, self.kinds, self._innermost(state)[0])
        return shown.masked_fill(state.time >= self.horizon, self.kinds + 1)

    def expert(self, state: BracketsState) -> Tensor:
        """The kind of the innermost open bracket."""
        return self._innermost(state)[0]

    def draw(self, state: BracketsState, canvas: Canvas) -> None:
        """The text so far, what is open, and the verdict on the last closing bracket."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, time = canvas.width // 2, int(state.time)
        signs = [pair[side] for side in (0, 1) for pair in PAIRS[: self.kinds]]
        text = [signs[code] if code >= 0 else "" for code in state.text.tolist()]
        if bool(state.closing):
            text[time] = "?"
        canvas.text("Close each bracket with its own kind", (middle, 30), 30, anchor="center")
        canvas.cards(text, (20, 55, 440, 190), highlight=time)
        height = int(state.height)
        canvas.text(f"open now, the innermost last (at most {self.depth})", (middle, 265), 22, anchor="center")
        open_now = [signs[int(state.text[place])] if i < height else "" for i, place in enumerate(state.stack)]
        canvas.cards(open_now, (40, 280, 400, 60), highlight=height - 1 if bool(state.closing) else None)
        if int(state.answer) >= 0:
            written = int(state.text[time - 1]) - self.kinds
            canvas.verdict(int(state.answer) == written, (100, 360, 280, 80))
            named, right = signs[self.kinds + int(state.answer)], signs[self.kinds + written]
            canvas.text(f"last answer  {named}", (middle, 385), 26, anchor="center")
            canvas.text(f"it was  {right}", (middle, 417), 26, anchor="center")
        canvas.text(f"step {time} of {self.horizon}", (middle, 462), 20, MUTED, "center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The bracket opened now, or the question which one closes."""
        middle, shown = canvas.width // 2, int(observation)
        if shown > self.kinds:
            canvas.text("The text is complete", (middle, 220), 30, anchor="center")
            return
        asked = shown == self.kinds
        told = "Which bracket closes here?" if asked else "A bracket opens: remember it"
        canvas.text(told, (middle, 60), 30, anchor="center")
        canvas.cards(["?" if asked else PAIRS[shown][0]], (middle - 110, 110, 220, 220))
        told = "the last one opened that is still open" if asked else "what you press counts only at a question mark"
        canvas.text(told, (middle, 390), 22, MUTED, "center")

    def choices(self) -> list[Choice]:
        """A number for each kind."""
        return numbered([pair[1] for pair in PAIRS[: self.kinds]])
