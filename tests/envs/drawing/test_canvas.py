"""What the canvas draws, checked by its pixels."""

from __future__ import annotations

import subprocess
import sys

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from palaestra.envs.drawing.canvas import ACCENT, BACKGROUND, BAD, COLOURS, GOOD, INK, PANEL, Canvas
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.envs.drawing.pixels import drawn, where


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_canvas_does_not_import_pygame():
    assert run_python("import palaestra.envs.drawing.canvas, sys; print('pygame' in sys.modules)") == "False\n"


def test_offscreen_needs_no_video_system_and_prints_no_greeting():
    code = """
from palaestra.envs.drawing.canvas import Canvas
canvas = Canvas(); canvas.text("hello", (10, 10)); canvas.frame()
import pygame; print(pygame.display.get_init())
"""
    assert run_python(code) == "False\n"


def test_a_new_canvas_and_a_cleared_one_are_background(canvas):
    assert canvas.frame().shape == (100, 200, 3)
    assert canvas.frame().dtype == np.uint8
    assert len(drawn(canvas.frame())) == 0
    canvas.outline((0, 0, 200, 100))
    canvas.clear()
    assert len(drawn(canvas.frame())) == 0


def test_a_frame_is_a_copy(canvas):
    first = canvas.frame()
    first[:] = 0
    assert len(drawn(canvas.frame())) == 0
    second = canvas.frame()
    canvas.outline((0, 0, 200, 100))
    assert len(drawn(second)) == 0


def test_the_palette_has_ten_distinct_categories():
    assert len(set(COLOURS)) == len(COLOURS) >= 10


def test_the_corners_of_an_image_land_in_the_corners_of_its_place(canvas):
    pixels = torch.zeros(3, 2, 2, dtype=torch.uint8)  # red, green / blue, white
    pixels[0, 0, 0] = pixels[1, 0, 1] = pixels[2, 1, 0] = 255
    pixels[:, 1, 1] = 255
    x, y, width, height = canvas.image(pixels, (10, 10, 120, 80))
    assert (x, y, width, height) == (30, 10, 80, 80)  # square, centred
    frame = canvas.frame()
    quarters = [frame[10:50, 30:70], frame[10:50, 70:110], frame[50:90, 30:70], frame[50:90, 70:110]]
    for quarter, colour in zip(
        quarters, [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)], strict=True
    ):  # nearest neighbour: no mixed pixel
        assert (quarter == np.array(colour)).all()
    assert len(drawn(frame)) == 80 * 80


def test_every_image_layout_and_type_draws_the_same():
    grey = np.random.default_rng(0).integers(0, 256, (6, 5), dtype=np.uint8)
    rgb = np.stack([grey] * 3)
    layouts = [
        grey,
        grey[None],
        rgb,
        rgb.transpose(1, 2, 0),
        grey.astype(np.float32) / 255,
        torch.tensor(grey),
        torch.tensor(grey / 255.0, requires_grad=True),
    ]
    frames = []
    for pixels in layouts:
        canvas = Canvas(60, 60)
        canvas.image(pixels, (0, 0, 60, 60))
        frames.append(canvas.frame())
    assert all((frame == frames[0]).all() for frame in frames)
    assert (frames[0][5, 10] == grey[0, 0]).all()


def test_a_boolean_image_is_black_and_white(canvas):
    canvas.image(np.array([[True, False]]), (0, 0, 200, 100))
    assert (canvas.frame()[50, 50] == 255).all()
    assert (canvas.frame()[50, 150] == 0).all()


def test_the_border_of_an_image_surrounds_its_place(canvas):
    place = canvas.image(np.zeros((4, 4), dtype=np.uint8), (0, 0, 200, 100), border=ACCENT)
    border = where(canvas.frame(), ACCENT)
    assert border.min(axis=0).tolist() == [place[1], place[0]]
    assert border.max(axis=0).tolist() == [place[1] + place[3] - 1, place[0] + place[2] - 1]


