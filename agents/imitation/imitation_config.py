"""Settings that behaviour cloning and DAgger share."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ..learning.optimisation import OptimisationConfig
from ..networks.network_config import PolicyConfig
from ..robustness.adversarial import AdversarialConfig
from ..robustness.answers import AnswersConfig
from ..robustness.detectors import DetectorConfig
from ..robustness.ensemble import EnsembleConfig
from ..robustness.shift import ShiftConfig


class ImitationConfig(
    AdversarialConfig, AnswersConfig, DetectorConfig, EnsembleConfig, ShiftConfig, OptimisationConfig, PolicyConfig
):
    """Settings of learning from labels beside the network's.

    Attributes:
        updates: gradient steps after each rollout.
        minibatch_size: labels in a gradient step; with a memory, whole sequences of about as many steps.
        capacity: labels kept; the oldest are dropped.
        loss: minus the label's log-probability, "cross_entropy"; where actions are chosen from a finite number, also
            that times (1 - p)^gamma, "focal", which cares less for what is already likely (Lin et al., 2017), or by how
            much the label's logit falls short of being 1 above every other, "hinge" (Crammer and Singer, 2001); or for
            a Box how far the mean is from the label: "squared", whose best answer is the mean of labels, or "absolute",
            whose best answer is their median. The deviation is not learned then.
        focal_gamma: of "focal".
        mix: learn from each image mixed with another one, and from both labels, each by its share: "mixup" (Zhang et
            al., 2018) or "cutmix", a box of the other (Yun et al., 2019).
        label_smoothing: share of each label that goes evenly to all actions (Szegedy et al., 2016), where actions are
            chosen from a finite number.
    """

    updates: int = Field(8, ge=1)
    minibatch_size: int = Field(1024, ge=1)
    capacity: int = Field(100_000, ge=1, le=10**9)
    max_grad_norm: float | None = Field(1.0, gt=0)
    loss: Literal["cross_entropy", "focal", "hinge", "squared", "absolute"] = "cross_entropy"
    focal_gamma: float = Field(2.0, ge=0, le=16)
    mix: Literal["mixup", "cutmix"] | None = None
    label_smoothing: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _mixtures_are_for_one_network(self) -> Self:
        for name, alone in {"adversarial_epsilon": 0, "ensemble": 1, "told_apart": False}.items():
            if self.mix is not None and getattr(self, name) != alone:
                raise ValueError(f"mix must be null with {name}; got {self.mix!r}")
        return self
