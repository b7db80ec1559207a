"""What a run is: the plan that `run.yaml` keeps."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ... import __version__, agents
from ...agents.core.agent import Agent
from ...agents.core.whole_file import write_text
from ...envs.checks.options import MOST_STEPS, integer
from ...envs.core.execution import resolved
from ...neural_blocks.errors import InvalidInput, invalid_config
from .. import catalogue
from ..catalogue import Scenario
from ..configuration import TOLD, checked_label, configuration, derived_label, digest
from ..environments import with_validation
from ..files import strict_yaml
from ..files.trust import check_names
from ..tracking import check_tracker
from .early import EarlyStopping, early_stopping
from .hardware import hardware

PLAN = "run.yaml"
LARGEST_SEED = 2**31 - 1


class Plan(BaseModel):
    """What a run is: everything that decides its result, as `run.yaml` keeps it.

    Attributes:
        run_id: unique to the run.
        scenario: the whole scenario, so that a changed catalogue does not change the run.
        agent: name of the agent.
        config: the agent's whole configuration.
        seed: of weights, actions and environments.
        steps: environment steps of training in all; 0 for an agent that does not learn.
        device: where it trains, or last did.
        execution: how it learns: "eager", "compiled" or "captured"; see `Agent`.
        hardware: the machine behind the device, in words.
        track: None, "wandb" or "tensorboard".
        upload: what the tracker is given beside numbers: "film", "checkpoint".
        version: of Palaestra.
        label: what its standing on the leaderboard is called.
        named: whether a person chose the label.
        demonstrations: digest of the recording that it imitates.
        init: digest of the weights that it begins with.
        budgets: the earlier values of `steps`, of a run that was extended.
        early_stopping: when training ends before; None for never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    run_id: str = Field(pattern=r"^[0-9a-zA-Z_-]{1,64}$")
    scenario: Scenario
    agent: str = Field(min_length=1)
    config: dict[str, Any]
    seed: int = Field(ge=0, le=LARGEST_SEED)
    steps: int = Field(ge=0, le=MOST_STEPS)
    device: str
    track: str | None
    version: str
    label: str = ""
    named: bool = False
    demonstrations: str | None = None
    init: str | None = None
    budgets: list[int] = []
    execution: Literal["eager", "compiled", "captured"] = "eager"
    hardware: str = ""
    upload: list[str] = []
    early_stopping: EarlyStopping | None = None

    @property
    def configuration(self) -> str:
        """The digest of all that decides the result beside the seed."""
        return configuration(
            self.scenario.model_dump(mode="json"),
            self.agent,
            self.config,
            self.steps,
            self.version,
            demonstrations=self.demonstrations,
            init=self.init,
            budgets=self.budgets,
            early_stopping=None if self.early_stopping is None else self.early_stopping.changes(),
        )

    def folder(self, root: Path) -> Path:
        """Where the run's files are."""
        scenario, agent = (re.sub(r"[^\w.+-]+", "-", name) for name in (self.scenario.name, self.agent))
        return root / scenario / agent / f"{self.seed}-{self.run_id}"  # "sb3:PPO": no file system minds a hyphen

    def with_label(self, label: str | None) -> Self:
        """The same run under another label; None for the one that its settings give."""
        if label is not None:
            return self.model_copy(update={"label": checked_label(label), "named": True})
        changes = self.changed_options()
        if self.learns and self.steps != self.scenario.steps:
            changes["steps"] = self.steps
        changes |= {key: value for key, value in self.changed_settings().items() if key not in TOLD}
        if self.early_stopping is not None:
            changes |= self.early_stopping.changes()
        if self.demonstrations is not None:
            changes["demonstrations"] = self.demonstrations[:6]
        if self.init is not None:
            changes["init"] = self.init[:6]
        return self.model_copy(update={"label": derived_label(self.agent, changes), "named": False})

    def changed_options(self) -> dict[str, Any]:
        """The options of the environment that differ from those of the catalogue's scenario of that name."""
        if self.scenario.name not in catalogue.names():
            return {}
        known = catalogue.get(self.scenario.name).options
        return {key: value for key, value in self.scenario.options.items() if known.get(key) != value}

    def changed_settings(self) -> dict[str, Any]:
        """The agent's settings that differ from those that the scenario gives it."""
        own = agents.agent_class(self.agent).Config(**self.scenario.agents.get(self.agent, {})).model_dump(mode="json")
        return {key: value for key, value in self.config.items() if own.get(key) != value}

    def extended(self, steps: int) -> Self:
        """The same run with a larger budget.

        Raises:
            InvalidInput: an agent that does not learn, or a budget that is no larger.
        """
        if not self.learns:
            raise InvalidInput(f"steps: {self.agent!r} does not learn, so there is nothing to extend; got {steps}")
        integer("steps", steps, self.steps + 1, MOST_STEPS)
        longer = self.model_copy(update={"steps": steps, "budgets": [*self.budgets, self.steps]})
        return longer if self.named else longer.with_label(None)

    @property
    def learns(self) -> bool:
        """Whether the agent is one that learns."""
        return agents.agent_class(self.agent).learn is not Agent.learn

    def write(self, folder: Path) -> None:
        """Keeps it in a run's folder."""
        write_text(folder / PLAN, strict_yaml.dump(self.model_dump(mode="json")))


