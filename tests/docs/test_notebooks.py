"""The notebooks are the guides that they are made of."""

import json
from pathlib import Path

import pytest

import palaestra
from palaestra.docs import make_notebooks
from palaestra.tests.docs.guides import python_of

DOCS = Path(palaestra.__file__).parent / "docs"


def test_there_are_three_notebooks_and_no_other() -> None:
    assert sorted(path.stem for path in make_notebooks.FOLDER.glob("*.ipynb")) == sorted(make_notebooks.GUIDES)
    assert len(make_notebooks.GUIDES) == 3


@pytest.mark.parametrize("name", make_notebooks.GUIDES)
def test_a_notebook_is_what_its_guide_makes_and_its_code_is_the_guides(name: str) -> None:
    guide = (DOCS / "guides" / f"{name}.md").read_text(encoding="utf-8")
    kept = (DOCS / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    assert kept == make_notebooks.notebook(guide), "run python docs/make_notebooks.py"
    cells = json.loads(kept)["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert "\n".join(code).split() == python_of(guide).split()
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert text.startswith("# ")
    assert "```python" not in text
    assert len({cell["id"] for cell in cells}) == len(cells)
    for link in [part.split(")")[0].split("#")[0] for part in text.split("](")[1:]]:
        if link.startswith(("../guides/", "../images/")):  # other pages are made with the site
            assert (DOCS / "notebooks" / link).exists(), link


def test_code_and_text_alternate_as_in_the_guide() -> None:
    made = json.loads(make_notebooks.notebook("# A\n\nSee [b](b.md).\n\n```python\nx = 1\n```\n\n```sh\nls\n```\n"))
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in made["cells"]] == [
        ("markdown", "# A\n\nSee [b](../guides/b.md)."),
        ("code", "x = 1"),
        ("markdown", "```sh\nls\n```"),
    ]
