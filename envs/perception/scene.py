"""Scenes: objects of several classes, sizes and greys that cover clutter and each other, for a whole batch at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...neural_blocks.errors import InvalidInput
from ..checks.options import integer
from .forms import MARKS, Form
from .rows import GREY, painted, pixels, rows_a_word, rows_of, spread_tables, words_of

BITS = 4  # of a level of grey
LEVELS = (5, 7, 10, 12, 15)  # of objects: no two of a scene are alike
GROUNDS = 3  # levels of the ground: 0, 1, 2
CLUTTER_LEVELS = 7  # of clutter: 2 to 8
MARGIN = 1  # pixels between the middle of an object and the edge of its quarter


@dataclass(frozen=True)
class Scene:
    """What lies in B pictures.

    Attributes:
        picture: (B, C, S, S) uint8.
        boxes: (B, K, 4) int64 left, top, width and height of each object, also of its covered parts; 0 where there is
            none.
        classes: (B, K) int64 the class of each, -1 where there is none.
        masks: (K, W, B) int64 the words of each object, see `rows`, in the order in which they cover each other.
        slots: (K, B) int64 where in `boxes` and `classes` each of these stands.
    """

    picture: Tensor
    boxes: Tensor
    classes: Tensor
    masks: Tensor
    slots: Tensor


class Scenes(nn.Module):
    """Makes scenes from uniforms.

    A single object lies anywhere. Several lie in different quarters of the picture, their centres `MARGIN` pixels or
    more from its edges, so they may cover each other but none wholly; their number is uniform. In `boxes` they stand
    by quarter: upper left, upper right, lower left, lower right.

    Args:
        forms: masks and classes that an object is taken from, each equally often.
        side: S, pixels a side: 16 or 24.
        objects: K, the most that a picture has: 1 or 4.
        clutter: marks beneath the objects.
        channels: C, 1 for grey and 3 for colour.

    Attributes:
        noise: uniforms that a scene takes.
    """

    table: Tensor
    spread: Tensor
    sizes: Tensor
    kinds: Tensor
    shades: Tensor
    orders: Tensor
    backs: Tensor

    def __init__(self, forms: Sequence[Form], side: int, objects: int, clutter: int, channels: int) -> None:
        super().__init__()
        self.side, self.objects, self.clutter, self.channels = side, objects, clutter, channels
        self.forms = len(forms)
        self.noise = 1 + channels + 2 * (objects + clutter)
        masks = [*(mask for mask, _ in forms), *MARKS, torch.zeros(1, 1)]  # the last one for where there is no object
        # Each form with so many empty rows before and behind that a picture's words are among its own.
        table = torch.zeros(len(masks), 3 * side, dtype=torch.int64)
        for own, mask in zip(table, masks, strict=True):
            own[side : side + len(mask)] = rows_of(mask)
        # As the number of levels is prime, any step from one object's to the next one's meets each of them once.
        steps = torch.arange(len(LEVELS))[:, None] + torch.arange(objects) * torch.arange(1, len(LEVELS))[:, None, None]
        orders = torch.tensor(list(itertools.permutations(range(objects))))  # (K!, K)
        buffers = {
            "table": words_of(table, side).flatten(),
            "spread": spread_tables(BITS, GREY),
            "sizes": torch.tensor([mask.shape[::-1] for mask in masks]).t().contiguous(),  # (2, F) width and height
            "kinds": torch.tensor([*(kind for _, kind in forms), *[-1] * (len(MARKS) + 1)]),
            "shades": torch.tensor(LEVELS)[steps.flatten(0, 1) % len(LEVELS)].t().contiguous(),
            "orders": orders.t().contiguous(),  # (K, K!)
            "backs": orders.argsort(1).t().contiguous(),
        }
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, noise: Tensor) -> Scene:
        """Scenes of uniforms (B, `noise`): number and order; levels; form and place of objects, then of clutter."""
        sizes = [1, self.channels, *[self.objects] * 2, *[self.clutter] * 2]
        arrangement, shades, object_form, object_place, mark_form, mark_place = noise.t().contiguous().split(sizes)
        number, order = whole(arrangement[0], self.objects, self.orders.shape[1])
        ground, shade = whole(shades, GROUNDS, self.shades.shape[1])  # (C, B)
        values = self.shades.index_select(1, shade.flatten()).unflatten(1, shade.shape)  # (K, C, B)
        (form,) = whole(object_form, self.forms)  # (K, B)
        turn = torch.arange(self.objects, device=noise.device)[:, None]
        form = form.masked_fill(turn > number, self.forms + len(MARKS))
        slots = self.orders.index_select(1, order)
        size = self._size(form)
        corner = self._anywhere(object_place, size) if self.objects == 1 else self._apart(object_place, size, slots)
        mark, *levels = whole(mark_form, len(MARKS), *[CLUTTER_LEVELS] * self.channels)  # (M, B)
        mark = self.forms + mark
        mark_corner = self._anywhere(mark_place, self._size(mark))
        masks = self._words(torch.cat([mark, form]), torch.cat([mark_corner, corner], 1))
        values = torch.cat([2 + torch.stack(levels, 1), values])
        planes = painted(masks, values, ground, BITS)
        back = self.backs.index_select(1, order)
        kinds = self.kinds.index_select(0, form.flatten()).view_as(form).gather(0, back)
        boxes = torch.cat([corner, size]).gather(1, back.expand(4, -1, -1))  # (4, K, B)
        return Scene(
            picture=pixels(planes, self.spread, self.side),
            boxes=(boxes * (kinds >= 0)).permute(2, 1, 0).contiguous(),
            classes=kinds.t().contiguous(),
            masks=masks[self.clutter :],
            slots=slots,
        )

    def _size(self, form: Tensor) -> Tensor:
        """(2, M, B) width and height."""
        return self.sizes.index_select(1, form.flatten()).view(2, *form.shape)

    def _anywhere(self, uniform: Tensor, size: Tensor) -> Tensor:
        """(2, M, B) column and row of upper left corners such that all of it lies within."""
        return torch.stack(whole(uniform, *(self.side + 1 - size)))

    def _apart(self, uniform: Tensor, size: Tensor, slots: Tensor) -> Tensor:
        """(2, K, B) the corners of objects whose centres lie in quarters of their own."""
        quarter = self.side // 2
        within = whole(uniform, quarter - 2 * MARGIN, quarter - 2 * MARGIN)
        centre = torch.stack([slots & 1, slots >> 1]) * quarter + MARGIN + torch.stack(within)
        return torch.minimum((centre - (size >> 1)).clamp(min=0), self.side - size)

    def _words(self, form: Tensor, corner: Tensor) -> Tensor:
        """(M, W, B) the words of forms at corners (2, M, B)."""
        first = form * (3 * self.side) + self.side - corner[1]
        index = first[:, None] + torch.arange(0, self.side, rows_a_word(self.side), device=form.device)[:, None]
        return self.table.index_select(0, index.flatten()).view(index.shape) << corner[0][:, None]


def picture_side(name: str, side: object) -> int:
    """The option `side` of the task of that name: 16 or 24."""
    pixels_a_side = integer(f"{name}: side", side, 16, 24)
    if pixels_a_side not in (16, 24):
        raise InvalidInput(f"{name}: side must be 16 or 24; got {side}")
    return pixels_a_side


def whole(uniform: Tensor, *counts: int | Tensor) -> list[Tensor]:
    """Several independent whole numbers of one uniform, int64: each from 0 to below its count, by whole numbers alone.

    A uniform has 24 bits, so the product of all counts should be far below 2 ^ 24.
    """
    rest, found = (uniform * 2**24).long(), []
    for count in counts:
        rest = rest * count
        found.append(rest >> 24)
        rest = rest & 2**24 - 1
    return found
