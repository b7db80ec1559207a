"""Glimpse: move a small window over a cluttered canvas until the digit can be read."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, integer, number
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..core.tree import tree_map
from ..drawing.canvas import ACCENT, BAD, GOOD, MUTED, Canvas
from ..drawing.choices import Choice, numbered
from .sources.domains import TARGETS, by_ink, in_target, inked
from .sources.images import load_images

CELL, CELLS = 4, 8  # pixels a side of a cell, and cells a side of the canvas
SIDE = CELL * CELLS  # pixels a side of the canvas
DIGIT = 2  # cells a side of a digit
PLACES = CELLS - DIGIT + 1  # positions a side of digit and fovea
OUTSIDE = 48  # the grey beyond the canvas
WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32}  # numbers as large as a row of 1, 2 and 4 pixels
VIEWS = {"sharp": (4, 2), "coarse": (2, 4), "coarser": (1, 8)}  # pixels a side of a cell, and cells a side
MOVES = ("up", "down", "left", "right")


@dataclass(frozen=True)
class GlimpseState:
    """What lies where, the fovea and the guess.

    Attributes:
        cells: (B, 65) int32 the number of each cell's piece in the tables, row by row; the last is the outside.
        corner: (B, 2) int64 row and column of the digit's upper left cell, 0 to 6.
        row: (B,) int64 the digit's row among the images.
        label: (B,) int64 the digit.
        place: (B, 2) int64 row and column of the fovea's upper left cell in the finest view, 0 to 6.
        time: (B,) int64 steps taken.
        guess: (B,) int64 the class named, -1 before.
    """

    cells: Tensor
    corner: Tensor
    row: Tensor
    label: Tensor
    place: Tensor
    time: Tensor
    guess: Tensor


class Glimpse(Task[GlimpseState]):
    """Move a small window over a cluttered canvas, then name the digit on it.

    Find a digit on a 32 x 32 canvas with a fovea that is sharp only in its middle, then name it.

    Isolates hard attention: where to look next is a choice that no gradient passes through. The canvas has 8 x 8 cells
    of 4 x 4 pixels. The digit (8 x 8 pixels) fills 2 x 2 of them, anywhere, and lies on top of the clutter: pieces cut
    from other digits, each filling a cell. The fovea starts in the middle, from where its coarsest view shows the whole
    canvas; wherever the digit is, at most six moves bring it into the finest view.

    Observation: (3, 8, 8) uint8, three views with one centre, each channel one resolution: 8 x 8 pixels as they are,
        16 x 16 averaged over 2 x 2, and 32 x 32 averaged over 4 x 4. What lies beyond the canvas has the grey 48.
    Action: Discrete(14): 0 to 9 name the class; 10, 11, 12 and 13 move the fovea up, down, left and right by a cell, as
        far as its finest view stays on the canvas.
    Reward: 1 for the right class, 0 for a wrong one; minus `cost` for each move.
    Episode: terminates with the guess; truncated after 12 steps.
    Metrics: accuracy of the guess; looks, the views had when guessing. With target "inked" also weight and weighted, as
        of `DigitBandit`.
    Expert: moves the shortest way to where the digit fills the finest view, then names its label, both of which it
        reads in the state: 1 minus `cost` for each of 3.4 moves, 0.931 by default. Naming the label unseen would earn
        1, and a reader of partial or coarser views may save a move. Random actions return about 0.09.
    Source: Mnih et al. (2014), cluttered translated digits; digits of Alpaydin and Kaynak (1998), by scikit-learn; the
        target domains are those of `DigitBandit`.

    Args:
        clutter: how many pieces of other digits lie on the canvas.
        cost: of a move.
        split: "train", "validation" or "test", the images that digit and clutter are taken from; that of `DigitBandit`.
        domain: "source", the images as they are, or "target", as `target` says.
        target: "inverted", "rotated" or "textured", which change digit, clutter and ground; or "inked", where digits
            with more ink are likelier. See `DigitBandit`.

    Raises:
        InvalidInput: an unknown split, domain or target, or a number outside its limits.
    """

    variants = (
        {"split": "test"},
        {"cost": 0.02, "split": "test"},
        {"clutter": 0, "cost": 0.05},
        {"domain": "target", "target": "textured", "split": "test"},
        {"domain": "target", "target": "inked"},
    )

    horizon = 12
    labels: Tensor
    order: Tensor
    weights: Tensor
    shifts: Tensor

    def __init__(
        self,
        *,
        clutter: int = 4,
        cost: float = 0.02,
        split: str = "train",
        domain: str = "source",
        target: str = "textured",
    ) -> None:
        super().__init__()
        self.clutter = integer("Glimpse: clutter", clutter, 0, 32)
        self.cost = number("Glimpse: cost", cost, 0, 1)
        choice("Glimpse: split", split, SPLITS)
        self.elsewhere = choice("Glimpse: domain", domain, ("source", "target")) == "target"
        self.inked = choice("Glimpse: target", target, TARGETS) == "inked"
        pixels, labels, self.class_names = load_images("digits", split, None)
        images, empty = torch.from_numpy(pixels), torch.zeros(1, 1, CELL, CELL, dtype=torch.uint8)
        order, weights = by_ink(images if self.inked else images[:0])
        self.register_buffer("order", order, persistent=False)  # (N,) rows by their ink, or none
        self.register_buffer("weights", weights, persistent=False)
        if self.elsewhere:
            images, empty = in_target(images, target), in_target(empty, target)
        self.register_buffer("labels", torch.from_numpy(labels), persistent=False)
        self.classes = len(self.class_names)
        # Every 4 x 4 square of every image at the three resolutions, then an empty cell and the outside.
        cut = images[:, 0].unfold(1, CELL, 1).unfold(2, CELL, 1)  # (N, 5, 5, 4, 4)
        self.cuts = cut.shape[1]  # corners of a square a side
        pieces = torch.cat([cut.flatten(0, 2), empty[0], torch.full_like(empty[0], OUTSIDE)])  # (25 N + 2, 4, 4)
        self.empty, self.outside = len(pieces) - 2, len(pieces) - 1
        for name, (side, reach) in VIEWS.items():
            parts = pieces.view(-1, side, CELL // side, side, CELL // side)
            averages = (parts.sum((2, 4)) // (CELL // side) ** 2).to(torch.uint8)  # rounded down
            rows = averages.view(WORDS[side]).squeeze(2).T.contiguous()
            self.register_buffer(name, rows, persistent=False)  # (side, 25 N + 2) each row of every piece, as a number
            self.register_buffer(f"{name}_cells", _windows(reach), persistent=False)
        stay = torch.zeros(self.classes, 2, dtype=torch.int64)
        moves = torch.tensor([[-1, 0], [1, 0], [0, -1], [0, 1]])
        self.register_buffer("shifts", torch.cat([stay, moves]), persistent=False)
        self.observation_space = spaces.Box(0, 255, (3, CELLS, CELLS), np.uint8)
        self.action_space = spaces.Discrete(self.classes + len(MOVES))
        self.reset_noise = 3 + 5 * self.clutter

    def reset(self, noise: Tensor) -> GlimpseState:
        """The digit and where it lies, then each piece of clutter: source, its corner in there, its cell."""
        batch = len(noise)
        cells = torch.full((batch, CELLS**2 + 1), self.empty, dtype=torch.int32, device=noise.device)
        cells[:, -1] = self.outside
        for u in noise[:, 3:].unflatten(1, (self.clutter, 5)).unbind(1) if self.clutter else ():
            row, column = (u[:, 3:] * CELLS).long().unbind(1)
            cut = (u[:, 1:3] * self.cuts).long()
            image = (u[:, 0] * len(self.labels)).long()
            cells.scatter_(1, (row * CELLS + column)[:, None], self._piece(image, cut)[:, None])
        corner = (noise[:, 1:3] * PLACES).long()  # (B, 2)
        index = (noise[:, 0] * len(self.labels)).long()
        index = inked(noise[:, 0], self.order) if self.inked and self.elsewhere else index
        quarter = torch.arange(DIGIT, device=noise.device)
        rows, columns = corner[:, :1] + quarter, corner[:, 1:] + quarter  # (B, 2) each
        places = (rows[:, :, None] * CELLS + columns[:, None]).flatten(1)  # (B, 4)
        quarters = torch.cartesian_prod(quarter, quarter) * (self.cuts - 1)  # (4, 2) where in the image they begin
        cells.scatter_(1, places, self._piece(index[:, None], quarters))
        zero = torch.zeros_like(index)
        return GlimpseState(
            cells, corner, index, self.labels[index], torch.full_like(corner, PLACES // 2), zero, zero - 1
        )

    def _piece(self, image: Tensor, cut: Tensor) -> Tensor:
        """(B, ...) numbers of the squares of images, given by their rows, that begin at the corners (..., 2)."""
        return ((image * self.cuts + cut[..., 0]) * self.cuts + cut[..., 1]).int()

    def step(self, state: GlimpseState, action: Tensor, noise: Tensor) -> Step[GlimpseState]:
        """Moves the fovea or judges the guess."""
        guessed = action < self.classes
        correct = (action == state.label).float()
        reward = torch.where(guessed, correct, -self.cost)
        place = (state.place + self.shifts.index_select(0, action)).clamp(0, PLACES - 1)
        time = state.time + 1
        guess = action.masked_fill(~guessed, -1)
        metrics = {
            "accuracy": correct.masked_fill(~guessed, torch.nan),
            "looks": time.float().masked_fill(~guessed, torch.nan),
        }
        if self.inked:
            weight = self.weights[state.row].masked_fill(~guessed, torch.nan)
            metrics |= {"weight": weight, "weighted": weight * correct}
        following = GlimpseState(state.cells, state.corner, state.row, state.label, place, time, guess)
        return Step(following, reward, guessed, metrics)

    def observe(self, state: GlimpseState) -> Tensor:
        """The three views, (B, 3, 8, 8)."""
        place = state.place[:, 0] * PLACES + state.place[:, 1]
        views = []
        for name, (_, reach) in VIEWS.items():
            window = self.get_buffer(f"{name}_cells").index_select(0, place)
            views.append(_joined(self.get_buffer(name), state.cells.gather(1, window), reach))
        return torch.stack(views, 1)

    def expert(self, state: GlimpseState) -> Tensor:
        """The next move towards the digit; once it is in the finest view, its label."""
        way = state.corner - state.place  # (B, 2)
        vertical = torch.where(way[:, 0] < 0, 0, 1)
        horizontal = torch.where(way[:, 1] < 0, 2, 3)
        move = self.classes + torch.where(way[:, 0] != 0, vertical, horizontal)
        return torch.where((way == 0).all(1), state.label, move)

    def draw(self, state: GlimpseState, canvas: Canvas) -> None:
        """The canvas with the three views framed; beside it what the fovea sees; below the guess."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        scale, left, top = 8, 24, 64
        canvas.text("Find the digit and name it", (canvas.width // 2, 30), size=28, anchor="center")
        batch = tree_map(lambda tensor: tensor[None].to(self.labels.device), state)
        whole = _joined(self.get_buffer("sharp"), batch.cells[:, :-1].contiguous(), CELLS)[0].cpu()
        seen = self.observe(batch)[0].cpu()
        canvas.image(whole, (left, top, SIDE * scale, SIDE * scale))
        centre = [CELL * (int(place) + 1) for place in state.place]
        colours = (ACCENT, GOOD, MUTED)
        for reach, colour in zip((16, 8, 4), reversed(colours), strict=True):
            low = [max(0, middle - reach) for middle in centre]
            high = [min(SIDE, middle + reach) for middle in centre]
            box = (left + low[1] * scale, top + low[0] * scale, (high[1] - low[1]) * scale, (high[0] - low[0]) * scale)
            canvas.outline(box, colour, 3)
        for k, (name, view, colour) in enumerate(zip(VIEWS, seen, colours, strict=True)):
            canvas.image(view, (310, top + 140 * k, 108, 108), border=colour)
            canvas.text(name, (364, top + 140 * k + 110), size=20, colour=colour, anchor="midtop")
        guess, label = int(state.guess), int(state.label)
        canvas.text(f"looks: {int(state.time) + (guess < 0)}", (152, 345), size=26, anchor="center")
        if guess < 0:
            canvas.text("move, or name it", (152, 400), size=26, colour=MUTED, anchor="center")
            return
        canvas.verdict(guess == label, (52, 370, 200, 90))
        canvas.text(f"guess: {guess}", (140, 398), size=28, anchor="center", colour=GOOD if guess == label else BAD)
        canvas.text(f"truth: {label}", (140, 434), size=28, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The three views on top of each other, sharp in the middle and coarser around."""
        canvas.text("Find the digit and name it", (canvas.width // 2, 30), size=28, anchor="center")
        sharp, coarse, whole = observation  # (8, 8) each
        whole = whole.repeat_interleave(4, 0).repeat_interleave(4, 1)  # (32, 32)
        whole[8:24, 8:24] = coarse.repeat_interleave(2, 0).repeat_interleave(2, 1)
        whole[12:20, 12:20] = sharp
        scale, left, top = 11, 64, 56
        canvas.image(whole, (left, top, SIDE * scale, SIDE * scale))
        for reach, colour in ((16, MUTED), (8, GOOD), (4, ACCENT)):
            place = 16 - reach
            box = (left + place * scale, top + place * scale, 2 * reach * scale, 2 * reach * scale)
            canvas.outline(box, colour, 2)
        told = "sharp inside, coarser around; plain grey is outside"
        canvas.text(told, (canvas.width // 2, 430), size=22, colour=MUTED, anchor="center")
        canvas.text("Move the eye, or name the digit", (canvas.width // 2, 458), size=24, anchor="center")

    def choices(self) -> list[Choice]:
        """A number for each class, an arrow for each move."""
        moves = [Choice(way, way, self.classes + k) for k, way in enumerate(MOVES)]
        return numbered(self.class_names) + moves


def _windows(cells: int) -> Tensor:
    """(49, cells^2) int64: what a view of so many cells a side covers at each place; 64 is what lies beyond."""
    reach = torch.arange(PLACES)[:, None] + torch.arange(cells) - (cells - DIGIT) // 2  # (7, cells) rows, or columns
    row, column = reach[:, None, :, None], reach[None, :, None, :]
    within = (row >= 0) & (row < CELLS) & (column >= 0) & (column < CELLS)  # (7, 7, cells, cells)
    return torch.where(within, row * CELLS + column, CELLS**2).flatten(2).flatten(0, 1)


def _joined(table: Tensor, numbers: Tensor, width: int) -> Tensor:
    """Pictures of pieces side by side, (B, h side, width side) uint8.

    A row of a piece, then of the picture, moves as one number: a byte at a time takes three times as long.

    Args:
        table: (side, N) each row of every piece, as one number.
        numbers: (B, h width) int32 which pieces, row by row.
        width: pieces in a row, whose pixels are a multiple of 8.
    """
    batch, side = len(numbers), len(table)
    shape = (batch, numbers.shape[1] // width, side, width * side // 8)
    picture = torch.empty(shape, dtype=torch.int64, device=numbers.device)
    for k, row in enumerate(table.unbind()):
        pixels = row.index_select(0, numbers.flatten())
        picture[:, :, k] = pixels.view(*shape[:2], width).view(torch.int64)
    return picture.view(torch.uint8).view(batch, -1, width * side)
