"""Golden transitions and pictures: what an environment gave and showed when a person last looked at it.

Whole numbers, hashes of larger observations, ends and names are compared exactly. Other numbers are kept to five
decimals and may differ by one in the last: float32 sums, roots and quantiles differ in their last bits from one
processor, or way of running, to the next.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from palaestra.envs import ids

HERE = Path(__file__).parent
_specification = importlib.util.spec_from_file_location("remake_golden", HERE / "remake_golden.py")
golden = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(golden)

play = cache(golden.play)
other_python = pytest.mark.skipif(
    sys.version_info[:2] != golden.PYTHON,
    reason="holds the help topics of one CPython; another has others",
)
each_name = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=other_python if name in golden.OF_PYTHON else ()) for name in golden.GOLDEN]
)
DECIMAL = 1.01e-5  # by which numbers that are not whole may differ
CELL, TOLERANCE, WORST = 24, 3.0, 30.0  # pixels a side; mean absolute differences of 8-bit values


def differences(first, second):
    """The mean absolute difference of the whole pictures, and of the square cell that differs most."""
    apart = np.abs(first.astype(float) - second.astype(float)).mean(2)
    cells = apart.reshape(480 // CELL, CELL, 480 // CELL, CELL).mean((1, 3))
    return apart.mean(), cells.max()


def looks_like(first, second):
    """Equal but for how a font's edges are drawn, which moves a letter's pixels and never a bar or a card."""
    whole, worst = differences(first, second)
    return whole <= TOLERANCE and worst <= WORST


def alike(first, second):
    """Two trees as JSON has them, equal but for the last decimal of numbers that are not whole."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(alike(value, second[key]) for key, value in first.items())
    if isinstance(first, list):
        return len(first) == len(second) and all(map(alike, first, second))
    if isinstance(first, float) and not (first.is_integer() and second.is_integer()):
        return abs(first - second) <= DECIMAL
    return first == second


@each_name
def test_the_episode_is_the_golden_one(name):
    expected = json.loads((golden.FOLDER / f"{name}.json").read_text())
    played, _ = play(name)
    assert alike(json.loads(json.dumps(played)), expected)


def test_another_number_does_not_pass_for_the_golden_one():
    assert alike({"a": [0.12345, 3.0, "x"]}, {"a": [0.12346, 3.0, "x"]})
    for other in ([0.12347, 3.0, "x"], [0.12345, 4.0, "x"], [0.12345, 3.0], [0.12345, 3.0, "y"]):
        assert not alike({"a": [0.12345, 3.0, "x"]}, {"a": other})


@each_name
def test_the_picture_is_the_golden_one(name):
    picture = imageio.imread(golden.FOLDER / f"{name}.png")[..., :3]
    assert picture.shape == (480, 480, 3)
    _, drawn = play(name)
    assert looks_like(picture, drawn), differences(picture, drawn)


@each_name
def test_a_moved_picture_does_not_pass_for_the_golden_one(name):
    _, drawn = play(name)
    for axis in (0, 1):
        assert not looks_like(np.roll(drawn, 8, axis), drawn)


def test_one_moved_or_exchanged_element_does_not_pass_for_the_golden_picture():
    _, drawn = play("next_symbol")
    moved, exchanged, recoloured = drawn.copy(), drawn.copy(), drawn.copy()
    moved[110:180] = np.roll(drawn[110:180], 8, axis=1)  # the cards
    exchanged[110:180, 20:75] = drawn[110:180, 75:130]  # the first card by the second
    recoloured[270:360, :, :] = drawn[270:360, :, ::-1]  # the verdict
    for changed in (moved, exchanged, recoloured):
        assert not looks_like(changed, drawn)


@each_name
def test_softer_edges_pass(name):
    _, drawn = play(name)
    blurred = (drawn.astype(float) + np.roll(drawn, 1, axis=1)) / 2  # as another rasteriser draws its letters
    assert looks_like(blurred, drawn)


def test_every_environment_has_a_golden_episode():
    assert {f"palaestra/{id}-v0" for id, _, _ in golden.GOLDEN.values()} == set(ids())
    assert {file.name for file in golden.FOLDER.iterdir()} == {
        f"{name}.{kind}" for name in golden.GOLDEN for kind in ("json", "png")
    }
