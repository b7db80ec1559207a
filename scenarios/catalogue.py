"""The catalogue: named experiments as YAML files, checked when they are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..envs.checks.options import MOST_ENVIRONMENTS, MOST_EPISODES, MOST_STEPS
from ..neural_blocks.errors import InvalidInput, invalid_config, unknown_name
from .files import strict_yaml
from .files.folders import REGISTERED
from .files.trust import check_names

FOLDER = Path(__file__).parent / "catalog"


class Evaluation(BaseModel):
    """How a trained agent is scored: over which episodes and with which options."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    options: dict[str, Any] = {}
    """Merged over the scenario's own options, such as `{split: test}`."""
    episodes: int = Field(default=1000, ge=1, le=MOST_EPISODES)
    num_envs: int = Field(default=256, ge=1, le=MOST_ENVIRONMENTS)


class Validation(BaseModel):
    """On what a training agent is looked at, to keep the best one: never on what it is scored on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    options: dict[str, Any] = {}
    """Merged over the scenario's own options, such as `{split: validation}`."""


class Reference(BaseModel):
    """Returns that stand for 0 and 1 on the normalised scale, for an environment that knows none itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    random: float
    expert: float
    source: str
    """Where the two numbers come from."""

    @property
    def floor(self) -> float:
        """The return that scores 0, as in `envs.Scores`."""
        return self.random


class Scenario(BaseModel):
    """A task with a protocol: what is trained on, for how long, and how the result is scored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^([a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$")
    """Names the folder of its runs and its rows of the leaderboard; one in a registered folder has a namespace."""
    title: str
    description: str
    environment: str = Field(min_length=1)
    """An id such as `palaestra/DigitBandit-v0`, "module:Class" of a task, or any other Gymnasium id."""
    options: dict[str, Any] = {}
    """Keyword arguments of the environment."""
    evaluation: Evaluation = Evaluation()
    validation: Validation | None = None
    """None means `{split: validation}` where the environment has such a split, else the scenario's own options."""
    num_envs: int = Field(default=64, ge=1, le=MOST_ENVIRONMENTS)
    """Environments that training steps at once."""
    steps: int = Field(ge=1, le=MOST_STEPS)
    """Environment steps of training, counted over all environments."""
    agents: dict[str, dict[str, Any]] = {}
    """Overrides of an agent's config, by the agent's name."""
    reference: Reference | None = None
    """Overrides the environment's own random and expert returns; needed for a foreign environment's scores."""
    agent: str = "ppo"
    """The agent that should solve it; where the file does not say, PPO, or the first of `agents` if PPO is none."""
    tags: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _agent_with_settings(cls, content: Any) -> Any:
        agents = content.get("agents") if isinstance(content, dict) else None
        if isinstance(agents, dict) and agents and "ppo" not in agents and "agent" not in content:
            return {**content, "agent": next(iter(agents))}
        return content

    @property
    def code_names(self) -> list[Any]:
        """Everything in it that may name code."""
        return [
            self.environment,
            self.options,
            self.evaluation.options,
            self.validation_options,
            self.agents,
            self.agent,
        ]

    @property
    def evaluation_options(self) -> dict[str, Any]:
        """Keyword arguments of the environment in which the agent is scored."""
        return {**self.options, **self.evaluation.options}

    @property
    def validation_options(self) -> dict[str, Any]:
        """Keyword arguments of the environment in which a training agent is looked at."""
        return {**self.options, **(self.validation.options if self.validation else {})}

    def with_options(self, options: dict[str, Any]) -> Scenario:
        """The scenario with these options of the environment changed, in training and in evaluation."""
        return self.model_copy(update={"options": {**self.options, **options}})


def names() -> list[str]:
    """The names of the catalogue's scenarios and of those that were registered, each in alphabetical order."""
    return [*sorted(path.stem for path in FOLDER.glob("*.yaml")), *sorted(REGISTERED)]


def get(name_or_path: str | Path) -> Scenario:
    """The scenario of that name in the catalogue, or the one in a user's own .yaml file.

    Raises:
        InvalidInput: no such name or file, a broken file, a user's file that takes a name of the catalogue, whose
            rows of the leaderboard would then be of two different experiments, or one that names code to import
            outside `allowing_imports`.
    """
    text = str(name_or_path)
    if not isinstance(name_or_path, Path) and text in names():
        return load_scenario(REGISTERED.get(text, FOLDER / f"{text}.yaml"))
    if not (isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or Path(text).is_file()):
        raise unknown_name("scenario", text, names())
    path = Path(name_or_path)
    scenario = load_scenario(path)
    if path.resolve() in REGISTERED.values() or path.resolve().parent == FOLDER.resolve():
        return scenario
    check_names(path, *scenario.code_names)
    if scenario.name in names():
        raise InvalidInput(f"{path}: name {scenario.name!r} is one of the catalogue's own; choose another")
    return scenario


def load_scenario(path: str | Path) -> Scenario:
    """The scenario in a YAML file.

    Raises:
        InvalidInput: the file cannot be read, is not YAML, or is not a scenario; one line naming the file, the key,
            the value and what is allowed.
    """
    content = strict_yaml.load(path)
    if not isinstance(content, dict):
        raise InvalidInput(f"{path}: must be a mapping with keys such as 'name' and 'steps'; got {content!r:.80}")
    try:
        return Scenario.model_validate(content)
    except ValidationError as error:
        raise invalid_config(str(path), error, _dotted_keys(Scenario)) from error


def _dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The keys of a model and of the models nested in it: `steps`, `evaluation`, `evaluation.episodes`."""
    for key, field in model.model_fields.items():
        yield prefix + key
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _dotted_keys(field.annotation, f"{prefix}{key}.")
