"""The attacker that looks for the smallest change."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...neural_blocks.robustness.adversarial import project
from ...neural_blocks.robustness.dual_ascent import dual_ascent
from ..core.config import AgentConfig
from .attackers import Attacker, Plan


class DualAscentConfig(AgentConfig):
    """Settings of dual ascent.

    Attributes:
        gradients: of the victim that the search asks for before the first step.
        confidence: by how much, in logits, the other class is to lie above the right one.
    """

    gradients: int = Field(100, ge=1, le=100_000)
    confidence: float = Field(0.05, gt=0)


class DualAscent(Attacker):
    """The smallest change that fools the victim, found before the first step and walked to.

    In Euclidean length: Carlini and Wagner (2017), by ascent on the multiplier of being fooled; see
    `neural_blocks.dual_ascent`.
    """

    name = "dual_ascent"
    Config: ClassVar[type[AgentConfig]] = DualAscentConfig

    def gradient(self, victim: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """(B, 1, 8, 8) the way from where the digit is to where the victim is fooled."""
        assert self.task is not None
        settings: dict[str, Any] = {"steps": self.config.gradients, "confidence": self.config.confidence}
        way = dual_ascent(victim, pixels, labels, targeted=self.task.targeted, **settings) - pixels
        return -way if self.task.targeted else way  # who is targeted is given what falls, see `act`

    def chosen(self, gradient: Tensor, plan: Plan) -> Tensor:
        """The first one."""
        return torch.where(plan.begun[:, None], plan.gradient, gradient)

    def move(self, gradient: Tensor, pixels: Tensor, original: Tensor) -> Tensor:
        """Towards the end of the way, as far as a step goes."""
        assert self.task is not None
        left = gradient - (pixels - original).flatten(1)
        return project(left / self.task.step_size, 1.0, self.task.norm)
