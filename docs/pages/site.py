"""The whole site as texts: every generated page by its path, the pictures beside them, and the navigation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from palaestra.agents.registry import OWN as AGENTS
from palaestra.envs.registry import OWN as ENVIRONMENTS
from palaestra.envs.registry import family

from .agents import agent_page, agents_index
from .blocks import block_page, blocks_index, families
from .environments import environment_page, environments_index, file_name, name_of, picture, scenarios_page
from .results import page_name

GUIDES = (
    "first-agent",
    "own-environment",
    "own-agent",
    "own-block",
    "own-scenario",
    "playing",
    "leaderboards",
    "pretraining",
    "sweeps",
    "learning",
    "robustness",
    "generators",
    "execution",
    "stable-baselines3",
    "neurons",
    "primer",
    "course",
)
"""The hand-written pages of `docs/guides`, in the order in which they are read."""


def generated_pages() -> dict[str, str]:
    """The Markdown of every page that is made, by its path in the site."""
    return {
        "environments/index.md": environments_index(),
        **{f"environments/{file_name(id)}.md": environment_page(id) for id in ENVIRONMENTS},
        "agents/index.md": agents_index(),
        **{f"agents/{page_name(name)}.md": agent_page(name) for name in AGENTS},
        "blocks/index.md": blocks_index(),
        **{f"blocks/{kind}.md": block_page(kind) for kind in families()},
        "scenarios.md": scenarios_page(),
    }


def pictures() -> dict[str, Path]:
    """The golden picture of every environment, by its path in the site."""
    return {f"environments/{file_name(id)}.png": path for id in ENVIRONMENTS if (path := picture(id))}


def navigation() -> list[dict[str, Any]]:
    """What stands in the margin, in order."""
    kinds = dict.fromkeys(map(family, ENVIRONMENTS))
    return [
        {"Home": "index.md"},
        {"Guides": [f"guides/{name}.md" for name in GUIDES]},
        {
            "Environments": [
                "environments/index.md",
                *(
                    {
                        kind: [
                            {name_of(id): f"environments/{file_name(id)}.md"}
                            for id in ENVIRONMENTS
                            if family(id) == kind
                        ]
                    }
                    for kind in kinds
                ),
            ]
        },
        {"Agents": ["agents/index.md", *({name: f"agents/{page_name(name)}.md"} for name in AGENTS)]},
        {"Blocks": ["blocks/index.md", *({kind: f"blocks/{kind}.md"} for kind in families())]},
        {"Scenarios": "scenarios.md"},
        {"Coverage": ["coverage.md", *(f"coverage/{name}.md" for name in ("lectures", "summaries", "worksheets"))]},
    ]
