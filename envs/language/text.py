"""Text: predict the next symbol of a real text."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ...neural_blocks.errors import InvalidInput, shown
from ..checks.options import choice, integer
from ..core.actions import Odds
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..drawing import wording
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice
from ..sequence.forecast import ANSWERS, chance, surprise
from .corpus import OTHER, byte_pairs, characters

LINE, LINES = 40, 5  # of the passage in the drawing
COLUMNS = 9  # of the table of characters


@dataclass(frozen=True)
class TextState:
    """Where the reader is, and how the last prediction went.

    Attributes:
        position: (B,) int64 the place in the split's text of the newest symbol.
        guess: (B,) int64 the symbol predicted for it (of odds the likeliest), -1 before the first prediction.
        right: (B,) int64 right predictions so far.
        time: (B,) int64 predictions so far.
        chance: (B,) float32 the probability that was given to the newest symbol; None where a symbol is predicted.
        bits: (B,) float32 the surprise of all predictions so far, likewise.
    """

    position: Tensor
    guess: Tensor
    right: Tensor
    time: Tensor
    chance: Tensor | None = None
    bits: Tensor | None = None


class Text(Task[TextState]):
    """Predict the next symbol of a real text.

    Read a text from some place on, one symbol at a time, and say which one comes next, or how likely each one is.

    Isolates the modelling of natural language: spelling, words, phrases and layout, each of which needs a longer memory
    than the last. An episode starts anywhere in the text, with nothing remembered.

    Observation: Discrete(V), the symbol that has just come. Characters: V = 97, the new line, the 95 printable ones of
        ASCII and one for all others. Byte-pair tokens: V = vocabulary, learned from the train split.
    Action: for answer "symbol", Discrete(V), the symbol that will come; for "odds", Box(0, 1, (V,)), weights of the
        symbols, which are divided by their sum.
    Reward: for "symbol", 1 for a right prediction, 0 for a wrong one; for "odds", the log score in bits, log2 of the
        probability given to the symbol that comes, at least -20.
    Episode: truncated after `length` steps; the text goes on.
    Metrics: accuracy (of odds, that of the likeliest symbol); for "odds" also bits, minus the reward divided by the
        characters of a symbol (on average over the split): bits per character.
    Expert: the symbol that comes, or certainty of it; a bound that no reader reaches. Markov models of order 0, 1 and
        2, fitted on the train split with the additive smoothing that is best on the validation split, need 4.66, 3.69
        and 2.80 bits per character on the test split (CPython 3.11's topics); equal odds need 6.60.
    Source: Shannon (1951) for predicting English; Sutskever et al. (2011) for characters by a recurrent network. The
        text is that of Python's help topics, `pydoc_data.topics`, which every CPython has: 373,000 characters without
        repeated topics.

    Args:
        answer: "symbol" or "odds".
        tokens: "characters" or "byte-pair".
        vocabulary: byte-pair tokens, from 256, one for each byte, to 4096.
        length: steps of an episode.
        split: "train", "validation" or "test": 70, 10 and 20 % of the chapters. A file's chapters are 64 equal pieces.
        file: path of a UTF-8 text to read instead.

    Raises:
        InvalidInput: an unknown answer, kind of tokens or split, a number out of its range, or a file that cannot be
            read or is too short.
    """

    variants = (
        {"answer": "odds"},
        {"answer": "odds", "split": "test"},
        {"tokens": "byte-pair", "vocabulary": 300, "length": 32, "split": "test"},
    )

    reset_noise = 1
    text: Tensor

    def __init__(
        self,
        *,
        answer: str = "symbol",
        tokens: str = "characters",
        vocabulary: int = 512,
        length: int = 128,
        split: str = "train",
        file: str | None = None,
    ) -> None:
        super().__init__()
        self.by_odds = choice("Text: answer", answer, ANSWERS) == "odds"
        choice("Text: tokens", tokens, ("characters", "byte-pair"))
        integer("Text: vocabulary", vocabulary, 256, 4096)
        choice("Text: split", split, SPLITS)
        if file is not None and not isinstance(file, str):
            raise InvalidInput(f"Text: file must be the path of a text, or None; got {shown(file)}")
        self.spelled = tokens == "characters"
        found = characters(file, split) if self.spelled else byte_pairs(file, split, vocabulary)
        self.names, self.characters = found.names, found.characters
        self.horizon = integer("Text: length", length, 1, len(found.text) - 1)
        self.register_buffer("text", found.text, persistent=False)
        self.observation_space = spaces.Discrete(len(self.names))
        self.action_space = Odds(len(self.names)) if self.by_odds else spaces.Discrete(len(self.names))

    def reset(self, noise: Tensor) -> TextState:
        """Any place from which an episode's symbols follow."""
        position = (noise[:, 0].double() * (len(self.text) - self.horizon)).long()
        zero = torch.zeros_like(position)
        none = noise.new_zeros(len(noise), dtype=torch.float32) if self.by_odds else None
        return TextState(position, zero - 1, zero, zero, none, none)

    def step(self, state: TextState, action: Tensor, noise: Tensor) -> Step[TextState]:
        """Reads the next symbol and judges the prediction."""
        symbol = self._next(state)
        guess = action.argmax(1) if self.by_odds else action
        correct = symbol == guess
        reward = correct.float()
        metrics, given, bits = {"accuracy": reward}, None, None
        if state.bits is not None:
            given = chance(action, symbol)
            told = surprise(given)
            reward, bits, metrics = -told, state.bits + told, metrics | {"bits": told / self.characters}
        following = TextState(state.position + 1, guess, state.right + correct, state.time + 1, given, bits)
        return Step(following, reward, torch.zeros_like(correct), metrics)

    def _next(self, state: TextState) -> Tensor:
        """The symbol that comes, (B,); at the very end of the text its first one."""
        return self.text[(state.position + 1) % len(self.text)]

    def observe(self, state: TextState) -> Tensor:
        """The newest symbol, (B,)."""
        return self.text[state.position]

    def expert(self, state: TextState) -> Tensor:
        """The symbol that comes, or certainty of it."""
        symbol = self._next(state)
        return one_hot(symbol, len(self.names)).float() if self.by_odds else symbol

    def draw(self, state: TextState, canvas: Canvas) -> None:
        """The passage read so far, what comes next, and how the last prediction went."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        position, time, middle = int(state.position), int(state.time), canvas.width // 2
        canvas.text("Which symbol comes next?", (middle, 35), size=30, anchor="center")
        canvas.text("read so far", (20, 60), size=20, colour=MUTED)
        passage = "".join(_mark(self.names[symbol]) for symbol in self.text[position - time : position + 1].tolist())
        passage = passage[-LINE * LINES :]
        for k in range(0, len(passage), LINE):
            canvas.text(passage[k : k + LINE], (20, 85 + 26 * k // LINE), size=24)
        canvas.text("comes next (hidden)", (20, 225), size=20, colour=MUTED)
        coming = "".join(_mark(self.names[symbol]) for symbol in self.text[position + 1 : position + 1 + LINE].tolist())
        canvas.text(coming[:LINE], (20, 248), size=24, colour=MUTED)
        canvas.text(f"step {time} of {self.horizon}", (middle, 295), size=24, anchor="center")
        if not time:
            return
        guess, symbol = int(state.guess), int(self.text[position])
        canvas.verdict(guess == symbol, (middle - 170, 320, 340, 80))
        said = "predicted" if state.chance is None else "likeliest"
        told = f"{said}: {_name(self.names[guess])}   came: {_name(self.names[symbol])}"
        canvas.text(told, (middle, 348), size=26, anchor="center", max_width=300)
        if state.chance is None or state.bits is None:
            canvas.text(f"right so far: {int(state.right)} of {time}", (middle, 435), size=26, anchor="center")
            return
        canvas.text(f"its odds were {wording.fixed(float(state.chance), 3)}", (middle, 380), size=22, anchor="center")
        each = wording.fixed(float(state.bits) / time / self.characters, 2)
        canvas.text(f"surprise so far: {each} bits a character", (middle, 435), size=26, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The newest symbol, and how the next one is named; for odds, the number of each character."""
        middle = canvas.width // 2
        canvas.text("Which symbol comes next?", (middle, 35), size=30, anchor="center")
        canvas.cards([_name(self.names[int(observation)])], (middle - 75, 60, 150, 90))
        canvas.text("the newest symbol of the text", (middle, 168), size=22, anchor="center")
        typed = self.spelled and not self.by_odds
        told = "type the one that comes" if typed else "give the number of the one that comes"
        told = "give each symbol the odds that it comes" if self.by_odds else told
        canvas.text(told, (middle, 195), size=22, colour=MUTED, anchor="center")
        if typed:
            told = "Enter is a new line, Delete any character that no key types"
            canvas.text(told, (middle, 225), size=22, colour=MUTED, anchor="center")
            return
        if not self.spelled:
            canvas.text(
                f"one of {len(self.names)} pieces of words", (middle, 320), size=24, colour=MUTED, anchor="center"
            )
            return
        for k, name in enumerate(self.names):
            x, y = 20 + k % COLUMNS * 50, 220 + k // COLUMNS * 23
            canvas.text(str(k), (x, y), size=16, colour=MUTED)
            canvas.text(_name(name), (x + 19, y - 3), size=20, max_width=30)

    def vocabulary(self, part: str | None = None) -> list[str]:
        """See `Task.vocabulary`."""
        return list(self.names)

    def choices(self) -> list[Choice]:
        """The characters themselves, where symbols are characters and one of them is to be named."""
        if self.by_odds or not self.spelled:
            return []
        keys = {" ": "space", "\n": "return", OTHER: "delete"}
        return [Choice(keys.get(name, name), _name(name), action) for action, name in enumerate(self.names)]


def _mark(name: str) -> str:
    """A token in a passage; a new line as the pilcrow."""
    return name.replace("\n", "¶")


def _name(name: str) -> str:
    """A token by itself; spaces, which nobody sees, by name or as dots."""
    return {" ": "space", "\n": "line", OTHER: "other"}.get(name, _mark(name).replace(" ", "·"))