@pytest.mark.parametrize(
    ("pixels", "named"),
    [
        (np.zeros(4, dtype=np.uint8), r"axes must number 2 or 3.*\(4,\)"),
        (np.zeros((2, 4, 4), dtype=np.uint8), r"\(3, H, W\).*\(2, 4, 4\)"),
        (np.zeros((4, 4), dtype=np.int64), "uint8.*int64"),
        (np.full((4, 4), 255.0), r"\[0, 1\].*255"),
        (np.full((4, 4), np.nan), "nan"),
    ],
)
def test_a_wrong_image_is_refused_with_its_name(canvas, pixels, named):
    with pytest.raises(InvalidInput, match=named):
        canvas.image(pixels, (0, 0, 50, 50))


def test_grid_cells_have_the_colours_of_their_indices(canvas):
    cells = torch.tensor([[0, 1, 2], [9, 10, -1]])
    assert canvas.grid(cells, (10, 10, 180, 80)) == (40, 10, 120, 80)
    frame = canvas.frame()
    expected = [[COLOURS[0], COLOURS[1], COLOURS[2]], [COLOURS[9], COLOURS[0], PANEL]]  # ten wraps round
    for row in range(2):
        for column in range(3):
            assert tuple(frame[30 + 40 * row, 60 + 40 * column]) == expected[row][column]


def test_grid_labels_lie_in_their_cells_and_contrast_with_them(canvas):
    black, white = (0, 0, 0), (255, 255, 255)
    canvas.grid([[0, 1]], (0, 0, 200, 100), colours=[black, white], labels=[["a", "b"]])
    frame = canvas.frame()
    assert where(frame, BACKGROUND)[:, 1].max() == 199
    light_on_black = where(frame[1:98, 1:98], BACKGROUND) + 1
    dark_on_white = where(frame, INK)
    assert len(light_on_black) > 0
    assert np.abs(light_on_black.mean(axis=0) - 50).max() < 8
    assert np.abs(dark_on_white.mean(axis=0) - (50, 150)).max() < 12


def test_a_grid_refuses_fractions_and_labels_of_another_shape(canvas):
    with pytest.raises(InvalidInput, match=r"integers.*float64"):
        canvas.grid(np.zeros((2, 2)), (0, 0, 50, 50))
    with pytest.raises(InvalidInput, match=r"labels.*\(2, 2\).*\(1, 2\)"):
        canvas.grid(np.zeros((2, 2), dtype=int), (0, 0, 50, 50), labels=[["a", "b"]])


@pytest.mark.parametrize("anchor", ["topleft", "midtop", "topright", "center", "bottomright"])
@pytest.mark.parametrize("position", [(0, 0), (100, 50), (150, 90), (199, 99), (500, 500)])
@pytest.mark.parametrize("string", ["reward", "a sentence that is far too long for a canvas " * 3])
def test_text_stays_inside_the_canvas(canvas, string, position, anchor):
    x, y, width, height = canvas.text(string, position, 30, anchor=anchor)
    assert x >= 0
    assert x + width <= 200
    assert y >= 0
    assert y + height <= 100


def test_text_lies_where_its_anchor_says(canvas):
    x, y, width, height = canvas.text("one", (100, 50), anchor="center")
    assert abs(x + width / 2 - 100) <= 1
    assert abs(y + height / 2 - 50) <= 1
    pixels = drawn(canvas.frame())
    assert (pixels.min(axis=0) >= (y, x)).all()
    assert (pixels.max(axis=0) < (y + height, x + width)).all()
    x, y, width, height = canvas.text("one", (190, 90), anchor="bottomright")
    assert (x + width, y + height) == (190, 90)


def test_text_shrinks_to_its_maximum_width_before_it_is_shortened(canvas):
    free = canvas.text("accuracy", (0, 0), 30)
    tight = canvas.text("accuracy", (0, 50), 30, max_width=0.7 * free[2])
    assert 0.5 * free[2] < tight[2] <= 0.7 * free[2]
    assert tight[3] < free[3]
    assert canvas.text("accuracy " * 9, (0, 50), 30, max_width=60)[2] <= 60


def test_text_is_the_same_after_another_environment_ends_pygame(canvas):
    import pygame

    before = canvas.text("hello", (10, 10))
    pygame.quit()
    pygame.font.init()
    assert canvas.text("hello", (10, 10)) == before


def test_unprintable_characters_appear_escaped(canvas):
    newline = canvas.text("\n", (0, 0))
    assert newline == canvas.text("\\n", (0, 0))
    canvas.text("\0", (0, 0))


