"""Plain text as Markdown: what a docstring says stays what it says, in a paragraph and in a table's cell."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
CITATION = re.compile(r"((?:van |de )?[A-Z][\w'’-]+(?: et al\.| and [A-Z][\w'’-]+)?)(?:, | \()((?:19|20)\d\d)\b")


def plain(text: object) -> str:
    """A text of which only what stands in backticks is markup.

    >>> plain("a*b_c < `x_y`")
    'a\\\\*b\\\\_c &lt; `x_y`'
    """
    line, last = " ".join(str(text).split()), 0
    told: list[str] = []
    for code in CODE.finditer(line):
        told += [_escaped(line[last : code.start()]), f"`{code[2]}`"]
        last = code.end()
    return "".join([*told, _escaped(line[last:])])


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_\[\]`])", r"\\\1", html.escape(text, quote=False)).replace("|", "&#124;")


def code(text: object, most: int = 200) -> str:
    """A text as code, word for word on one line; of one that is longer than `most` characters the two ends."""
    told = " ".join(str(text).split())
    return f"`{told}`" if len(told) <= most else f"`{told[: most - 40]} … {told[-40:]}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown cells; a heading that ends with ":" stands over numbers, which are set to the right."""
    ruler = ["---:" if head.endswith(":") else "---" for head in heads]
    lines = [[head.rstrip(":") for head in heads], ruler, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shell(*commands: str) -> str:
    """Lines for a terminal."""
    return "\n".join(["```sh", *commands, "```"])


def options_table(options: Sequence[dict[str, str]]) -> str:
    """The options or settings that `palaestra describe` knows, a row each."""
    rows = [
        (code(one["name"]), plain(one["type"]), code(one["default"]) if one["default"] else "", plain(one["meaning"]))
        for one in options
    ]
    return table(("name", "type", "default", "meaning"), rows)


def citations(text: str) -> list[str]:
    """The works that a text names, in its order: ``"Mnih et al. (2015)"``.

    >>> citations("DQN (Mnih et al., 2015), after Watkins (1989) and\\n    Gers and Schmidhuber (2000).")
    ['Mnih et al. (2015)', 'Watkins (1989)', 'Gers and Schmidhuber (2000)']
    """
    return list(dict.fromkeys(f"{who} ({year})" for who, year in CITATION.findall(" ".join(text.split()))))


def join(*parts: str) -> str:
    """A page from its parts, without the empty ones."""
    return "\n\n".join(part for part in parts if part) + "\n"
