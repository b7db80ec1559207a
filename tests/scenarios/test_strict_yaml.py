"""YAML: one meaning for every value, and nothing that a stranger's file can make of it."""

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue
from palaestra.scenarios.files import strict_yaml


def complaint(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        strict_yaml.read(text, "file")
    message = str(caught.value)
    assert message.startswith("file: is not valid YAML: ")
    assert message.isprintable()
    assert len(message) < 300
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4e4", 40_000), ("1e-3", 0.001), ("1.0e3", 1000.0), ("1e30", 1e30), ("-0", 0), ("1_000", 1000), ("0x1F", 31),
        ("0.5", 0.5), (".5", 0.5), ("-.inf", -math.inf), ("true", True), ("False", False), ("yes", "yes"),
        ("off", "off"),
        ("null", None), ("~", None), ("", None), ("2025-01-31", "2025-01-31"), ("'040'", "040"), ("[1, [2]]", [1, [2]]),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}), ("<<: 1", {"<<": 1}), ("1.2.3", "1.2.3"), ("12:xx", "12:xx"),
    ],
)  # fmt: skip
def test_a_value_is_what_it_looks_like(text: str, value: object) -> None:
    found = strict_yaml.read(text, "file")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["040", "-007", "1:30", "190:20:30", "0o17", "1:30.5", "00", "[08]", "a: 01"])
def test_a_number_that_readers_take_for_different_ones_is_refused(text: str) -> None:
    assert "reads as one number here and as another there" in complaint(text)


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "a: 1\nb: 2\na: 3", "- {x: {y: 1, y: 1}}", "{1: a, 1: b}"])
def test_a_key_that_stands_twice_is_refused(text: str) -> None:
    assert "stands twice" in complaint(text)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "holds more than 20,000 values"),
        ("&a [*a]", "an alias (*) may not stand inside of what it names"),
        ("&a {b: {c: *a}}", "an alias (*) may not stand inside of what it names"),
        ("[" * 50_000, "deeper than 32"),
        ("{a: " * 5_000, "deeper than 32"),
        ("- " * 5_000, "deeper than 32"),
        ("[" * 33 + "]" * 33, "deeper than 32"),
        ("1" * 5_000, "a number has at most 40 signs; got 5,000"),
        ("1e999999999", "is larger than any float"),
        ("x" * 200_001, "at most 200,000 characters"),
        ("!!python/object/apply:os.system [ls]", "tags are not allowed"),
        ("!!int '040'", "tags are not allowed"),
        ("!mine 3", "tags are not allowed"),
        ("? [1]\n: 2", "a key must be text or a number"),
        ("--- 1\n--- 2", "another document"),
        ("- \x1b[31m", "unacceptable character #x001b"),
        ("*nobody", "undefined alias 'nobody'"),
        ("[" + "1," * 20_001 + "]", "holds more than 20,000 values"),
    ],
)
def test_what_a_stranger_may_try_is_refused_in_one_line(text: str, told: str) -> None:
    assert told in complaint(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**38), 10**38) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_what_is_written_is_read_back_as_it_was(value: object) -> None:
    assert strict_yaml.read(strict_yaml.dump({"value": value}), "file") == {"value": value}


@pytest.mark.parametrize(
    "text", ["1e5", "1234e567", "040", "1:30", "no", "null", "", "1.5", "-", "0x1", "0o7", "=", "1_0"]
)
def test_text_that_looks_like_a_number_stays_text(text: str) -> None:
    assert strict_yaml.read(strict_yaml.dump({"k": text}), "file") == {"k": text}


def test_one_list_in_two_places_is_written_out_twice() -> None:
    same = [1, 2]
    assert "&" not in strict_yaml.dump({"a": same, "b": same})


@pytest.mark.parametrize("path", sorted(catalogue.FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_catalogue_means_the_same_to_another_reader(path: Path) -> None:
    assert strict_yaml.load(path) == yaml.safe_load(path.read_text())
