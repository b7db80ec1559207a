"""YAML as this suite reads and writes it: plain values only, nothing that two readers take for different things.

Everything that is YAML comes through here: scenarios, `run.yaml`, and the values of ``key=value`` on the command line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from ...neural_blocks.errors import InvalidInput, printable

LONGEST = 200_000  # characters of a document
DEEPEST = 32  # brackets within brackets
MOST = 20_000  # values, where every alias counts for all that it stands for
DIGITS = 40  # signs of one number
LARGEST = 10**15  # whole number that may be written with an exponent

_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)
_TWOFOLD = re.compile(r"[-+]?(?:0[0-9_]+|0o[0-7_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)")
"""Octal to one reader and decimal to the next, or minutes of an hour."""


class _Loader(yaml.SafeLoader):
    """Reads mappings, lists, text, numbers, true, false and null; refuses everything else."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  PyYAML's own way
    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _complaint(f"brackets or indents go deeper than {DEEPEST}", self.peek_event())
        if getattr(self.peek_event(), "tag", None) is not None:
            raise _complaint(f"tags are not allowed; got {self.peek_event().tag!r}", self.peek_event())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        self._measure(node, {}, set())
        return self.construct_document(node)

    def _measure(self, node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
        """How many values a node stands for when its aliases are written out."""
        if id(node) in above:
            raise _complaint("an alias (*) may not stand inside of what it names", node)
        if id(node) not in known:
            children = [child for pair in node.value for child in _both(pair)] if not _is_scalar(node) else []
            inside = above | {id(node)}
            known[id(node)] = 1 + sum(self._measure(child, known, inside) for child in children)
        if known[id(node)] > MOST:
            raise _complaint(f"holds more than {MOST:,} values", node)
        return known[id(node)]

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A whole number, also where it is written with an exponent (4e4); else a float."""
        text = node.value
        if len(text) > DIGITS:
            raise _complaint(f"a number has at most {DIGITS} signs; got {len(text):,}", node)
        text = text.replace("_", "")
        if _INT.fullmatch(text):
            return int(text, 0)
        if text[-3:].lower() in ("inf", "nan"):
            return float(text.replace(".", "", 1))
        mantissa, _, exponent = text.lower().partition("e")
        value = float(text)
        if math.isinf(value):
            raise _complaint(f"{node.value} is larger than any float", node)
        whole = exponent and "." not in mantissa and value.is_integer() and abs(value) <= LARGEST
        return int(value) if whole else value

    def construct_twofold(self, node: yaml.ScalarNode) -> Any:
        raise _complaint(
            f"{node.value:.{DIGITS}} reads as one number here and as another there: write it in decimals, or in quotes",
            node,
        )

    def construct_mapping_once(self, node: yaml.MappingNode) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for name, value in node.value:
            key = self.construct_object(name, deep=True)
            if not isinstance(key, Hashable):
                raise _complaint("a key must be text or a number", name)
            if key in found:
                raise _complaint(f"key {key!r} stands twice", name)
            found[key] = self.construct_object(value, deep=True)
        return found


_TAG = "tag:yaml.org,2002:"
for _tag, _pattern, _first in (
    ("twofold", _TWOFOLD, "-+0123456789"),
    ("bool", _BOOL, "tTfF"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
):
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(rf"^(?:{_pattern.pattern})$"), list(_first))
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
for _tag, _construct in (
    ("null", yaml.SafeLoader.construct_yaml_null),
    ("bool", yaml.SafeLoader.construct_yaml_bool),
    ("int", _Loader.construct_number),
    ("float", _Loader.construct_number),
    ("str", yaml.SafeLoader.construct_scalar),
    ("twofold", _Loader.construct_twofold),
    ("seq", lambda loader, node: loader.construct_sequence(node, deep=True)),
    ("map", _Loader.construct_mapping_once),
):
    _Loader.add_constructor(_TAG + _tag, _construct)


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads back as it was: every value in full, and text that looks like a number in quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(_TAG + "str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _text)
_Dumper.add_implicit_resolver(_TAG + "float", re.compile(rf"^(?:{_FLOAT.pattern})$"), list("-+.0123456789"))
_Dumper.add_implicit_resolver(_TAG + "twofold", re.compile(rf"^(?:{_TWOFOLD.pattern})$"), list("-+0123456789"))


def read(text: str, what: str) -> Any:
    """The value of a YAML document; `what` names it in messages.

    Numbers are decimal (or 0x, 0b), 4e4 is the whole number 40000; only true and false are truth values; dates are
    text.

    Raises:
        InvalidInput: no YAML; more than 200,000 characters, 32 brackets in each other or 20,000 values; an alias
            inside of itself; a key twice; a number that readers take for different ones (040, 1:30); a tag.
    """
    if len(text) > LONGEST:
        raise InvalidInput(f"{what}: is not valid YAML: at most {LONGEST:,} characters; got {len(text):,}")
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"{what}: is not valid YAML: {_one_line(error)}") from None


def load(path: str | Path) -> Any:
    """The value in a YAML file. Raises `InvalidInput` as `read`, and where the file cannot be read."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InvalidInput(f"{path}: is not valid YAML: {error}") from error
    return read(text, str(path))


def dump(content: dict[str, Any]) -> str:
    """The document that `read` gives back as it was."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _complaint(problem: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def _both(pair: Any) -> tuple[yaml.Node, ...]:
    return pair if isinstance(pair, tuple) else (pair,)


def _is_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)


def _one_line(error: Exception) -> str:
    """The problem and where it is."""
    if isinstance(error, RecursionError):
        return f"brackets or indents go deeper than {DEEPEST}"
    mark = getattr(error, "problem_mark", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return printable(getattr(error, "problem", None) or error)[:200] + place
