"""What every agent with one network for its policy shares: making it, acting, and its state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...envs.core.task import Observation
from .agent import Agent, Memory
from .distributions import distribution
from .network import Actor, ActorCritic
from .rollout import EpisodeStatistics


class PolicyAgent(Agent):
    """An agent whose network gives the parameters of a distribution over actions. Subclasses say how it learns.

    Attributes:
        network: an `Actor` or `ActorCritic`.
        policy: the action space's distribution.
        parameters: of both.
        optimiser: of the parameters; subclasses make it.
        chunk: L, steps of the sequences that are learned from; 1 without a memory.
        memory: the network's, where the environments to learn in stand.
        statistics: of their episodes; None before learning.
    """

    network: Any
    optimiser: torch.optim.Optimizer

    def make_network(self, kind: type[Actor] | type[ActorCritic]) -> None:
        """Network and distribution, and what stands beside them before learning."""
        policy = distribution(self.action_space)
        self.network = kind(self.observation_space, policy.size, **self.config.network()).to(self.device)
        self.policy = policy.to(self.device)
        self.parameters = [*self.network.parameters(), *self.policy.parameters()]
        self.chunk: int = self.config.chunk
        self.memory: Memory = ()
        self.statistics: EpisodeStatistics | None = None

    def initial_memory(self, num_envs: int) -> Memory:
        """Zeros."""
        return self.network.initial_memory(num_envs)

    @torch.no_grad()
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Actions (B, ...) from the policy; see `Agent.act`."""
        parameters, *_, memory = self.network.act(observation, *self._going_on(observation, memory, start))
        raw = self.policy.mode(parameters) if greedy else self.policy.sample(parameters, self.generator)
        return self.policy.to_env(raw), memory

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
