"""Ensembles: several networks that learn apart and answer together, in the place of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.noise import as_seed
from ...neural_blocks.robustness.ensemble import mean_probability, vote
from ..core.config import AgentConfig
from .bags import boosted, drawn_evenly, poisson_weights

KEPT = 0.99  # of the running errors of boosting, at each update


class EnsembleConfig(AgentConfig):
    """Settings of an ensemble for one Discrete action, without a memory.

    Attributes:
        ensemble: networks that answer together (Hansen and Salamon, 1990); 1 is one network.
        ensemble_kind: in what they differ. All have first weights of their own. "whole" networks see the same; "heads"
            have one encoder; of "bagging" (Breiman, 1996) each sees every observation as often as a bootstrap of all
            would hold it, which is decided by what is seen (Oza and Russell, 2001); of "boosting" (Freund and
            Schapire, 1997, as by Oza and Russell), for cloning, each sees more of what those before it get wrong, and
            counts by how often it is right itself (Zhu et al., 2009); "snapshot" networks (Huang et al., 2017) are one
            at the ends of as many cycles, in which the learning rate falls along half a cosine.
        ensemble_answer: the "mean" of their probabilities, or a "vote", each for its likeliest action, in which one
            hundredth of the mean breaks ties.
    """

    ensemble: int = Field(1, ge=1, le=64)
    ensemble_kind: Literal["whole", "heads", "bagging", "boosting", "snapshot"] = "whole"
    ensemble_answer: Literal["mean", "vote"] = "mean"


class Committee(nn.Module):
    """Several `Actor` or `ActorCritic` networks, called like one.

    In evaluation mode observations (T, B, ...) give what all answer together: log-probabilities as the policy's
    parameters, and the mean value. In training mode rows are those of `spread`, member after member, and each member
    answers its own; a snapshot's live network alone answers all.

    Args:
        members: networks of one kind, without a memory.
        kind: see `EnsembleConfig`.
        answer: "mean" or "vote".
    """

    memory = None
    share: Tensor
    seed: Tensor
    right: Tensor
    wrong: Tensor
    taken: Tensor

    def __init__(self, members: Sequence[Any], kind: str, answer: str) -> None:
        super().__init__()
        first, count = members[0], len(members)
        for one in members[1:]:
            one.normaliser = first.normaliser  # statistics of what is seen are those of all
            if kind == "heads":
                one.encoder, one.augmentation = first.encoder, first.augmentation
            if kind == "snapshot":
                one.requires_grad_(False)
        self.members, self.kind, self.answer = nn.ModuleList(members), kind, answer
        share = torch.full((count,), 1 / count)
        if kind == "snapshot":
            share = torch.eye(count)[0]
        self.register_buffer("share", share)  # of each member in what all answer
        self.register_buffer("seed", as_seed(None, share.device))  # of the bags
        self.register_buffer("right", torch.ones(count))  # running weights that each member answered so
        self.register_buffer("wrong", torch.ones(count))
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))  # snapshots

    @property
    def normaliser(self) -> Any:
        """The one of all members, or None."""
        return self.members[0].normaliser

    def initial_memory(self, batch: int) -> tuple[Tensor, ...]:
        """There is none."""
        return ()

    def forward(self, observation: Observation, memory: tuple[Tensor, ...], start: Tensor) -> Any:
        """As of the members; see the class."""
        if self.training and self.kind == "snapshot":
            return self.members[0](observation, (), start)
        if not self.training:
            each = self._each([observation] * len(self.members), [start] * len(self.members))
            predictions = torch.stack([outputs[0] for outputs in each]).log_softmax(-1)  # (E, T, B, K)
            together = (vote if self.answer == "vote" else mean_probability)(predictions, self.share)
            if len(each[0]) == 1:
                return together, ()
            return together, torch.tensordot(self.share, torch.stack([value for _, value in each]), 1), ()
        count = len(self.members)
        rows: Any = [tree_map(lambda part, k=k: part.chunk(count, 1)[k], (observation, start)) for k in range(count)]
        each = self._each([own for own, _ in rows], [own for _, own in rows])
        return (*(torch.cat(parts, 1) for parts in zip(*each, strict=True)), ())

    def _each(self, observations: Sequence[Any], starts: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
        """Parameters, and values where there are, of each member for its own observations (T, B, ...)."""
        outputs: list[tuple[Tensor, ...]] = []
        seen = None
        for member, observation, start in zip(self.members, observations, starts, strict=True):
            if self.kind != "heads" or self.training or seen is None:
                seen, _ = member.features(observation, (), start)  # type: ignore[operator]
            parameters = member.parameters_of(seen, observation)  # type: ignore[operator]
            critic = getattr(member, "critic", None)
            outputs.append((parameters,) if critic is None else (parameters, critic(seen).squeeze(-1)))
        return outputs

    def opinions(self, observation: Observation, start: Tensor) -> Tensor:
        """What each member answers alone: observations (B, ...) and starts (B,) to parameters (E, B, K)."""
        one, count = tree_map(lambda part: part.unsqueeze(0), observation), len(self.members)
        return torch.stack([outputs[0][0] for outputs in self._each([one] * count, [start.unsqueeze(0)] * count)])

    def act(self, observation: Observation, memory: tuple[Tensor, ...], start: Tensor) -> Any:
        """One step: observations (B, ...), no memory, starts (B,), as `Actor.act`."""
        outputs = self(tree_map(lambda part: part.unsqueeze(0), observation), (), start.unsqueeze(0))
        return (*(part[0] for part in outputs[:-1]), ())

    @torch.no_grad()
    def rows(self, observation: Observation, start: Tensor, label: Tensor | None = None) -> Tensor:
        """Which of N rows each member is to learn from, (E N,) int64, member after member; of a snapshot, all.

        Args:
            observation: (1, N, ...).
            start: (1, N) bool.
            label: (1, N) int64, what is right; only boosting asks.
        """
        count = start.shape[1]
        if self.kind == "snapshot":
            return torch.arange(count, device=start.device)
        if self.kind == "bagging":
            weights = poisson_weights(observation, self.seed, len(self.members))  # (E, N)
            return drawn_evenly(weights).flatten()
        if self.kind == "boosting":
            assert label is not None
            return drawn_evenly(self._boosted(observation, start, label)).flatten()
        return torch.arange(count, device=start.device).repeat(len(self.members))

    def _boosted(self, observation: Observation, start: Tensor, label: Tensor) -> Tensor:
        """(E, N) weights of the rows, and what each member counts from now on."""
        self.eval()
        each = self._each([observation] * len(self.members), [start] * len(self.members))
        self.train()
        right = torch.stack([outputs[0].argmax(-1) == label for outputs in each])[:, 0]  # (E, N)
        weights, hits, misses = boosted(right, self.right, self.wrong)
        self.right.lerp_(hits, 1 - KEPT)
        self.wrong.lerp_(misses, 1 - KEPT)
        counts = (self.right / self.wrong.clamp(min=1e-6)).clamp(min=1e-6).log() + math.log(each[0][0].shape[-1] - 1)
        share = counts.clamp(min=1e-6)
        self.share.copy_(share / share.sum())
        return weights

    @torch.no_grad()
    def snap(self, progress: float) -> None:
        """Keeps a copy of the live network at each new cycle of a run of which that share is over."""
        cycle = min(int(progress * len(self.members)), len(self.members) - 1)
        if cycle <= int(self.taken):
            return
        live, kept = self.members[0].state_dict(), self.members[cycle]
        for name, tensor in kept.state_dict().items():
            tensor.copy_(live[name])
        self.taken.fill_(cycle)
        among = torch.arange(len(self.members), device=self.share.device) <= cycle
        self.share.copy_(among / among.sum())


def committee(agent: Any, members: Sequence[Any]) -> Committee:
    """The ensemble of an agent's settings. Raises `InvalidInput` for an agent that can have none."""
    config = agent.config
    if not isinstance(agent.action_space, spaces.Discrete):
        raise InvalidInput(f"{agent.name}: ensemble must be 1 where an action is no one class; got {config.ensemble}")
    if config.memory is not None:
        raise InvalidInput(f"{agent.name}: ensemble must be 1 with a memory; got {config.ensemble}")
    if config.ensemble_kind == "boosting" and not hasattr(agent, "expert_share"):
        raise InvalidInput(f"{agent.name}: ensemble_kind must be another one than 'boosting', which needs labels")
    if config.ensemble_kind == "snapshot" and config.scheduled:
        raise InvalidInput(f"{agent.name}: schedule must be 'constant' with snapshots, which have one of their own")
    return Committee(members, config.ensemble_kind, config.ensemble_answer)


def cyclic_rate(config: Any, progress: float) -> float:
    """The learning rate when that share of a run is over, falling along half a cosine as often as there are members."""
    return float(config.learning_rate * (1 + math.cos(math.pi * (progress * config.ensemble % 1))) / 2)
