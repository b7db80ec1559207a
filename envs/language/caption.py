"""Caption: say in a sentence what stands where in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.language.text import sentence_bleu
from ..checks.options import choice
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..core.tracing import judged_at_end
from ..drawing.canvas import BAD, GOOD, MUTED, PANEL, Canvas
from ..drawing.choices import LETTERS, Choice
from ..sequence.grammar import split_sentences

COLOURS = {"red": (230, 60, 60), "green": (60, 200, 90), "blue": (80, 120, 250), "yellow": (240, 220, 70)}
SHAPES = ("circle", "square", "triangle")
RELATIONS = ("left of", "right of", "above", "below")
WORDS = ["", "a", "is", *RELATIONS, *COLOURS, *SHAPES]
RELATION, COLOUR, SHAPE = (WORDS.index(word) for word in ("left of", "red", "circle"))
SIDE, HALF, SIZE = 16, 8, 6  # pixels of the picture, of a quarter of it, and of an object
LENGTH = 8  # words of a caption
MEASURES = ("bleu", "colour", "shape", "relation")
THINGS = len(COLOURS) * len(SHAPES)


@dataclass(frozen=True)
class CaptionState:
    """The picture, the captions that are right, and what is written.

    Attributes:
        image: (B, 3, 16, 16) uint8 the scene.
        captions: (B, 2, 8) int64 both right captions: first that which begins with the left or the upper object.
        written: (B, 9) int64 the words written, 0 where none is.
        time: (B,) int64 words written, the end mark included.
    """

    image: Tensor
    captions: Tensor
    written: Tensor
    time: Tensor


class Caption(Task[CaptionState]):
    """Say word by word what a picture shows.

    A picture shows two objects beside or above each other; describe it: "a red circle is left of a blue square".

    Isolates the step from seeing to saying: which colour belongs to which shape, and where they stand, must come out in
    the order of a sentence. Either object may be named first. Test pictures combine objects as no training one does.

    Observation: Dict of ``image``, (3, 16, 16) uint8, and ``written``, MultiDiscrete of 9 words of 14, 0 where none is
        written yet.
    Action: Discrete(14), the next word: "a", "is", four relations, four colours, three shapes; 0 ends the caption.
    Reward: at the end, the caption's BLEU against both right captions (up to 4-grams, 0.1 for those without a match).
    Episode: terminates with the end mark, or after 9 words.
    Metrics: of each finished caption bleu, and colour, shape and relation: whether all that it says of these is true,
        with both objects named in either order.
    Expert: the next word of the right caption that agrees best with what is written; return 1. Random words return
        less than 0.05.
    Source: Vinyals et al. (2015) for captions word by word; BLEU of Papineni et al. (2002).

    Args:
        split: "train", "validation" or "test": 70, 10 and 20 % of the 288 pairs of objects and directions, each with
            any places, the same for everyone.

    Raises:
        InvalidInput: an unknown split.
    """

    variants = ({"split": "test"},)

    horizon = LENGTH + 1
    reset_noise = 6
    kinds: Tensor
    masks: Tensor
    colours: Tensor
    places: Tensor

    def __init__(self, *, split: str = "train") -> None:
        super().__init__()
        choice("Caption: split", split, SPLITS)
        every = torch.cartesian_prod(torch.arange(THINGS), torch.arange(THINGS), torch.arange(2))
        self.register_buffer("kinds", every[split_sentences(len(every), split)], persistent=False)  # (N, 3)
        self.register_buffer("masks", _masks().flatten(0, 1), persistent=False)
        self.register_buffer("colours", torch.tensor([*COLOURS.values()], dtype=torch.uint8), persistent=False)
        self.register_buffer("places", torch.arange(self.horizon), persistent=False)
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8),
                "written": spaces.MultiDiscrete(np.full(self.horizon, len(WORDS))),
            }
        )
        self.action_space = spaces.Discrete(len(WORDS))

    def reset(self, noise: Tensor) -> CaptionState:
        """Two objects beside (0) or above (1) each other, each somewhere in its quarter of the picture."""
        kind = self.kinds.index_select(0, (noise[:, 0] * len(self.kinds)).long())  # (B, 3)
        thing, upright = kind[:, :2], kind[:, 2:]  # (B, 2), (B, 1)
        along = (noise[:, 1:2] * 2).long()  # which row, or which column
        second = torch.arange(2, device=noise.device)
        quarter = torch.where(upright > 0, 2 * second + along, 2 * along + second)  # (B, 2)
        shift = (noise[:, 2:].view(-1, 2, 2) * (HALF - SIZE + 1)).long()
        place = (quarter * 3 + shift[:, :, 0]) * 3 + shift[:, :, 1]
        shape, colour = thing % len(SHAPES), thing // len(SHAPES)
        mask = self.masks.index_select(0, (shape * 36 + place).flatten()).view(-1, 2, 1, SIDE, SIDE)
        tint = self.colours.index_select(0, colour.flatten()).view(-1, 2, 3, 1, 1)
        image = mask[:, 0] * tint[:, 0] + mask[:, 1] * tint[:, 1]  # they never overlap
        relation = RELATION + 2 * upright
        captions = torch.stack([_sentence(thing, relation), _sentence(thing.flip(1), relation + 1)], 1)
        written = thing.new_zeros(len(thing), self.horizon)
        return CaptionState(image, captions, written, torch.zeros_like(kind[:, 0]))

    def step(self, state: CaptionState, action: Tensor, noise: Tensor) -> Step[CaptionState]:
        """Writes the word and, at the end, judges the caption."""
        time = state.time + 1
        written = torch.where(self.places == state.time[:, None], action[:, None], state.written)
        ended = (action == 0) | (time >= self.horizon)
        measures = judged_at_end(ended, _judged, written, state.captions)  # (B, 4)
        metrics = dict(zip(MEASURES, measures.unbind(1), strict=True))
        following = CaptionState(state.image, state.captions, written, time)
        return Step(following, torch.where(ended, measures[:, 0], 0), ended, metrics)

    def observe(self, state: CaptionState) -> dict[str, Tensor]:
        """The picture and what is written."""
        return {"image": state.image, "written": state.written}

    def expert(self, state: CaptionState) -> Tensor:
        """The next word of the right caption that agrees best with what is written, of equals the first."""
        before = self.places[:LENGTH] < state.time[:, None]
        agrees = ((state.written[:, None, :LENGTH] == state.captions) & before[:, None]).sum(2)
        nearest = state.captions.gather(1, agrees.argmax(1)[:, None, None].expand(-1, 1, LENGTH))[:, 0]
        word = nearest.gather(1, state.time.clamp(max=LENGTH - 1)[:, None])[:, 0]
        return torch.where(state.time < LENGTH, word, 0)

    def draw(self, state: CaptionState, canvas: Canvas) -> None:
        """The picture, the caption so far, and at the end what it is worth."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        time, width, middle = int(state.time), canvas.width, canvas.width // 2
        written, captions = state.written.tolist(), state.captions.tolist()
        canvas.text("Say what the picture shows", (middle, 28), size=28, anchor="center")
        canvas.image(state.image, (middle - 85, 50, 170, 170), border=MUTED)
        words = [WORDS[word] for word in written[:time] if word]
        ended = time > 0 and (time == self.horizon or len(words) < time)
        agreement = [sum(a == b for a, b in zip(written, one, strict=False)) for one in captions]
        nearest = [*captions[agreement.index(max(agreement))], 0]
        verdicts = [written[k] == nearest[k] for k in range(len(words))] + [None] * (self.horizon - len(words))
        colours = [PANEL if right is None else GOOD if right else BAD for right in verdicts]
        blank = [" " * 9] * (self.horizon - len(words))
        canvas.cards([*words, *blank], (20, 230, width - 40, 110), None if ended else time, colours, verdicts)
        canvas.text("right (hidden), either one:", (middle, 358), size=20, colour=MUTED, anchor="center")
        for k, caption in enumerate(captions):
            told = " ".join(WORDS[word] for word in caption)
            canvas.text(told, (middle, 384 + 24 * k), size=22, colour=MUTED, anchor="center", max_width=width - 40)
        if ended:
            bleu = float(_bleu(state.written[None], state.captions[None].cpu()))
            canvas.text(f"BLEU {bleu:.2f}", (middle, 450), size=28, anchor="center")
        else:
            canvas.text(f"word {time + 1} of at most {self.horizon}", (middle, 450), size=24, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The picture and the caption so far."""
        width, middle = canvas.width, canvas.width // 2
        words = [WORDS[word] for word in observation["written"].tolist() if word]
        canvas.text("Say what the picture shows", (middle, 35), size=30, anchor="center")
        canvas.image(observation["image"], (middle - 110, 60, 220, 220), border=MUTED)
        blank = [" " * 9] * (self.horizon - len(words))
        canvas.cards([*words, *blank], (20, 295, width - 40, 120), highlight=len(words))
        told = "as in: a red circle is above a blue square, then the end"
        canvas.text(told, (middle, 445), size=22, colour=MUTED, anchor="center")

    def vocabulary(self, part: str | None = None) -> list[str]:
        """See `Task.vocabulary`."""
        return WORDS if part == "written" else []

    def choices(self) -> list[Choice]:
        """A letter for each word, the point for the end."""
        words = [Choice(LETTERS[word - 1], name, word) for word, name in enumerate(WORDS) if word]
        return [*words, Choice(".", "end", 0)]


def _sentence(thing: Tensor, relation: Tensor) -> Tensor:
    """Captions (B, 8) of objects (B, 2) in the order in which they are named, and relations (B, 1)."""
    colour, shape = COLOUR + thing // len(SHAPES), SHAPE + thing % len(SHAPES)
    a = torch.full_like(relation, WORDS.index("a"))
    first, second = (torch.cat([a, colour[:, k : k + 1], shape[:, k : k + 1]], 1) for k in (0, 1))
    return torch.cat([first, a + 1, relation, second], 1)


def _masks() -> Tensor:
    """(3, 36, 16, 16) uint8: each shape at each place: its quarter, then how far down and to the right in it."""
    x = torch.arange(SIZE) - (SIZE - 1) / 2
    down, across = x[:, None], x[None]
    circle = down.square() + across.square() <= (SIZE / 2) ** 2
    triangle = across.abs() <= (down + SIZE / 2 + 0.5) / 2
    glyphs = torch.stack([circle, torch.ones(SIZE, SIZE, dtype=torch.bool), triangle])
    masks = torch.zeros(len(SHAPES), 36, SIDE, SIDE, dtype=torch.uint8)
    for place in range(36):
        top, left = place // 18 * HALF + place // 3 % 3, place // 9 % 2 * HALF + place % 3
        masks[:, place, top : top + SIZE, left : left + SIZE] = glyphs
    return masks


def _judged(written: Tensor, captions: Tensor) -> Tensor:
    """BLEU, and whether colours, shapes and the relation are those of the caption that agrees best, (B, 4)."""
    agrees = written[:, None, :LENGTH] == captions  # (B, 2, 8)
    nearest = agrees.sum(2).argmax(1)[:, None, None].expand(-1, 1, LENGTH)
    true = agrees.gather(1, nearest)[:, 0]
    told = [true[:, 1::5].all(1), true[:, 2::5].all(1), true[:, 4]]
    return torch.stack([_bleu(written, captions), *(one.float() for one in told)], 1)


def _bleu(written: Tensor, captions: Tensor) -> Tensor:
    """BLEU of each row of words (B, 9), 0 where there is none, against its captions (B, 2, 8): (B,)."""
    hypothesis = written.to(torch.int16)
    return sentence_bleu(hypothesis.masked_fill(hypothesis == 0, -1), captions.to(torch.int16), smoothing="epsilon")
