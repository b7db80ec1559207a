"""Scenes against a plain loop over objects and pixels, written by the docstrings' words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from palaestra.envs.core.splits import split_rows
from palaestra.envs.perception.forms import MARKS, digit_forms, shape_forms
from palaestra.envs.perception.rows import box_tables, boxed, pixels, rows_a_word, rows_of, spread_tables, words_of
from palaestra.envs.perception.scene import LEVELS, Scenes, whole

SIDE = 16


def drawn(u, *counts):
    """Whole numbers of one uniform: the first is the share of its count, the next that of what is left over."""
    found, rest = [], round(float(u) * 2**24)
    for count in counts:
        rest *= count
        found.append(rest // 2**24)
        rest %= 2**24
    return found


def pictured(noise, forms, objects, clutter, channels):
    """One picture (C, S, S), and its objects as (class, box, order) by quarter."""
    u = iter(noise.tolist())
    orders = list(itertools.permutations(range(objects)))
    number, order = drawn(next(u), objects, len(orders))
    shades = [drawn(next(u), 3, 20) for _ in range(channels)]
    picture = np.stack([np.full((SIDE, SIDE), 17 * ground) for ground, _ in shades])
    form = [drawn(next(u), len(forms))[0] for _ in range(objects)]
    places = [next(u) for _ in range(objects)]
    marks = [drawn(next(u), len(MARKS), *[7] * channels) for _ in range(clutter)]
    for mark, *levels in marks:
        mask = MARKS[mark].numpy()
        high, wide = mask.shape
        x, y = drawn(next(u), SIDE + 1 - wide, SIDE + 1 - high)
        for channel, level in zip(picture, levels, strict=True):
            channel[y : y + high, x : x + wide][mask > 0] = 17 * (2 + level)
    found = [None] * objects
    for k in range(number + 1):
        mask, kind = forms[form[k]]
        high, wide = mask.shape
        slot = orders[order][k]
        if objects == 1:
            x, y = drawn(places[k], SIDE + 1 - wide, SIDE + 1 - high)
        else:
            right, down = drawn(places[k], 6, 6)
            x = min(max(8 * (slot % 2) + 1 + right - wide // 2, 0), SIDE - wide)
            y = min(max(8 * (slot // 2) + 1 + down - high // 2, 0), SIDE - high)
        for channel, (_, shade) in zip(picture, shades, strict=True):
            level = LEVELS[(shade % 5 + k * (1 + shade // 5)) % 5]
            channel[y : y + high, x : x + wide][mask.numpy() > 0] = 17 * level
        found[slot] = (kind, [x, y, wide, high])
    return picture, found


@pytest.mark.parametrize(("objects", "channels"), [(1, 1), (4, 1), (4, 3)])
def test_a_scene_is_the_plain_loop_over_objects_and_pixels(objects, channels):
    forms = shape_forms(SIDE)
    scenes = Scenes(forms, SIDE, objects, 3, channels)
    noise = torch.rand(24, scenes.noise, generator=torch.Generator().manual_seed(0))
    scene = scenes(noise)
    for row in range(24):
        picture, found = pictured(noise[row], forms, objects, 3, channels)
        assert np.array_equal(scene.picture[row].numpy(), picture)
        assert scene.classes[row].tolist() == [-1 if one is None else one[0] for one in found]
        assert scene.boxes[row].tolist() == [[0] * 4 if one is None else one[1] for one in found]


def test_every_number_of_objects_and_every_form_is_equally_frequent():
    scenes = Scenes(shape_forms(SIDE), SIDE, 4, 1, 1)
    scene = scenes(torch.rand(40_000, scenes.noise, generator=torch.Generator().manual_seed(1)))
    number = (scene.classes >= 0).sum(1)
    shares = torch.bincount(number, minlength=5)[1:] / len(number)
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.01, rtol=0)
    kinds = torch.bincount(scene.classes[scene.classes >= 0]) / (scene.classes >= 0).sum()
    torch.testing.assert_close(kinds, torch.full((4,), 0.25), atol=0.01, rtol=0)


def test_shapes_touch_all_sides_of_their_boxes_and_are_symmetric():
    for side in (16, 24):
        forms = shape_forms(side)
        sides = range(5 * side // 16, 9 * side // 16 + 1)
        assert {(kind, *mask.shape) for mask, kind in forms} == set(itertools.product(range(4), sides, sides))
        for mask, _ in forms:
            assert all(line.any() for line in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
            assert torch.equal(mask, mask.flip(1))


def test_digits_are_the_ink_of_their_split_at_three_sizes():
    bunch = load_digits()
    rows = split_rows(bunch.target, "validation")
    forms = digit_forms("validation", SIDE)
    assert len(forms) == 3 * len(rows)
    for row, (mask, label) in zip(rows, forms, strict=False):
        ink = bunch.images[row] * 255 / 16 >= 127.5
        down, across = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        assert np.array_equal(mask.numpy(), ink[down[0] : down[-1] + 1, across[0] : across[-1] + 1])
        assert label == bunch.target[row]


@pytest.mark.parametrize("side", [16, 24])
def test_words_hold_masks_and_give_them_back(side):
    masks = (torch.rand(5, side, side, generator=torch.Generator().manual_seed(0)) < 0.4).long()
    words = words_of(rows_of(masks), side)[:, :: rows_a_word(side)]
    assert words.shape == (5, side // rows_a_word(side))
    assert torch.equal(pixels(words.t()[None], spread_tables(1), side)[:, 0].long(), masks)
    assert pixels(words.t().expand(3, -1, -1), spread_tables(3, 9), side).max() == 7 * 9


@pytest.mark.parametrize("side", [16, 24])
def test_a_box_is_filled_pixel_by_pixel(side):
    boxes = torch.tensor([[0, 0, 1, 1], [3, 2, 13, 14], [15, 15, 1, 1], [4, 5, 6, 0], [0, 3, side, 2]])
    picture = torch.randint(0, 256, (5, 2, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    values = torch.tensor([[9], [255], [0], [7], [128]], dtype=torch.uint8)
    fill = values.repeat(1, side * side).view(torch.int64)
    filled = boxed(picture, boxes, fill, box_tables(side))
    row, column = np.mgrid[:side, :side]
    for before, after, (x, y, w, h), value in zip(picture, filled, boxes.tolist(), values, strict=True):
        inside = (column >= x) & (column < x + w) & (row >= y) & (row < y + h)
        assert torch.equal(after[0], before[0])
        assert np.array_equal(after[1].numpy(), np.where(inside, value.item(), before[1].numpy()))


def test_whole_numbers_of_one_uniform_are_independent_and_below_their_counts():
    uniforms = torch.rand(60_000, generator=torch.Generator().manual_seed(0))
    first, second = whole(uniforms, 5, 4)
    shares = torch.bincount(first * 4 + second, minlength=20) / len(uniforms)
    torch.testing.assert_close(shares, torch.full((20,), 0.05), atol=0.005, rtol=0)
    largest = torch.tensor([1 - 2**-24])
    assert [one.item() for one in whole(largest, 600, 7)] == [599, 6]
