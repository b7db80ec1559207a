"""What an assessment is made of: the fixed set of scenarios by capability, and who is assessed on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...agents import agent_class
from ...agents.core.agent import Agent
from ...neural_blocks.errors import InvalidInput
from .. import catalogue
from ..catalogue import Scenario
from ..configuration import checked_label, derived_label
from ..files import strict_yaml

FILE = Path(__file__).parent / "battery.yaml"
FOLDER = "assess"


@dataclass(frozen=True)
class Item:
    """A scenario of the set.

    Attributes:
        scenario: whose only tag is the capability that it stands for.
        steps: of training.
    """

    scenario: Scenario
    steps: int

    @property
    def capability(self) -> str:
        """What it stands for."""
        return self.scenario.tags[0]


@dataclass(frozen=True)
class Contender:
    """One that is assessed: an agent with settings, under one name on all scenarios.

    Attributes:
        agent: its name, or "module:Class".
        settings: changes to its configuration, over each scenario's own.
        label: what it is called; left out, the agent and its settings.
    """

    agent: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def __post_init__(self) -> None:
        label = self.label or derived_label(self.agent, self.settings)
        object.__setattr__(self, "label", checked_label(label))

    @property
    def learns(self) -> bool:
        """Whether it is trained; else one seed tells all."""
        return agent_class(self.agent).learn is not Agent.learn


YARDSTICKS = (
    Contender("ppo", {"memory": "gru"}, "ppo with memory"),
    Contender("ppo", {"memory": None}, "ppo without memory"),
)
"""Who is assessed where nobody is named: what a memory is worth."""
ENDS = (Contender("expert"), Contender("random"))
"""What every profile is shown beside."""


def battery(quick: bool) -> list[Item]:
    """The scenarios of the set by capability, those of one capability side by side."""
    content: dict[str, list[dict[str, Any]]] = strict_yaml.load(FILE)
    items = []
    for capability, lines in content.items():
        for line in lines:
            scenario = catalogue.get(line["scenario"]).model_copy(update={"tags": [capability]})
            if not quick or "quick" in line:
                items.append(Item(scenario, line["quick"] if quick else scenario.steps))
    return items


def root_of(root: Path, quick: bool) -> Path:
    """Where the runs of assessments are kept, apart from all others."""
    return root / FOLDER / ("quick" if quick else "full")


def check(contenders: tuple[Contender, ...]) -> None:
    """Raises `InvalidInput` for an agent that there is not, settings it does not have, or two of one name."""
    for one in contenders:
        agent_class(one.agent).Config(**one.settings)
    labels = [one.label for one in contenders]
    for label in labels:
        if labels.count(label) > 1:
            raise InvalidInput(f"label must tell contenders apart; got {label!r} twice")
