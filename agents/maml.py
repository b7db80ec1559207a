"""Model-agnostic meta-learning, MAML (Finn, Abbeel and Levine, 2017), on a batch of trials."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ..envs.protocol import BatchedEnvironment
from ..envs.task import Observation
from ..envs.tree import leaves, take, tree_map, where
from ..neural_blocks.errors import InvalidInput
from ..neural_blocks.mlp import MLP
from .agent import Agent, Memory, Report
from .config import AgentConfig
from .episodes import Episodes, at_the_start, whole_episodes
from .inner_loss import Block, Lesson, PolicyGradient, Supervised
from .network import encoder
from .rollout import EpisodeStatistics

Weights = dict[str, Tensor]


class MAMLConfig(AgentConfig):
    """Settings of MAML; the defaults are those of the paper's sine waves.

    Attributes:
        inner_loss: "supervised", of the answers that the task shows, or "policy_gradient", of a trial's rewards.
        inner_rate: step size of an adaptation.
        first_order: leave away the adaptation's own derivative.
        learning_rate: of Adam on the weights that adaptation starts from.
        tasks: in a gradient step of Adam.
        support_steps: S, steps between two adaptations: whole episodes.
        rollout_steps: steps of a trial; the last block of S is not adapted to.
        gamma: discount of the policy gradient.
        encoder: of images, see `network.encoder`: "auto", "flat", "cnn", "lenet" or "residual"; attention has no second
            derivative.
        hidden: widths of the hidden layers.
        activation: "tanh", "relu", "silu" or "gelu".
    """

    inner_loss: Literal["supervised", "policy_gradient"] = "supervised"
    inner_rate: float = Field(0.01, gt=0)
    first_order: bool = False
    learning_rate: float = Field(1e-3, gt=0)
    tasks: int = Field(25, ge=1)
    support_steps: int = Field(10, ge=1)
    rollout_steps: int = Field(20, ge=1)
    gamma: float = Field(0.99, ge=0, le=1)
    encoder: Literal["auto", "flat", "cnn", "lenet", "residual"] = "auto"
    hidden: tuple[int, ...] = (40, 40)
    activation: Literal["tanh", "relu", "silu", "gelu"] = "relu"


class Adapted(NamedTuple):
    """Where B trials stand: the steps since the last adaptation, and each trial's own weights.

    Attributes:
        time: (B,) int64 steps of the trial.
        inputs: (B, S, ...) what the network saw.
        action: (B, S, ...) its raw actions.
        outcome: (B, S, O) what came of them.
        start: (B, S) bool, the first step of an episode.
        weights: the network's parameters, each (B, ...).
    """

    time: Tensor
    inputs: Any
    action: Tensor
    outcome: Tensor
    start: Tensor
    weights: Any


class MAML(Agent):
    """Weights from which one gradient step on a trial's first episodes makes its later ones good.

    Every S steps of a trial each environment's own weights take a step down the gradient of the inner loss on these
    steps. What is learned is where they start: the loss after adaptation, differentiated through it. While there is an
    adaptation to come, a policy explores, greedy or not.

    Raises:
        InvalidInput: spaces that do not show what the inner loss needs, or a trial that is not two blocks or more.
    """

    name = "maml"
    Config = MAMLConfig
    observation_spaces: ClassVar = (spaces.Box, spaces.Dict)

    def build(self) -> None:
        """Network, inner loss and optimiser."""
        config = self.config
        self.blocks, rest = divmod(config.rollout_steps, config.support_steps)
        if rest or self.blocks < 2:
            raise InvalidInput(
                f"MAMLConfig: rollout_steps must be a multiple of support_steps {config.support_steps}, twice it or "
                f"more; got {config.rollout_steps}"
            )
        seen, actions = self.observation_space, self.action_space
        self.inner: Supervised | PolicyGradient
        if config.inner_loss == "supervised":
            self.inner = Supervised(seen, actions)
        else:
            trial = seen if isinstance(seen, spaces.Dict) else spaces.Dict({"observation": seen})
            self.inner = PolicyGradient(trial, actions, config.gamma, self.device)
        first: Any = encoder(self.inner.input_space, config.encoder).to(self.device)
        body = MLP(first.output_size, config.hidden, self.inner.output_size, activation=config.activation)
        adapts = bool([*first.parameters()])
        self.encode = nn.Identity() if adapts else first  # what has no weights need not be vectorised over tasks
        self.network = (nn.Sequential(first, body) if adapts else body).to(self.device)
        self.parameters = [*self.network.parameters(), *self.inner.parameters]
        self.optimiser = torch.optim.Adam(self.parameters, lr=config.learning_rate, fused=True)
        self.statistics: EpisodeStatistics | None = None

    def _blank(self, inputs: Any) -> Adapted:
        """Fresh trials, for inputs (B, ...): the weights that adaptation starts from, and an empty block."""
        start = leaves(inputs)[0]
        room = (len(start), self.config.support_steps)
        action = self.inner.mode(torch.zeros(1, self.inner.output_size, device=self.device))
        return Adapted(
            time=torch.zeros(room[0], dtype=torch.int64, device=self.device),
            inputs=tree_map(lambda part: part.new_zeros(*room, *part.shape[1:]), inputs),
            action=action.new_zeros(*room, *action.shape[1:]),
            outcome=torch.zeros(*room, self.inner.outcome_size, device=self.device),
            start=torch.zeros(room, dtype=torch.bool, device=self.device),
            weights=tree_map(lambda part: part.detach().expand(room[0], *part.shape), self._weights()),
        )

    def _weights(self) -> Weights:
        return dict(self.network.named_parameters())

    def _inputs(self, observation: Observation) -> Any:
        """(B, ...) what the network sees."""
        return self.encode(self.inner.inputs(observation))

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Actions (B, ...) from the adapted weights; see `Agent.act`."""
        raw, memory = self._decide(observation, memory, start, greedy)
        return self.inner.to_env(raw), memory

    @torch.no_grad()
    def _decide(
        self, observation: Observation, memory: Memory, start: Tensor | None, greedy: bool
    ) -> tuple[Tensor, Memory]:
        """Raw actions: notes what came of the last ones, adapts where a block is full, and asks the network."""
        inputs = self._inputs(observation)
        trial = Adapted(*memory) if memory else self._blank(inputs)
        if memory and start is not None and (self.device.type != "cpu" or bool(start.any())):
            trial = Adapted(*where(start, self._blank(inputs), trial))
        rows, length = torch.arange(len(trial.time), device=self.device), self.config.support_steps
        before = rows, (trial.time - 1) % length  # in a fresh trial this is a slot that will be written again
        trial = trial._replace(outcome=trial.outcome.index_put(before, self.inner.outcome(observation)))
        full = (trial.time > 0) & (trial.time % length == 0)
        if self.device.type != "cpu" or bool(full.any()):  # asking another device would wait for it
            block = Block(trial.inputs, trial.action, trial.outcome, trial.start)
            adapted = vmap(self._adapt)(trial.weights, self.inner.lesson(block))
            trial = trial._replace(weights=where(full, adapted, trial.weights))
        one = tree_map(lambda part: part.unsqueeze(1), inputs)
        output = vmap(self._forward)(trial.weights, one).squeeze(1)  # (B, outputs)
        raw = self.inner.sample(output, self.generator)
        if greedy:
            exploring = trial.time < self.config.rollout_steps - length
            raw = where(exploring, raw, self.inner.mode(output))
        now = rows, trial.time % length
        return raw, trial._replace(
            time=trial.time + 1,
            inputs=tree_map(lambda kept, new: kept.index_put(now, new), trial.inputs, inputs),
            action=trial.action.index_put(now, raw),
            start=trial.start.index_put(now, self._episode_start(observation, trial.time)),
        )

    def _episode_start(self, observation: Any, time: Tensor) -> Tensor:
        """(B,) bool, the first step of an episode: a trial says so; a task alone starts where the memory does."""
        if isinstance(observation, dict) and "episode_start" in observation:
            return observation["episode_start"][:, 0] > 0
        return time == 0

    def _forward(self, weights: Weights, inputs: Any) -> Tensor:
        """One task's inputs (S, ...) to outputs (S, n)."""
        return functional_call(self.network, weights, (inputs,))

    def _loss(self, weights: Weights, lesson: Lesson) -> Tensor:
        """One task's loss on one block."""
        return (lesson.weight * self.inner.loss(self._forward(weights, lesson.inputs), lesson.target)).mean()

    def _adapt(self, weights: Weights, lesson: Lesson) -> Weights:
        """One task's weights after a step down the gradient of a block's loss."""
        slope = grad(self._loss)(weights, lesson)
        if self.config.first_order:
            slope = tree_map(torch.Tensor.detach, slope)
        return {name: weight - self.config.inner_rate * slope[name] for name, weight in weights.items()}

    def _task_loss(self, weights: Weights, lessons: Lesson) -> Tensor:
        """One task's mean loss on its blocks (n, S, ...) but the first, the weights adapted to those before each."""
        losses = []
        for block in range(self.blocks - 1):
            weights = self._adapt(weights, Lesson(*take(lessons, block)))
            losses.append(self._loss(weights, Lesson(*take(lessons, block + 1))))
        return torch.stack(losses).mean()

    def loss(self, lessons: Lesson) -> Tensor:
        """The mean loss after adaptation of N tasks, each with its blocks (N, T / S, S, ...)."""
        return vmap(self._task_loss, in_dims=(None, 0))(self._weights(), lessons).mean()

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        Trials are played whole: environments that stand within one are reset.

        Raises:
            InvalidInput: trials that do not all end after `rollout_steps` steps.
        """
        self.attach(env)
        while self.steps < steps:
            self.statistics = at_the_start(self.statistics, env)
            blocks, trials = self._collect(env)
            order = torch.arange(env.num_envs, device=self.device).split(self.config.tasks)
            lessons = self._lessons(blocks)
            losses = [self.update(Lesson(*take(lessons, tasks))) for tasks in order]
            self.steps += self.config.rollout_steps * env.num_envs
            yield self.statistics.report(self.steps, trials, {"policy_loss": torch.stack(losses).mean()})

    def _lessons(self, blocks: Block) -> Lesson:
        """Of blocks (B, n, S, ...), with these axes."""
        lesson = self.inner.lesson(tree_map(lambda part: part.flatten(0, 1), blocks))
        return Lesson(*tree_map(lambda part: part.unflatten(0, (-1, self.blocks)), lesson))

    @torch.no_grad()
    def _collect(self, env: BatchedEnvironment) -> tuple[Block, Episodes]:
        """One whole trial in every environment: as blocks (B, T / S, S, ...), and what it gave."""
        memory: Memory = ()
        parts, steps = [], []
        for time in range(self.config.rollout_steps):
            observation = env.observation
            raw, memory = self._decide(observation, memory, None, False)
            step = env.step(self.inner.to_env(raw))
            begins = self._episode_start(observation, torch.full_like(memory[0], time))
            parts.append((self._inputs(observation), raw, self.inner.outcome(step.final_observation), begins))
            steps.append(step)
        trials = whole_episodes(steps, env, self.config)
        joined = tree_map(lambda *each: torch.stack(each, 1).unflatten(1, (self.blocks, -1)), *parts)
        return Block(*joined), trials

    def update(self, lessons: Lesson) -> Tensor:
        """One step of Adam on N tasks' lessons; returns the loss."""
        loss = self.loss(lessons)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser beside the base's counters; between two iterations no trial is under way."""
        return super().state_dict() | {
            "network": self.network.state_dict(),
            "inner": [parameter.detach() for parameter in self.inner.parameters],
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.network.load_state_dict(state["network"])
        with torch.no_grad():
            for parameter, saved in zip(self.inner.parameters, state["inner"], strict=True):
                parameter.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
