"""Bars, curves, points and axes, checked by their pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from palaestra.envs.drawing.canvas import ACCENT, BAD, COLOURS, GOOD, INK, MUTED, Canvas
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.envs.drawing.pixels import drawn, where


def bar_heights(frame, colours):
    return [len(np.unique(where(frame, colour)[:, 0])) for colour in colours]


def test_bars_are_as_high_as_their_values():
    canvas = Canvas(300, 400)
    canvas.bars([1, 2, 4], (0, 0, 300, 400), colours=COLOURS[:3])
    small, middle, large = bar_heights(canvas.frame(), COLOURS[:3])
    assert abs(large - 2 * middle) <= 3
    assert abs(large - 4 * small) <= 5
    assert large > 350


def test_bars_stop_at_the_maximum_and_scale_to_it():
    canvas = Canvas(300, 400)
    canvas.bars(torch.tensor([0.25, 0.5, 3.0]), (0, 0, 300, 400), colours=COLOURS[:3], maximum=1.0)
    quarter, half, full = bar_heights(canvas.frame(), COLOURS[:3])
    assert abs(4 * quarter - full) <= 5
    assert abs(2 * half - full) <= 3


def test_negative_bars_hang_from_the_axis():
    canvas = Canvas(300, 400)
    canvas.bars([2, -1], (0, 0, 300, 400), colours=COLOURS[:2])
    frame = canvas.frame()
    up, down = where(frame, COLOURS[0])[:, 0], where(frame, COLOURS[1])[:, 0]
    assert up.max() < down.min()
    assert abs(len(np.unique(up)) - 2 * len(np.unique(down))) <= 3


@pytest.mark.parametrize("values", [[0, 0, 0], [np.nan, 1.0, np.inf], [-1, -2, -3], [1e-9, 2e-9, 0]])
def test_bars_of_awkward_values_stay_inside_their_rectangle(values):
    canvas = Canvas(300, 300)
    canvas.bars(values, (50, 50, 200, 200), labels=["a", "b", "c"])
    pixels = drawn(canvas.frame())
    assert (pixels.min(axis=0) >= 50).all()
    assert (pixels.max(axis=0) < 250).all()


def test_the_highlighted_bar_is_framed():
    plain, marked = Canvas(300, 200), Canvas(300, 200)
    for canvas, highlight in ((plain, None), (marked, 1)):
        canvas.bars([1.0, 1.0, 1.0], (0, 0, 300, 200), highlight=highlight)
    changed = np.argwhere((plain.frame() != marked.frame()).any(axis=2))
    assert changed[:, 1].min() >= 100
    assert changed[:, 1].max() < 200


def test_many_bars_leave_out_what_cannot_be_read():
    canvas = Canvas(100, 200)
    canvas.bars(np.ones(50), (0, 0, 100, 200), labels=[str(i) for i in range(50)])
    assert len(where(canvas.frame()[:180], INK)) <= 100  # the axis alone: no values


def test_bars_refuse_labels_of_another_number(canvas):
    with pytest.raises(InvalidInput, match=r"2 strings.*got 1"):
        canvas.bars([1, 2], (0, 0, 100, 100), labels=["a"])


def test_a_rising_curve_runs_from_the_lower_left_to_the_upper_right(canvas):
    canvas.curve(np.arange(50), (0, 0, 200, 100), colour=BAD)
    path = where(canvas.frame(), BAD)
    left, right = path[path[:, 1] < 15, 0], path[path[:, 1] > 185, 0]
    assert left.min() > 85
    assert right.max() < 15


def test_a_constant_curve_is_level_in_the_middle(canvas):
    canvas.curve(torch.full((20,), 7.0), (0, 0, 200, 100), colour=BAD)
    path = where(canvas.frame(), BAD)
    assert np.ptp(path[:, 0]) <= 1
    assert abs(path[:, 0].mean() - 50) <= 2
    assert np.ptp(path[:, 1]) > 180


def test_a_curve_leaves_a_gap_where_it_is_not_finite(canvas):
    values = np.zeros(101)
    values[40:60] = np.nan
    canvas.curve(values, (0, 0, 200, 100), colour=BAD)
    columns = set(where(canvas.frame(), BAD)[:, 1].tolist())
    assert not columns & set(range(90, 110))
    assert {50, 150} <= columns


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_a_curve_of_nothing_is_its_frame(canvas, values):
    canvas.curve(values, (0, 0, 200, 100), colour=BAD)
    assert len(where(canvas.frame(), BAD)) == 0
    assert len(where(canvas.frame(), MUTED)) == 2 * (200 + 98)


def test_a_curve_of_one_point_is_a_dot(canvas):
    canvas.curve([3.0], (0, 0, 200, 100), colour=BAD)
    assert 4 <= len(where(canvas.frame(), BAD)) <= 60


def test_a_curve_keeps_to_its_given_span(canvas):
    canvas.curve([0.5, 0.5], (0, 0, 200, 100), colour=BAD, minimum=0.0, maximum=1.0)
    canvas.curve([1e12, 1e12], (0, 0, 200, 100), colour=GOOD, minimum=0.0, maximum=1.0)
    assert abs(where(canvas.frame(), BAD)[:, 0].mean() - 50) <= 2
    assert where(canvas.frame(), GOOD)[:, 0].max() < 8


def test_a_labelled_curve_keeps_its_label_above_its_frame(canvas):
    canvas.curve([0.0, 1.0], (0, 0, 200, 100), colour=BAD, label="loss")
    top = where(canvas.frame(), MUTED)[:, 0].min()
    label = where(canvas.frame()[:top], BAD)
    assert len(label) > 20
    assert label[:, 1].max() < 190


def test_points_have_y_upwards(canvas):
    canvas.points(torch.tensor([[0.1, 0.9], [0.75, 0.25]]), (0, 0, 200, 100), [BAD, GOOD], limits=(0, 1, 0, 1))
    assert np.abs(where(canvas.frame(), BAD).mean(axis=0) - (10, 20)).max() <= 1.5
    assert np.abs(where(canvas.frame(), GOOD).mean(axis=0) - (75, 150)).max() <= 1.5


def test_points_beyond_the_limits_or_not_finite_are_not_drawn(canvas):
    canvas.points([[2, 0.5], [np.nan, 0.5], [0.5, np.inf]], (0, 0, 200, 100), [BAD], limits=(0, 1, 0, 1))
    assert len(where(canvas.frame(), BAD)) == 0


@pytest.mark.parametrize("xy", [np.zeros((0, 2)), np.ones((1, 2)), [[0, 5], [1, 5]], [[1e6, 0], [-1e6, 1e-6]]])
def test_points_without_limits_all_fit(canvas, xy):
    canvas.points(xy, (50, 20, 100, 60), [BAD])
    pixels = where(canvas.frame(), BAD)
    assert (len(pixels) > 0) == (len(xy) > 0)
    assert all(20 <= y < 80 and 50 <= x < 150 for y, x in pixels)


def test_points_refuse_another_shape_and_empty_limits(canvas):
    with pytest.raises(InvalidInput, match=r"\(N, 2\).*\(4, 3\)"):
        canvas.points(np.zeros((4, 3)), (0, 0, 100, 100))
    with pytest.raises(InvalidInput, match="increasing"):
        canvas.points(np.zeros((4, 2)), (0, 0, 100, 100), limits=(0, 0, 0, 1))


def test_axes_number_their_ends_and_return_what_lies_between():
    canvas = Canvas(300, 200)
    left, top, width, height = canvas.axes((10, 10, 280, 180), (0.0, 5.0), (-80.0, 50.0), ("time (ms)", "mV"))
    assert left > 20
    assert top > 20
    assert top + height < 170
    assert left + width <= 290
    canvas.clear()
    canvas.axes((10, 10, 280, 180), (0.0, 5.0), (-80.0, 50.0), ("", ""))
    frame = canvas.frame()
    outside = np.concatenate([drawn(frame[:, : left - 5]), drawn(frame[top + height + 4 :])])
    assert len(outside) > 50  # numbers left of the axes and below them
    with pytest.raises(InvalidInput, match=r"Canvas.axes: rect must leave room"):
        canvas.axes((0, 0, 20, 20), (0, 1), (0, 1), ("x", "y"))


def test_a_broad_curve_shows_beneath_a_thin_one_of_the_same_values():
    canvas = Canvas(200, 100)
    canvas.curve([1.0, 1.0], (0, 0, 200, 100), GOOD, 0, 2, width=9, framed=False)
    canvas.curve([1.0, 1.0], (0, 0, 200, 100), ACCENT, 0, 2, width=3, framed=False)
    column = canvas.frame()[:, 100]
    assert (column == np.array(ACCENT)).all(axis=1).sum() == 3
    assert (column == np.array(GOOD)).all(axis=1).sum() == 6
