"""Learning that is to hold elsewhere: in another domain, for rare groups, under other odds of what is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.robustness.shift import DomainDiscriminator, GroupDRO, coral
from .groups import GroupsConfig, told_apart

ALIGNED = ("coral", "dann")  # ways that look at what the encoder makes of each domain


class ShiftConfig(GroupsConfig):
    """Settings of cloning that tell groups or domains apart, without a memory.

    Attributes:
        invariance: what is made of groups: "balanced", each counts as much as any other; "group_dro", those that are
            answered worst count most (Sagawa et al., 2020); "irm", the best last layer must be the same for all
            (Arjovsky et al., 2019); "coral", features have one covariance in all (Sun and Saenko, 2016); or "dann",
            none can tell from features which it is (Ganin et al., 2016).
        invariance_weight: of what "irm", "coral" and "dann" add to the loss.
        unlabelled: those of the groups whose labels are not learned from, such as target.
    """

    invariance: Literal["balanced", "group_dro", "irm", "coral", "dann"] | None = None
    invariance_weight: float = Field(1.0, ge=0)
    unlabelled: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _labelled_at_first(self) -> Self:
        if other := set(self.unlabelled) - set(self.groups[1:]):
            raise ValueError(f"unlabelled must be among the groups but the first; got {sorted(other)}")
        return self

    @property
    def told_apart(self) -> bool:
        """Whether steps are told apart at all."""
        return super().told_apart or bool(self.unlabelled)


class Invariance(nn.Module):
    """The loss of rows of several groups.

    Args:
        agent: whose settings and spaces it is for; its network has been made.

    Raises:
        InvalidInput: an agent with a memory or, for "coral" and "dann", an ensemble.
    """

    labelled: Tensor

    def __init__(self, agent: Any) -> None:
        super().__init__()
        config, name = agent.config, agent.name
        if config.remembers:
            got = config.memory or config.network
            raise InvalidInput(f"{name}: invariance, unlabelled and importance are for no memory; got {got}")
        if config.invariance == "irm" and (config.loss != "cross_entropy" or config.label_smoothing):
            raise InvalidInput(f"{name}: invariance 'irm' needs the loss 'cross_entropy' without label_smoothing")
        if config.invariance in ("irm", *ALIGNED) and config.ensemble > 1:
            raise InvalidInput(f"{name}: ensemble must be 1 with invariance {config.invariance!r}")
        self.kind, self.weight = config.invariance, config.invariance_weight
        self.names, self.importance = config.groups, config.importance
        labelled = [k for k, one in enumerate(self.names) if one not in config.unlabelled] or [0]
        self.register_buffer("labelled", torch.tensor(labelled), persistent=False)  # groups that are learned from
        count = max(1, len(self.names))
        self.robust = GroupDRO(count, config.group_rate) if self.kind == "group_dro" else None
        self.judge = DomainDiscriminator(agent.network.output_size, count) if self.kind == "dann" else None

    @property
    def looks_at_features(self) -> bool:
        """Whether it asks for what the encoder gives."""
        return self.kind in ALIGNED

    def of_steps(self, metrics: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See `told_apart`."""
        return told_apart(self.names, self.importance, metrics)

    def forward(
        self, losses: Tensor, group: Tensor, importance: Tensor, slope: Tensor | None, features: Tensor | None
    ) -> Tensor:
        """The loss of N rows.

        Args:
            losses: (N,).
            group: (N,) int64.
            importance: (N,) that losses are multiplied by.
            slope: (N,) the derivative of each loss by the scale of its logits; only "irm" asks.
            features: (N, D); only "coral" and "dann" ask.
        """
        losses = losses * importance
        own = torch.arange(max(1, len(self.names)), device=group.device)
        member = (group.unsqueeze(1) == own).to(losses.dtype)  # (N, G)
        count = member.sum(0)
        learned = member.index_select(1, self.labelled).sum(1)
        if self.robust is not None:
            return self.robust(losses * learned, group)
        mean = (losses * learned).sum() / learned.sum().clamp(min=1)
        if self.kind == "balanced":
            there = (count > 0).to(losses.dtype).index_select(0, self.labelled)
            means = ((losses.unsqueeze(1) * member).sum(0) / count.clamp(min=1)).index_select(0, self.labelled)
            return (means * there).sum() / there.sum().clamp(min=1)
        if self.kind == "irm":
            assert slope is not None
            each = ((slope * importance).unsqueeze(1) * member).sum(0) / count.clamp(min=1)
            return mean + self.weight * each.index_select(0, self.labelled).square().mean()
        if self.kind == "coral":
            assert features is not None
            apart = [coral(features, features, member[:, 0], member[:, k]) for k in range(1, len(self.names))]
            return mean + self.weight * torch.stack(apart).mean()
        if self.judge is not None:
            assert features is not None
            return mean + self.weight * self.judge.loss(features, group)
        return mean


def slope_of_scale(logits: Tensor, label: Tensor) -> Tensor:
    """(...) the derivative of the cross-entropy of s times logits (..., K) by s, at s = 1."""
    own = logits.gather(-1, label.unsqueeze(-1)).squeeze(-1)
    return (logits.softmax(-1) * logits).sum(-1) - own
