"""What REINFORCE, A2C and PPO share: settings, and the loop of rollout and update."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ..core.agent import Report
from ..core.config import AgentConfig
from ..core.randomness import ACT
from ..learning.learner import Learner, training
from ..learning.optimisers import set_rate
from ..learning.policy_agent import PolicyAgent
from ..learning.rollout import Collector, Rollout, generalised_advantage
from ..learning.statistics import Numbers
from ..networks.network import ActorCritic
from ..networks.network_config import PolicyConfig
from ..networks.normalisation import RewardNormaliser


class ActorCriticConfig(PolicyConfig):
    """Settings that every actor-critic has beside its network's.

    Attributes:
        learning_rate: of the optimiser.
        anneal: let the learning rate fall linearly to 0 over the run.
        reward_scale: what rewards are multiplied by before learning, so that values are not far from 1.
        gamma: discount.
        gae_lambda: decay of the advantages; 1 is the plain return.
        value_coefficient: weight of the value's loss.
        entropy_coefficient: weight of the policy's entropy.
        max_grad_norm: gradients are scaled down to this norm.
        normalise_observation: by the mean and deviation of all observations so far, which are saved with the agent.
        normalise_reward: divide rewards by the deviation of the discounted return so far.
    """

    learning_rate: float = Field(3e-4, gt=0)
    anneal: bool = False
    reward_scale: float = Field(1.0, gt=0)
    gamma: float = Field(0.99, ge=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    value_coefficient: float = Field(0.5, ge=0)
    entropy_coefficient: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(0.5, gt=0)
    normalise_observation: bool = False
    normalise_reward: bool = False

    def trunk(self) -> dict[str, Any]:
        """The settings as `network.Trunk` takes them."""
        return super().trunk() | {"normalise": self.normalise_observation}


class ActorCriticAgent(PolicyAgent):
    """An agent with one network for policy and value, learning on-policy. Subclasses say what an update is."""

    Config: ClassVar[type[AgentConfig]] = ActorCriticConfig
    in_processes: ClassVar[bool] = True
    network: ActorCritic

    def build(self) -> None:
        """Network, distribution and optimiser."""
        self.make_network(ActorCritic)
        normalised = self.config.normalise_reward
        self.reward_normaliser = RewardNormaliser(self.config.gamma).to(self.device) if normalised else None
        self.optimiser = self.make_optimiser()

    @abstractmethod
    def make_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of `self.parameters`."""

    @abstractmethod
    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """Learns from a rollout and its advantages (T, B); returns named scalars, left on the device."""

    def prepare(self, env: BatchedEnvironment) -> None:
        """What collects rollouts in these environments."""
        self.collector = Collector(env, self.network, self.policy, self.interaction)

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        It goes on in the environments as they stand; those that were never reset are.
        """
        if self.enter(env, steps):
            self.memory = self.initial_memory(env.num_envs)
            if self.reward_normaliser is not None:
                self.reward_normaliser.running = None
        while self.steps < steps:
            if self.config.anneal:
                set_rate(self.optimiser, self.config.learning_rate * (1 - self.steps / steps))
            numbers = self.run(self._iterate)
            self.steps += self.config.rollout_steps * self.whole(env)
            yield self.report(numbers)

    def _iterate(self) -> Numbers:
        """A rollout, and an update on it."""
        config, collector = self.config, self.collector
        noise = self.randomness.steps(ACT, config.rollout_steps, collector.env.num_envs, self.policy.noise)
        rollout, self.memory = collector.collect(self.memory, noise, self.chunk)
        reward = rollout.reward * config.reward_scale
        if self.reward_normaliser is not None:
            reward = self.reward_normaliser(reward, rollout.done, self.processes)
        scaled = replace(rollout, reward=reward)
        with training(self.network):
            losses = self.update(scaled, generalised_advantage(scaled, config.gamma, config.gae_lambda))
        if self.network.normaliser is not None:  # only now, so that acting and learning normalise alike
            self.network.normaliser.update(rollout.observation, self.processes)
        assert self.statistics is not None
        return self.statistics.gather(rollout, losses)

    @property
    def moving(self) -> Any:
        """The discounted returns that run, beside the base's tree."""
        return super().moving, None if self.reward_normaliser is None else self.reward_normaliser.running

    @moving.setter
    def moving(self, tree: Any) -> None:
        base, running = tree
        Learner.moving.__set__(self, base)  # type: ignore[attr-defined]
        if self.reward_normaliser is not None:
            self.reward_normaliser.running = running

    def changing(self) -> list[Tensor]:
        """The reward's statistics beside the policy's tensors."""
        own = [] if self.reward_normaliser is None else list(self.reward_normaliser.buffers())
        return [*super().changing(), *own]

    def state_dict(self) -> dict[str, Any]:
        """The reward's statistics beside the policy's state."""
        state = super().state_dict()
        if self.reward_normaliser is not None:
            running = self.reward_normaliser.running
            running = None if running is None else self.processes.gather(running.clone())
            state["reward"] = self.reward_normaliser.state_dict(), running
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        if self.reward_normaliser is not None:
            statistics, running = state["reward"]
            self.reward_normaliser.load_state_dict(statistics)
            self.reward_normaliser.running = None if running is None else self.processes.own(running.to(self.device))
