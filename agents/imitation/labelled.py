"""What behaviour cloning and DAgger share: collecting labels, the loss, and the data set."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ..classical.expert import Expert
from ..core.agent import Agent, Memory, Report
from ..core.config import AgentConfig
from ..core.network import Actor
from ..core.network_config import MemoryConfig
from ..core.policy_agent import PolicyAgent
from ..core.rollout import continued_statistics
from .demonstrations import Aggregate, Sequences, side_by_side


class ImitationConfig(MemoryConfig):
    """Settings of learning from labels beside the network's.

    Attributes:
        learning_rate: of Adam.
        anneal: let the learning rate fall linearly to 0 over the run.
        updates: gradient steps after each rollout.
        minibatch_size: labels in a gradient step; with a memory, whole sequences of about as many steps.
        capacity: labels kept; the oldest are dropped.
        max_grad_norm: gradients are scaled down to this norm.
    """

    learning_rate: float = Field(1e-3, gt=0)
    anneal: bool = False
    updates: int = Field(8, ge=1)
    minibatch_size: int = Field(1024, ge=1)
    capacity: int = Field(100_000, ge=1)
    max_grad_norm: float = Field(1.0, gt=0)


@dataclass(frozen=True)
class LabelledRollout:
    """What T steps of B environments gave, with the expert's action beside each observation.

    Attributes:
        observation: (T, B, ...) what was acted on.
        start: (T, B) bool, the first observation of an episode.
        label: (T, B, ...) the expert's raw actions, as the policy's distribution has them.
        reward: (T, B).
        done: (T, B) bool: an episode ended with this step.
        memory: the learner's memory before each sequence, each part (N, ...).
        metrics: named (T, B) values of the environment, NaN where there is none.
    """

    observation: Observation
    start: Tensor
    label: Tensor
    reward: Tensor
    done: Tensor
    memory: Memory
    metrics: dict[str, Tensor]


class ImitationAgent(PolicyAgent):
    """An agent that learns to do what an expert would. Subclasses say who acts while labels are collected.

    Attributes:
        expert: who labels: an `Agent`, which acts greedily, or any callable from the environments to actions (B, ...):
            a planner, a person. The task's own expert unless another is set before `learn`.
        queries: labels asked for so far.
        iterations: rollouts collected and learned from so far.
    """

    Config: ClassVar[type[AgentConfig]] = ImitationConfig
    expert: Agent | Callable[[BatchedEnvironment], Tensor]

    def build(self) -> None:
        """Network, distribution, optimiser and an empty data set."""
        self.make_network(Actor)
        self.optimiser = torch.optim.Adam(self.parameters, lr=self.config.learning_rate, fused=True)
        self.aggregate = Aggregate(max(1, self.config.capacity // self.chunk))
        self.expert = Expert(self.observation_space, self.action_space, device=self.device)
        self.queries = self.iterations = 0
        self.expert_memory: Memory = ()

    @abstractmethod
    def expert_share(self) -> float:
        """The probability with which the expert, not the learner, acts in the next rollout."""

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps, each labelled, in all; yields one report per iteration.

        It goes on in the environments as they stand; those that were never reset are.

        Raises:
            NoExpert: the task has no expert and no other was set.
        """
        self.attach(env)
        statistics = continued_statistics(self.statistics, env)
        if statistics is not self.statistics:
            self.memory, self.expert_memory = self.initial_memory(env.num_envs), ()
        self.statistics = statistics
        if isinstance(self.expert, Agent):
            self.expert.attach(env)
        while self.steps < steps:
            if self.config.anneal:
                for group in self.optimiser.param_groups:
                    group["lr"] = self.config.learning_rate * (1 - self.steps / steps)
            rollout = self._collect(env)
            self.aggregate.add(self._sequences(rollout))
            count = max(1, self.config.minibatch_size // self.chunk)
            losses = [self.update(self.aggregate.sample(count, self.generator)) for _ in range(self.config.updates)]
            self.steps += self.config.rollout_steps * env.num_envs
            self.iterations += 1
            policy_loss, entropy = torch.stack(losses).mean(0)
            report = statistics.report(self.steps, rollout, {"policy_loss": policy_loss, "entropy": entropy})
            yield report | {"expert_queries": float(self.queries)}

    @torch.no_grad()
    def _collect(self, env: BatchedEnvironment) -> LabelledRollout:
        """T steps in every environment, of which the expert takes its share and labels all."""
        share, memory = self.expert_share(), self.memory
        seen, starts, labels, outcomes = [], [], [], []
        for _ in range(self.config.rollout_steps):
            observation, start = env.observation, env.episode_start
            action = label = self._label(env)
            if share < 1:
                parameters, memory = self.network.act(observation, memory, start)
                own = self.policy.to_env(self.policy.sample(parameters, self.generator))
                by_expert = torch.rand(env.num_envs, generator=self.generator, device=self.device) < share
                action = torch.where(by_expert.view(-1, *[1] * (label.ndim - 1)), label, own)
            seen.append(observation)
            starts.append(start)
            labels.append(self.policy.from_env(label))
            outcomes.append(env.step(action))
        observation, start = tree_map(lambda *parts: torch.stack(parts), *seen), torch.stack(starts)
        memories, self.memory = self.memories(observation, start, self.memory)
        return LabelledRollout(
            observation=observation,
            start=start,
            label=torch.stack(labels),
            reward=torch.stack([outcome.reward for outcome in outcomes]),
            done=torch.stack([outcome.done for outcome in outcomes]),
            memory=memories,
            metrics={name: torch.stack([one.metrics[name] for one in outcomes]) for name in outcomes[0].metrics},
        )

    @torch.no_grad()
    def memories(self, observation: Observation, start: Tensor, memory: Memory) -> tuple[Memory, Memory]:
        """The learner's memory before each sequence of a recording, and after it.

        Args:
            observation: (T, B, ...), T a multiple of the sequence length L.
            start: (T, B) bool.
            memory: before the first step.

        Returns:
            Each part (T / L B, ...), in the order of `side_by_side`, and each part (B, ...).
        """
        if self.config.memory is None:
            return (), ()
        befores: list[Memory] = []
        for first in range(0, len(start), self.chunk):
            befores.append(memory)
            steps = slice(first, first + self.chunk)
            _, memory = self.network(tree_map(lambda part, steps=steps: part[steps], observation), memory, start[steps])
        return tree_map(lambda *each: torch.cat(each), *befores) if befores else (), memory

    def _sequences(self, rollout: LabelledRollout) -> Sequences:
        labelled = (rollout.observation, rollout.start, rollout.label)
        observation, start, label = side_by_side(labelled, self.chunk)
        return Sequences(observation, start, label, rollout.memory)

    def _label(self, env: BatchedEnvironment) -> Tensor:
        self.queries += env.num_envs
        if not isinstance(self.expert, Agent):
            return self.expert(env)
        memory = self.expert_memory or self.expert.initial_memory(env.num_envs)
        action, self.expert_memory = self.expert.act(env.observation, memory, env.episode_start, greedy=True)
        return action

    def update(self, batch: Sequences) -> Tensor:
        """One gradient step; returns the loss and the entropy, (2,)."""
        observation, start, label = tree_map(
            lambda part: part.transpose(0, 1), (batch.observation, batch.start, batch.label)
        )
        loss, numbers = self.loss(observation, start, label, batch.memory)
        self.minimise(loss)
        return numbers

    def loss(self, observation: Observation, start: Tensor, label: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Minus the mean log-probability of the labels of sequences (L, N, ...), and it with the entropy, (2,)."""
        parameters, _ = self.network(observation, memory, start)
        loss = -self.policy.log_prob(parameters, label).mean()
        with torch.no_grad():
            return loss, torch.stack([loss, self.policy.entropy(parameters).mean()])

    def state_dict(self) -> dict[str, Any]:
        """Data set, labels asked for and the expert's memory beside the policy's state."""
        return super().state_dict() | {
            "aggregate": self.aggregate.state_dict(),
            "queries": self.queries,
            "iterations": self.iterations,
            "expert_memory": list(self.expert_memory),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood; an expert other than the task's own is set anew before."""
        super().load_state_dict(state)
        self.aggregate.load_state_dict(state["aggregate"], self.device)
        self.queries, self.iterations = state["queries"], state["iterations"]
        self.expert_memory = tuple(part.to(self.device) for part in state["expert_memory"])
