"""Ensembles: several models that vote, and one model that averages its own past."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput


class Ensemble(nn.Module):
    """Classifiers whose predicted probabilities are averaged (Hansen and Salamon, 1990).

    (B, ...) inputs to (B, K) log-probabilities, which serve as logits.

    Args:
        members: modules from (B, ...) to (B, K) logits, such as copies by `snapshot`.

    Raises:
        InvalidInput: no members.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        if not self.members:
            raise InvalidInput("Ensemble: members must be at least 1; got 0")

    def predictions(self, x: Tensor) -> Tensor:
        """Each member's log-probabilities, (E, B, K): how much they differ tells how little they know."""
        return F.log_softmax(torch.stack([member(x) for member in self.members]), -1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to (B, K) log-probabilities."""
        return torch.logsumexp(self.predictions(x), 0) - math.log(len(self.members))


TIES = 0.01  # what the mean probability has of a vote


def mean_probability(predictions: Tensor, share: Tensor) -> Tensor:
    """The logarithm of the mean probability: log-probabilities (E, ..., K) and shares (E,), which sum to 1."""
    return torch.logsumexp(predictions + share.log().view(-1, *[1] * (predictions.ndim - 1)), 0)


def vote(predictions: Tensor, share: Tensor) -> Tensor:
    """The logarithm of the share of votes, one for each model's likeliest class; arguments as of `mean_probability`.

    One hundredth of it is the mean probability, which breaks ties and leaves no class that is possible without any.
    """
    mean = mean_probability(predictions, share).exp()
    classes = torch.arange(predictions.shape[-1], device=share.device)
    chosen = (predictions.argmax(-1, keepdim=True) == classes).to(share.dtype)  # (E, ..., K)
    return ((1 - TIES) * torch.tensordot(share, chosen, 1) + TIES * mean).log()


def snapshot(model: nn.Module) -> nn.Module:
    """A frozen copy in evaluation mode, a member for an `Ensemble`.

    Taken at the end of each cycle of `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`, one training run gives an
    ensemble (Huang et al., 2017).
    """
    return copy.deepcopy(model).eval().requires_grad_(False)


class WeightAverage(nn.Module):
    """A copy of a model that averages its weights at each `update_parameters`, called like the model.

    Everything it is stands in its `state_dict`; it can be pickled and copied. Floating-point buffers, such as batch
    statistics, are averaged too, other buffers are taken over. Its weights want no gradients.

    Args:
        model: the model in training; the average starts as its copy.
        decay: share of the average kept at each update, an exponential moving average from the copy on; None weighs
            all updates alike and the copy not at all (stochastic weight averaging, Izmailov et al., 2018).

    Attributes:
        module: the model with averaged weights.

    Raises:
        InvalidInput: a decay outside [0, 1].
    """

    n_averaged: Tensor

    def __init__(self, model: nn.Module, decay: float | None = None) -> None:
        super().__init__()
        if decay is not None and not 0 <= decay <= 1:
            raise InvalidInput(f"{type(self).__name__}: decay must lie between 0 and 1; got {decay}")
        self.module, self.decay = copy.deepcopy(model).requires_grad_(False), decay
        some = next(itertools.chain(model.parameters(), model.buffers()), torch.zeros(()))
        self.register_buffer("n_averaged", torch.zeros((), dtype=torch.int64, device=some.device))

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """What the averaged model gives."""
        return self.module(*arguments, **named)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Takes the model's present weights in; to be called after each optimiser step."""
        share: Tensor | float = 1 - self.decay if self.decay is not None else 1 / (self.n_averaged + 1)
        pairs = itertools.chain(
            zip(self.module.parameters(), model.parameters(), strict=True),
            zip(self.module.buffers(), model.buffers(), strict=True),
        )
        for average, new in pairs:
            if average.is_floating_point():
                average.lerp_(new, share.to(average.dtype) if isinstance(share, Tensor) else share)
            else:
                average.copy_(new)
        self.n_averaged += 1


def weight_average(model: nn.Module, decay: float | None = None) -> WeightAverage:
    """A copy of the model that averages its weights; arguments and errors as of `WeightAverage`."""
    return WeightAverage(model, decay)
