"""Drawing as text: words as they are, charts as numbers, images as characters, in reading order."""

import numpy as np
import pytest

from palaestra.envs.drawing.text_canvas import TextCanvas
from palaestra.neural_blocks.errors import InvalidInput


def drawn(draw) -> list[str]:
    canvas = TextCanvas()
    draw(canvas)
    return canvas.lines()


def test_words_stand_in_reading_order_and_those_of_one_height_on_one_line() -> None:
    def draw(canvas: TextCanvas) -> None:
        canvas.text("below", (10, 200))
        canvas.text("right", (300, 52))
        canvas.text("left", (10, 50))
        canvas.text("   ", (10, 400))

    assert drawn(draw) == ["left   right", "below"]


def test_charts_are_told_as_numbers_and_what_they_are_made_of_is_not_told_twice() -> None:
    assert drawn(lambda canvas: canvas.bars([0.25, 1], (0, 0, 300, 100), ["a", "b"], highlight=1)) == [
        "a: 0.25  >b: 1<"
    ]
    assert drawn(lambda canvas: canvas.curve([1, float("nan"), 3], (0, 0, 300, 100), label="cost")) == ["cost: 1 3"]
    assert drawn(lambda canvas: canvas.points([[1, 2]], (0, 0, 90, 90), mark="cross")) == ["cross at (1, 2)"]
    assert drawn(lambda canvas: canvas.cards(["A", "B"], (0, 0, 300, 100), 0, verdicts=[True, None])) == [
        ">[A] right< [B]"
    ]
    assert drawn(lambda canvas: canvas.verdict(False, (0, 0, 90, 90))) == ["wrong"]
    assert drawn(lambda canvas: canvas.axes((0, 0, 300, 200), (0, 1), (-2, 2), ("dose", "effect"))) == [
        "dose from 0 to 1; effect from -2 to 2"
    ]


def test_a_grid_is_told_by_its_labels_else_by_its_numbers() -> None:
    cells = np.array([[0, -1], [12, 3]])
    assert drawn(lambda canvas: canvas.grid(cells, (0, 0, 90, 90))) == [" 0  .", "12  3"]
    labels = np.array([["x", ""], ["", "y"]])
    assert drawn(lambda canvas: canvas.grid(cells, (0, 0, 90, 90), labels=labels)) == [" x  .", "12  y"]


def test_an_image_is_a_character_a_pixel_from_dark_to_bright_beside_what_stands_next_to_it() -> None:
    pixels = np.array([[0, 255], [128, 0]], dtype=np.uint8)

    def draw(canvas: TextCanvas) -> None:
        canvas.image(pixels, (0, 0, 100, 100))
        canvas.image(255 - pixels, (200, 0, 100, 100))

    assert drawn(draw) == [" @   @", "+    =@"]
    assert [
        len(line) for line in drawn(lambda canvas: canvas.image(np.full((64, 40), 255, np.uint8), (0, 0, 9, 9)))
    ] == [20] * 32
    canvas = TextCanvas()
    draw(canvas)
    canvas.clear()
    assert canvas.lines() == []


def test_a_drawing_that_was_refused_leaves_the_next_ones_told():
    canvas = TextCanvas()
    with pytest.raises(InvalidInput, match=r"Canvas\.bars: labels must be 2 strings"):
        canvas.bars(np.ones(2), (0, 0, 100, 50), labels=["one"])
    canvas.text("still here", (10, 10))
    assert canvas.lines() == ["still here"]
