"""Evaluation: whole episodes of an agent in a batch of environments."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import torch
from torch import Tensor

from ...envs.checks.options import LARGEST_SEED, MOST_EPISODES, integer
from ...envs.core.execution import Captured
from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...neural_blocks.errors import InvalidInput
from .agent import Agent, Memory
from .aside import Aside

OnEpisodes = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """What N evaluated episodes gave.

    Attributes:
        returns: (N,) float64.
        lengths: (N,) int64 steps.
        metrics: named means over all steps of all episodes that have a value; without any, the name is missing. Of a
            task whose episodes leave something behind, also what all of that is worth together (`Task.measured`).
    """

    returns: Tensor
    lengths: Tensor
    metrics: dict[str, float]


CAP = 10_000
"""Steps after which an episode is cut off where the environment itself has no limit."""

PAUSE = 16
"""Steps after which a device other than the CPU is asked whether an episode is left to play."""


def time_limit(env: BatchedEnvironment) -> int | None:
    """The steps after which an environment truncates an episode; None where it never does."""
    task, envs = getattr(env, "task", None), getattr(env, "envs", None)
    found = getattr(task, "horizon", None)
    if found is None and envs:
        found = getattr(getattr(envs[0], "spec", None), "max_episode_steps", None)
    return None if found is None else int(found)


@torch.no_grad()
def evaluate(
    agent: Agent,
    env: BatchedEnvironment,
    episodes: int,
    *,
    seed: int | None = None,
    greedy: bool = True,
    on_episodes: OnEpisodes | None = None,
    aside: Aside | Literal[False] | None = None,
) -> Evaluation:
    """Plays the same number of episodes in every environment, at least `episodes` in all.

    A fixed number for each environment: were the first N to end taken, short episodes would count too often. With a
    seed the result is the same whenever it is asked for; the agent's own random choices go on as if it had not been.

    In environments without a time limit an episode that lasts longer than `CAP` steps counts with what it has returned
    by then, and that environment plays no further one; a warning says so.

    `on_episodes` is told now and then how many episodes have ended, and of how many. `aside` notes further things of
    the agent; None for what it asks for itself (`Agent.aside`), False for nothing.

    An agent whose execution is "captured" plays all steps but the first, in environments of this suite, as one graph.

    Raises:
        InvalidInput: fewer episodes than 1, environments that the agent is not for, or a note of episodes that have no
            time limit.
    """
    episodes = integer("evaluate: episodes", episodes, 1, MOST_EPISODES)
    if seed is not None:
        seed = integer("evaluate: seed", seed, -LARGEST_SEED, LARGEST_SEED)
    agent.attach(env)
    with agent.apart(seed):
        noted = agent.aside() if aside is None else aside or None
        play = Play(agent, env, math.ceil(episodes / env.num_envs), greedy, noted)
        return _played(play, seed, on_episodes)


def _played(play: Play, seed: int | None, on_episodes: OnEpisodes | None) -> Evaluation:
    agent, env = play.agent, play.env
    env.reset(seed)
    memory = play.step(agent.initial_memory(env.num_envs), env.step)  # which names the metrics
    due = time.monotonic()
    steps, pause = 1, 1 if env.device.type == "cpu" else PAUSE
    captured = agent.execution == "captured" and agent.on_device and hasattr(env, "advance")
    going_on = play.captured(memory) if captured and play.going_on() else partial(play.step, advance=env.step)
    while (steps - 1) % pause or play.going_on():
        memory = going_on(memory)
        steps += 1
        if on_episodes is not None and time.monotonic() >= due:
            due = time.monotonic() + 1
            on_episodes(int(play.episode.sum()), play.each * env.num_envs)
    return play.result()


class Play:
    """Episodes being played in a batch of environments, the same number in each, and what they have given so far.

    Args:
        agent: who plays.
        env: environments that were just reset.
        each: episodes in every environment.
        greedy: whether the agent takes its most probable actions.
        aside: what is noted beside; None for nothing.
    """

    def __init__(
        self, agent: Agent, env: BatchedEnvironment, each: int, greedy: bool, aside: Aside | None = None
    ) -> None:
        self.agent, self.env, self.each, self.greedy = agent, env, each, greedy
        device, shape = env.device, (env.num_envs, each + 1)  # the last column is overflow
        self.rows = torch.arange(env.num_envs, device=device)
        self.returns = Sums.zeros(shape, device)
        self.lengths = torch.zeros(shape, dtype=torch.int64, device=device)
        self.episode = torch.zeros(env.num_envs, dtype=torch.int64, device=device)
        self.endless = torch.zeros(env.num_envs, dtype=torch.bool, device=device)
        limit = time_limit(env)
        self.limited, self.longest = limit is not None, limit or 0
        if aside is not None and limit is None:
            raise InvalidInput(f"{env.name}: what is noted at every step needs episodes with a time limit")
        self.aside = aside
        self.noted: Tensor | None = None  # (environments, each + 1, steps, W), no number where nothing was
        self.metrics: dict[str, tuple[Sums, Tensor]] = {}  # of each one's values, and how many there are
        self.task = getattr(env, "task", None)  # environments of other kinds have none
        self.made: Tensor | None = None  # (environments, each + 1, ...) what the episodes left behind, if they do

    def step(self, memory: Memory, advance: Callable[[Tensor], TimeStep]) -> Memory:
        """One step of every environment; returns the memory after it, and counts in place what it gave."""
        env, at = self.env, (self.rows, self.episode)
        self._note(memory, at)
        action, memory = self.agent.act(env.observation, memory, env.episode_start, greedy=self.greedy)
        step = advance(action)
        self.returns.add(step.reward, at)
        self.lengths[at] += 1
        playing = self.episode < self.each
        for name, values in step.metrics.items():
            counted = playing & ~values.isnan()
            if name not in self.metrics:
                self.metrics[name] = Sums.zeros((), env.device), torch.zeros_like(self.episode[0])
            total, count = self.metrics[name]
            total.add(torch.where(counted, values, 0.0).sum())
            count += counted.sum()
        done = step.done
        self._gather(action, step, at)
        if not self.limited:
            cut = (self.lengths[at] >= CAP) & playing & ~done
            self.endless |= cut
            self.episode.masked_fill_(cut, self.each)
        self.episode.add_(done).clamp_(max=self.each)
        return memory

    def _note(self, memory: Memory, at: tuple[Tensor, Tensor]) -> None:
        """Keeps what is noted of the step that comes."""
        if self.aside is None:
            return
        row = self.aside.row(self.env, memory)
        if self.noted is None:
            self.noted = row.new_full((len(row), self.each + 1, self.longest, *row.shape[1:]), torch.nan)
        self.noted[(*at, self.lengths[at].clamp(max=self.longest - 1))] = row

    def _gather(self, action: Tensor, step: TimeStep, at: tuple[Tensor, Tensor]) -> None:
        """Keeps what episodes have made; what the last step writes stays."""
        made = None if self.task is None else self.task.made(action, step.final_observation)
        if made is None:
            return
        if self.made is None:
            self.made = made.new_zeros(len(made), self.each + 1, *made.shape[1:])
        self.made[at] = made

    def going_on(self) -> bool:
        """Whether some environment has an episode to play yet; asks the device."""
        return bool((self.episode < self.each).any())

    def captured(self, memory: Memory) -> Callable[[Memory], Memory]:
        """`step` as one graph, for memories like this one, in environments of this suite."""
        env: Any = self.env

        def advance(action: Tensor) -> TimeStep:
            env.batch, outcome = env.advance(env.batch, action)
            return outcome

        def once(tree: Any) -> Any:
            env.batch, memory = tree
            memory = self.step(memory, advance)
            return (env.batch, tuple(memory)), ()

        unit = Captured(once, f"{self.agent.name}: evaluation", self._changing, False, type(self.agent).recorder)
        self.agent.acting_randomness.ahead = False

        def replayed(memory: Memory) -> Memory:
            (env.batch, memory), _ = unit((env.batch, tuple(memory)))
            return memory

        return replayed

    def _changing(self) -> list[Tensor]:
        sums = [self.returns, *(total for total, _ in self.metrics.values())]
        counts = [count for _, count in self.metrics.values()]
        own = [part for one in sums for part in (one.total, one.excess)]
        kept = [one for one in (self.made, self.noted) if one is not None]
        return [*own, *counts, *kept, self.lengths, self.episode, self.endless, *self.agent.acting_randomness.counters]

    def result(self) -> Evaluation:
        """What the episodes gave; warns of those that were cut off."""
        env = self.env
        if cut_off := int(self.endless.sum()):
            warnings.warn(
                f"{env.name}: {cut_off} of {env.num_envs} environments had an episode longer than {CAP:,} steps, and "
                "no time limit; it counts with what it returned by then. Give the environment a limit "
                "(max_episode_steps)",
                RuntimeWarning,
                stacklevel=5,
            )
        metrics = {name: float(total.value()) / int(count) for name, (total, count) in self.metrics.items() if count}
        lengths = self.lengths[:, : self.each].flatten().cpu()
        returns, played = self.returns.value()[:, : self.each].flatten(), lengths > 0
        if self.made is not None:
            assert self.task is not None
            metrics |= self.task.measured(self.made[:, : self.each].flatten(0, 1).cpu()[played])
        if self.aside is not None and self.noted is not None:
            rows = self.noted[:, : self.each].flatten(0, 2).cpu()
            metrics |= self.aside.metrics(rows[~rows[:, 0].isnan()])
        metrics |= self.agent.measured(env)
        if self.task is not None:
            metrics = self.task.summarise(metrics)
        return Evaluation(returns[played], lengths[played], metrics)


@dataclass(frozen=True)
class Sums:
    """Float32 sums that lose nothing to rounding (Kahan, 1965), for devices that have no float64.

    Attributes:
        total: float32.
        excess: of the same shape, by how much the total is too large.
    """

    total: Tensor
    excess: Tensor

    @classmethod
    def zeros(cls, shape: tuple[int, ...], device: torch.device) -> Self:
        """Of nothing yet."""
        total, excess = (torch.zeros(shape, dtype=torch.float32, device=device) for _ in range(2))
        return cls(total, excess)

    def add(self, value: Tensor, at: tuple[Tensor, ...] = ()) -> None:
        """Adds in place to all sums, or to those at some indices, of which none occurs twice."""
        wanted = value - self.excess[at]
        total = self.total[at] + wanted
        self.excess[at] = (total - self.total[at]) - wanted
        self.total[at] = total

    def value(self) -> Tensor:
        """The sums in float64, on the CPU."""
        return self.total.cpu().double() - self.excess.cpu().double()
