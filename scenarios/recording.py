"""Recordings: (environment, options, seed, actions) is all that an episode is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..agents.core.agent import Agent
from ..agents.imitation.demonstrations import Demonstration
from ..envs.adapters.batched import BatchedEnv
from ..envs.core.actions import action_dtype
from ..envs.core.task import Observation
from ..envs.core.tree import tree_map
from ..neural_blocks.errors import InvalidInput
from .catalogue import Scenario
from .environments import make_environment
from .trust import check_names

Choose = Callable[[Observation, Any], Tensor]


@dataclass(frozen=True)
class Recording:
    """Episodes of one environment, replayed exactly by playing the actions from the seed.

    Attributes:
        environment: its id.
        options: its keyword arguments.
        seed: of the first episode.
        episodes: one list of actions for each episode.
        returns: the sum of rewards of each.
    """

    environment: str
    options: dict[str, Any]
    seed: int
    episodes: list[list[Any]]
    returns: list[float]

    def save(self, path: str | Path) -> None:
        """Writes it as JSON."""
        Path(path).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Reads it.

        Raises:
            InvalidInput: the file is missing or no recording, or names code to import outside
                `registry.allowing_imports`.
        """
        try:
            recording = cls(**json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InvalidInput(f"{path}: not a readable recording: {' '.join(str(error).split())}") from error
        check_names(path, recording.environment, recording.options)
        return recording


def play(env: Any, choose: Choose, seed: int, episodes: int) -> Iterator[tuple[list[list[Any]], list[float]]]:
    """Plays episodes in a watched environment of one row, yielding after every reset and every step.

    Args:
        env: a `BatchedEnv` with autoreset disabled, or a `GymnasiumBridge`, of one environment.
        choose: from the observation (1, ...) and whether an episode starts (1,) to the action (1, ...).
        seed: of the first episode.
        episodes: how many.

    Yields:
        The actions and the return of each episode so far; the same two lists, growing.
    """
    actions: list[list[Any]] = []
    returns: list[float] = []
    for episode in range(episodes):
        if episode == 0:
            env.reset(seed)
        elif isinstance(env, BatchedEnv):
            env.reset()
        actions.append([])
        returns.append(0.0)
        yield actions, returns
        ended = False
        while not ended:
            action = choose(env.observation, env.episode_start)
            step = env.step(action)
            actions[-1].append(action[0].tolist())
            returns[-1] += float(step.reward[0])
            ended = bool(step.done[0])
            yield actions, returns


def chooser(agent: Agent, env: Any) -> Choose:
    """An agent's greedy choice, with the memory it needs."""
    agent.attach(env)
    memory = agent.initial_memory(1)

    def choose(observation: Observation, start: Tensor) -> Tensor:
        nonlocal memory
        action, memory = agent.act(observation, memory, start, greedy=True)
        return action

    return choose


def replayer(recording: Recording, env: Any) -> Choose:
    """The recorded actions, one after the other."""
    actions = iter([action for episode in recording.episodes for action in episode])
    dtype = action_dtype(env.action_space)
    return lambda observation, start: torch.tensor([next(actions)], dtype=dtype, device=env.device)


def demonstrate(recording: Recording, agent: Agent) -> Demonstration:
    """What an agent can imitate: the recorded episodes played again, (T, 1, ...) with all their steps in a row.

    Raises:
        InvalidInput: an environment that there is not or that the agent is not for, or actions that do not fit it.
    """
    id, options = recording.environment, recording.options
    scenario = Scenario(name="recorded", title="", description="", environment=id, options=options, steps=1)
    env = make_environment(scenario, 1, device=str(agent.device), watched=True)
    agent.attach(env)
    choose = replayer(recording, env)
    seen: list[tuple[Observation, Tensor, Tensor]] = []

    def noted(observation: Observation, start: Tensor) -> Tensor:
        action = choose(observation, start)
        seen.append((observation, start, action))
        return action

    for _ in play(env, noted, recording.seed, len(recording.episodes)):
        pass
    return Demonstration(*tree_map(lambda *parts: torch.stack(parts), *seen))


def play_episodes(scenario: Scenario, env: Any, agent: Agent, seed: int, episodes: int) -> Recording:
    """The recording of an agent's episodes in a watched environment of one row."""
    actions: list[list[Any]] = []
    returns: list[float] = []
    for actions, returns in play(env, chooser(agent, env), seed, episodes):  # noqa: B007
        pass
    return Recording(scenario.environment, scenario.evaluation_options, seed, actions, returns)
