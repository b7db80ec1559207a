"""Notebooks of guides: `python docs/make_notebooks.py`. Their code is the guides' Python, their text all the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
GUIDES = ("first-agent", "own-environment", "playing")
FOLDER = DOCS / "notebooks"
BLOCK = re.compile(r"^```python\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([\w-]+\.md)")


def notebook(text: str) -> str:
    """A guide as the JSON of a notebook (nbformat 4.5): each block of Python a cell, and the text between them."""
    cells: list[dict[str, Any]] = []
    for place, part in enumerate(BLOCK.split(LINK.sub(r"](../guides/\1", text))):
        source = part.strip("\n")
        if not source:
            continue
        told: dict[str, Any] = {"id": f"cell-{len(cells)}", "metadata": {}, "source": source.splitlines(keepends=True)}
        if place % 2:
            cells.append({"cell_type": "code", "execution_count": None, "outputs": [], **told})
        else:
            cells.append({"cell_type": "markdown", **told})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name in GUIDES:
        made = notebook((DOCS / "guides" / f"{name}.md").read_text(encoding="utf-8"))
        (FOLDER / f"{name}.ipynb").write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
