"""The documentation: every page is made and whole, links and commands lead somewhere, and the guides' Python runs."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

import palaestra
from palaestra.agents import agent_class
from palaestra.agents.registry import OWN as AGENTS
from palaestra.docs.pages import blocks, environments, markdown, results, site
from palaestra.envs.registry import OWN as ENVIRONMENTS
from palaestra.envs.registry import task_class
from palaestra.scenarios import catalogue
from palaestra.scenarios.main import app

ROOT = Path(palaestra.__file__).parent
GUIDES = {path.name: path for path in (ROOT / "docs" / "guides").glob("*.md")}
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`|<code>.*?</code>", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Every page's text by its path in the site, made and written."""
    sources = ROOT / "docs"
    written = {path.relative_to(sources).as_posix(): path.read_text() for path in sources.rglob("*.md")}
    return {**site.generated_pages(), **written}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def rows_below(page: str, heading: str) -> list[list[str]]:
    """The cells of the tables between a heading and the next one of its rank."""
    part = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [cells(line) for line in part.splitlines() if line.startswith("| ") and not line.startswith("| ---")]


@pytest.mark.parametrize("id", ENVIRONMENTS)
def test_an_environments_page_tells_its_contract_options_and_scores(id: str, pages: dict[str, str]) -> None:
    page = pages[f"environments/{environments.file_name(id)}.md"]
    contract = {name.strip("*"): text for name, text in rows_below(page, "The contract")}
    assert contract["Id"] == f"`{id}`"
    for part in ("Observation", "Action", "Reward", "Episode", "Expert", "Source"):
        assert len(contract[part]) > 3
    taken = [name for name in inspect.signature(task_class(id)).parameters if name != "self"]
    options = {row[0].strip("`"): row for row in rows_below(page, "Options")[1:]}
    assert list(options)[: len(taken)] == taken
    assert all(row[3] for row in options.values())
    known = json.loads((ROOT / "envs" / "scores.json").read_text())[id]
    scored = rows_below(page, "Returns to compare with")[1]
    assert scored[0] == "the defaults"
    assert [float(cell.replace(",", "")) for cell in (scored[1], scored[3])] == pytest.approx(
        [known["random"], known["expert"]], rel=1e-3, abs=1e-6
    )
    assert f"]({environments.file_name(id)}.png)" in page


@pytest.mark.parametrize("name", AGENTS)
def test_an_agents_page_tells_every_setting(name: str, pages: dict[str, str]) -> None:
    page = pages[f"agents/{results.page_name(name)}.md"]
    config = agent_class(name).Config
    if not config.model_fields:
        assert "Nothing can be set." in page
        return
    told = {row[0].strip("`"): row for row in rows_below(page, "Settings") if row[0] != "name"}
    assert set(told) == set(config.model_fields)
    assert [setting for setting, row in told.items() if not row[3]] == []


def test_every_public_block_has_its_place_on_a_page(pages: dict[str, str]) -> None:
    text = "\n".join(pages[f"blocks/{family}.md"] for family in blocks.families())
    shown = set(re.findall(r"^### (\w+)$", text, re.MULTILINE))
    assert set(palaestra.neural_blocks.__all__) - {"register_encoder", "register_memory"} <= shown


def test_every_row_of_a_table_has_as_many_cells_as_its_head(pages: dict[str, str]) -> None:
    uneven = []
    for name, page in pages.items():
        width = 0
        for line in CODE.sub(lambda found: "" if "\n" in found[0] else "code", page).splitlines():
            width = (width or line.count("|")) if line.startswith("|") else 0
            if width != (line.count("|") if width else 0):
                uneven.append((name, line))
    assert uneven == []


def test_every_link_leads_to_a_page_or_a_picture(pages: dict[str, str]) -> None:
    files = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.png")}
    known = {*pages, *site.pictures(), *files}
    anchors = {f"scenarios.md#{name}" for name in catalogue.names()}
    broken = []
    for name, page in pages.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("code", page)):
            if link.startswith("http"):
                continue
            target = os.path.normpath(os.path.join(os.path.dirname(name), link))
            if target not in (anchors if "#" in target else known):
                broken.append((name, link))
    assert broken == []


def listed(entry: Any) -> list[str]:
    """The pages of a part of the navigation."""
    if isinstance(entry, str):
        return [entry]
    return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in listed(part)]


def test_the_navigation_lists_every_page_once(pages: dict[str, str]) -> None:
    assert sorted(listed(site.navigation())) == sorted(pages)


whole_command = cache(typer.main.get_command)


def context_of(line: str) -> tuple[str, dict[str, Any]]:
    """The command of a line as the command line reads it, and what it is given; nothing is run."""
    command: Any = whole_command(app)
    words = shlex.split(line, comments=True)[1:]
    name = ""
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    return name, command.make_context(name, words).params


def commands(page: str) -> list[str]:
    shells = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [line for part in shells for line in part.splitlines() if line.startswith("palaestra ")]


def test_the_command_line_takes_every_command_that_is_told(pages: dict[str, str]) -> None:
    for line in {line for page in pages.values() for line in commands(page)}:
        name, given = context_of(line)
        if name not in ("train", "play") or given["scenario"].endswith(".yaml"):
            continue
        agent = given["agent"] or catalogue.get(given["scenario"]).agent
        if name == "train" and ":" not in agent.removeprefix("sb3:"):
            told = {setting.partition("=")[0] for setting in given["settings"] or []}
            assert told <= set(agent_class(agent).Config.model_fields), line


def test_the_python_of_every_guide_runs() -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("guides.py")), *map(str, GUIDES.values())],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["failed"] == {}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a*b_c < `x_y`", r"a\*b\_c &lt; `x_y`"),
        ("``None`` and\n    [0, 1)", r"`None` and \[0, 1)"),
        ("no `end", r"no \`end"),
    ],
)
def test_plain_text_stays_what_it_says(text: str, wanted: str) -> None:
    assert markdown.plain(text) == wanted


def test_a_table_keeps_bars_out_of_its_cells() -> None:
    assert (
        markdown.table(("a", "b:"), [(markdown.plain("x | y"), "1")]) == "| a | b |\n| --- | ---: |\n| x &#124; y | 1 |"
    )


def test_works_are_found_in_a_docstring() -> None:
    told = "After (van Hasselt et\n    al., 2016; Osband et al., 2013) and Gers and Schmidhuber (2000), in section 3.1."
    assert markdown.citations(told) == [
        "van Hasselt et al. (2016)",
        "Osband et al. (2013)",
        "Gers and Schmidhuber (2000)",
    ]
