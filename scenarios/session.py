"""A session: episodes played one after the other in one environment, and what was done in them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from ..agents.core.agent import Agent
from ..agents.core.thought import Thought
from ..envs.adapters.batched import BatchedEnv
from ..envs.core.protocol import TimeStep
from ..envs.core.task import Observation
from ..neural_blocks.errors import InvalidInput

LONGEST = 10_000  # steps after which an agent's episode is left, where the environment itself never ends it
Choose = Callable[[Observation, Tensor], Any]


class Session:
    """Episodes of a watched environment of one row, from a seed on.

    Args:
        env: a `BatchedEnv` with autoreset disabled, or a `GymnasiumBridge`, of one environment.
        seed: of the first episode.

    Attributes:
        actions: of each episode so far, as Python numbers and lists of them.
        returns: the sum of rewards of each.
        ended: whether the present episode is over.
        reward: the last one, None at an episode's start.
        last: what the last step gave; None at an episode's start.
    """

    def __init__(self, env: Any, seed: int) -> None:
        self.env, self.seed = env, seed
        self.actions: list[list[Any]] = []
        self.returns: list[float] = []
        self.ended = True
        self.reward: float | None = None
        self.last: TimeStep | None = None
        self._start: Any = None

    def begin(self) -> None:
        """Starts the next episode; one that is not over is left where it is."""
        if not self.actions:
            self.env.reset(self.seed)
        elif isinstance(self.env, BatchedEnv) or not self.ended:
            self.env.reset()  # a bridge has begun the next one by itself where one ended
        self._start = self.env.state_dict()
        self.actions.append([])
        self.returns.append(0.0)
        self.ended, self.reward, self.last = False, None, None

    def again(self) -> None:
        """Starts the present episode anew; what was done in it is forgotten."""
        self.env.load_state_dict(self._start)
        self.actions[-1], self.returns[-1] = [], 0.0
        self.ended, self.reward, self.last = False, None, None

    def step(self, action: Any) -> None:
        """Takes an action (1, ...). Raises `InvalidInput` for one outside the action space, or an infinite reward."""
        step = self.env.step(action)
        reward = float(step.reward[0])
        if not math.isfinite(reward):
            raise InvalidInput(f"{self.env.name}: reward must be finite; got {reward} at step {len(self.actions[-1])}")
        self.actions[-1].append(action[0].tolist() if isinstance(action, Tensor) else np.asarray(action)[0].tolist())
        self.returns[-1] += reward
        self.ended, self.reward, self.last = bool(step.done[0]), reward, step

    def choose(self, chosen: Choose) -> None:
        """Takes what a chooser makes of the present observation; leaves an episode to which nobody has set an end."""
        self.step(chosen(self.env.observation, self.env.episode_start))
        if len(self.actions[-1]) >= LONGEST and not self.ended and not _has_limit(self.env):
            name = self.env.name
            warnings.warn(f"{name}: an episode has no end; it is left after {LONGEST} steps", stacklevel=2)
            self.env.reset()
            self.ended = True

    def played(self) -> tuple[list[list[Any]], list[float]]:
        """Actions and returns of all episodes, without those at the end in which nothing was done."""
        count = max((number for number, actions in enumerate(self.actions, 1) if actions), default=0)
        return self.actions[:count], self.returns[:count]


def play(session: Session, chosen: Choose, episodes: int) -> Iterator[None]:
    """Plays episodes to their end, yielding after every reset and every step."""
    for _ in range(episodes):
        session.begin()
        yield
        while not session.ended:
            session.choose(chosen)
            yield


def _has_limit(env: Any) -> bool:
    """Whether a time limit ends the environment's episodes: a task's horizon, or that of a foreign environment's id."""
    return isinstance(env, BatchedEnv) or getattr(env.envs[0].spec, "max_episode_steps", None) is not None


class Chooser:
    """An agent's greedy choice, with the memory it needs.

    Attributes:
        memory: as it is before the next choice.
    """

    def __init__(self, agent: Agent, env: Any) -> None:
        agent.attach(env)
        self.agent, self.memory = agent, agent.initial_memory(1)

    def __call__(self, observation: Observation, start: Tensor) -> Tensor:
        """The action (1, ...)."""
        action, self.memory = self.agent.act(observation, self.memory, start, greedy=True)
        return action

    def think(self, observation: Observation, start: Tensor) -> Thought:
        """What lies behind the action that would be chosen now."""
        return self.agent.think(observation, self.memory, start)
