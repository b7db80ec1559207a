"""Model-based agents for small decision processes: posterior sampling and optimistic planning on counts."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.noise import normal
from ...envs.core.task import Observation
from ...envs.core.tracing import row_by_row
from ...envs.core.tree import where
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Agent, Memory
from ..core.config import AgentConfig
from ..core.randomness import ACT
from .bandit import require_trial
from .dirichlet import GAMMA_NOISE, dirichlet


class TabularPlannerConfig(AgentConfig):
    """Settings of every tabular planner.

    Attributes:
        length: H, steps that a plan covers: those of an episode.
        prior_mean: of the normal prior of every mean reward, whose variance is 1. The published values take 0, although
            `TabularMDP` draws from 1.
    """

    length: int = Field(10, ge=1, le=10_000)
    prior_mean: float = 0.0


class Belief(NamedTuple):
    """What a trial has shown so far, and what is done about it.

    Attributes:
        transitions: (B, S, A, S) float32 how often each state and action led to each state.
        visits: (B, S, A) float32 how often each action was taken in each state.
        rewards: (B, S, A) float32 what it brought in all.
        policy: (B, H, S) int64 the actions planned for this episode, by step and state.
        time: (B,) int64 steps taken in this episode.
        position: (B,) int64 the last state.
        begun: (B,) bool, whether there is a last state in this trial.
    """

    transitions: Tensor
    visits: Tensor
    rewards: Tensor
    policy: Tensor
    time: Tensor
    position: Tensor
    begun: Tensor


class TabularPlanner(Agent):
    """Plans with a model of the process at the start of each episode. Subclasses say which model.

    Nothing is learned before the trial: its states, actions and rewards, which a `Trial` shows, are all it goes by.
    They are counted in the memory, which is wiped where a trial starts. The prior of every row of transitions is
    Dirichlet(1, ..., 1), that of every mean reward N(prior_mean, 1), and rewards have a noise of variance 1. What an
    episode's last step led to is not seen, so of that step the reward alone is counted.

    Raises:
        InvalidInput: spaces other than a trial's with Discrete observations and actions.
    """

    Config: ClassVar[type[AgentConfig]] = TabularPlannerConfig
    on_device: ClassVar = True
    observation_spaces: ClassVar = (spaces.Dict,)
    action_spaces: ClassVar = (spaces.Discrete,)
    observation_space: spaces.Dict
    action_space: spaces.Discrete

    def build(self) -> None:
        """Checks the spaces; there is no network."""
        require_trial(self.name, self.observation_space)
        seen, actions = self.observation_space.get("observation"), self.action_space
        if not isinstance(seen, spaces.Discrete):
            raise InvalidInput(f"{self.name}: the trial's observation must be Discrete; got {seen}")
        self.states, self.actions = int(seen.n), int(actions.n)
        self.first_state, self.first_action = int(seen.start), int(actions.start)

    @abstractmethod
    def model(self, belief: Belief) -> tuple[Tensor, Tensor]:
        """The process to plan in: transitions (B, S, A, S) and mean rewards (B, S, A)."""

    def unplanned(self) -> None:
        """Draws nothing where `model` would have drawn, so that what is drawn later is the same."""

    def posterior_reward(self, belief: Belief) -> Tensor:
        """(B, S, A) the posterior mean of each mean reward; its variance is 1 / (visits + 1)."""
        return (belief.rewards + self.config.prior_mean) / (belief.visits + 1)

    def initial_memory(self, num_envs: int) -> Memory:
        """No visits."""
        shape = num_envs, self.states, self.actions, self.states
        transitions = torch.zeros(shape, dtype=torch.float32, device=self.device)
        pairs, number = transitions[..., 0], torch.zeros(num_envs, dtype=torch.int64, device=self.device)
        policy = number[:, None, None].expand(-1, self.config.length, self.states)
        return Belief(transitions, pairs, pairs, policy, number, number, number.bool())

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """The planned actions (B,), greedy or not; see `Agent.act`."""
        assert isinstance(observation, dict)
        position = observation["observation"] - self.first_state
        blank = self.initial_memory(len(position))
        belief = Belief(*((memory or blank) if start is None else where(start, blank, memory or blank)))
        fresh = ~belief.begun | (observation["episode_start"][:, 0] > 0)  # (B,) an episode starts
        belief = self._count(belief, observation, position, arrived=~fresh)
        policy, time = belief.policy, torch.where(fresh, 0, belief.time + 1)
        if not row_by_row(self.device) or bool(fresh.any()):  # asking another device would wait for it
            plan = finite_horizon_policy(*self.model(belief), self.config.length)
            policy = torch.where(fresh[:, None, None], plan, policy)
        else:
            self.unplanned()
        rows = torch.arange(len(time), device=self.device)
        action = policy[rows, time.clamp(max=self.config.length - 1), position] + self.first_action
        return action, belief._replace(policy=policy, time=time, position=position, begun=torch.ones_like(fresh))

    def _count(self, belief: Belief, observation: dict[str, Tensor], position: Tensor, arrived: Tensor) -> Belief:
        """Adds the last step, if there was one; where it `arrived` at the position of the same episode, this too."""
        rows = torch.arange(len(position), device=self.device)
        pair = rows, belief.position, observation["previous_action"] - self.first_action
        once, reward = belief.begun.float(), observation["previous_reward"][:, 0]
        return belief._replace(
            transitions=belief.transitions.index_put((*pair, position), once * arrived, accumulate=True),
            visits=belief.visits.index_put(pair, once, accumulate=True),
            rewards=belief.rewards.index_put(pair, once * reward, accumulate=True),
        )


class PosteriorSampling(TabularPlanner):
    """Plans, for each episode, in a process drawn from the posterior (Strens, 2000; Osband et al., 2013)."""

    name = "posterior_sampling"

    def model(self, belief: Belief) -> tuple[Tensor, Tensor]:
        """A sample of the posterior."""
        counts, visits = belief.transitions + 1, belief.visits  # (B, S, A, S), (B, S, A)
        sizes = [counts[0].numel() * GAMMA_NOISE, visits[0].numel()]
        rows, pairs = self.randomness.uniform(ACT, len(visits), sum(sizes)).split(sizes, 1)
        transition = dirichlet(counts, rows.reshape(*counts.shape, GAMMA_NOISE))
        return transition, self.posterior_reward(belief) + normal(pairs).view_as(visits) * (visits + 1).rsqrt()

    def unplanned(self) -> None:
        """Leaves out one draw."""
        self.randomness.skip(ACT)


class OptimisticPlanningConfig(TabularPlannerConfig):
    """Settings of optimistic planning.

    Attributes:
        bonus: c, the posterior deviations by which every mean reward is raised.
    """

    bonus: float = Field(2.0, ge=0)


class OptimisticPlanning(TabularPlanner):
    """Plans in the posterior mean, with rewards raised where little is known (after Azar et al., 2017).

    As in their value iteration with upper confidence bounds, a bonus that falls with the root of the visits stands for
    all that is unknown, transitions too. It is c / √(visits + 1), c posterior deviations of the mean reward, where
    theirs follows from a bound on the regret and is far wider.
    """

    name = "optimistic_planning"
    Config: ClassVar[type[AgentConfig]] = OptimisticPlanningConfig

    def model(self, belief: Belief) -> tuple[Tensor, Tensor]:
        """The posterior mean with the bonus."""
        counts = belief.transitions + 1
        transition = counts / counts.sum(-1, keepdim=True)
        return transition, self.posterior_reward(belief) + self.config.bonus * (belief.visits + 1).rsqrt()


def finite_horizon_policy(transition: Tensor, reward: Tensor, length: int) -> Tensor:
    """Optimal policies of B known processes over so many steps, by value iteration backwards from the last.

    Args:
        transition: (B, S, A, S) float32.
        reward: (B, S, A) float32 mean rewards.
        length: H, steps.

    Returns:
        (B, H, S) int64 actions, by step and state.
    """
    value = torch.zeros_like(reward[..., 0])  # (B, S)
    policy = []
    for _ in range(length):
        # Where nothing is known all actions tie. A matrix product may round differently with B, and so break the ties.
        further = (transition * value[:, None, None]).sum(-1)
        value, action = (reward + further).max(2)
        policy.append(action)
    return torch.stack(policy[::-1], 1)
