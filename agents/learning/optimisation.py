"""How weights follow their gradient: the settings of every agent that learns by one, and their schedule."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from ..core.config import AgentConfig

FIRST = 0.01  # of the learning rate, where a warm-up begins

Optimiser = Literal["adam", "adamw", "sgd", "momentum", "nesterov", "adagrad", "rmsprop"]


class OptimisationConfig(AgentConfig):
    """Settings of the optimiser, its schedule, what holds weights small, and the weights that are acted with.

    What is given as a share is a share of the run. The rate is set at the beginning of each iteration.

    Attributes:
        optimiser: "adam" (Kingma and Ba, 2015), "adamw", the same with weights that decay apart from the gradient
            (Loshchilov and Hutter, 2019), "sgd", plain gradient descent, "momentum" (Polyak, 1964), "nesterov" (1983),
            "adagrad" (Duchi et al., 2011) or "rmsprop" (Tieleman and Hinton, 2012).
        learning_rate: of the optimiser, before its schedule.
        anneal: short for the schedule "linear".
        schedule: how the learning rate falls: not at all, "constant"; to 0, "linear" or along half a "cosine"
            (Loshchilov and Hutter, 2017); or by a factor at every "step".
        step_share: of the run, after which "step" lets the rate fall, again and again.
        step_factor: by which it then falls.
        warm_up: share of the run in which the rate first rises, linearly from a hundredth; the schedule begins then.
        momentum: of "momentum" and "nesterov".
        optimiser_eps: added to what "adam", "adamw", "adagrad" and "rmsprop" divide by.
        weight_decay: factor of the squared weights' half in the loss; with "adamw" it does not pass its moments.
        l1: factor of the weights' sizes in the loss.
        max_grad_norm: gradients are scaled down to this norm; null for none.
        max_grad_value: each entry of a gradient is cut to this size first; null for none.
        averaging: act with an average of the weights, while learning goes on with the last ones: "ema", a moving
            average (Polyak and Juditsky, 1992), or "swa", the even mean of all (Izmailov et al., 2018); statistics of
            batch normalisation are the last ones. The average is as long as it has not begun the last weights.
        average_decay: of "ema", what each update leaves of it.
        average_from: share of the run after which the average begins.
        report_norms: report the size of each layer's weights and of its last gradient, as `weight_norm/LAYER` and
            `gradient_norm/LAYER`.
    """

    optimiser: Optimiser = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    anneal: bool = False
    schedule: Literal["constant", "linear", "cosine", "step"] = "constant"
    step_share: float = Field(0.3, gt=0, le=1)
    step_factor: float = Field(0.1, gt=0, le=1)
    warm_up: float = Field(0.0, ge=0, lt=1)
    momentum: float = Field(0.9, ge=0, lt=1)
    optimiser_eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    l1: float = Field(0.0, ge=0)
    max_grad_norm: float | None = Field(None, gt=0)
    max_grad_value: float | None = Field(None, gt=0)
    averaging: Literal["ema", "swa"] | None = None
    average_decay: float = Field(0.999, ge=0, lt=1)
    average_from: float = Field(0.0, ge=0, lt=1)
    report_norms: bool = False

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        if self.anneal and self.schedule not in ("constant", "linear"):
            raise ValueError(f"anneal must be false with the schedule {self.schedule!r}")
        return self

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate changes over a run."""
        return self.anneal or self.schedule != "constant" or self.warm_up > 0

    def rate(self, progress: float) -> float:
        """The learning rate when that share of the run is over."""
        if progress < self.warm_up:
            return self.learning_rate * (FIRST + (1 - FIRST) * progress / self.warm_up)
        since = (progress - self.warm_up) / (1 - self.warm_up) if self.warm_up else progress
        if self.anneal or self.schedule == "linear":
            return self.learning_rate * (1 - since)
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * since)) / 2
        if self.schedule == "step":
            return self.learning_rate * self.step_factor ** math.floor(since / self.step_share + 1e-9)
        return self.learning_rate
