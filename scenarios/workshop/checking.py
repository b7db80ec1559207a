"""Checks whatever has a name: an environment, an agent, a block or a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import agents, envs
from ...agents.core.agent import Agent
from ...agents.registry import AGENTS
from ...envs.core.task import Task
from ...envs.registry import ENVIRONMENTS
from ...neural_blocks.errors import InvalidInput, unknown_name
from ...neural_blocks.findings import Fault, Report, examine
from ...neural_blocks.named_blocks import ENCODERS, MEMORIES
from ...neural_blocks.registry import import_path
from .. import catalogue
from ..environments import make_environment, score


def check(name: str | Path, options: dict[str, Any] | None = None, environment: str | None = None) -> Report:
    """Holds something to the contract of its kind.

    Args:
        name: an id, an agent's, a block's or a scenario's name, a scenario's file, or "module:Class".
        options: of an environment, or settings of an agent.
        environment: where an agent is tried.

    Raises:
        InvalidInput: nothing has the name, or it cannot be made.
    """
    name, options = str(name), options or {}
    if name.endswith((".yaml", ".yml")) or name in catalogue.names():
        if options or environment:
            raise InvalidInput(f"{name}: a scenario takes no options and no environment")
        return check_scenario(name)
    if name in ENVIRONMENTS:
        return envs.check(name, **options)
    if name in AGENTS or name in ENCODERS or name in MEMORIES:
        return agents.check(name, environment, **options)
    if not ENVIRONMENTS.is_path(name):
        raise unknown_name("name", name, [*ENVIRONMENTS, *AGENTS, *ENCODERS, *MEMORIES, *catalogue.names()])
    from torch.nn import Module

    found = import_path(name, "name")
    kinds = (Task, Agent, Module)
    if not (isinstance(found, type) and issubclass(found, kinds)):
        wanted = "a Task, a Game, an Agent, a Memory or a module that encodes"
        raise InvalidInput(f"{name}: must be a class derived from {wanted}; got {found!r:.80}")
    return envs.check(name, **options) if issubclass(found, Task) else agents.check(name, environment, **options)


def check_scenario(name: str | Path) -> Report:
    """Whether a scenario can be trained and scored as it says.

    Raises:
        InvalidInput: no such scenario, or one that cannot be read.
    """
    scenario = catalogue.get(name)
    made: dict[str, Any] = {}

    def environment(evaluation: bool) -> None:
        made["evaluation" if evaluation else "training"] = make_environment(scenario, 2, evaluation=evaluation)

    def agree() -> None:
        for kind in ("observation_space", "action_space"):
            trained, scored = (getattr(made[part], kind) for part in ("training", "evaluation"))
            if trained != scored:
                raise Fault(f"{kind} must be the same in training and in evaluation; got {trained} and {scored}")

    def agent(one: str) -> None:
        agents.make(one, made["training"], **scenario.agents.get(one, {}))

    def scores() -> str | None:
        if score(scenario, 0.0) is None:
            return "none: state a reference (random and expert returns) to have runs compared between 0 and 1"
        return None

    checks: dict[str, Any] = {
        "training environment": lambda: environment(False),
        "evaluation environment": lambda: environment(True),
        "same spaces": agree,
        **{f"agent {one}": lambda one=one: agent(one) for one in {scenario.agent: 0, **scenario.agents}},
        "scores": scores,
    }
    return Report(scenario.name, tuple(examine(scenario.name, checks)))
