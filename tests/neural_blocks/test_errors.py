"""What is printed of strangers' names, and the sentences of refusals."""

import pytest

from palaestra.neural_blocks.errors import InvalidInput, printable, shown, unknown_name


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u202eb\u2066c\u200b", r"a\u202eb\u2066c\u200b"),
        ("bell\a back\b nul\0 delete\x7f", r"bell\x07 back\x08 nul\x00 delete\x7f"),
        ("\udc9b", r"\udc9b"),
        ("two\nlines\r\nand\ta tab\u2028", "two lines and a tab"),
        ("café → 日本 · ε²", "café → 日本 · ε²"),
    ],
)
def test_nothing_that_steers_a_terminal_is_printed(text: str, printed: str) -> None:
    assert printable(text) == printed
    assert str(InvalidInput(text)) == printed


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("value", [10**5000, Rude(), "x" * 500, [1] * 500, "\x1b[2J"], ids=range(5))
def test_any_value_is_quoted_in_at_most_eighty_characters(value: object) -> None:
    assert len(shown(value)) <= 80
    assert shown(value).isprintable()


@pytest.mark.parametrize("name", [["train"], {}, 10**5000, "t" * 100_000, Rude()], ids=range(5))
def test_a_name_of_any_kind_is_answered_with_what_is_allowed(name: object) -> None:
    message = str(unknown_name("split", name, ["train", "test"]))
    assert message.startswith("split must be one of 'train', 'test'; got ")
    assert len(message) < 200


def test_of_many_names_the_nearest_are_listed():
    names = [f"name-{k}" for k in range(100)]
    told = str(unknown_name("thing", "name-77x", names))
    assert told.startswith("thing must be one of 100 names, such as 'name-77', ")
    assert told.endswith("; got 'name-77x' (did you mean 'name-77'?)")
    assert told.count("name-") == 32 + 2
    assert "must be one of 100 names, such as 'name-0', 'name-1', " in str(unknown_name("thing", 3, names))