def make_plan(
    scenario: str | Path | Scenario,
    agent: str | None,
    seed: int,
    *,
    steps: int | None,
    settings: dict[str, Any] | None,
    device: str,
    track: str | None,
    label: str | None,
    demonstrations: Any,
    init: str | None = None,
    execution: str = "auto",
    upload: Sequence[str] = (),
    stopping: dict[str, Any] | None = None,
) -> Plan:
    """The plan of a new run, with every default made explicit; see `run`.

    Raises:
        InvalidInput: an unknown or impossible scenario, agent, setting, label or device.
    """
    scenario = scenario if isinstance(scenario, Scenario) else catalogue.get(scenario)
    agent = agent or scenario.agent
    check_tracker(track, upload)
    for name in scenario.agents:
        agents.agent_class(name)  # a misspelt agent would make its overrides silent
    for name, value in (settings or {}).items():
        if isinstance(value, torch.nn.Module):
            raise InvalidInput(
                f"{agent}: {name} must be a name or 'module:Class' in a run, whose folder keeps it as text; "
                f"got a module, {type(value).__name__}"
            )
    cls = agents.agent_class(agent)
    config = cls.Config(**{**scenario.agents.get(agent, {}), **(settings or {})})
    if early_stopping(stopping) is not None and cls.learn is Agent.learn:
        raise InvalidInput(f"early stopping: {agent!r} does not learn, so there is nothing to stop")
    budget = integer("steps", scenario.steps if steps is None else steps, 0, MOST_STEPS)
    device = choose_device(device)
    plan = Plan(
        run_id=secrets.choice("abcdef") + secrets.token_hex(4)[1:],  # never one that reads as a number
        scenario=with_validation(scenario),
        agent=agent,
        config=config.model_dump(mode="json"),
        seed=integer("seed", seed, 0, LARGEST_SEED),
        steps=budget if cls.learn is not Agent.learn else 0,
        device=device,
        execution=resolved("execution", execution, device),  # type: ignore[arg-type]
        track=track,
        hardware=hardware(device),
        version=__version__,
        demonstrations=None if demonstrations is None else digest(demonstrations),
        init=init,
        upload=list(upload),
        early_stopping=early_stopping(stopping),
    )
    return plan.with_label(label)


def read_plan(folder: str | Path, *, to_use: bool = True) -> Plan:
    """What the run in a folder is.

    Args:
        folder: of the run.
        to_use: whether its agent and environment are to be made; otherwise it may name any code.

    Raises:
        InvalidInput: it is not a run folder, holds a value that no run can have, or names code to import outside
            `registry.allowing_imports`.
    """
    path = Path(folder) / PLAN
    if not path.exists():
        raise InvalidInput(f"{folder}: not a run folder: it has no {PLAN}")
    content = strict_yaml.load(path)
    if not isinstance(content, dict):
        raise InvalidInput(f"{path}: not a readable run: it must be a mapping; got {content!r:.80}")
    try:
        plan = Plan(**content)
    except ValidationError as error:
        raise invalid_config(f"{path}: not a readable run", error, Plan.model_fields) from None
    except TypeError:
        raise InvalidInput(f"{path}: not a readable run: keys must be text") from None
    if to_use:
        check_names(path, plan.scenario.code_names, plan.agent, plan.config)
    return plan


def choose_device(device: str) -> str:
    """The device of a name; "auto" is "cuda" where there is one. Raises `InvalidInput` for one that is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"device must be 'auto', 'cpu' or one that PyTorch finds here; got {device!r} ({reason})"
        ) from error
    return device


def execution_on(plan: Plan, device: str) -> str:
    """How a saved run goes on where it is now: only CUDA has graphs to capture."""
    captured = plan.execution == "captured" and torch.device(device).type != "cuda"
    return "eager" if captured else plan.execution


def device_here(plan: Plan, device: str | None) -> str:
    """Where a saved run goes on: on the named device, else on its own one where that is to be had, else on another."""
    if device is not None:
        return choose_device(device)
    try:
        return choose_device(plan.device)
    except InvalidInput:
        return choose_device("auto")


def wanted_checks(plan: Plan) -> int | None:
    """How often a run's training is looked at, where its early stopping says so."""
    return None if plan.early_stopping is None else plan.early_stopping.checks
