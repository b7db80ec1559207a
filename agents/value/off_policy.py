"""What DQN and SAC share: the loop of acting and updating, replay, target networks, and their state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ..core.agent import Agent, Memory, Report
from ..core.config import AgentConfig
from ..core.network_config import NetworkConfig
from ..core.replay import Batch, Replay, Transition
from ..core.rollout import EpisodeStatistics, continued_statistics


class OffPolicyConfig(NetworkConfig):
    """Settings of every agent that learns from replay, beside its networks'.

    Attributes:
        learning_rate: of the optimisers.
        anneal: let the learning rate fall linearly to 0 over the run.
        rollout_steps: T, steps of every environment between two rounds of updates.
        updates: gradient steps in a round.
        batch_size: transitions in an update; with a memory, whole sequences of about as many.
        warmup_steps: environment steps of random actions before the first update.
        capacity: transitions that replay keeps.
        gamma: discount.
        target_rate: how far the target network moves towards the network: 1 copies it, less is a moving average.
        target_every: updates between two such moves.
        max_grad_norm: gradients are scaled down to this norm.
    """

    learning_rate: float = Field(1e-3, gt=0)
    anneal: bool = False
    rollout_steps: int = Field(1, ge=1)
    updates: int = Field(1, ge=1)
    batch_size: int = Field(256, ge=1)
    warmup_steps: int = Field(1000, ge=0)
    capacity: int = Field(100_000, ge=1)
    gamma: float = Field(0.99, ge=0, le=1)
    target_rate: float = Field(0.005, gt=0, le=1)
    target_every: int = Field(1, ge=1)
    max_grad_norm: float = Field(10.0, gt=0)


class OffPolicyAgent(Agent):
    """An agent that learns from the replay of its own steps. Subclasses say how to act and what an update is.

    Attributes:
        networks: everything with weights; `build` of a subclass fills it.
        optimisers: by name; `build` of a subclass fills them.
        target_pairs: (target, network): `build` of a subclass lists what follows what.
        chunk: steps of the sequences that are replayed; 1 without a memory.
        progress: fraction of the run that was over when the current iteration began.
        updates: gradient steps so far.
    """

    Config: ClassVar[type[AgentConfig]] = OffPolicyConfig
    networks: nn.ModuleDict
    optimisers: dict[str, torch.optim.Optimizer]
    target_pairs: list[tuple[nn.Module, nn.Module]]
    chunk = 1

    def build(self) -> None:
        """Everything but the networks and their optimisers."""
        self.memory: Memory = ()
        self.statistics: EpisodeStatistics | None = None
        self.replay: Replay | None = None
        self.progress, self.updates = 0.0, 0

    @abstractmethod
    def choose(self, observation: Observation, memory: Memory, start: Tensor, greedy: bool) -> tuple[Tensor, Memory]:
        """Raw actions (B, ...) for observations (B, ...), memory and starts (B,), and the memory after them."""

    @abstractmethod
    def random(self, num_envs: int) -> Tensor:
        """Uniformly random raw actions (B, ...)."""

    @abstractmethod
    def to_env(self, action: Tensor) -> Tensor:
        """The action space's own values of raw actions."""

    @abstractmethod
    def draw(self, replay: Replay) -> Batch:
        """The batch of an update."""

    @abstractmethod
    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One gradient step; returns named scalars, left on the device."""

    @torch.no_grad()
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Actions (B, ...), exploring as the agent does now unless greedy; see `Agent.act`."""
        action, memory = self.choose(observation, *self._going_on(observation, memory, start), greedy)
        return self.to_env(action), memory

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        It goes on in the environments as they stand; those that were never reset are. With another number of
        environments than before, replay starts empty.
        """
        self.attach(env)
        self.statistics = continued_statistics(self.statistics, env)
        if self.replay is None or self.replay.num_envs != env.num_envs:
            self.replay = Replay(self.config.capacity, env.num_envs, self.device, self.chunk)
            self.memory = self.initial_memory(env.num_envs)
        self.replay.interrupt(env.episode_start)
        while self.steps < steps:
            self.progress = self.steps / steps
            if self.config.anneal:
                for optimiser in self.optimisers.values():
                    for group in optimiser.param_groups:
                        group["lr"] = self.config.learning_rate * (1 - self.progress)
            outcomes = [self._interact(env, self.replay) for _ in range(self.config.rollout_steps)]
            losses: list[dict[str, Tensor]] = []
            if self.steps >= self.config.warmup_steps:
                for _ in range(self.config.updates):
                    losses.append(self.update(self.draw(self.replay)))
                    self.updates += 1
                    if self.updates % self.config.target_every == 0:
                        self._move_targets()
            means = {name: torch.stack([loss[name] for loss in losses]).mean() for name in (losses or [{}])[0]}
            whole: TimeStep = tree_map(lambda *parts: torch.stack(parts), *outcomes)  # (T, B, ...)
            yield self.statistics.report(self.steps, whole, means)

    @torch.no_grad()
    def _interact(self, env: BatchedEnvironment, replay: Replay) -> TimeStep:
        """One step in every environment, written to replay."""
        observation, start, before = env.observation, env.episode_start, self.memory
        action, self.memory = self.choose(observation, before, start, greedy=False)
        if self.steps < self.config.warmup_steps:
            action = self.random(env.num_envs)
        outcome = env.step(self.to_env(action))
        replay.write(
            Transition(
                observation=observation,
                start=start,
                action=action,
                reward=outcome.reward,
                terminated=outcome.terminated,
                truncated=outcome.truncated,
                next_observation=outcome.final_observation,
            ),
            before,
        )
        self.steps += env.num_envs
        return outcome

    @torch.no_grad()
    def _move_targets(self) -> None:
        for target, network in self.target_pairs:
            for old, new in zip(target.parameters(), network.parameters(), strict=True):
                old.lerp_(new, self.config.target_rate)

    def minimise(self, name: str, loss: Tensor) -> None:
        """One step of the optimiser of that name."""
        optimiser = self.optimisers[name]
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm, foreach=True)
        optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers, replay, memory and running episodes beside the base's counters."""
        return super().state_dict() | {
            "networks": self.networks.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "replay": None if self.replay is None else self.replay.state_dict(),
            "memory": list(self.memory),
            "running": None if self.statistics is None else self.statistics.running,
            "progress": self.progress,
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.networks.load_state_dict(state["networks"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.memory = tuple(part.to(self.device) for part in state["memory"])
        self.progress, self.updates = state["progress"], state["updates"]
        self.statistics = self.replay = None
        if state["running"] is not None:
            self.statistics = EpisodeStatistics(state["running"].shape[1], self.device)
            self.statistics.running = state["running"].to(self.device)
        if state["replay"] is not None:
            self.replay = Replay(self.config.capacity, state["replay"]["num_envs"], self.device, self.chunk)
            self.replay.load_state_dict(state["replay"])
