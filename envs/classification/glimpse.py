"""Glimpse: move a small window over a cluttered canvas until the digit can be read."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..canvas import ACCENT, BAD, GOOD, MUTED, Canvas
from ..options import choice, integer, number
from ..task import Step, Task
from .images import load_images

SIDE, DIGIT, PIECE = 32, 8, 4  # pixels a side of the canvas, of a digit and of a piece of clutter
WINDOW, STRIDE = 12, 4  # the fovea's pixels a side, and how far a move takes it
PLACES = 7  # positions of the fovea a side: centres at 4, 8, ..., 28
OUTSIDE = 48  # the grey beyond the canvas
MOVES = ("up", "down", "left", "right")


@dataclass(frozen=True)
class GlimpseState:
    """The canvas at three resolutions, the fovea and the guess.

    Attributes:
        full, half, quarter: (B, 36, 36), (B, 24, 24), (B, 18, 18) uint8 the canvas in pixels of 1, 2 and 4, with the
            grey margin that the fovea can see.
        corner: (B, 2) int64 row and column of the digit's upper left pixel, 0 to 24.
        label: (B,) int64 the digit.
        place: (B, 2) int64 row and column of the fovea, 0 to 6; its centre is pixel 4 (place + 1).
        time: (B,) int64 steps taken.
        guess: (B,) int64 the class named, -1 before.
    """

    full: Tensor
    half: Tensor
    quarter: Tensor
    corner: Tensor
    label: Tensor
    place: Tensor
    time: Tensor
    guess: Tensor


class Glimpse(Task[GlimpseState]):
    """Find a digit on a 32 x 32 canvas with a fovea that is sharp only in its middle, then name it.

    Isolates hard attention: where to look next is a choice that no gradient passes through. The digit (8 x 8) lies
    anywhere on the canvas among pieces (4 x 4) cut from other digits. The fovea starts in the middle; wherever the
    digit is, at most six moves bring all of it into the finest view.

    Observation: (3, 12, 12) uint8, three views around the fovea, each channel one resolution: 12 x 12 pixels as they
        are, 24 x 24 averaged over 2 x 2, and 48 x 48 averaged over 4 x 4. What lies beyond the canvas has the grey 48.
    Action: Discrete(14): 0 to 9 name the class; 10, 11, 12 and 13 move the fovea up, down, left and right by 4 pixels,
        as far as its centre stays 4 pixels inside the canvas.
    Reward: 1 for the right class, 0 for a wrong one; minus `cost` for each move.
    Episode: terminates with the guess; truncated after 12 steps.
    Metrics: accuracy of the guess; looks, the views had when guessing.
    Expert: moves the shortest way to where the digit is whole in the finest view, then names its label, both of which
        it reads in the state: 1 minus `cost` for each move, 0.942 by default. Naming the label unseen would earn 1, and
        a reader of the coarser views may save a move. Random actions return about 0.09.
    Source: Mnih et al. (2014), cluttered translated digits; digits of Alpaydin and Kaynak (1998), by scikit-learn.

    Args:
        clutter: how many pieces of other digits lie on the canvas.
        cost: of a move.
        split: "train" or "test", the images that digit and clutter are taken from; that of `DigitBandit`.

    Raises:
        InvalidInput: an unknown split, or a number outside its limits.
    """

    horizon = 12
    images: Tensor
    labels: Tensor
    shifts: Tensor

    def __init__(self, *, clutter: int = 4, cost: float = 0.02, split: str = "train") -> None:
        super().__init__()
        self.clutter = integer("Glimpse: clutter", clutter, 0, 32)
        self.cost = number("Glimpse: cost", cost, 0, 1)
        choice("Glimpse: split", split, ("train", "test"))
        images, labels, self.class_names = load_images("digits", split, None)
        self.register_buffer("images", torch.from_numpy(images).flatten(1), persistent=False)
        self.register_buffer("labels", torch.from_numpy(labels), persistent=False)
        self.classes = len(self.class_names)
        stay = torch.zeros(self.classes, 2, dtype=torch.int64)
        moves = torch.tensor([[-1, 0], [1, 0], [0, -1], [0, 1]])
        self.register_buffer("shifts", torch.cat([stay, moves]), persistent=False)
        self.observation_space = spaces.Box(0, 255, (3, WINDOW, WINDOW), np.uint8)
        self.action_space = spaces.Discrete(self.classes + len(MOVES))
        self.reset_noise = 3 + 5 * self.clutter

    def reset(self, noise: Tensor) -> GlimpseState:
        """The digit and where it lies, then each piece of clutter: source, its corner in there, its corner here."""
        index = (noise[:, 0] * len(self.labels)).long()
        corner = (noise[:, 1:3] * (SIDE - DIGIT + 1)).long()  # (B, 2)
        canvas = torch.zeros(len(noise), SIDE**2, dtype=torch.uint8, device=noise.device)
        self._paste(canvas, self.images.index_select(0, index), _square(corner, SIDE, DIGIT))
        for u in noise[:, 3:].unflatten(1, (self.clutter, 5)).unbind(1) if self.clutter else ():
            source = self.images.index_select(0, (u[:, 0] * len(self.labels)).long())  # (B, 64)
            cut = _square((u[:, 1:3] * (DIGIT - PIECE + 1)).long(), DIGIT, PIECE)
            place = _square((u[:, 3:] * (SIDE - PIECE + 1)).long(), SIDE, PIECE)
            self._paste(canvas, source.gather(1, cut), place)
        full = canvas.to(torch.int16).unflatten(1, (SIDE, SIDE))
        half = _sums(full)
        views = (_framed(full, 2), _framed(half >> 2, 4), _framed(_sums(half) >> 4, 5))  # averages, rounded down
        zero = torch.zeros_like(index)
        middle = torch.full_like(corner, PLACES // 2)
        return GlimpseState(*views, corner, self.labels[index], middle, zero, zero - 1)

    def _paste(self, canvas: Tensor, pixels: Tensor, place: Tensor) -> None:
        """Puts pixels (B, n) at flat places (B, n) of the canvas (B, 1024), in place; the brighter one stays."""
        canvas.scatter_(1, place, torch.maximum(canvas.gather(1, place), pixels))

    def step(self, state: GlimpseState, action: Tensor, noise: Tensor) -> Step[GlimpseState]:
        """Moves the fovea or judges the guess."""
        guessed = action < self.classes
        correct = (action == state.label).float()
        reward = torch.where(guessed, correct, -self.cost)
        place = (state.place + self.shifts.index_select(0, action)).clamp(0, PLACES - 1)
        time = state.time + 1
        following = GlimpseState(
            state.full, state.half, state.quarter, state.corner, state.label, place, time,
            action.masked_fill(~guessed, -1),
        )  # fmt: skip
        metrics = {
            "accuracy": correct.masked_fill(~guessed, torch.nan),
            "looks": time.float().masked_fill(~guessed, torch.nan),
        }
        return Step(following, reward, guessed, metrics)

    def observe(self, state: GlimpseState) -> Tensor:
        """The three views, (B, 3, 12, 12)."""
        rows, (down, right) = torch.arange(len(state.place), device=state.place.device), state.place.unbind(1)
        views = []
        for view, stride in ((state.full, 4), (state.half, 2), (state.quarter, 1)):
            windows = view.unfold(1, WINDOW, stride).unfold(2, WINDOW, stride)  # (B, 7, 7, 12, 12)
            views.append(windows[rows, down, right])
        return torch.stack(views, 1)

    def _target(self, state: GlimpseState) -> Tensor:
        """(B, 2) the place nearest to the fovea from which the whole digit is in the finest view."""
        low = (state.corner + DIGIT - WINDOW + 2 + STRIDE - 1).div(STRIDE, rounding_mode="floor").clamp(0, PLACES - 1)
        high = (state.corner + 2).div(STRIDE, rounding_mode="floor").clamp(0, PLACES - 1)
        return state.place.clamp(low, high)

    def expert(self, state: GlimpseState) -> Tensor:
        """The next move towards the digit; once it is in the finest view, its label."""
        way = self._target(state) - state.place  # (B, 2)
        vertical = torch.where(way[:, 0] < 0, 0, 1)
        horizontal = torch.where(way[:, 1] < 0, 2, 3)
        move = self.classes + torch.where(way[:, 0] != 0, vertical, horizontal)
        return torch.where((way == 0).all(1), state.label, move)

    def draw(self, state: GlimpseState, canvas: Canvas) -> None:
        """The canvas with the three views framed; beside it what the fovea sees; below the guess."""
        scale, left, top = 8, 24, 64
        canvas.text("Find the digit and name it", (canvas.width // 2, 30), size=28, anchor="center")
        margin = 2
        canvas.image(
            state.full[margin : margin + SIDE, margin : margin + SIDE], (left, top, SIDE * scale, SIDE * scale)
        )
        centre = [STRIDE * (int(place) + 1) for place in state.place]
        colours = (ACCENT, GOOD, MUTED)
        for reach, colour in zip((24, 12, 6), reversed(colours), strict=True):
            low = [max(0, middle - reach) for middle in centre]
            high = [min(SIDE, middle + reach) for middle in centre]
            box = (left + low[1] * scale, top + low[0] * scale, (high[1] - low[1]) * scale, (high[0] - low[0]) * scale)
            canvas.outline(box, colour, 3)
        seen = self.observe(GlimpseState(**{name: value[None] for name, value in vars(state).items()}))[0]
        names = ("sharp", "coarse", "coarser")
        for k, (view, colour) in enumerate(zip(seen, colours, strict=True)):
            canvas.image(view, (310, top + 140 * k, 108, 108), border=colour)
            canvas.text(names[k], (364, top + 140 * k + 110), size=20, colour=colour, anchor="midtop")
        guess, label = int(state.guess), int(state.label)
        canvas.text(f"looks: {int(state.time) + (guess < 0)}", (152, 345), size=26, anchor="center")
        if guess < 0:
            canvas.text("move, or name it", (152, 400), size=26, colour=MUTED, anchor="center")
            return
        canvas.verdict(guess == label, (52, 370, 200, 90))
        canvas.text(f"guess: {guess}", (140, 398), size=28, anchor="center", colour=GOOD if guess == label else BAD)
        canvas.text(f"truth: {label}", (140, 434), size=28, anchor="center")


def _square(corner: Tensor, width: int, side: int) -> Tensor:
    """Flat places of a square's pixels in an image of that width: corners (B, 2) to (B, side^2)."""
    axis = torch.arange(side, device=corner.device)
    return (corner[:, :1] * width + corner[:, 1:]) + (axis[:, None] * width + axis).flatten()


def _sums(image: Tensor) -> Tensor:
    """Sums over 2 x 2 pixels: (B, H, W) to (B, H / 2, W / 2)."""
    rows = image[:, 0::2] + image[:, 1::2]
    return rows[..., 0::2] + rows[..., 1::2]


def _framed(view: Tensor, margin: int) -> Tensor:
    """A view as bytes, with a margin of what lies outside."""
    return F.pad(view.to(torch.uint8), [margin] * 4, value=OUTSIDE)
