"""The one exception for bad input, and the sentences that name what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class InvalidInput(ValueError):
    """Something the caller passed is not allowed; the message is one line naming the value and what is allowed.

    The command line prints it without a traceback and exits with code 2. Whatever names it quotes, it is one line that
    a terminal can be shown, see `printable`.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(message))


def printable(text: object) -> str:
    """One line in which nothing steers the terminal: control, direction and unpaired characters are shown as escapes.

    Line breaks, tabs and runs of blanks become one blank. Everything printed that comes from a file, a name or the
    command line goes through here.

    >>> print(printable("red \x1b[31m\nalert"))
    red \\x1b[31m alert
    """
    joined = " ".join(str(text).split())
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in joined)


class Diverged(InvalidInput):
    """Learning has left the numbers: a loss, a gradient, a weight or a return is NaN or infinite.

    Args:
        iteration: of the learning, counted from 1.
        name: of the value, such as "policy_loss".
        value: what it is.
        left: what there still is, such as the last good checkpoint.
    """

    def __init__(self, iteration: int, name: str, value: float, left: str = "") -> None:
        self.iteration, self.name, self.value = iteration, name, float(value)
        told = f"; {left}" if left else ""
        super().__init__(f"learning diverged at iteration {iteration}: {name} is {float(value)}{told}")


MOST_NAMED = 32
"""Names that a message lists; of more it lists so many, those that are nearest."""


def unknown_name(what: str, name: object, allowed: Iterable[str]) -> InvalidInput:
    """The error for a `name` that is not among `allowed`, naming the nearest right one; of many, some are named.

    >>> str(unknown_name("DigitBandit: split", "tset", ["train", "test"]))
    "DigitBandit: split must be one of 'train', 'test'; got 'tset' (did you mean 'test'?)"
    """
    names = list(allowed)
    nearest = difflib.get_close_matches(name[:80] if isinstance(name, str) else "", names, n=1, cutoff=0.5)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    if len(names) > MOST_NAMED:
        near = difflib.get_close_matches(name[:80], names, MOST_NAMED, 0.0) if isinstance(name, str) else names
        told = f"{len(names)} names, such as {', '.join(map(repr, near[:MOST_NAMED]))}"
    else:
        told = ", ".join(map(repr, names))
    return InvalidInput(f"{what} must be one of {told}; got {shown(name)}{hint}")


def invalid_config(what: str, error: ValidationError, allowed_keys: Iterable[str]) -> InvalidInput:
    """The error for a pydantic model that refused its input: the first complaint in one line.

    An unknown key comes before the others, with the nearest right one: the required key that it misspells is then
    missing too, but says less.

    Args:
        what: what was being read, such as a file or "PPO".
        error: what pydantic raised.
        allowed_keys: the model's keys, such as `PPOConfig.model_fields`; those of a nested model are dotted
            (`evaluation.episodes`).
    """
    allowed = list(allowed_keys)
    complaints: list[Mapping[str, Any]] = [*error.errors(include_url=False)]
    first = next((c for c in complaints if c["type"] == "extra_forbidden"), complaints[0])
    said = next(
        (c["ctx"]["error"] for c in complaints if isinstance(c.get("ctx", {}).get("error"), InvalidInput)), None
    )
    if said is not None and first["type"] not in ("extra_forbidden", "missing"):  # a value's own check has the words
        return InvalidInput(f"{what}: {said}")
    key = _dotted(first["loc"])
    if first["type"] == "extra_forbidden":
        parent = _dotted(first["loc"][:-1])
        siblings = [name for name in allowed if name.rpartition(".")[0] == parent]
        return unknown_name(f"{what}: key", key, siblings)
    if first["type"] == "missing":
        return InvalidInput(f"{what}: {key} is required")
    got = shown(first["input"])
    alternatives = [c for c in complaints if c["loc"][:-1] == first["loc"][:-1] and c["input"] is first["input"]]
    if key not in allowed and len(alternatives) > 1:  # a union: each of its members complains about the same value
        names = next((c["ctx"]["expected"] for c in alternatives if c["type"] == "literal_error"), None)
        if names is not None and isinstance(first["input"], str):
            return unknown_name(
                f"{what}: {_dotted(first['loc'][:-1])}", first["input"], re.findall(r"'([^']*)'", names)
            )
        wanted = " or ".join(c["msg"].removeprefix("Input should be ") for c in alternatives)
        return InvalidInput(f"{what}: {_dotted(first['loc'][:-1])} should be {wanted}; got {got}")
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        return unknown_name(f"{what}: {key}", first["input"], re.findall(r"'([^']*)'", first["ctx"]["expected"]))
    complaint = re.sub(r"^(Input|String|List|Dictionary|Tuple|Set) should ", "should ", first["msg"])
    complaint = " ".join(complaint.removeprefix("Value error, ").split())
    subject = f"{what}: {key}" if key else what
    joint = " " if complaint.startswith("should ") else ": "
    return InvalidInput(f"{subject}{joint}{complaint}; got {got}")


def _dotted(location: Iterable[object]) -> str:
    return ".".join(map(str, location))


def shown(value: object, length: int = 80) -> str:
    """A value as a message quotes it: its `repr`, on one line and cut short."""
    try:
        text = repr(value)
    except Exception:  # a whole number of 5,000 digits, or a stranger's class
        text = f"a {type(value).__name__} that cannot be shown"
    text = printable(text)
    return text if len(text) <= length else text[: length - 1] + "…"
