"""What behaviour cloning and DAgger share: collecting labels, the loss, and the data set."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from ..classical.expert import Expert
from ..core.agent import Agent, Memory, Report
from ..core.config import AgentConfig
from ..core.randomness import EXPERT, UPDATE
from ..learning.learner import Learner, training
from ..learning.policy_agent import PolicyAgent
from ..learning.rollout import stacked, without_observations
from ..learning.statistics import Numbers
from ..networks.distributions import DiagonalGaussian
from ..networks.network import Actor
from ..robustness.detectors import Detector, Strangeness, fit_detector
from ..robustness.shift import Invariance, slope_of_scale
from .demonstrations import Aggregate, LabelledRollout, Sequences, side_by_side
from .imitation_config import ImitationConfig
from .mixing import mixed_images, require_images

POWERS = {"absolute": 1, "squared": 2}
LOSSES = ("policy_loss", "entropy", "gradient_norm")


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
    for_learning = ("aggregate", "invariance")
    invariance: Invariance | None = None
    detector: Detector | None = None

    def build(self) -> None:
        """Network, distribution, optimiser and an empty data set."""
        self.make_network(Actor)
        if self.config.told_apart:
            self.invariance = Invariance(self).to(self.device).eval()
            self.parameters += list(self.invariance.parameters())
        if self.config.detector is not None:
            self.detector = Detector(self).to(self.device)
        if self.config.loss in ("focal", "hinge") and not hasattr(self.policy, self.config.loss):
            raise self._unfit("a Discrete or MultiDiscrete action")
        if self.config.loss in POWERS and type(self.policy) is not DiagonalGaussian:
            raise self._unfit("a Box as action, with head 'gaussian'")
        if self.config.mix is not None:
            require_images(self.name, self.observation_space)
        if self.config.label_smoothing and not hasattr(self.policy, "mean_log_prob"):
            raise InvalidInput(
                f"{self.name}: label_smoothing needs a Discrete or MultiDiscrete action; got {self.action_space}"
            )
        self.optimiser = self.make_optimiser()
        self.run_loss = self.loss_within(self.loss)
        self.minibatch = self.updating(self._minibatch, lambda: [self.optimiser])
        self.aggregate = Aggregate(max(1, self.config.capacity // self.chunk), self.device)
        self.expert = Expert(self.observation_space, self.action_space, device=self.device)
        self.queries = self.iterations = 0
        self.share = torch.ones((), dtype=torch.float32, device=self.device)  # the expert's, in the next rollout
        self.expert_memory: Memory = ()

    def _unfit(self, needed: str) -> InvalidInput:
        return InvalidInput(f"{self.name}: loss {self.config.loss!r} needs {needed}; got {self.action_space}")

    @abstractmethod
    def expert_share(self) -> float:
        """The probability with which the expert, not the learner, acts in the next rollout."""

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps, each labelled, in all; yields one report per iteration.

        It goes on in the environments as they stand; those that were never reset are.

        Raises:
            NoExpert: the task has no expert and no other was set.
        """
        if self.enter(env, steps):
            self.memory, self.expert_memory = self.initial_memory(env.num_envs), ()
        if isinstance(self.expert, Agent):
            self.expert.attach(env)
        while self.steps < steps:
            self.on_schedule([self.optimiser], self.steps / steps)
            share = self.expert_share()
            self.share.fill_(share)
            # who is not the task's own expert may be anything, a person too, and is asked at every step
            numbers = self.run(self._iterate, share == 1) if self._by_the_task else self._iterate(share == 1)
            self.steps += self.config.rollout_steps * env.num_envs
            self.queries += self.config.rollout_steps * env.num_envs
            self.iterations += 1
            yield self.report(numbers) | {"expert_queries": float(self.queries)}

    @property
    def _by_the_task(self) -> bool:
        return isinstance(self.expert, Expert)

    def prepare(self, env: BatchedEnvironment) -> None:
        """How a step in these environments is run: one by the expert, and one by either."""
        self.led = self.interaction(env, self._follow)
        self.mixed = self.interaction(env, self._share)

    def _follow(self, observation: Observation, memory: Memory, start: Tensor, label: Tensor) -> Any:
        """The expert's action."""
        return label, memory, (observation, start)

    def _share(
        self, observation: Observation, memory: Memory, start: Tensor, label: Tensor, noise: Tensor, share: Tensor
    ) -> Any:
        """The expert's action with that probability, else the learner's own; the last uniform decides."""
        parameters, memory = self.network.act(observation, memory, start)
        own = self.policy.to_env(self.policy.sample(parameters, noise[:, :-1]))
        by_expert = (noise[:, -1] < share).view(-1, *[1] * (label.ndim - 1))
        return torch.where(by_expert, label, own), memory, (observation, start)

    def _iterate(self, led: bool) -> Numbers:
        """A labelled rollout, of which the expert acts all if it leads, and some updates on all that was labelled."""
        assert self._env is not None
        assert self.statistics is not None
        rollout = self._collect(self._env, led)
        self.aggregate.add(self._sequences(rollout))
        count = max(1, self.config.minibatch_size // self.chunk)
        with training(*self._learning):
            losses = [self.update(self.aggregate.sample(count, self.randomness)) for _ in range(self.config.updates)]
        means = torch.stack(losses).mean(0)
        return self.statistics.gather(rollout, dict(zip(LOSSES, means, strict=True)))

    @torch.no_grad()
    def _collect(self, env: BatchedEnvironment, led: bool) -> LabelledRollout:
        """T steps in every environment, of which the expert takes its share and labels all."""
        memory, seen, labels, outcomes = self.memory, [], [], []
        for _ in range(self.config.rollout_steps):
            label = self._label(env)
            if led:
                _, kept, outcome = self.led.step((), label)
            else:
                noise = self.randomness.uniform(EXPERT, env.num_envs, self.policy.noise + 1)
                memory, kept, outcome = self.mixed.step(memory, label, noise, self.share)
            seen.append(kept)
            labels.append(self.policy.from_env(label))
            outcomes.append(without_observations(outcome))
        observation, start = stacked(*seen)
        taken: TimeStep = stacked(*outcomes)
        memories, self.memory = self.memories(observation, start, self.memory)
        return LabelledRollout(
            observation=observation,
            start=start,
            label=torch.stack(labels),
            reward=taken.reward,
            done=taken.done,
            memory=memories,
            metrics=taken.metrics,
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
        if not self.config.remembers:
            return (), ()
        befores: list[Memory] = []
        for first in range(0, len(start), self.chunk):
            befores.append(memory)
            steps = slice(first, first + self.chunk)
            _, memory = self.network(tree_map(lambda part, steps=steps: part[steps], observation), memory, start[steps])
        return tree_map(lambda *each: torch.cat(each), *befores) if befores else (), memory

    def _sequences(self, rollout: LabelledRollout) -> Sequences:
        apart = (None, None) if self.invariance is None else self.invariance.of_steps(rollout.metrics)
        labelled = (rollout.observation, rollout.start, rollout.label, *apart)
        observation, start, label, group, importance = side_by_side(labelled, self.chunk)
        return Sequences(observation, start, label, rollout.memory, group, importance)

    def _label(self, env: BatchedEnvironment) -> Tensor:
        if not isinstance(self.expert, Agent):
            return self.expert(env)
        memory = self.expert_memory or self.expert.initial_memory(env.num_envs)
        action, self.expert_memory = self.expert.act(env.observation, memory, env.episode_start, greedy=True)
        return action

    @property
    def _learning(self) -> list[nn.Module]:
        """What is in training mode during an update."""
        return [self.network] if self.invariance is None else [self.network, self.invariance]

    def update(self, batch: Sequences) -> Tensor:
        """One gradient step; returns the loss, the entropy and the gradient's norm, (3,)."""
        observation, start, label, *apart = tree_map(
            lambda part: part.transpose(0, 1),
            (batch.observation, batch.start, batch.label, batch.group, batch.importance),
        )
        mixing = None if self.config.mix is None else self.randomness.uniform(UPDATE, len(batch.start), 3)
        return self.minibatch(observation, start, label, batch.memory, mixing, *apart)

    def _minibatch(
        self,
        observation: Observation,
        start: Tensor,
        label: Tensor,
        memory: Memory,
        mixing: Tensor | None,
        group: Tensor | None,
        importance: Tensor | None,
    ) -> Tensor:
        rows, attacked = self.rows(observation, start, label), None
        if self.adversary is not None:
            observation, attacked = self.adversary.learned_from(observation, start, label)
        observation, start, label, *further = self.spread(
            rows, (observation, start, label, attacked, group, importance)
        )
        loss, numbers = self.run_loss(observation, start, label, memory, mixing, *further)
        return torch.cat([numbers, self.minimise(loss).reshape(1)])

    def loss(
        self,
        observation: Observation,
        start: Tensor,
        label: Tensor,
        memory: Memory,
        mixing: Tensor | None = None,
        attacked: Observation | None = None,
        group: Tensor | None = None,
        importance: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Minus the policy's mean agreement with the labels of sequences (L, N, ...), and it with the entropy, (2,).

        Smoothed labels stand for (1 - s) of the label and s of the mean over all actions. `mixing` (N, 3) are uniforms
        that mix each sequence with the next one; `attacked` (L, N, ...) is to be answered as the observations are;
        of `group` and `importance` (L, N) see `robustness.shift`.
        """
        if self.detector is not None:
            parameters = self.detector.named(self.network(observation, memory, start)[0])
            known = label < self.detector.classes
            losses = -self._agreement(parameters, label.clamp(max=self.detector.classes - 1))
            loss = (losses * known).sum() / known.sum().clamp(min=1)
        elif self.invariance is not None:
            parameters, loss = self._told_apart(observation, start, label, group, importance)
        elif mixing is None:
            parameters, _ = self.network(observation, memory, start)
            loss = -self._agreement(parameters, label).mean()
        else:
            observation, share = mixed_images(self.observation_space, observation, mixing, self.config.mix)
            parameters, _ = self.network(observation, memory, start)
            both = [self._agreement(parameters, one) for one in (label, label.roll(-1, 1))]  # (L, N) each
            loss = -(share * both[0] + (1 - share) * both[1]).mean()
        if (smoothing := self.config.label_smoothing) and self.invariance is None:
            loss = (1 - smoothing) * loss - smoothing * self.policy.mean_log_prob(parameters).mean()
        if attacked is not None:
            assert self.adversary is not None
            loss = loss + self.adversary.beta * self.adversary.divergence(parameters, attacked, start).mean()
        with torch.no_grad():
            return loss, torch.stack([loss, self.policy.entropy(parameters).mean()])

    def parameters_of(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """As of the base; a detector may make it pass."""
        if self.detector is None:
            return super().parameters_of(observation, memory, start)
        return self.detector.answers(self.network, observation, start), memory

    def aside(self) -> Any:
        """How strange it calls what it sees, or as of the base."""
        return super().aside() if self.detector is None else Strangeness(self)

    def settle(self, env: BatchedEnvironment, seed: int = 0) -> None:
        """Fits the detector, if there is one, or as of the base."""
        super().settle(env, seed)
        if self.detector is not None:
            fit_detector(self, env, seed)

    def _told_apart(
        self, observation: Observation, start: Tensor, label: Tensor, group: Tensor | None, importance: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The policy's parameters (1, N, P) and the loss of rows of several groups."""
        assert self.invariance is not None
        assert group is not None
        assert importance is not None
        features = slope = None
        if self.invariance.looks_at_features:
            features, _ = self.network.features(observation, (), start)
            parameters = self.network.parameters_of(features, observation)
        else:
            parameters, _ = self.network(observation, (), start)
        losses = -self._agreement(parameters, label)
        if smoothing := self.config.label_smoothing:
            losses = (1 - smoothing) * losses - smoothing * self.policy.mean_log_prob(parameters)
        if self.invariance.kind == "irm":
            slope = slope_of_scale(parameters, label)[0]
        features = None if features is None else features[0]
        return parameters, self.invariance(losses[0], group[0], importance[0], slope, features)

    def _agreement(self, parameters: Tensor, label: Tensor) -> Tensor:
        """(L, N) what is made as large as it can be."""
        if self.config.loss == "focal":
            return self.policy.focal(parameters, label, self.config.focal_gamma)
        if self.config.loss == "hinge":
            return self.policy.hinge(parameters, label)
        if self.config.loss in POWERS:
            return -self.policy.distance(parameters, label, POWERS[self.config.loss])
        return self.policy.agreement(parameters, label)

    @property
    def moving(self) -> Any:
        """The expert's memory beside the base's tree."""
        return super().moving, tuple(self.expert_memory)

    @moving.setter
    def moving(self, tree: Any) -> None:
        base, self.expert_memory = tree
        Learner.moving.__set__(self, base)  # type: ignore[attr-defined]

    def changing(self) -> list[Tensor]:
        """The data set beside the policy's tensors."""
        apart = [] if self.invariance is None else [*self.invariance.parameters(), *self.invariance.buffers()]
        return [*super().changing(), *self.aggregate.tensors, *apart]

    def state_dict(self) -> dict[str, Any]:
        """Data set, labels asked for and the expert's memory beside the policy's state."""
        apart = {} if self.invariance is None else {"invariance": self.invariance.state_dict()}
        apart |= {} if self.detector is None else {"detector": self.detector.state_dict()}
        return (
            super().state_dict()
            | apart
            | {
                "aggregate": self.aggregate.state_dict(),
                "queries": self.queries,
                "iterations": self.iterations,
                "expert_memory": list(self.expert_memory),
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood; an expert other than the task's own is set anew before."""
        super().load_state_dict(state)
        if self.invariance is not None and "invariance" in state:
            self.invariance.load_state_dict(state["invariance"])
        if self.detector is not None:
            self.detector.load_state_dict(state["detector"])
        if "aggregate" in state:
            self.aggregate.load_state_dict(state["aggregate"])
        self.queries, self.iterations = state["queries"], state["iterations"]
        self.expert_memory = tuple(part.to(self.device) for part in state["expert_memory"])
