"""A page for every environment, from its docstring, its signature and what was measured."""

from __future__ import annotations

import re
from pathlib import Path

from palaestra.envs.registry import OWN, family, summary
from palaestra.scenarios.output.description import describe

from .markdown import code, join, options_table, plain, shell, table
from .results import ROOT, measured, page_name, scenarios, scores_table, solved_table, speed_table

GOLDEN = ROOT / "tests" / "envs" / "golden"
LABELLED = re.compile(r"([A-Z]\w+(?: \w+)?): (.*)", re.DOTALL)


def name_of(id: str) -> str:
    """``"palaestra/LIFNeuron-v0"`` is LIFNeuron."""
    return id.partition("/")[2].partition("-")[0]


def file_name(id: str) -> str:
    """What its golden files and its page are called.

    >>> file_name("palaestra/GANGame-v0"), file_name("palaestra/FewShot-v0")
    ('gan_game', 'few_shot')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name_of(id)).lower()


def picture(id: str) -> Path | None:
    """The golden picture of an environment; None where it has none."""
    path = GOLDEN / f"{file_name(id)}.png"
    return path if path.is_file() else None


def environment_page(id: str) -> str:
    """The Markdown of an environment's page."""
    found, name = describe(id), name_of(id)
    lead, *about = found["about"]
    labelled = {match[1]: match[2] for part in about if (match := LABELLED.fullmatch(part))}
    prose = [plain(part) for part in about if not LABELLED.fullmatch(part)]
    facts = [
        ("Id", code(id)),
        ("Family", plain(found["family"])),
        ("Observation space", code(found["observation"])),
        ("Action space", code(found["action"])),
        ("Steps of an episode", f"at most {found['steps an episode']:,}"),
        *((label, plain(text)) for label, text in labelled.items()),
    ]
    own = [one for one in scenarios() if one.environment == id]
    solved = [row for row in measured("solve") if row["scenario"] in {one.name for one in own}]
    scores = scores_table(id)
    speed = speed_table(id)
    shown = f"![{name} in the middle of an episode]({file_name(id)}.png){{ .picture width=400 }}" if picture(id) else ""
    options = options_table(found["options"]) if found["options"] else "It has none."
    explained = (
        "Mean returns of whole episodes. A score is 1 for the expert and 0 for random play, or for the best constant "
        "action where that is clearly better."
    )
    return join(
        f"# {name}",
        f"**{plain(lead)}**",
        shown,
        *prose,
        "## The contract",
        table(("", ""), [(f"**{label}**", text) for label, text in facts]),
        "## Options",
        options,
        "## Run it",
        _commands(id, [one.name for one in own]),
        "\n\n".join(["## Returns to compare with", explained, scores]) if scores else "",
        "\n\n".join(["## What agents reach", solved_table(solved)]) if solved else "",
        "\n\n".join(["## Speed", "Of one core, taking random actions.", speed]) if speed else "",
    )


def _commands(id: str, own: list[str]) -> str:
    """How to make, train and play it."""
    python = "\n".join(
        [
            "```python",
            "import palaestra.envs as envs",
            "",
            f'env = envs.make_batched("{id}", num_envs=64)',
            "observation = env.reset(seed=0)",
            "```",
        ]
    )
    if not own:
        return python
    trained = [f"palaestra train {name}" for name in own]
    played = [f"palaestra play {own[0]} --agent human", f"palaestra play {own[0]} --agent expert --video {own[0]}.mp4"]
    return join(shell(*trained, *played), python).strip()


def environments_index() -> str:
    """The Markdown of the page that lists them all, family by family."""
    parts = ["# Environments", "Every environment has a page: what it isolates, its contract, its options, its scores."]
    for kind in dict.fromkeys(map(family, OWN)):
        rows = []
        for id in (id for id in OWN if family(id) == kind):
            page, file = f"{file_name(id)}.md", f"{file_name(id)}.png"
            shown = f"[![{name_of(id)}]({file}){{ width=120 }}]({page})" if picture(id) else ""
            rows.append((shown, f"[{name_of(id)}]({page})", plain(summary(id))))
        parts += [f"## {kind}", table(("", "environment", "what one does"), rows)]
    return join(*parts)


def scenarios_page() -> str:
    """The Markdown of the page of all scenarios: a section each, which others link to."""
    parts = [
        "# Scenarios",
        "A scenario is an environment with a protocol: options to train and to score with, a budget of steps, "
        "and an agent that solves it. `palaestra train NAME` trains and scores; `palaestra describe NAME` tells all. "
        f"There are {len(scenarios())}.",
    ]
    for one in scenarios():
        own = one.environment in OWN
        where = (
            f"[{name_of(one.environment)}](environments/{file_name(one.environment)}.md)"
            if own
            else code(one.environment)
        )
        budget = f"{one.steps:,} steps by [{one.agent}](agents/{page_name(one.agent)}.md) in {where}."
        parts += [f"## {one.name}", f"**{plain(one.title)}.** {plain(one.description)} {budget}"]
    return join(*parts)
