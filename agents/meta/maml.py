"""Model-agnostic meta-learning, MAML (Finn, Abbeel and Levine, 2017), on a batch of trials."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, Literal, NamedTuple

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ...envs.core.tracing import row_by_row
from ...envs.core.tree import leaves, tree_map, where
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.perception.mlp import MLP
from ..core.agent import Memory
from ..core.randomness import ACT
from ..learning.execution import Interaction
from ..learning.rollout import stacked, without_observations
from ..networks.network import make_encoder
from ..networks.network_config import Activation, EncoderConfig
from .episodes import EpisodeLearner, EpisodeLearnerConfig
from .inner_loss import Block, Lesson, PolicyGradient, Supervised, dice

Weights = dict[str, Tensor]


class MAMLConfig(EpisodeLearnerConfig, EncoderConfig):
    """Settings of MAML beside those of every learner from whole episodes. The defaults are for the paper's sine waves.

    Attributes:
        inner_loss: "supervised", of the answers that the task shows, or "policy_gradient", of a trial's rewards.
        inner_rate: step size of an adaptation.
        inner_steps: gradient steps in an adaptation, all on the same steps of the trial.
        inner_estimator: of the derivative of a policy gradient, which learning goes through: "plain", that of the
            weighed log-probabilities, which leaves out how the policy's change changes what is met; or "dice", without
            that bias (Foerster et al., 2018).
        first_order: leave away the adaptation's own derivative.
        objective: what is learned from: the loss after the "last" adaptation, or the mean of those after "each".
        support_steps: S, steps between two adaptations: for a policy, whole episodes.
        rollout_steps: steps of a trial; the last block of S is what adaptation is for.
        gamma: discount of the policy gradient.
        encoder: of images, see `network.make_encoder`: "auto", "cnn", ..., or "module:Class". It is
            learned, and the same for all tasks.
        hidden: widths of the hidden layers, which adapt.
        activation: a name of `activations.ACTIVATIONS`.
    """

    inner_loss: Literal["supervised", "policy_gradient"] = "supervised"
    inner_rate: float = Field(0.01, gt=0)
    inner_steps: int = Field(1, ge=1, le=64)
    inner_estimator: Literal["plain", "dice"] = "plain"
    first_order: bool = False
    objective: Literal["last", "each"] = "last"
    support_steps: int = Field(10, ge=1)
    rollout_steps: int = Field(20, ge=1)
    gamma: float = Field(0.99, ge=0, le=1)
    hidden: tuple[int, ...] = (40, 40)
    activation: Activation = "relu"


class Adapted(NamedTuple):
    """Where B trials stand: the steps since the last adaptation, and each trial's own weights.

    Attributes:
        time: (B,) int64 steps of the trial.
        inputs: (B, S, F) encoded, what the head saw.
        action: (B, S, ...) its raw actions.
        outcome: (B, S, O) what came of them.
        start: (B, S) bool, the first step of an episode.
        weights: the head's parameters, each (B, ...).
    """

    time: Tensor
    inputs: Tensor
    action: Tensor
    outcome: Tensor
    start: Tensor
    weights: Any


class MAML(EpisodeLearner):
    """Weights from which a gradient step or a few on a trial's first episodes make its later ones good.

    Every S steps of a trial each environment's own weights step down the gradient of the inner loss on these steps.
    What is learned is where they start, from the loss after adaptation, differentiated through it. What encodes an
    image is learned too, but does not adapt (Raghu et al., 2020). While there is an adaptation to come, a policy
    explores, greedy or not.

    Raises:
        InvalidInput: spaces that do not show what the inner loss needs, or a trial that is not two blocks or more.
    """

    name = "maml"
    plain = False
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
        if config.inner_loss == "supervised" and config.inner_estimator != "plain":
            raise InvalidInput("MAMLConfig: inner_estimator 'dice' is for the inner_loss 'policy_gradient'")
        if config.inner_loss == "supervised":
            self.inner = Supervised(seen, actions)
        else:
            trial = seen if isinstance(seen, spaces.Dict) else spaces.Dict({"observation": seen})
            self.inner = PolicyGradient(trial, actions, config.gamma, self.device)
        self.encode = make_encoder(self.inner.input_space, config.source, config.encoder_depth, config.freeze)
        features = int(self.encode.output_size)
        self.head = MLP(features, config.hidden, self.inner.output_size, activation=config.activation)
        self.optimise(nn.Sequential(self.encode, self.head), self.inner.parameters)

    def _blank(self, count: int) -> Adapted:
        """Fresh trials: the weights that adaptation starts from, and an empty block."""
        room = (count, self.config.support_steps)
        action = self.inner.mode(torch.zeros(1, self.inner.output_size, dtype=torch.float32, device=self.device))
        return Adapted(
            time=torch.zeros(count, dtype=torch.int64, device=self.device),
            inputs=action.new_zeros(*room, self.encode.output_size, dtype=torch.float32),
            action=action.new_zeros(*room, *action.shape[1:]),
            outcome=action.new_zeros(*room, self.inner.outcome_size, dtype=torch.float32),
            start=torch.zeros(room, dtype=torch.bool, device=self.device),
            weights=tree_map(lambda part: part.detach().expand(count, *part.shape), self._weights()),
        )

    def _weights(self) -> Weights:
        return dict(self.head.named_parameters())

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Actions (B, ...) from the adapted weights; see `Agent.act`."""
        noise = self.randomness.uniform(ACT, len(leaves(observation)[0]), self.inner.noise)
        with self.acting():
            raw, memory = self._decide(observation, memory, start, noise, greedy)
        return self.inner.to_env(raw), memory

    @torch.no_grad()
    def _decide(
        self, observation: Observation, memory: Memory, start: Tensor | None, noise: Tensor, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Raw actions: notes what came of the last ones, adapts where a block is full, and asks the head."""
        inputs = self.encode(self.inner.inputs(observation))  # (B, F)
        trial = Adapted(*memory) if memory else self._blank(len(inputs))
        if memory and start is not None and not (row_by_row(self.device) and not bool(start.any())):
            trial = Adapted(*where(start, self._blank(len(inputs)), trial))
        rows, length = torch.arange(len(trial.time), device=self.device), self.config.support_steps
        before = rows, (trial.time - 1) % length  # in a fresh trial this is a slot that will be written again
        trial = trial._replace(outcome=trial.outcome.index_put(before, self.inner.outcome(observation)))
        full = (trial.time > 0) & (trial.time % length == 0)
        if not row_by_row(self.device) or bool(full.any()):  # asking another device would wait for it
            block = Block(trial.inputs, trial.action, trial.outcome, trial.start)
            with torch.enable_grad():
                apart = {name: weight.detach().requires_grad_() for name, weight in trial.weights.items()}
                adapted = self._adapt(apart, self.inner.lesson(block))
            trial = trial._replace(weights=where(full, tree_map(torch.Tensor.detach, adapted), trial.weights))
        output = self.head.each(trial.weights, inputs.unsqueeze(1)).squeeze(1)  # (B, outputs)
        raw = self.inner.sample(output, noise)
        if greedy:
            exploring = trial.time < self.config.rollout_steps - length
            raw = where(exploring, raw, self.inner.mode(output))
        now = rows, trial.time % length
        return raw, trial._replace(
            time=trial.time + 1,
            inputs=trial.inputs.index_put(now, inputs),
            action=trial.action.index_put(now, raw),
            start=trial.start.index_put(now, self._episode_start(observation, trial.time)),
        )

    def _episode_start(self, observation: Any, time: Tensor) -> Tensor:
        """(B,) bool, the first step of an episode: a trial says so; a task alone starts where the memory does."""
        if isinstance(observation, dict) and "episode_start" in observation:
            return observation["episode_start"][:, 0] > 0
        return time == 0

    def _loss(self, weights: Weights, lesson: Lesson) -> Tensor:
        """(N,) the tasks' losses on a block (N, S, ...)."""
        loss = self.inner.loss(self.head.each(weights, lesson.inputs), lesson.target)
        return (lesson.weight * loss).mean(-1)

    def _inner_loss(self, weights: Weights, lesson: Lesson) -> Tensor:
        """(N,) what adaptation steps down: the same, or another of the same slope."""
        if self.config.inner_estimator == "plain":
            return self._loss(weights, lesson)
        assert lesson.start is not None
        log_prob = -self.inner.loss(self.head.each(weights, lesson.inputs), lesson.target)
        return -dice(log_prob, lesson.weight, lesson.start).mean(-1)

    def _adapt(self, weights: Weights, lesson: Lesson) -> Weights:
        """Each task's weights (N, ...) after steps down the gradient of its loss on a block.

        No task's loss depends on another's weights, so the gradient of their sum is that of each.
        """
        rate = self.config.inner_rate
        for _ in range(self.config.inner_steps):
            names, parts = zip(*weights.items(), strict=True)
            loss = self._inner_loss(weights, lesson).sum()
            slopes = torch.autograd.grad(loss, parts, create_graph=not self.config.first_order)
            weights = {name: part - rate * slope for name, part, slope in zip(names, parts, slopes, strict=True)}
        return weights

    def loss(self, *lessons: Any) -> Tensor:
        """The mean loss after adaptation of N tasks; parts of a `Lesson`, each with its blocks (N, T / S, S, ...)."""
        inputs, *rest = lessons
        lead = rest[0].shape[:3]
        encoded = self.encode(tree_map(lambda part: part.flatten(0, 2), inputs)).unflatten(0, lead)
        blocks = [Lesson(*tree_map(lambda part, k=k: part[:, k], (encoded, *rest))) for k in range(self.blocks)]
        weights = {name: part.expand(lead[0], *part.shape) for name, part in self._weights().items()}
        losses = []
        for support, query in itertools.pairwise(blocks):
            weights = self._adapt(weights, support)
            if self.config.objective == "each" or query is blocks[-1]:
                losses.append(self._loss(weights, query).mean())
        return torch.stack(losses).mean()

    def prepare(self, env: BatchedEnvironment) -> None:
        """How a step in these environments is run: adapting differentiates, so it is not compiled, but captured."""
        self.step = Interaction(env, self._choose, None if self.execution == "eager" else lambda function: function)

    def _choose(self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor) -> Any:
        """A random action of the adapted weights; what is kept is what it was chosen for, and if an episode began."""
        time = memory[0]
        raw, memory = self._decide(observation, memory, None, noise)
        kept = (self.inner.inputs(observation), raw, self._episode_start(observation, time))
        return self.inner.to_env(raw), tuple(memory), kept

    @torch.no_grad()
    def collect(self, env: BatchedEnvironment) -> tuple[Lesson, TimeStep]:
        """What one whole trial in every environment teaches, (B, T / S, S, ...), and its steps."""
        memory: Memory = self._blank(env.num_envs)
        parts, steps = [], []
        for _ in range(self.config.rollout_steps):
            noise = self.randomness.uniform(ACT, env.num_envs, self.inner.noise)
            memory, (inputs, raw, begins), step = self.step.step(memory, noise)
            parts.append((inputs, raw, self.inner.outcome(step.final_observation), begins))
            steps.append(without_observations(step))
        length = self.config.support_steps
        trials = tree_map(lambda *each: torch.stack(each, 1), *parts)  # (B, T, ...)
        lesson = self.inner.lesson(Block(*tree_map(lambda part: part.unflatten(1, (-1, length)).flatten(0, 1), trials)))
        return Lesson(*tree_map(lambda part: part.unflatten(0, (-1, self.blocks)), lesson)), stacked(*steps)
