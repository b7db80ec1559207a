"""Passing on what is strange, decided after training by a score of how strange it is."""

from __future__ import annotations

import math
from typing import Any, Literal

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.robustness.ensemble import mean_probability
from ...neural_blocks.robustness.novelty import Mahalanobis, area_under_roc, disagreement, free_energy, max_softmax
from ..core.config import AgentConfig
from ..core.evaluation import evaluate, time_limit
from .answers import right_classes

APART = ("whole", "heads", "bagging")  # kinds of ensembles whose networks answer alike
LABELS = 2048  # that a threshold is chosen by, at least


class DetectorConfig(AgentConfig):
    """Settings of cloning where the last value of the action is to pass, as in Abstain.

    Attributes:
        detector: learn to name what is known and nothing else, and pass by a score of how strange an observation is:
            "max_softmax", how small the largest probability is (Hendrycks and Gimpel, 2017), "energy", of the logits
            (Liu et al., 2020), or "mahalanobis", how far from all classes the features before the last layer are (Lee
            et al., 2018), or "disagreement" of the networks of an ensemble, which learn apart (Lakshminarayanan et al.,
            2017). Evaluations tell its auroc, of what should be passed on against the rest. Null learns to pass by
            examples.
        detector_share: of what is known and held out, that is to be named all the same: there lies the score from which
            on it passes, which is fitted whenever training looks at validation episodes, by `Agent.settle`.
    """

    detector: Literal["max_softmax", "energy", "mahalanobis", "disagreement"] | None = None
    detector_share: float = Field(0.95, gt=0, lt=1)


class Detector(nn.Module):
    """Scores observations, and turns the scores into passing.

    Args:
        agent: with a `Actor`, whose action's last value is to pass.

    Raises:
        InvalidInput: an agent that it is not for.
    """

    threshold: Tensor

    def __init__(self, agent: Any) -> None:
        super().__init__()
        config, name = agent.config, agent.name
        if not isinstance(agent.action_space, spaces.Discrete) or agent.action_space.n < 3:
            raise InvalidInput(
                f"{name}: detector needs one Discrete action, two classes or more and to pass; got {agent.action_space}"
            )
        alone = {"memory": None, "ensemble": 1, "adversarial_epsilon": 0, "mix": None, "label_smoothing": 0}
        if config.detector == "disagreement":
            del alone["ensemble"]
            if config.ensemble < 2 or config.ensemble_kind not in APART:
                told = f"ensemble above 1 of kind {', '.join(map(repr, APART))}"
                raise InvalidInput(f"{name}: detector 'disagreement' needs {told}; got {config.ensemble} networks")
        for key, only in {**alone, "told_apart": False, "temperature_scaling": False}.items():
            if getattr(config, key) != only:
                raise InvalidInput(f"{name}: {key} must be {only!r} with a detector; got {getattr(config, key)!r}")
        self.kind, self.classes = config.detector, int(agent.action_space.n) - 1
        self.register_buffer("threshold", torch.full((), torch.inf))  # nothing is strange, to begin with
        self.distance = None
        if self.kind == "mahalanobis":
            last = agent.network.actor.layers[-1]
            self.distance = Mahalanobis(last.in_features, self.classes)

    def named(self, parameters: Tensor) -> Tensor:
        """The policy's parameters (..., K + 1) without passing."""
        return torch.cat([parameters[..., :-1], torch.full_like(parameters[..., -1:], -torch.inf)], -1)

    def answers(self, network: Any, observation: Observation, start: Tensor) -> Tensor:
        """Parameters (B, K + 1) of the known classes or, where an observation (B, ...) is strange, of passing alone."""
        logits, strange = self.scored(network, observation, start)
        passing = (strange > self.threshold).unsqueeze(1)
        alone = torch.full_like(logits, -torch.inf)
        alone[:, -1] = 0
        return torch.where(passing, alone, logits)

    def scored(self, network: Any, observation: Observation, start: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters (B, K + 1) without passing, and how strange observations (B, ...) are, (B,)."""
        if self.kind == "disagreement":
            each = self.named(network.opinions(observation, start)).log_softmax(-1)  # (E, B, K + 1)
            strange = disagreement(each[..., :-1], network.share)
            return mean_probability(each, network.share), strange
        features = self.features(network, observation, start)
        logits = self.named(network.actor.layers[-1](features))
        if self.distance is not None:
            return logits, self.distance(features)
        score = max_softmax if self.kind == "max_softmax" else free_energy
        return logits, score(logits[:, :-1])

    @staticmethod
    def features(network: Any, observation: Observation, start: Tensor) -> Tensor:
        """(B, D) what the last layer sees of observations (B, ...)."""
        one = {key: part.unsqueeze(0) for key, part in observation.items()} if isinstance(observation, dict) else None
        seen, _ = network.features(one or observation.unsqueeze(0), (), start.unsqueeze(0))  # type: ignore[union-attr]
        features: Tensor = network.actor.layers[:-1](seen[0])
        return features


class Strangeness:
    """An `Aside`: whether each observation was to be passed on, and how strange it was called.

    Args:
        agent: with a `Detector`.
    """

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        self.known: Tensor | None = None

    def row(self, env: BatchedEnvironment, memory: tuple[Tensor, ...]) -> Tensor:
        """(B, 2)."""
        detector, label = self.agent.detector, right_classes(self.agent, env)
        with self.agent.acting():
            _, strange = detector.scored(self.agent.network, env.observation, env.episode_start)
        return torch.stack([(label == detector.classes).to(strange.dtype), strange], 1)

    def metrics(self, rows: Tensor) -> dict[str, float]:
        """The area under the ROC curve, where both kinds were met."""
        positive = rows[:, 0] > 0
        self.known = rows[~positive, 1]
        found = float(area_under_roc(rows[:, 1], positive)) if len(rows) else math.nan
        return {} if math.isnan(found) else {"auroc": found}


@torch.no_grad()
def fit_detector(agent: Any, env: BatchedEnvironment, seed: int = 0) -> None:
    """Takes the classes' features from what the agent has learned from, and the threshold from held-out episodes.

    Args:
        agent: with a `Detector`, and what it was shown.
        env: of a split that it has not learned from; only what is known there counts.
        seed: of the episodes.

    Raises:
        InvalidInput: environments without an expert or a time limit.
    """
    detector, kept = agent.detector, agent.aggregate.kept
    if detector.distance is not None and kept is not None:
        count = len(agent.aggregate)
        label = kept.label[:count, 0]
        known = label < detector.classes
        first = lambda part: part[:count, 0][known]  # noqa: E731
        seen = {k: first(v) for k, v in kept.observation.items()} if isinstance(kept.observation, dict) else None
        observation = seen or first(kept.observation)
        with agent.acting():
            features = detector.features(agent.network, observation, torch.zeros_like(label[known], dtype=torch.bool))
        detector.distance.fit(features, label[known])
    strange = Strangeness(agent)
    evaluate(agent, env, math.ceil(LABELS / (time_limit(env) or 1)), seed=seed, aside=strange)
    if strange.known is not None and len(strange.known):
        detector.threshold.fill_(float(strange.known.double().quantile(agent.config.detector_share)))
