"""A page for every agent, from its docstring and its configuration."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from palaestra.agents import agent_class
from palaestra.agents.registry import OWN, summaries
from palaestra.scenarios.output.description import describe

from .markdown import citations, code, join, options_table, plain, shell, table
from .results import measured, page_name, scenarios, solved_table


def agent_page(name: str) -> str:
    """The Markdown of an agent's page."""
    found, cls = describe(name), agent_class(name)
    lead, *about = found["about"]
    told = f"{inspect.getdoc(sys.modules[cls.__module__]) or ''}\n{inspect.getdoc(cls) or ''}"
    papers = citations(told)
    facts = [
        ("Name", code(name)),
        ("Class", code(f"palaestra.agents.{cls.__name__}")),
        ("Observations", plain(found["observations"])),
        ("Actions", plain(found["actions"])),
        *([("Paper", plain("; ".join(papers)))] if papers else []),
    ]
    solved = [row for row in measured("solve") if row["agent"].partition(" ")[0] == name]
    return join(
        f"# {name}",
        f"**{plain(lead)}**",
        *map(plain, about),
        table(("", ""), [(f"**{label}**", text) for label, text in facts]),
        "## Run it",
        _command(name),
        "## Settings",
        _settings(cls, found["options"]),
        "\n\n".join(["## What it reaches", solved_table(solved)]) if solved else "",
    )


def _settings(cls: Any, options: list[dict[str, str]]) -> str:
    """Its own settings, then those that it shares with other agents."""
    if not options:
        return "Nothing can be set."
    own = [one for one in options if one["name"] in cls.Config.__annotations__]
    shared = [one for one in options if one not in own]
    if not own or not shared:
        return options_table(options)
    return join("### Its own", options_table(own), "### Shared with other agents", options_table(shared)).strip()


def _command(name: str) -> str:
    """How to train it, on the scenario that names it, or on one that gives it settings."""
    served = [one for one in scenarios() if one.agent == name] or [one for one in scenarios() if name in one.agents]
    if name in ("expert", "random"):
        return shell(f"palaestra play digits --agent {name}")
    chosen = sorted(served, key=lambda one: one.steps)[:3]
    if not chosen:
        return shell(f"palaestra describe {name}")
    return shell(*(f"palaestra train {one.name}" + f" --agent {name}" * (one.agent != name) for one in chosen))


def agents_index() -> str:
    """The Markdown of the page that lists them all."""
    rows = [(f"[{name}]({page_name(name)}.md)", plain(told)) for name, told in summaries().items() if name in OWN]
    return join(
        "# Agents",
        "One file an algorithm, all built from the same networks: "
        "`palaestra train SCENARIO --agent NAME --set key=value`.",
        table(("agent", "what it is"), rows),
    )
