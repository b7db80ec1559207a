"""What DQN and SAC share: the loop of acting and updating, replay, target networks, and their state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Memory, Report
from ..core.config import AgentConfig
from ..core.randomness import ACT
from ..learning import optimisers
from ..learning.learner import Learner, training
from ..learning.losses import ErrorKind
from ..learning.optimisation import OptimisationConfig
from ..learning.replay import Batch, Replay, Transition
from ..learning.rollout import stacked, without_observations
from ..learning.statistics import Numbers
from ..networks.network_config import NetworkConfig
from .hindsight import HindsightConfig, HindsightReplay, outcome_of, require_goals


class OffPolicyConfig(OptimisationConfig, NetworkConfig, HindsightConfig):
    """Settings of every agent that learns from replay, beside its networks'.

    Attributes:
        rollout_steps: T, steps of every environment between two rounds of updates.
        updates: gradient steps in a round.
        batch_size: transitions in an update; with a memory, whole sequences of about as many.
        warmup_steps: environment steps of random actions before the first update.
        capacity: transitions that replay keeps.
        gamma: discount.
        value_error: how far a value is off: half the "squared" difference, "huber", which is that up to a difference
            of 1 and grows linearly from there on (Huber, 1964), or "absolute".
        target_rate: how far the target network moves towards the network: 1 copies it, less is a moving average.
        target_every: updates between two such moves.
    """

    rollout_steps: int = Field(1, ge=1)
    updates: int = Field(1, ge=1)
    batch_size: int = Field(256, ge=1)
    warmup_steps: int = Field(1000, ge=0)
    capacity: int = Field(100_000, ge=1, le=10**9)
    gamma: float = Field(0.99, ge=0, le=1)
    value_error: ErrorKind = "squared"
    target_rate: float = Field(0.005, gt=0, le=1)
    target_every: int = Field(1, ge=1)
    max_grad_norm: float | None = Field(10.0, gt=0)


class Phase(NamedTuple):
    """What kind of iteration comes next. It decides what is computed, so each kind is captured by itself.

    Attributes:
        random: of each step, whether its actions are random ones, for the warm-up.
        moves: of each update, whether the target networks move after it; no updates during the warm-up.
    """

    random: tuple[bool, ...]
    moves: tuple[bool, ...]


class OffPolicyAgent(Learner):
    """An agent that learns from the replay of its own steps. Subclasses say how to act and what an update is.

    Attributes:
        networks: everything with weights; `build` of a subclass fills it.
        optimisers: by name; `build` of a subclass fills them.
        target_pairs: (target, network): `build` of a subclass lists what follows what.
        acts: name of the optimiser of the network that acts.
        free: names of the optimisers of parameters whose size is not held small.
        chunk: steps of the sequences that are replayed; 1 without a memory.
        noise: uniforms that exploring takes for an action of one environment.
        progress: () float32 fraction of the run that was over when the current iteration began.
        updates: gradient steps so far.
    """

    Config: ClassVar[type[AgentConfig]] = OffPolicyConfig
    networks: nn.ModuleDict
    optimisers: dict[str, torch.optim.Optimizer]
    target_pairs: list[tuple[nn.Module, nn.Module]]
    noise: int
    acts: ClassVar[str] = "network"
    free: ClassVar[tuple[str, ...]] = ()
    chunk = 1
    for_learning = ("replay",)

    def build(self) -> None:
        """Everything but the networks and their optimisers."""
        self.replay: Replay | None = None
        self.progress = torch.zeros((), dtype=torch.float32, device=self.device)
        self.updates = 0
        if self.config.hindsight is not None:
            require_goals(self.name, self.observation_space)
        self.descend = self.updating(self._descend, lambda: self.optimisers.values())

    @abstractmethod
    def choose(
        self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Memory]:
        """Raw actions (B, ...), and the memory after them.

        Args:
            observation: (B, ...).
            memory: before it.
            start: (B,) bool, where an episode starts.
            noise: (B, `noise`) uniforms to explore with; None for the best action.
        """

    @abstractmethod
    def random(self, noise: Tensor) -> Tensor:
        """Uniformly random raw actions (B, ...) from uniforms (B, `noise`)."""

    @abstractmethod
    def to_env(self, action: Tensor) -> Tensor:
        """The action space's own values of raw actions."""

    def make_replay(self, num_envs: int) -> Replay:
        """An empty replay of so many environments."""
        config = self.config
        if config.hindsight is None:
            return Replay(config.capacity, num_envs, self.device, self.chunk, self.processes)
        if self.processes.size > 1:
            raise InvalidInput(f"{self.name}: hindsight must be null in several processes; got {config.hindsight!r}")
        return HindsightReplay(config.capacity, num_envs, self.device, config.hindsight, config.hindsight_share)

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
        memory, start = self._going_on(observation, memory, start)
        noise = None if greedy else self.randomness.uniform(ACT, len(start), self.noise)
        with self.acting():
            action, memory = self.choose(observation, memory, start, noise)
        return self.to_env(action), memory

    def prepare(self, env: BatchedEnvironment) -> None:
        """How a step in these environments is run: one that explores, and one of the warm-up."""
        self.exploring = self.interaction(env, self._explore)
        self.warming = self.interaction(env, self._warm_up)

    def _explore(self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor) -> Any:
        """The agent's own choice."""
        action, after = self.choose(observation, memory, start, noise)
        return self.to_env(action), after, (observation, start, action, memory)

    def _warm_up(self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor) -> Any:
        """A random action, and the memory as after the agent's own choice."""
        _, after = self.choose(observation, memory, start, noise)
        action = self.random(noise)
        return self.to_env(action), after, (observation, start, action, memory)

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        It goes on in the environments as they stand; those that were never reset are. With another number of
        environments than before, replay starts empty.
        """
        self.enter(env, steps)
        if self.replay is None or self.replay.num_envs != env.num_envs:
            self.replay = self.make_replay(env.num_envs)
            self.memory = self.initial_memory(env.num_envs)
            self.forget_updates()
        self.replay.interrupt(env.episode_start)
        if isinstance(self.replay, HindsightReplay):
            self.replay.outcome = outcome_of(self.name, env, self.whole_updates)
        while self.steps < steps:
            self.progress.fill_(self.steps / steps)
            self.on_schedule(list(self.optimisers.values()), self.steps / steps)
            phase = self._next_phase(self.whole(env))
            numbers = self.run(self._iterate, phase)
            self.steps += len(phase.random) * self.whole(env)
            self.updates += len(phase.moves)
            yield self.report(numbers)

    def _next_phase(self, num_envs: int) -> Phase:
        config = self.config
        taken = [self.steps + time * num_envs for time in range(config.rollout_steps + 1)]
        done = config.updates if taken[-1] >= config.warmup_steps else 0
        moves = tuple((self.updates + k + 1) % config.target_every == 0 for k in range(done))
        return Phase(tuple(steps < config.warmup_steps for steps in taken[:-1]), moves)

    def _iterate(self, phase: Phase) -> Numbers:
        """Some steps in every environment, written to replay, and some updates."""
        assert self.replay is not None
        assert self.statistics is not None
        outcomes = [self._interact(self.replay, random) for random in phase.random]
        losses: list[dict[str, Tensor]] = []
        with training(*self.learning):
            for moves in phase.moves:
                losses.append(self.descend())
                if moves:
                    self._move_targets()
        means = {name: torch.stack([loss[name] for loss in losses]).mean() for name in (losses or [{}])[0]}
        return self.statistics.gather(stacked(*outcomes), means)

    def _descend(self) -> dict[str, Tensor]:
        """One update on a batch of the replay."""
        assert self.replay is not None
        return self.update(self.draw(self.replay))

    @property
    def learning(self) -> list[nn.Module]:
        """The networks that are learned; their targets stay in evaluation mode."""
        return [network for _, network in self.target_pairs]

    @torch.no_grad()
    def _interact(self, replay: Replay, random: bool) -> TimeStep:
        """One step in every environment, written to replay."""
        interaction = self.warming if random else self.exploring
        noise = self.randomness.uniform(ACT, replay.num_envs, self.noise)
        self.memory, (observation, start, action, before), outcome = interaction.step(self.memory, noise)
        transition = Transition(
            observation=observation,
            start=start,
            action=action,
            reward=outcome.reward,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            next_observation=outcome.final_observation,
        )
        replay.write(transition, before)
        return without_observations(outcome)

    @torch.no_grad()
    def _move_targets(self) -> None:
        """Weights move by `target_rate`; buffers, such as the statistics of batch normalisation, are copied."""
        for target, network in self.target_pairs:
            torch._foreach_lerp_(list(target.parameters()), list(network.parameters()), self.config.target_rate)
            for old, new in zip(target.buffers(), network.buffers(), strict=True):
                old.copy_(new)

    def minimise(self, name: str, loss: Tensor, *numbers: Tensor) -> Tensor:
        """One step of the optimiser of that name; returns the gradient's norm before it was scaled down.

        With several processes the gradient is the sum of theirs, and so is, from then on, each of the numbers.
        """
        optimiser = self.optimisers[name]
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.processes.add([*(gradient for gradient in gradients if gradient is not None), *numbers])
        optimisers.prepare_gradients(parameters, self.config, parameters if name in self.free else ())
        self.measure(parameters)
        norm = optimisers.scale_down(parameters, self.config)
        optimisers.step(optimiser)
        if self.averaged is not None and name == self.acts:
            self.averaged.update()
        return norm

    def changing(self) -> list[Tensor]:
        """Networks, optimisers and replay beside the base's tensors."""
        weights = [*self.networks.parameters(), *self.networks.buffers()]
        moments = [tensor for optimiser in self.optimisers.values() for tensor in optimisers.tensors(optimiser)]
        return [*super().changing(), *weights, *moments, *([] if self.replay is None else self.replay.tensors)]

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers, replay and memory beside the base's state."""
        return super().state_dict() | {
            "networks": self.networks.state_dict(),
            "optimisers": {name: optimisers.saved(optimiser) for name, optimiser in self.optimisers.items()},
            "replay": None if self.replay is None else self.replay.state_dict(),
            "memory": [self.processes.gather(part) for part in self.memory],
            "progress": float(self.progress),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.networks.load_state_dict(state["networks"])
        for name, optimiser in self.optimisers.items():
            optimisers.restore(optimiser, state["optimisers"][name])
        self.memory = tuple(self.processes.own(part.to(self.device)) for part in state["memory"])
        self.progress.fill_(state["progress"])
        self.updates, self.replay = state["updates"], None
        if state.get("replay") is not None:
            own = state["replay"]["num_envs"] // self.processes.size
            self.replay = self.make_replay(own)
            self.replay.load_state_dict(state["replay"])
