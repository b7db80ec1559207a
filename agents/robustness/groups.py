"""Steps told apart by the environment's metrics, and what each counts in a policy's gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...neural_blocks.errors import unknown_name
from ...neural_blocks.robustness.shift import GroupDRO
from ..core.config import AgentConfig


class GroupsConfig(AgentConfig):
    """Settings that tell steps apart.

    Attributes:
        groups: names of the environment's metrics, such as low_on_rows,low_on_columns,high_on_rows,high_on_columns of
            Groups or source,target of DigitBandit: a step belongs to the first of them that has a value in it, and to
            the first of all where none has.
        group_rate: of "group_dro", how fast the weights of groups follow their losses.
        importance: the environment's metric that each step's loss is multiplied by (Shimodaira, 2000), such as weight
            of DigitBandit; null for none.
    """

    groups: tuple[str, ...] = Field((), max_length=64)
    invariance: str | None = None
    group_rate: float = Field(0.01, gt=0)
    importance: str | None = None

    @model_validator(mode="after")
    def _groups_to_tell_apart(self) -> Self:
        if self.invariance is not None and len(set(self.groups)) < 2:
            raise ValueError(f"groups must name two metrics or more with invariance; got {list(self.groups)}")
        return self

    @property
    def told_apart(self) -> bool:
        """Whether steps are told apart at all."""
        return self.invariance is not None or self.importance is not None


class ReweighingConfig(GroupsConfig):
    """Settings of policy gradients that weigh steps by their group. What is made of labels or features is of cloning.

    Attributes:
        invariance: what is made of groups: "balanced", each counts as much as any other; or "group_dro", those whose
            steps are rewarded least count most (Sagawa et al., 2020). The policy's loss is weighed so, the value's not.
    """

    invariance: Literal["balanced", "group_dro"] | None = None


class Reweighing(nn.Module):
    """What each step of a rollout counts in the policy's loss: 1 in the mean, but for importance.

    Args:
        config: names of the groups, and what is made of them.
    """

    def __init__(self, config: ReweighingConfig) -> None:
        super().__init__()
        self.names, self.importance, self.kind = config.groups, config.importance, config.invariance
        self.robust = GroupDRO(len(self.names), config.group_rate) if self.kind == "group_dro" else None

    @torch.no_grad()
    def forward(self, reward: Tensor, metrics: Mapping[str, Tensor], counted: Tensor | None = None) -> Tensor:
        """(T, B) weights; those of groups follow the rewards first, times importance.

        Args:
            reward: (T, B).
            metrics: named (T, B) values of the environment, NaN where there is none.
            counted: (T, B) bool, the steps that are learned from; None for all.
        """
        group, importance = told_apart(self.names, self.importance, metrics)
        importance = importance.to(reward.dtype)
        if self.kind is None:
            return importance
        own = torch.arange(len(self.names), device=group.device)
        member = (group.unsqueeze(-1) == own).to(reward.dtype)  # (T, B, G)
        if counted is not None:
            member = member * counted.unsqueeze(-1)
        count = member.sum((0, 1))
        if self.robust is not None:
            losses = -((reward * importance).unsqueeze(-1) * member).sum((0, 1)) / count.clamp(min=1)
            share = self.robust.following(losses).to(reward.dtype)
        else:
            share = (count > 0).to(reward.dtype) / (count > 0).sum().clamp(min=1)
        each = share * count.sum() / count.clamp(min=1)  # (G,)
        return importance * each.take(group)


def told_apart(names: Sequence[str], importance: str | None, metrics: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The group, int64, and the importance of each step (T, B) by the environment's metrics.

    Args:
        names: of the metrics that are groups.
        importance: that is a weight; None for 1.
        metrics: named (T, B) values, NaN where there is none.

    Raises:
        InvalidInput: metrics that the environment has not.
    """
    for name in (*names, *filter(None, [importance])):
        if name not in metrics:
            raise unknown_name("groups, importance: metric", name, metrics)
    some = next(iter(metrics.values()))
    weight = torch.ones_like(some) if importance is None else metrics[importance].nan_to_num(0.0)
    if not names:
        return torch.zeros_like(some, dtype=torch.int64), weight
    has = torch.stack([~metrics[name].isnan() for name in names])  # (G, T, B)
    return has.to(torch.uint8).argmax(0), weight
