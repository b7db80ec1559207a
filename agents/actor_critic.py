"""What A2C and PPO share: the network, acting, the loop of rollout and update, and their state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..envs.protocol import BatchedEnvironment
from ..envs.task import Observation
from ..envs.tree import leaves
from .agent import Agent, Memory, Report
from .config import AgentConfig
from .distributions import distribution
from .network import ActorCritic
from .network_config import MemoryConfig
from .rollout import EpisodeStatistics, Rollout, collect, continued_statistics, generalised_advantage


class ActorCriticConfig(MemoryConfig):
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
    """

    learning_rate: float = Field(3e-4, gt=0)
    anneal: bool = False
    reward_scale: float = Field(1.0, gt=0)
    gamma: float = Field(0.99, ge=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    value_coefficient: float = Field(0.5, ge=0)
    entropy_coefficient: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(0.5, gt=0)


class ActorCriticAgent(Agent):
    """An agent with one network for policy and value, learning on-policy. Subclasses say what an update is."""

    Config: ClassVar[type[AgentConfig]] = ActorCriticConfig
    network: ActorCritic
    optimiser: torch.optim.Optimizer

    def build(self) -> None:
        """Network, distribution and optimiser."""
        config = self.config
        policy = distribution(self.action_space)
        self.network = ActorCritic(self.observation_space, policy.size, **config.network()).to(self.device)
        self.policy = policy.to(self.device)
        self.parameters = [*self.network.parameters(), *self.policy.parameters()]
        self.optimiser = self.make_optimiser()
        self.chunk = config.chunk
        self.memory: Memory = ()
        self.statistics: EpisodeStatistics | None = None

    @abstractmethod
    def make_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of `self.parameters`."""

    @abstractmethod
    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """Learns from a rollout and its advantages (T, B); returns named scalars, left on the device."""

    def initial_memory(self, num_envs: int) -> Memory:
        """Zeros."""
        return self.network.initial_memory(num_envs)

    @torch.no_grad()
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Actions (B, ...) from the policy; see `Agent.act`."""
        num_envs = len(leaves(observation)[0])
        if start is None:
            start = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        memory = memory or self.initial_memory(num_envs)
        parameters, _, memory = self.network.act(observation, memory, start)
        raw = self.policy.mode(parameters) if greedy else self.policy.sample(parameters, self.generator)
        return self.policy.to_env(raw), memory

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        It goes on in the environments as they stand; those that were never reset are.
        """
        self.attach(env)
        before, self.statistics = self.statistics, continued_statistics(self.statistics, env)
        if self.statistics is not before:
            self.memory = self.initial_memory(env.num_envs)
        while self.steps < steps:
            if self.config.anneal:
                for group in self.optimiser.param_groups:
                    group["lr"] = self.config.learning_rate * (1 - self.steps / steps)
            rollout, self.memory = collect(
                env, self.network, self.policy, self.config.rollout_steps, self.memory, self.generator, self.chunk
            )
            scaled = replace(rollout, reward=rollout.reward * self.config.reward_scale)
            losses = self.update(scaled, generalised_advantage(scaled, self.config.gamma, self.config.gae_lambda))
            self.steps += self.config.rollout_steps * env.num_envs
            yield self.statistics.report(self.steps, rollout, losses)

    def minimise(self, loss: Tensor) -> None:
        """One step of the optimiser."""
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm, foreach=True)
        self.optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """Network, optimiser, memory and running episodes beside the base's counters."""
        return super().state_dict() | {
            "network": self.network.state_dict(),
            "policy": self.policy.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "memory": list(self.memory),
            "running": None if self.statistics is None else self.statistics.running,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.network.load_state_dict(state["network"])
        self.policy.load_state_dict(state["policy"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.memory = tuple(part.to(self.device) for part in state["memory"])
        self.statistics = None
        if state["running"] is not None:
            self.statistics = EpisodeStatistics(state["running"].shape[1], self.device)
            self.statistics.running = state["running"].to(self.device)