def test_an_unknown_anchor_is_refused_with_the_nearest_one(canvas):
    with pytest.raises(InvalidInput, match="topleft"):
        canvas.text("one", (0, 0), anchor="top_left")


def test_cards_stand_in_a_row_and_one_is_framed(canvas):
    canvas.cards(["A", "B", "C", "D"], (0, 0, 200, 100), highlight=2)
    boxes, frame = where(canvas.frame(), PANEL), where(canvas.frame(), ACCENT)
    assert np.ptp(boxes[:, 0]) < 50
    assert frame[:, 1].min() >= 100
    assert frame[:, 1].max() < 150


def test_many_cards_take_several_rows_inside_their_rectangle():
    canvas = Canvas(300, 200)
    canvas.cards([str(i) for i in range(60)], (20, 20, 260, 160), colours=[BAD])
    boxes = where(canvas.frame(), BAD)
    assert np.ptp(boxes[:, 0]) > 100
    assert (boxes.min(axis=0) >= 20).all()
    assert (boxes.max(axis=0) < (180, 280)).all()


def test_no_cards_and_a_highlight_beyond_the_end_draw_nothing_more(canvas):
    canvas.cards([], (0, 0, 200, 100))
    assert len(drawn(canvas.frame())) == 0
    canvas.cards(["A"], (0, 0, 200, 100), highlight=1)
    assert len(where(canvas.frame(), ACCENT)) == 0


@pytest.mark.parametrize(("correct", "colour", "other"), [(True, GOOD, BAD), (False, BAD, GOOD)])
def test_a_verdict_frames_the_rectangle_in_its_colour(canvas, correct, colour, other):
    canvas.verdict(correct, (20, 10, 100, 80))
    frame = canvas.frame()
    pixels = where(frame, colour)
    assert pixels.min(axis=0).tolist() == [10, 20]
    assert pixels.max(axis=0).tolist() == [89, 119]
    assert len(where(frame, other)) == 0
    assert tuple(frame[60, 60]) == BACKGROUND


def test_a_tick_and_a_cross_differ_in_shape(canvas):
    marks = []
    for correct in (True, False):
        canvas.clear()
        canvas.verdict(correct, (0, 0, 200, 100))
        marks.append((canvas.frame()[4:40, 160:196] == np.array(BACKGROUND)).all(axis=2))
    assert (marks[0] != marks[1]).sum() > 10


def test_a_rectangle_without_area_is_refused(canvas):
    with pytest.raises(InvalidInput, match=r"Canvas.outline: rect.*\(0, 0, 0, 10\)"):
        canvas.outline((0, 0, 0, 10))


def test_a_canvas_without_area_is_refused():
    with pytest.raises(InvalidInput, match="0 × 10"):
        Canvas(0, 10)


def test_a_saved_png_is_the_frame(canvas, tmp_path):
    canvas.verdict(True, (0, 0, 200, 100))
    canvas.save_png(tmp_path / "picture.png")
    assert (imageio.imread(tmp_path / "picture.png")[..., :3] == canvas.frame()).all()


def test_each_mark_has_a_shape_of_its_own(canvas):
    shapes = []
    for mark in ("dot", "ring", "cross", "square", "triangle"):
        canvas.clear()
        canvas.points([[0.0, 0.0]], (0, 0, 101, 100), [BAD], 20, (-1, 1, -1, 1), mark)
        shapes.append((canvas.frame() == np.array(BAD)).all(axis=2))
    assert all((a != b).sum() > 100 for i, a in enumerate(shapes) for b in shapes[:i])
    with pytest.raises(InvalidInput, match=r"'crss'.*'cross'"):
        canvas.points([[0.0, 0.0]], (0, 0, 100, 100), mark="crss")


def test_cards_carry_a_sign_where_there_is_a_verdict(canvas):
    canvas.cards(["a", "b", "c"], (0, 0, 200, 60), verdicts=[True, False, None])
    frame = canvas.frame()
    good, bad = where(frame, GOOD), where(frame, BAD)
    assert len(good) > 20
    assert len(bad) > 20
    assert good[:, 1].max() < bad[:, 1].min() < 140  # on the first card and on the second, not on the third


def test_a_filled_box_covers_its_rectangle(canvas):
    canvas.fill((10, 20, 30, 40), ACCENT)
    assert len(where(canvas.frame(), ACCENT)) == 30 * 40
