"""Deep Q-learning (Mnih et al., 2015): double, dueling, n-step, branching, feed-forward or recurrent."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

import gymnasium.spaces as spaces
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Memory
from ..core.processes import mean
from ..core.thought import Thought
from ..learning.exploration import NOISE, ExplorationConfig, any_allowed, explore, explore_branches
from ..learning.losses import ErrorKind, value_error
from ..learning.optimisers import make_optimiser
from ..learning.prioritised import PrioritisedReplay
from ..learning.replay import Batch, Replay
from ..networks.masking import is_masked
from ..networks.network_config import Initialisation, MemoryConfig
from .off_policy import OffPolicyAgent, OffPolicyConfig
from .q_network import QNetwork


class DQNConfig(OffPolicyConfig, MemoryConfig, ExplorationConfig):
    """Settings of DQN beside those of replay and of exploring.

    Attributes:
        initialisation: of the perceptrons; from small weights values are less overestimated at first.
        double: the network chooses the next action and the target network values it (van Hasselt et al., 2016).
        dueling: separate heads for the state's value and the actions' advantages (Wang et al., 2016).
        n_step: rewards summed before the value that stands for the rest.
        priority_exponent: transitions are replayed as often as their last error to that power, see `PrioritisedReplay`;
            0 replays all alike. Not with a memory.
        importance_exponent: how far errors that are replayed more often count less, at first; it grows to 1 over the
            run.
        rollout_steps: T, steps of every environment between two rounds of updates; with a memory, one sequence's.
        sequence_length: steps of a replayed sequence, from its stored memory (Kapturowski et al., 2019); without a
            memory it is 1.
    """

    initialisation: Initialisation = "fan_in"
    value_error: ErrorKind = "huber"
    double: bool = True
    dueling: bool = False
    n_step: int = Field(1, ge=1)
    priority_exponent: float = Field(0.0, ge=0, le=1)
    importance_exponent: float = Field(0.4, ge=0, le=1)
    rollout_steps: int = Field(1, ge=1)
    sequence_length: int | None = Field(16, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _sequences_between_updates(cls, values: Any) -> Any:
        """With a memory, replay holds whole sequences: unless something else is said, one between two updates."""
        if isinstance(values, dict) and values.get("memory") is not None and "rollout_steps" not in values:
            return {**values, "rollout_steps": values.get("sequence_length") or 16}
        return values

    @model_validator(mode="after")
    def _priorities_of_single_steps(self) -> Self:
        if self.priority_exponent and self.memory is not None:
            raise ValueError(f"priority_exponent must be 0 with a memory; got {self.priority_exponent}")
        return self


class DQN(OffPolicyAgent):
    """Deep Q-learning: the value of each action, learned from replay towards a slowly moving target.

    Of an action of several choices each has values of its own, from shared features (Tavakoli et al., 2018): all of
    them move towards one target, that of the mean over the choices of the best next value.
    """

    name = "dqn"
    Config = DQNConfig
    action_spaces: ClassVar = (spaces.Discrete, spaces.MultiDiscrete)
    action_space: spaces.Discrete | spaces.MultiDiscrete
    in_processes = True

    def build(self) -> None:
        """Network, target network and optimiser."""
        super().build()
        config = self.config
        self.chunk, self.masked = config.chunk, is_masked(self.observation_space, self.action_space)
        space = self.action_space
        self.branches = isinstance(space, spaces.MultiDiscrete)
        count = space.nvec if isinstance(space, spaces.MultiDiscrete) else space.n
        self.sizes = torch.as_tensor(count, dtype=torch.int64, device=self.device).flatten()  # (D,)
        self.starts = torch.as_tensor(space.start, dtype=torch.int64, device=self.device)
        self.noise = NOISE * len(self.sizes)
        self.network = QNetwork(
            self.observation_space,
            self.sizes.tolist() if self.branches else int(self.sizes),
            dueling=config.dueling,
            masked=self.masked,
            **config.trunk(),
        ).to(self.device)
        self.network.eval()
        self.target = copy.deepcopy(self.network)
        self.networks = nn.ModuleDict({"network": self.network, "target": self.target})
        self.target_pairs = [(self.target, self.network)]
        self.optimisers = {"network": make_optimiser(self.network.parameters(), config)}
        self.average(self.network)
        self.watch(network=self.network)
        self.run_loss = self.loss_within(self.loss)

    def initial_memory(self, num_envs: int) -> Memory:
        """Zeros."""
        return self.network.initial_memory(num_envs)

    def choose(
        self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Memory]:
        """The best action, or one that explores: (B,) or, of D choices, (B, D) int64 from 0 on."""
        values, memory = self.network.act(observation, memory, start)
        if noise is None:
            return values.argmax(-1), memory
        if not self.branches:
            return explore(values, self.config, self.progress, noise, self.masked), memory
        return explore_branches(values, self.config, self.progress, noise), memory

    def _warm_up(self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor) -> Any:
        """A random action that is allowed, and the memory as after the agent's own choice."""
        if not self.masked:
            return super()._warm_up(observation, memory, start, noise)
        values, after = self.network.act(observation, memory, start)
        count = len(self.sizes)
        action = any_allowed(values.flatten(0, -2), noise[:, :count].flatten()).view(values.shape[:-1])
        return self.to_env(action), after, (observation, start, action, memory)

    @torch.no_grad()
    def think(self, observation: Observation, memory: Memory = (), start: Tensor | None = None) -> Thought:
        """The value of each action, and of the best one."""
        memory, start = self._going_on(observation, memory, start)
        with self.acting():
            values, _ = self.network.act(observation, memory, start)
        if self.branches:
            return Thought(None, None, values.max(-1).values.mean(-1))
        return Thought(None, values, values.max(-1).values)

    def random(self, noise: Tensor) -> Tensor:
        """(B,) or (B, D) int64 from 0 on."""
        drawn = (noise[:, : len(self.sizes)] * self.sizes).long()
        return drawn if self.branches else drawn.squeeze(1)

    def to_env(self, action: Tensor) -> Tensor:
        """The space's own values."""
        return action.view(-1, *self.starts.shape) + self.starts if self.branches else action + self.starts

    def make_replay(self, num_envs: int) -> Replay:
        """By priorities, if the settings say so."""
        exponent = self.config.priority_exponent
        if not exponent:
            return super().make_replay(num_envs)
        if self.processes.size > 1:
            raise InvalidInput(f"{self.name}: priority_exponent must be 0 in several processes; got {exponent}")
        return PrioritisedReplay(self.config.capacity, num_envs, self.device, exponent)

    def draw(self, replay: Replay) -> Batch:
        """Single transitions, or sequences where there is a memory."""
        config = self.config
        if isinstance(replay, PrioritisedReplay):
            importance = config.importance_exponent + (1 - config.importance_exponent) * self.progress
            return replay.draw(config.batch_size, config.gamma, config.n_step, self.randomness, importance)
        if config.memory is None:
            return replay.sample(config.batch_size, config.gamma, config.n_step, self.randomness)
        size = max(1, config.batch_size // self.chunk)
        return replay.sequences(size, config.gamma, config.n_step, self.randomness)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One gradient step."""
        loss, value, error = self.run_loss(batch)
        if batch.chosen is not None:
            assert isinstance(self.replay, PrioritisedReplay)
            self.replay.rank(batch.chosen, error)
        numbers = {"value_loss": loss.detach(), "value": value}
        norm = self.minimise("network", loss, *numbers.values())
        return numbers | {"gradient_norm": norm}

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Mean loss of the temporal-difference errors; for the report the mean value; and the errors (N,), detached."""
        values, _ = self.network(batch.observation, batch.memory, batch.start)  # (T, N, A) or (T, N, D, A)
        value = values.gather(-1, batch.action.unsqueeze(-1)).squeeze(-1)  # (T, N) or (T, N, D)
        with torch.no_grad():
            following = self._following(self.target, batch)
            chooser = self._following(self.network, batch) if self.config.double else following
            best = following.gather(-1, chooser.argmax(-1, keepdim=True)).squeeze(-1)  # as value
            best = best.mean(-1) if self.branches else best  # (T, N)
            target = batch.reward + batch.discount * best.gather(0, batch.last)
        if self.branches:
            errors = value_error(self.config.value_error, value, target.unsqueeze(-1).expand_as(value)).mean(-1)
            off = (target.unsqueeze(-1) - value.detach()).abs().mean(-1)
            value = value.mean(-1)
        else:
            errors, off = value_error(self.config.value_error, value, target), target - value.detach()
        if batch.importance is not None:
            errors = errors * batch.importance
        return mean(errors, batch.weight), mean(value.detach(), batch.weight), off[0]

    def _following(self, network: QNetwork, batch: Batch) -> Tensor:
        """(T, N, ..., A) the values of what each step led to; a memory has seen the sequence up to that step."""
        never = torch.zeros_like(batch.start)
        if network.memory is None:
            return network(batch.next_observation, (), never)[0]
        memory, memories = batch.memory, []
        for time in range(len(never)):
            now = tree_map(lambda part, time=time: part[time : time + 1], batch.observation)
            _, memory = network.features(now, memory, batch.start[time : time + 1])
            memories.append(memory)
        after = tree_map(lambda *parts: torch.cat(parts), *memories)  # each part (T N, ...)
        flat = tree_map(lambda part: part.flatten(0, 1), batch.next_observation)
        return network.act(flat, after, never.flatten())[0].unflatten(0, never.shape)
