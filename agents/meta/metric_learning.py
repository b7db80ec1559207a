"""Few-shot classification by comparing with what was shown: prototypical and matching networks."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import gymnasium.spaces as spaces
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map, where
from ...neural_blocks.perception.mlp import MLP
from ...neural_blocks.representation.full_context import FullContext
from ...neural_blocks.representation.metric import FewShotNetwork, MatchingNetwork, PrototypicalNetwork
from ..core.agent import Memory
from ..core.config import AgentConfig
from ..learning.rollout import stacked, without_observations
from ..networks.network import make_encoder
from ..networks.network_config import EncoderConfig
from .answers import Labels, answers
from .episodes import EpisodeLearner, EpisodeLearnerConfig


class MetricLearnerConfig(EpisodeLearnerConfig, EncoderConfig):
    """Settings of the metric learners beside those of every learner from whole episodes; T examples are remembered.

    Attributes:
        embedding: D, features that are compared.
        encoder: of images, see `network.make_encoder`: "auto", "cnn", ..., or "module:Class".
    """

    embedding: int = Field(64, ge=1, le=65_536)


class MatchingConfig(MetricLearnerConfig):
    """Settings of matching networks beside those of every metric learner.

    Attributes:
        context_steps: K, for which a question is read in the light of the examples, which are read in that of each
            other (Vinyals et al., 2016); null for embeddings that know nothing of the episode.
    """

    context_steps: int | None = Field(None, ge=1, le=64)


class Examples(NamedTuple):
    """What B episodes have shown so far.

    Attributes:
        time: (B,) int64 questions met.
        embedding: (B, T, D) of the questions.
        label: (B, T) int64 their answers, N where there is none.
    """

    time: Tensor
    embedding: Tensor
    label: Tensor


class MetricLearner(EpisodeLearner):
    """Names a thing by its likeness to those whose label the episode has shown. Subclasses say what likeness is.

    An embedding is learned by cross-entropy over the questions of an episode, each compared with those before it. A
    class without an example is stood for by one learned embedding, the same for all, so that the thing least like
    anything shown gets the first label not yet shown.

    Raises:
        InvalidInput: an observation without the label of the question before.
    """

    Config: ClassVar[type[AgentConfig]] = MetricLearnerConfig
    Network: ClassVar[type[FewShotNetwork]]
    network: FewShotNetwork
    observation_spaces: ClassVar = (spaces.Dict,)
    action_spaces: ClassVar = (spaces.Discrete,)

    def build(self) -> None:
        """Encoder, the embedding of what was never shown, and optimiser."""
        found = answers(self.name, self.observation_space, self.action_space)
        assert isinstance(found, Labels)  # the action is Discrete
        self.answers, self.ways = found, found.size
        chosen = self.config
        first: Any = make_encoder(found.question_space, chosen.source, chosen.encoder_depth, chosen.freeze)
        embedding = nn.Sequential(first, MLP(first.output_size, (), self.config.embedding))
        self.unseen = nn.Parameter(torch.randn(self.config.embedding).to(self.device))
        self.optimise(self.make_comparison(embedding), [self.unseen])

    def make_comparison(self, embedding: nn.Module) -> FewShotNetwork:
        """What compares, around the encoder of single examples."""
        return self.Network(embedding)

    def initial_memory(self, num_envs: int) -> Memory:
        """No examples."""
        time = torch.zeros(num_envs, dtype=torch.int64, device=self.device)
        room = (num_envs, self.config.rollout_steps)
        embedding = self.unseen.new_zeros(*room, self.config.embedding)
        return Examples(time, embedding, torch.full(room, self.ways, device=self.device))

    @torch.no_grad()
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """The likeliest classes (B,), greedy or not; see `Agent.act`."""
        with self.acting():
            return self._likeliest(observation, memory, start)

    def _likeliest(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None
    ) -> tuple[Tensor, Memory]:
        query = self.network.encoder(self.answers.question(observation))  # (B, D)
        blank = self.initial_memory(len(query))
        shown = Examples(*((memory or blank) if start is None else where(start, blank, memory or blank)))
        rows, length = torch.arange(len(query), device=self.device), self.config.rollout_steps
        last = rows, (shown.time - 1) % length
        label = shown.label.index_put(last, self._label(observation))
        logits = self.logits(shown.embedding, label, query.unsqueeze(1))[:, 0]
        now = rows, shown.time % length  # what stood there, if anything, is forgotten
        label = label.index_put(now, torch.full_like(rows, self.ways))
        embedding = shown.embedding.index_put(now, query)
        return self.answers.to_env(logits), Examples(shown.time + 1, embedding, label)

    def _label(self, observation: Observation) -> Tensor:
        """(B,) the label of the question before, N where it is not shown."""
        answer, known = self.answers.shown(observation)
        return answer.argmax(-1).masked_fill(known == 0, self.ways)

    def logits(self, embedding: Tensor, label: Tensor, query: Tensor) -> Tensor:
        """(M, Q, N) logits of queries (M, Q, D) from examples (M, S, D) with labels (M, S), N for none.

        Examples without a label are those of an extra class that is left out afterwards.
        """
        count, ways = len(label), self.ways
        classes = torch.arange(ways + 1, device=self.device)
        seen = (label.unsqueeze(-1) == classes).any(1)  # (M, N + 1)
        stand_in = torch.where(seen, ways, classes)  # one example for each class that has none
        support = torch.cat([embedding, self.unseen.expand(count, ways + 1, -1)], 1)
        return self.compared(support, torch.cat([label, stand_in], 1), query)[..., :ways]

    def compared(self, support: Tensor, label: Tensor, query: Tensor) -> Tensor:
        """(M, Q, N + 1) logits by examples (M, S, D) with labels (M, S), N for those that are none."""
        return self.network.logits(support, label, query, self.ways + 1)

    def loss(self, question: Observation, label: Tensor) -> Tensor:
        """Mean cross-entropy over the known labels (M, T) of M episodes' questions (M, T, ...), from those before."""
        count, length = label.shape
        flat = tree_map(lambda part: part.flatten(0, 1), question)
        embedding = self.network.encoder(flat)  # (M T, D)
        before = torch.ones(length, length, dtype=torch.bool, device=self.device).tril(-1)  # (T, S)
        known = label.unsqueeze(1).masked_fill(~before, self.ways)  # (M, T, S)
        support = embedding.unflatten(0, (count, 1, length)).expand(-1, length, -1, -1)  # (M, T, S, D)
        logits = self.logits(support.flatten(0, 1), known.flatten(0, 1), embedding.unsqueeze(1))
        return F.cross_entropy(logits.squeeze(1), label.flatten(), ignore_index=self.ways)

    def prepare(self, env: BatchedEnvironment) -> None:
        """How a step in these environments is run."""
        self.step = self.interaction(env, self._choose)

    def _choose(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """The likeliest class; what is kept is the question."""
        action, memory = self._likeliest(observation, memory)
        return action, memory, self.answers.question(observation)

    @torch.no_grad()
    def collect(self, env: BatchedEnvironment) -> tuple[tuple[Observation, Tensor], TimeStep]:
        """Questions (B, T, ...), labels (B, T) int64, N where unknown, and the steps of one whole episode each."""
        memory = tuple(self.initial_memory(env.num_envs))
        parts, steps = [], []
        for _ in range(self.config.rollout_steps):
            memory, question, step = self.step.step(memory)
            parts.append((question, self._label(step.final_observation)))
            steps.append(without_observations(step))
        return tree_map(lambda *each: torch.stack(each, 1), *parts), stacked(*steps)


class ProtoNet(MetricLearner):
    """Prototypical network: the class whose mean embedding is nearest (Snell et al., 2017)."""

    name = "protonet"
    Network = PrototypicalNetwork


class Matching(MetricLearner):
    """Matching network (Vinyals et al., 2016): attention by cosine over the examples an episode has shown.

    With `context_steps`, by the paper's full context embeddings: examples and questions are embedded in the light of
    all examples, see `FullContext`.
    """

    name = "matching"
    Config = MatchingConfig
    Network = MatchingNetwork

    def make_comparison(self, embedding: nn.Module) -> FewShotNetwork:
        """Attention, and the context, if there is one."""
        network, steps = super().make_comparison(embedding), self.config.context_steps
        network.add_module("context", None if steps is None else FullContext(self.config.embedding, steps))
        return network

    def compared(self, support: Tensor, label: Tensor, query: Tensor) -> Tensor:
        """As of every metric learner, in context."""
        context: Any = self.network.context
        if context is not None:
            support, query = context(support, label < self.ways, query)
        return super().compared(support, label, query)
