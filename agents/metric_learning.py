"""Few-shot classification by comparing with what was shown: prototypical and matching networks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import gymnasium.spaces as spaces
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..envs.protocol import BatchedEnvironment
from ..envs.task import Observation
from ..envs.tree import tree_map, where
from ..neural_blocks.metric import matching_logits, prototypical_logits
from ..neural_blocks.mlp import MLP
from .agent import Agent, Memory, Report
from .answers import Labels, answers
from .config import AgentConfig
from .episodes import Episodes, at_the_start, whole_episodes
from .network import encoder
from .rollout import EpisodeStatistics


class MetricLearnerConfig(AgentConfig):
    """Settings of the metric learners.

    Attributes:
        learning_rate: of Adam.
        anneal: let the learning rate fall linearly to 0 over the run.
        rollout_steps: T, steps of an episode, or of a trial of several; as many examples are remembered.
        episodes: in a gradient step.
        embedding: D, features that are compared.
        encoder: of images, see `network.encoder`: "auto", "flat", "cnn", "lenet", "residual" or "vit".
    """

    learning_rate: float = Field(1e-3, gt=0)
    anneal: bool = False
    rollout_steps: int = Field(25, ge=1)
    episodes: int = Field(32, ge=1)
    embedding: int = Field(64, ge=1)
    encoder: Literal["auto", "flat", "cnn", "lenet", "residual", "vit"] = "auto"


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


class MetricLearner(Agent):
    """Names a thing by its likeness to those whose label the episode has shown. Subclasses say what likeness is.

    An embedding is learned by cross-entropy over the questions of an episode, each compared with those before it. A
    class without an example is stood for by one learned embedding, the same for all, so that the thing least like
    anything shown gets the first label not yet shown.

    Raises:
        InvalidInput: an observation without the label of the question before.
    """

    Config = MetricLearnerConfig
    observation_spaces: ClassVar = (spaces.Dict,)
    action_spaces: ClassVar = (spaces.Discrete,)

    def build(self) -> None:
        """Encoder, the embedding of what was never shown, and optimiser."""
        found = answers(self.name, self.observation_space, self.action_space)
        assert isinstance(found, Labels)  # the action is Discrete
        self.answers, self.ways = found, found.size
        first: Any = encoder(found.question_space, self.config.encoder)
        self.network = nn.Sequential(first, MLP(first.output_size, (), self.config.embedding)).to(self.device)
        self.unseen = nn.Parameter(torch.randn(self.config.embedding).to(self.device))
        self.parameters = [*self.network.parameters(), self.unseen]
        self.optimiser = torch.optim.Adam(self.parameters, lr=self.config.learning_rate, fused=True)
        self.statistics: EpisodeStatistics | None = None

    def initial_memory(self, num_envs: int) -> Memory:
        """No examples."""
        time = torch.zeros(num_envs, dtype=torch.int64, device=self.device)
        room = (num_envs, self.config.rollout_steps)
        embedding = torch.zeros(*room, self.config.embedding, device=self.device)
        return Examples(time, embedding, torch.full(room, self.ways, device=self.device))

    @torch.no_grad()
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """The likeliest classes (B,), greedy or not; see `Agent.act`."""
        query = self.network(self.answers.question(observation))  # (B, D)
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
        return self.class_logits(support, torch.cat([label, stand_in], 1), query, ways + 1)[..., :ways]

    @staticmethod
    @abstractmethod
    def class_logits(support: Tensor, labels: Tensor, query: Tensor, ways: int) -> Tensor:
        """(M, Q, ways) logits from embeddings (M, S, D), labels (M, S) and queries (M, Q, D)."""

    def loss(self, question: Observation, label: Tensor) -> Tensor:
        """Mean cross-entropy over the known labels (T, M) of M episodes' questions (T, M, ...), from those before."""
        length, count = label.shape
        flat = tree_map(lambda part: part.flatten(0, 1), question)
        embedding = self.network(flat).unflatten(0, (length, count))  # (T, M, D)
        before = torch.ones(length, length, dtype=torch.bool, device=self.device).tril(-1)  # (T, S)
        known = label.T.masked_fill(~before.unsqueeze(1), self.ways)  # (T, M, S)
        support = embedding.transpose(0, 1).expand(length, -1, -1, -1)  # (T, M, S, D)
        logits = self.logits(support.flatten(0, 1), known.flatten(0, 1), embedding.flatten(0, 1).unsqueeze(1))
        return F.cross_entropy(logits.squeeze(1), label.flatten(), ignore_index=self.ways)

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        Episodes are played whole: environments that stand within one are reset.

        Raises:
            InvalidInput: episodes that do not all end after `rollout_steps` steps.
        """
        self.attach(env)
        while self.steps < steps:
            if self.config.anneal:
                for group in self.optimiser.param_groups:
                    group["lr"] = self.config.learning_rate * (1 - self.steps / steps)
            self.statistics = at_the_start(self.statistics, env)
            question, label, episodes = self._collect(env)
            rows = torch.arange(env.num_envs, device=self.device).split(self.config.episodes)
            both = (question, label)
            losses = [self.update(*tree_map(lambda whole, part=part: whole[:, part], both)) for part in rows]
            self.steps += self.config.rollout_steps * env.num_envs
            yield self.statistics.report(self.steps, episodes, {"policy_loss": torch.stack(losses).mean()})

    def _collect(self, env: BatchedEnvironment) -> tuple[Observation, Tensor, Episodes]:
        """One whole episode in every environment: questions (T, B, ...), labels (T, B) int64, N where unknown."""
        memory: Memory = ()
        parts, steps = [], []
        for _ in range(self.config.rollout_steps):
            observation = env.observation
            action, memory = self.act(observation, memory)
            step = env.step(action)
            parts.append((self.answers.question(observation), self._label(step.final_observation)))
            steps.append(step)
        episodes = whole_episodes(steps, env, self.config)
        question, label = tree_map(lambda *each: torch.stack(each), *parts)
        return question, label, episodes

    def update(self, question: Observation, label: Tensor) -> Tensor:
        """One step of Adam on M episodes, (T, M, ...) and (T, M); returns the loss."""
        loss = self.loss(question, label)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser beside the base's counters; between two iterations no episode is under way."""
        return super().state_dict() | {
            "network": self.network.state_dict(),
            "unseen": self.unseen.detach(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.network.load_state_dict(state["network"])
        with torch.no_grad():
            self.unseen.copy_(state["unseen"])
        self.optimiser.load_state_dict(state["optimiser"])


class ProtoNet(MetricLearner):
    """Prototypical network: the class whose mean embedding is nearest (Snell et al., 2017)."""

    name = "protonet"
    class_logits = staticmethod(prototypical_logits)


class Matching(MetricLearner):
    """Matching network: attention over the examples by cosine (Vinyals et al., 2016), without contextual embeddings."""

    name = "matching"
    class_logits = staticmethod(matching_logits)
