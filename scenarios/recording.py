"""Recordings: (environment, options, seed, actions) is all that an episode is."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from torch import Tensor

from ..agents.core.agent import Agent
from ..agents.core.whole_file import write_text
from ..agents.imitation.demonstrations import Demonstration
from ..envs.checks.options import LARGEST_SEED
from ..envs.core.actions import action_dtype
from ..envs.core.game import Game
from ..envs.core.task import Observation, ProblemTask
from ..envs.core.tree import tree_map
from ..envs.registry import is_task, task_class
from ..neural_blocks.errors import InvalidInput, invalid_config, shown
from .catalogue import Scenario
from .environments import make_environment
from .files.trust import check_names
from .seeds import EVALUATION_SEED, PLAY_SEED
from .session import Chooser, Session, play

LARGEST_FILE = 2**29  # bytes
View = Literal["player", "spectator"]
Purpose = Literal["training", "evaluation"]


class Recording(BaseModel):
    """Episodes of one environment, replayed exactly by playing the actions from the seed.

    The last step of an episode need not be its end: whoever played may have left.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    environment: str = Field(min_length=1, max_length=200)
    """Its id."""
    options: dict[str, Any]
    """Its keyword arguments."""
    seed: int = Field(ge=-LARGEST_SEED, le=LARGEST_SEED)
    """Of the first episode."""
    episodes: list[list[Any]]
    """One list of actions for each episode: a number, or nested lists of numbers, for each step."""
    returns: list[float]
    """The sum of rewards of each."""
    purpose: Purpose | None = None
    """Whose options and episodes they are: those that the scenario trains on, or those that it scores with."""
    view: View | None = None
    """The pictures shown while it was played: what the observation holds, or hidden state too. None: no pictures."""
    player: str = Field(default="", max_length=500)
    """Who played: "human", "expert", "random", or a run's folder."""

    @field_validator("episodes")
    @classmethod
    def _numbers_only(cls, episodes: list[list[Any]]) -> list[list[Any]]:
        for actions in episodes:
            for action in actions:
                if not _is_numbers(action):
                    raise InvalidInput(f"episodes: an action must be numbers or lists of them; got {shown(action)}")
        return episodes

    @model_validator(mode="after")
    def _one_return_each(self) -> Recording:
        if len(self.returns) != len(self.episodes):
            wanted = f"one for each of the {len(self.episodes)} episodes"
            raise InvalidInput(f"returns must be {wanted}; got {len(self.returns)}")
        return self

    def save(self, path: str | Path) -> None:
        """Writes it as JSON, whole or not at all."""
        write_text(path, self.model_dump_json() + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Reads it.

        Raises:
            InvalidInput: a file that is missing, too large or no recording, a recording without any action, or one that
                names code to import outside `registry.allowing_imports`.
        """
        what = f"{path}: not a readable recording"
        try:
            if Path(path).stat().st_size > LARGEST_FILE:
                raise InvalidInput(f"{what}: it has more than {LARGEST_FILE} bytes")
            recording = cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise InvalidInput(f"{what}: {error.strerror or error}") from error
        except ValidationError as error:
            raise invalid_config(what, error, cls.model_fields) from error
        check_names(path, recording.environment, recording.options)
        if not any(recording.episodes):
            raise InvalidInput(f"{path}: the recording is empty: nothing was played in it")
        return recording


def recorded(session: Session, scenario: Scenario, purpose: Purpose, view: View | None, player: str) -> Recording:
    """The recording of what was played in a session, an unfinished last episode included."""
    actions, returns = session.played()
    options = scenario.evaluation_options if purpose == "evaluation" else scenario.options
    return Recording(
        environment=scenario.environment,
        options=options,
        seed=session.seed,
        episodes=actions,
        returns=returns,
        purpose=purpose,
        view=view,
        player=player,
    )


def play_episodes(scenario: Scenario, env: Any, agent: Agent, seed: int, episodes: int) -> Recording:
    """The recording of an agent's evaluation episodes in a watched environment of one row."""
    session = Session(env, seed)
    for _ in play(session, Chooser(agent, env), episodes):
        pass
    return recorded(session, scenario, "evaluation", None, agent.name)


def replay(recording: Recording, session: Session) -> Iterator[Tensor | None]:
    """Plays a recording again, yielding after every reset (None) and every step (the action, (1, ...)).

    Raises:
        InvalidInput: an action outside the action space, one behind an episode's end, or a return that is not what
            the actions bring.
    """
    space, name = session.env.action_space, session.env.name
    for number, (actions, expected) in enumerate(zip(recording.episodes, recording.returns, strict=True), 1):
        session.begin()
        yield None
        for step, action in enumerate(actions):
            if session.ended:
                raise InvalidInput(f"{name}: episode {number} of the recording must end with step {step}; it goes on")
            given = as_action(action, space)
            try:
                session.step(given)
            except InvalidInput as error:
                raise InvalidInput(f"episode {number}, step {step + 1} of the recording: {error}") from error
            yield torch.as_tensor(given).to(action_dtype(space))
        if not math.isclose(session.returns[-1], expected, rel_tol=1e-3, abs_tol=1e-3):
            found = f"{session.returns[-1]:.6g} of its actions"
            raise InvalidInput(
                f"{name}: episode {number} of the recording must have the return {found}; got {expected}"
            )


def as_action(action: Any, space: gymnasium.spaces.Space[Any]) -> np.ndarray[Any, Any]:
    """Numbers from a file or a person as a batch of one action (1, ...), whole numbers where the space has them.

    What is no action of the space stays as it is, for the environment to name.
    """
    array = np.asarray([action]) if _is_rectangular(action) else np.asarray([math.nan])
    return array.astype(space.dtype) if isinstance(space, gymnasium.spaces.Box) else array


def check_for_training(recording: Recording, scenario: Scenario) -> None:
    """Nothing, where a scenario's agent may learn from a recording.

    Raises:
        InvalidInput: a recording of another environment, of the scenario's evaluation, or of another split than
            the one it trains on.
    """
    refused = "a recording to train on must be made with the training's options and episodes"
    if recording.environment != scenario.environment:
        got, wanted = shown(recording.environment), scenario.environment
        raise InvalidInput(f"a recording to train on must be of {wanted}; got one of {got}")
    if recording.purpose == "evaluation" or EVALUATION_SEED <= recording.seed < PLAY_SEED:
        raise InvalidInput(f"{refused}; got one of the evaluation's (record with 'palaestra play --record')")
    own, trained, scored = (
        spelled_out(scenario.environment, options)
        for options in (recording.options, scenario.options, scenario.evaluation_options)
    )
    for name in own.keys() | scored.keys():
        value, theirs = own.get(name), scored.get(name)
        apart = trained.get(name) != value
        if apart and (name == "split" or (theirs == value and theirs != trained.get(name))):
            raise InvalidInput(f"{refused}: {name} {shown(trained.get(name))}; got {name} {shown(value)}")


def spelled_out(id: str, options: dict[str, Any]) -> dict[str, Any]:
    """An environment's options with the defaults of those that are not given: equal for equal environments."""
    made: Any = None
    own: dict[str, Any] = {}
    if is_task(id):
        made = task_class(id)
        if issubclass(made, ProblemTask):
            own = {"episodes": made.trial_episodes}
        elif issubclass(made, Game):
            own = {"player": made.players[0], "opponent": None}
    elif (spec := gymnasium.envs.registration.registry.get(id)) is not None:
        own, made = spec.kwargs, spec.entry_point
        made = gymnasium.envs.registration.load_env_creator(made) if isinstance(made, str) else made
    known = {} if made is None else inspect.signature(made).parameters
    defaults = {name: one.default for name, one in known.items() if one.default is not inspect.Parameter.empty}
    return json.loads(json.dumps({**defaults, **own, **options}, default=repr))


def demonstrate(recording: Recording, agent: Agent) -> Demonstration:
    """What an agent can imitate: the recorded episodes played again, (T, 1, ...) with all their steps in a row.

    Raises:
        InvalidInput: an environment that there is not or that the agent is not for, a recording that is empty or does
            not fit it.
    """
    id, options = recording.environment, recording.options
    scenario = Scenario(name="recorded", title="", description="", environment=id, options=options, steps=1)
    env = make_environment(scenario, 1, device=str(agent.device), watched=is_task(id))
    agent.attach(env)
    seen: list[Demonstration] = []
    session = Session(env, recording.seed)
    before: tuple[Observation, Tensor] | None = None
    for action in replay(recording, session):
        if action is not None and before is not None and (last := session.last) is not None:
            given, brought = action.to(env.device), last.reward
            seen.append(Demonstration(*before, given, brought, last.terminated, last.final_observation))
        before = env.observation, env.episode_start
    if not seen:
        raise InvalidInput("the recording is empty: nothing was played in it")
    whole: Demonstration = tree_map(lambda *parts: torch.stack(parts), *seen)
    return whole


def _is_numbers(action: Any, depth: int = 8) -> bool:
    """Whether it is a finite number, or a list of such, nested at most so deep."""
    if isinstance(action, list):
        return depth > 0 and all(_is_numbers(part, depth - 1) for part in action)
    return isinstance(action, int | float) and not isinstance(action, bool) and abs(action) < 2**63


def _is_rectangular(action: Any) -> bool:
    """Whether nested lists have equal lengths."""
    try:
        np.asarray(action)
    except ValueError:
        return False
    return True
