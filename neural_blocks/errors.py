"""The one exception for bad input, and the sentence that names the nearest right name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InvalidInput(ValueError):
    """Something the caller passed is not allowed; the message is one line naming the value and what is allowed.

    The command line prints it without a traceback and exits with code 2.
    """


def unknown_name(what: str, name: object, allowed: Iterable[str]) -> InvalidInput:
    """The error for a `name` that is not among `allowed`, naming the nearest right one.

    >>> str(unknown_name("DigitBandit: split", "tset", ["train", "test"]))
    "DigitBandit: split must be one of 'train', 'test'; got 'tset' (did you mean 'test'?)"
    """
    names = list(allowed)
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return InvalidInput(f"{what} must be one of {', '.join(map(repr, names))}; got {name!r}{hint}")
