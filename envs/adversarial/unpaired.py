"""Unpaired: translate digits into a style of which no pairs are given, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice
from ..classification.sources.images import load_images
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..core.tracing import row_by_row
from ..drawing.canvas import ACCENT, GOOD, MUTED, Canvas
from ..drawing.wording import fixed
from .restyle import SIDE, WHITE, restyled

HIDDEN = (0.5, 0.5, 1.0)  # slant, weight and negative of the true translation
BACK = (-0.5, 0.5, 1.0)  # of the best way back: on a negative, what was dark has to grow again
HALF = 2.0  # squared distance, from black to white 1, at which pictures are half alike; nearest digits are 1.4 apart
CARRY = 2**11  # a squared length is told as so many of these, and what is left
WEIGHTS = (0.2, 0.2, 0.6)  # of the critic there, of the critic back, and of the cycle


@dataclass(frozen=True)
class UnpairedState:
    """A digit on its way into the other style and back.

    Attributes:
        source: (B, 8, 8) uint8 the digit.
        true: (B, 8, 8) uint8 its true translation, hidden.
        picture: (B, 8, 8) uint8 what has become of it.
        there: (B, 8, 8) uint8 its translation; the digit itself before.
        liked: (B,) float32 what the critic of the style makes of that; 0 before.
        example: (B, 2) int64 which digits are shown as examples of the style and of plain writing.
        time: (B,) int64 steps taken.
    """

    source: Tensor
    true: Tensor
    picture: Tensor
    there: Tensor
    liked: Tensor
    example: Tensor
    time: Tensor


class Unpaired(Task[UnpairedState]):
    """Translate digits into a style of which no pairs are given, and back.

    Translate a digit into a style that is known from other digits alone, then translate the result back.

    Isolates learning a translation without pairs: no digit is ever seen in both ways, and nothing tells how far a
    translation is from the true one. What pays is that each result looks like pictures of its domain, which a frozen
    critic judges by the nearest of those it knows, and that the way back leads to where it came from. One picture of
    the style that always comes out satisfies the critic and not the cycle; the digit left as it is, the cycle and not
    the critic. Who remembers the digit could paint it from memory on the way back; without memory it has to be in the
    translation.

    The domains are scikit-learn's digits as they are, and others of them slanted, bolder, and black on white: the
    hidden map is a fixed one of `restyle.restyled`. Digits come from even rows of the training split, or all of
    another; examples and what the critics know from the training split's odd rows.

    Observation: a dict. "picture": (1, 8, 8) uint8, to be translated; "example": (1, 8, 8) uint8, another digit as it
        should look; "stage": Discrete(3), 0 for into the style, 1 for back, 2 at the end.
    Action: by "map" Box(-1, 1, (3,)): how the picture is written anew: slant, 1 moving the uppermost row two pixels to
        the right; weight, lighter pixels growing above 0 and shrinking below; how much of the negative is mixed in,
        none from 0 down. By "pixels" Box(0, 1, (64,)), the result's greys.
    Reward: for the first step 0.2 s, s being how the critic of the style likes the translation; for the second, on the
        way back, 0.2 s times how the critic of plain writing likes the result, and 0.6 s times how near it is to the
        digit. All of these are 1 / (1 + d / 2), where d is the squared distance, greys being from 0 to 1, from the
        nearest picture that the critic knows, or from the digit: 1 where equal.
    Episode: terminates after 2 steps.
    Metrics: apart, the root mean squared difference of the translation from the true one, greys from 0 to 1; cycle, how
        near the way back comes to the digit, 1 where equal.
    Expert: by "map" the hidden map, then the one of the same kind that undoes it best: 0.46; by "pixels" the true
        translation, then the digit itself: 0.68. No bound. The digit left as it is returns 0.08; a picture of the style
        and then the plain one, always of one and the same digit, about 0.5.
    Source: Zhu et al. (2017) for cycle consistency; Alpaydin and Kaynak (1998) for the digits, by scikit-learn; the
        rules are Palaestra's own.

    Args:
        by: "map" or "pixels".
        split: "train", "validation" or "test", the digits to translate; that of `DigitBandit`.

    Raises:
        InvalidInput: an unknown way or split.
    """

    variants = ({"split": "test"}, {"by": "pixels"}, {"by": "pixels", "split": "test"})

    horizon, reset_noise = 2, 3
    sources: Tensor
    truths: Tensor
    known: Tensor
    judge: Tensor
    places: Tensor
    hidden: Tensor

    def __init__(self, *, by: str = "map", split: str = "train") -> None:
        super().__init__()
        self.by = choice("Unpaired: by", by, ("map", "pixels"))
        self.split = choice("Unpaired: split", split, SPLITS)
        images = torch.from_numpy(load_images("digits", split)[0])[:, 0]
        self.register_buffer("sources", images[::2] if split == "train" else images, persistent=False)  # (N, 8, 8)
        plain = torch.from_numpy(load_images("digits", "train")[0])[1::2, 0]
        self.register_buffer("hidden", torch.tensor([HIDDEN, BACK], dtype=torch.float32), persistent=False)
        styled, true = (restyled(part, self.hidden[:1].expand(len(part), -1)) for part in (plain, self.sources))
        self.register_buffer("truths", true, persistent=False)  # (N, 8, 8)
        known = torch.stack([styled, plain])
        self.register_buffer("known", known, persistent=False)  # (2, M, 8, 8) of the style, and plain
        flat = known.flatten(2).float()
        squares = flat.square().sum(2, keepdim=True)  # in factors of 11 bits, so that TensorFloat-32 is exact
        judge = torch.cat([-2 * flat, (squares / CARRY).floor(), squares % CARRY], 2)
        self.register_buffer("judge", judge.mT.contiguous(), persistent=False)  # (2, 66, M)
        self.register_buffer("places", torch.tensor([CARRY, 1], dtype=torch.float32), persistent=False)
        image = spaces.Box(0, WHITE, (1, SIDE, SIDE), np.uint8)
        self.observation_space = spaces.Dict({"picture": image, "example": image, "stage": spaces.Discrete(3)})
        low, size = (-1, 3) if by == "map" else (0, SIDE * SIDE)
        self.action_space = spaces.Box(low, 1, (size,), np.float32)

    def examples(self, split: str | None = None) -> tuple[Tensor, Tensor]:
        """Plain digits, of class 0, and after them others in the style, of class 1: no digit in both ways."""
        images = torch.from_numpy(load_images("digits", split or self.split)[0])
        plain = images[::2] if (split or self.split) == "train" else images
        styled = self.known[0].cpu().unsqueeze(1)
        return torch.cat([plain, styled]), torch.tensor([0] * len(plain) + [1] * len(styled))

    def reset(self, noise: Tensor) -> UnpairedState:
        """A digit, and examples of both ways to write."""
        row = (noise[:, 0] * len(self.sources)).long()
        source, true = self.sources.index_select(0, row), self.truths.index_select(0, row)
        example = (noise[:, 1:] * self.known.shape[1]).long()
        time, liked = torch.zeros_like(example[:, 0]), noise.new_zeros(len(noise), dtype=torch.float32)
        return UnpairedState(source, true, source, source, liked, example, time)

    def step(self, state: UnpairedState, action: Tensor, noise: Tensor) -> Step[UnpairedState]:
        """Writes the picture anew; what it is like is judged."""
        if self.by == "map":
            picture = restyled(state.picture, action)
        else:
            picture = (WHITE * action.double()).round().to(torch.uint8).view(-1, SIDE, SIDE)
        back = state.time > 0  # (B,)
        there = torch.where(back[:, None, None], state.there, picture)
        like = _alike(self._nearest(picture, back))  # what is plain on the way back, and in the style before
        liked = torch.where(back, state.liked, like)
        apart = _distance(picture, torch.where(back[:, None, None], state.source, state.true))
        cycle = _alike(apart)
        reward = liked * torch.where(back, WEIGHTS[1] * like + WEIGHTS[2] * cycle, WEIGHTS[0])
        metrics = {"apart": _off(apart).masked_fill(back, torch.nan), "cycle": cycle.masked_fill(~back, torch.nan)}
        following = UnpairedState(state.source, state.true, picture, there, liked, state.example, state.time + 1)
        return Step(following, reward, back, metrics)

    def _nearest(self, picture: Tensor, back: Tensor) -> Tensor:
        """(B,) the squared distance to the nearest picture of the style, or on the way back of plain writing.

        Greys of 255. Factors are whole numbers of at most 2^11, products and sums below 2^24, so all is exact.
        """
        x = picture.flatten(1).float()
        if row_by_row(back.device):
            apart = x.new_empty(len(x))
            for domain, rows in enumerate(((~back).nonzero()[:, 0], back.nonzero()[:, 0])):
                if len(rows):
                    own = x if len(rows) == len(x) else x.index_select(0, rows)
                    apart.index_copy_(0, rows, self._apart(own, domain))
        else:
            apart = torch.where(back, self._apart(x, 1), self._apart(x, 0))
        return x.square().sum(1) + apart

    def _apart(self, x: Tensor, domain: int) -> Tensor:
        """(B,) the squared distance of pictures (B, 64) to the nearest of a domain, less their own square."""
        return (torch.cat([x, self.places.expand(len(x), -1)], 1) @ self.judge[domain]).amin(1)

    def observe(self, state: UnpairedState) -> dict[str, Tensor]:
        """The picture, an example of how it should look, and the stage."""
        plain = (state.time > 0).long()
        row = state.example.gather(1, plain[:, None])[:, 0] + plain * self.known.shape[1]
        example = self.known.flatten(0, 1).index_select(0, row)
        return {"picture": state.picture[:, None], "example": example[:, None], "stage": state.time}

    def expert(self, state: UnpairedState) -> Tensor:
        """The hidden map and the one that undoes it, or what they should give."""
        back = state.time > 0
        if self.by == "map":
            return self.hidden.index_select(0, back.long())
        return torch.where(back[:, None, None], state.source, state.true).flatten(1).float() / WHITE

    def draw(self, state: UnpairedState, canvas: Canvas) -> None:
        """The digit, its translation and the way back, beside the true translation."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        time, size = int(state.time), 165
        canvas.text("Into another style and back", (canvas.width // 2, 30), size=28, anchor="center")
        pictures = (
            ("digit", state.source, (45, 85), MUTED),
            ("translation", state.there if time else None, (270, 85), ACCENT),
            ("back again", state.picture if time > 1 else None, (45, 300), ACCENT),
            ("true translation (hidden)", state.true, (270, 300), GOOD),
        )
        for told, picture, corner, colour in pictures:
            middle = corner[0] + size // 2
            canvas.text(told, (middle, corner[1] - 14), size=20, colour=colour, anchor="center")
            if picture is None:
                canvas.outline((*corner, size, size), colour)
                canvas.text("not yet", (middle, corner[1] + size // 2), size=22, colour=MUTED, anchor="center")
            else:
                canvas.image(picture[None], (*corner, size, size), border=colour)
        if time:
            apart = float(_off(_distance(state.there[None], state.true[None])))
            canvas.text(f"apart {fixed(apart, 2)}", (352, 264), size=20, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The picture, and another one as it should look."""
        middle, stage = canvas.width // 2, int(observation["stage"])
        told = ("Write this in the other style", "Write this plainly again", "Finished")[stage]
        canvas.text(told, (middle, 40), size=28, anchor="center")
        canvas.text("this" if stage < 2 else "result", (125, 95), size=22, colour=ACCENT, anchor="center")
        canvas.image(observation["picture"], (25, 110, 200, 200), border=ACCENT)
        canvas.text("another, as it should look", (355, 95), size=20, colour=GOOD, anchor="center")
        canvas.image(observation["example"], (255, 110, 200, 200), border=GOOD)
        told = "by slant, weight and negative" if self.by == "map" else "by painting every pixel"
        canvas.text(told, (middle, 360), size=24, anchor="center")
        canvas.text(f"step {min(stage + 1, 2)} of 2", (middle, 410), size=24, colour=MUTED, anchor="center")

    def entries(self) -> list[str]:
        """What is written anew: how, or each pixel by row and column."""
        if self.by == "map":
            return ["slant", "weight", "negative"]
        return [f"{row},{column}" for row in range(SIDE) for column in range(SIDE)]


def _distance(picture: Tensor, other: Tensor) -> Tensor:
    """(B,) the squared distance of pictures (B, 8, 8), greys of 255."""
    apart = picture.flatten(1).float() - other.flatten(1).float()  # whole numbers below 2^24, so sums are exact
    return (apart * apart).sum(1)


def _off(distance: Tensor) -> Tensor:
    """(B,) the root of the mean square that a pixel is off, white 1, from squared distances (B,)."""
    return (distance / (SIDE * SIDE * WHITE**2)).sqrt()


def _alike(distance: Tensor) -> Tensor:
    """(B,) 1 at no squared distance (B,), 1/2 at `HALF`."""
    return 1 / (1 + distance / (HALF * WHITE**2))
