"""Code: one player sends a pattern through a few bits, the other rebuilds it; both are paid alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..checks.options import choice, integer, number
from ..core.game import Game, Opponent
from ..core.noise import normal
from ..core.task import Step
from ..drawing.canvas import ACCENT, BACKGROUND, INK, MUTED, Canvas, Rect
from .codebook import best_groups, decoder, encoder

KINDS = ("given", "random")
GIVEN = ("010111010", "101010101", "111101111", "111010010", "000000111")  # plus, cross, ring, T and line
FEW = 10  # patterns for which the best code is searched where they are more than the codes


@dataclass(frozen=True)
class CodeState:
    """What each player sees, and what was rebuilt last.

    Attributes:
        index: (B,) int64 the pattern before the sender.
        seen: (B, length) float32 what the sender sees of it: bits of -1 and 1, as far as no noise is added.
        source: (B,) int64 the pattern whose code is before the receiver.
        code: (B, bits) float32 that code, of -1 and 1; 0 before the first.
        answered: (B,) int64 the pattern that was rebuilt last.
        rebuilt: (B, length) float32 what it was rebuilt as, of -1 and 1; 0 before the first.
        time: (B,) int64 steps taken.
    """

    index: Tensor
    seen: Tensor
    source: Tensor
    code: Tensor
    answered: Tensor
    rebuilt: Tensor
    time: Tensor


class Code(Game[CodeState]):
    """Agree on a code: send a pattern through a few bits, or rebuild it from them.

    A sender sees a pattern and sends a few bits; a receiver sees only these and rebuilds the pattern. Both are paid for
    every bit that comes out right: an autoencoder as a game.

    Isolates the invention of a code by two learners who are never shown one. What the sender says means nothing until
    the receiver reads it so, and what the receiver reads helps nothing until the sender says it. The two act at the
    same time: in each step the sender encodes a pattern while the receiver rebuilds the one that was sent in the step
    before. So the sender is paid for a code one step later. What the receiver answers in the first step of an episode
    does not count, as nothing has been sent.

    As a task for one agent, ``player=`` names the one it plays and ``opponent=`` a scripted partner, whose code is to
    be found out: "codebook", the best code there is, or "mirrored", the same one with all its bits turned.

    Observation: sender the pattern, (length,) float32, receiver the code, (bits,) float32, each bit -1 or 1; the code
        is 0 before the first. With `flipped` or `noise` the sender sees the pattern damaged, anew each time.
    Action: sender MultiBinary(bits), the code; receiver MultiBinary(length), the pattern.
    Reward: for both the share of right bits minus that of wrong ones, divided by `rounds`.
    Episode: terminates after `rounds` + 1 steps, with `rounds` patterns rebuilt; the last code is not read.
    Metrics: right, the share of right bits; exact, whether all of them are.
    Expert: both follow the best code. With no more patterns than codes every pattern has one of its own: return 1.
        With more, patterns that share a code are rebuilt as the majority of them, grouped so that the fewest bits are
        wrong (found by dynamic programming over all groupings); no pair of players can return more. A damaged pattern
        is taken for the nearest one, the first of those as near: with `flipped=1` the return is still 1, as the given
        pictures differ in four cells or more. Before a partner with a code random codes return 0.14 and random
        patterns 0; one and the same pattern, whatever is sent, 0.24.
    Source: Ackley, Hinton and Sejnowski (1985), the encoder problem; Lewis (1969), signalling games; as a game of two
        learners Lazaridou et al. (2017).

    Args:
        patterns: "given", five pictures on a grid of 3 x 3 cells; or "random", fixed ones that no picture is in.
        count: patterns, each as likely: the first of the five given ones, or up to 1,000 random ones; above 2^`bits`
            up to 10.
        length: bits of a pattern: 9 for the given ones.
        bits: bits of a code.
        rounds: rebuilt patterns of an episode.
        flipped: bits of a pattern, each time others, that the sender sees turned: a query with wrong bits, of which the
            pattern itself is to be rebuilt, as by a denoising autoencoder (Vincent et al., 2010).
        noise: standard deviation of Gaussian noise that is added to every bit that the sender sees.

    Raises:
        InvalidInput: an unknown kind of patterns, or a number outside its limits.
    """

    variants = (
        {"player": "receiver"},
        {"player": "receiver", "opponent": "mirrored"},
        {"bits": 1},
        {"player": "receiver", "patterns": "random", "count": 16, "length": 12, "bits": 4, "rounds": 4},
        {"flipped": 1},
        {"noise": 0.7},
    )

    players = ("sender", "receiver")
    patterns: Tensor
    encode: Tensor
    decode: Tensor

    def __init__(
        self,
        *,
        patterns: str = "given",
        count: int = 5,
        length: int = 9,
        bits: int = 3,
        rounds: int = 8,
        flipped: int = 0,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        given = choice("Code: patterns", patterns, KINDS) == "given"
        self.length = integer("Code: length", length, 1, 16)
        if given and self.length != len(GIVEN[0]):
            raise InvalidInput(f"Code: length must be {len(GIVEN[0])} with patterns='given'; got {length}")
        self.bits = integer("Code: bits", bits, 1, 10)
        most = min(len(GIVEN) if given else 1000, 2**self.length, max(2**self.bits, FEW))
        self.count = integer("Code: count", count, 1, most)
        self.rounds = integer("Code: rounds", rounds, 1, 1000)
        if given:
            told = torch.tensor([[int(bit) for bit in pattern] for pattern in GIVEN[: self.count]])
        else:
            numbers = np.random.RandomState(0).permutation(2**self.length)[: self.count]
            told = torch.from_numpy(numbers)[:, None] >> torch.arange(self.length) & 1
        groups = best_groups(told, 2**self.bits)
        self.register_buffer("patterns", _signs(told), persistent=False)  # (K, N)
        self.register_buffer("encode", _signs(encoder(groups, self.bits)), persistent=False)  # (K, bits)
        self.register_buffer("decode", _signs(decoder(told, groups, self.bits)), persistent=False)  # (2^bits, N)
        self.flipped = integer("Code: flipped", flipped, 0, self.length)
        self.deviation = number("Code: noise", noise, 0, 10)
        self.widths = [1, self.length * (self.flipped > 0), self.length * (self.deviation > 0)]
        self.horizon, self.reset_noise, self.step_noise = self.rounds + 1, sum(self.widths), sum(self.widths)
        seen = np.inf if self.deviation else 1.0
        self.observation_space = spaces.Dict(
            {
                "sender": spaces.Box(-seen, seen, (self.length,), np.float32),
                "receiver": spaces.Box(-1, 1, (self.bits,), np.float32),
            }
        )
        self.action_space = spaces.Dict(
            {"sender": spaces.MultiBinary(self.bits), "receiver": spaces.MultiBinary(self.length)}
        )

    def reset(self, noise: Tensor) -> CodeState:
        """A pattern for the sender, and nothing sent."""
        index, seen = self._next(noise)
        code, rebuilt = (noise.new_zeros(len(noise), width, dtype=torch.float32) for width in (self.bits, self.length))
        zero = torch.zeros_like(index)
        return CodeState(index, seen, zero, code, zero, rebuilt, zero)

    def _next(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) the next pattern, and (B, length) what the sender sees of it."""
        drawn, turned, added = noise.split(self.widths, 1)
        index = (drawn[:, 0] * self.count).long()
        seen = self.patterns[index]
        if self.flipped:
            rank = turned.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
            seen = torch.where(rank < self.flipped, -seen, seen)
        if self.deviation:
            seen = seen + self.deviation * normal(added).to(torch.float32)
        return index, seen

    def step(self, state: CodeState, action: Any, noise: Tensor) -> Step[CodeState]:
        """Pays both for what was rebuilt, and hands over the code of the next pattern."""
        rebuilt, counts, time = _signs(action["receiver"]), state.time > 0, state.time + 1
        overlap = (rebuilt * self.patterns[state.source]).mean(1)  # (B,)
        payoff = overlap * counts / self.rounds
        index, seen = self._next(noise)
        following = CodeState(
            index=index,
            seen=seen,
            source=state.index,
            code=_signs(action["sender"]),
            answered=state.source,
            rebuilt=rebuilt * counts[:, None],
            time=time,
        )
        exact = (rebuilt == self.patterns[state.source]).all(1)
        metrics = {
            name: value.float().masked_fill(~counts, torch.nan)
            for name, value in (("right", (overlap + 1) / 2), ("exact", exact))
        }
        return Step(following, dict.fromkeys(self.players, payoff), time > self.rounds, metrics)

    def observe(self, state: CodeState) -> dict[str, Tensor]:
        """The pattern (B, length) for the sender, the code (B, bits) for the receiver."""
        return {"sender": state.seen, "receiver": state.code}

    def expert(self, state: CodeState) -> Any:
        """The codebook's bits for both."""
        rebuilt = self.decode[_number(state.code)]
        return {"sender": _bits(self.encode[_nearest(self.patterns, state.seen)]), "receiver": _bits(rebuilt)}

    def opponents(self, player: str) -> dict[str, Callable[[], Opponent]]:
        """Partners that keep to a code."""
        kind = Sender if player == "sender" else Receiver
        tables = (self.patterns, self.encode, self.decode)
        return {name: partial(kind, *tables, sign) for name, sign in (("codebook", 1), ("mirrored", -1))}

    def draw(self, state: CodeState, canvas: Canvas) -> None:
        """The pattern before the sender, the code under way, and what was made of the last one."""
        if not canvas.spectator:
            self.draw_seen(self.observe_one(state), canvas)
            return None
        middle, time, ended = canvas.width // 2, int(state.time), int(state.time) == self.horizon
        canvas.text("Rebuild a pattern from a few bits", (middle, 30), 30, anchor="center")
        told = f"all {self.rounds} patterns are rebuilt" if ended else f"step {time + 1} of {self.horizon}"
        canvas.text(told, (middle, 60), 22, MUTED, "center")
        canvas.text("sender sees", (95, 100), 22, anchor="center")
        self._grid(state.seen, (30, 115, 130, 130), canvas)
        told = "nothing sent yet" if time == 0 else "sent before" if not ended else "sent, not read"
        canvas.text(told, (315, 100), 22, anchor="center")
        self._grid(state.code, (180, 130, 270, 60), canvas, row=True)
        told = "the receiver rebuilds a pattern from this" if time and not ended else ""
        canvas.text(told, (315, 215), 18, MUTED, "center")
        if time < 2:
            canvas.text("nothing rebuilt yet", (middle, 370), 26, MUTED, "center")
            return None
        canvas.text("rebuilt last", (120, 280), 22, anchor="center")
        canvas.text("what it was", (360, 280), 22, anchor="center")
        truth = self.patterns[state.answered].cpu()
        right = int((state.rebuilt.cpu() == truth).sum())
        for left, pattern in ((55, state.rebuilt), (295, truth)):
            self._grid(pattern, (left, 295, 130, 130), canvas)
        canvas.verdict(right == self.length, (90, 438, 300, 38))
        canvas.text(f"{right} of {self.length} bits are right", (middle - 8, 457), 22, anchor="center")

    def draw_player(self, player: str, observation: Tensor, canvas: Canvas) -> None:
        """The pattern to send, or the bits to read."""
        middle, sends = canvas.width // 2, player == "sender"
        told = (
            f"Tell your partner this pattern in {self.bits} bits" if sends else "Which pattern do these bits stand for?"
        )
        canvas.text(told, (middle, 45), 28, anchor="center")
        if sends:
            self._grid(observation, (90, 80, 300, 300), canvas)
            told = "it is rebuilt from the bits alone; you both win by every right cell"
        else:
            self._grid(observation, (40, 150, 400, 120), canvas, row=True)
            told = f"rebuild all {self.length} cells; you both win by every right one"
            if not bool(observation.any()):
                told = "nothing has been sent yet: this answer does not count"
        canvas.text(told, (middle, 430), 20, MUTED, "center")

    def _grid(self, bits: Tensor, area: Rect, canvas: Canvas, row: bool = False) -> None:
        """Cells in a square as far as they fill it, or in a row: dark for 1, pale for -1, a dash for unknown ones."""
        columns = len(bits) if row else math.ceil(len(bits) ** 0.5)
        flat = np.full(-(-len(bits) // columns) * columns, np.nan)
        flat[: len(bits)] = bits.cpu().numpy()
        cells = flat.reshape(-1, columns)
        labels = np.select([cells > 0, cells < 0, cells == 0], ["1", "0", "-"], "")
        if self.deviation and not np.isin(cells, (-1, 0, 1)).all():
            labels = np.array([["" if np.isnan(cell) else f"{cell:.1f}" for cell in line] for line in cells])
        colours = np.select([cells < 0, cells > 0, cells == 0], [0, 1, 2], -1)  # -1 beyond the last bit
        place = canvas.grid(colours, area, (BACKGROUND, INK, MUTED), labels)
        canvas.outline(place, ACCENT if row else MUTED, 2)

    def entries_of(self, player: str) -> list[str]:
        """The bits by number, or the cells of a grid by row and column."""
        side = round(self.length**0.5)
        if player == "sender" or side**2 != self.length:
            return [str(k + 1) for k in range(self.bits if player == "sender" else self.length)]
        return [f"{row + 1},{column + 1}" for row in range(side) for column in range(side)]


class Partner(Opponent):
    """A player that keeps to a code.

    Args:
        patterns: (K, N) float32 of -1 and 1.
        encode: (K, bits) float32 the code of each.
        decode: (2^bits, N) float32 what each code is rebuilt as.
        sign: 1 for this code, -1 for the one with all its bits turned.
    """

    patterns: Tensor
    encode: Tensor
    decode: Tensor

    def __init__(self, patterns: Tensor, encode: Tensor, decode: Tensor, sign: int) -> None:
        super().__init__()
        self.sign = sign
        for name, table in (("patterns", patterns), ("encode", encode), ("decode", decode)):
            self.register_buffer(name, table, persistent=False)

    def sent(self, pattern: Tensor) -> Tensor:
        """(B, bits) the code of patterns (B, N)."""
        return _bits(self.sign * self.encode[_nearest(self.patterns, pattern)])

    def read(self, code: Tensor) -> Tensor:
        """(B, N) the patterns of codes (B, bits)."""
        return _bits(self.decode[_number(self.sign * code)])


class Sender(Partner):
    """A sender that keeps to a code."""

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, bits) the codes of patterns (B, N)."""
        return self.sent(observation)

    def best_response(self, observation: Any) -> Tensor:
        """(B, N) what its codes (B, bits) stand for."""
        return self.read(observation)


class Receiver(Partner):
    """A receiver that keeps to a code."""

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, N) the patterns of codes (B, bits)."""
        return self.read(observation)

    def best_response(self, observation: Any) -> Tensor:
        """(B, bits) the code by which it rebuilds patterns (B, N) best."""
        return self.sent(observation)


def _nearest(patterns: Tensor, seen: Tensor) -> Tensor:
    """(B,) which of the patterns (K, N) what is seen (B, N) is nearest to, the first of those that are as near."""
    return (seen @ patterns.t()).argmax(1)  # without noise of whole numbers, which are exact


def _signs(bits: Tensor) -> Tensor:
    """Bits of 0 and 1 as float32 of -1 and 1."""
    return 2 * bits.to(torch.float32) - 1


def _bits(signs: Tensor) -> Tensor:
    """Signs as a MultiBinary space's bits, 0 unless a sign is positive."""
    return (signs > 0).to(torch.int8)


def _number(code: Tensor) -> Tensor:
    """(B,) int64 the codes (B, bits) as binary numbers, the lowest bit first."""
    return ((code > 0).long() << torch.arange(code.shape[1], device=code.device)).sum(1)
