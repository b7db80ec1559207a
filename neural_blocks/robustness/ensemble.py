"""Ensembles: several models that vote, and one model that averages its own past."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_avg_fn

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


def snapshot(model: nn.Module) -> nn.Module:
    """A frozen copy in evaluation mode, a member for an `Ensemble`.

    Taken at the end of each cycle of `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`, one training run gives an
    ensemble (Huang et al., 2017).
    """
    return copy.deepcopy(model).eval().requires_grad_(False)


def weight_average(model: nn.Module, decay: float | None = None) -> AveragedModel:
    """A copy of the model that averages its weights at each `.update_parameters(model)`.

    Args:
        model: the model in training.
        decay: share of the average kept at each update, an exponential moving average; None weighs all updates alike
            (stochastic weight averaging, Izmailov et al., 2018).

    Returns:
        PyTorch's `AveragedModel`, called like the model; its buffers, such as batch statistics, are averaged too.

    Raises:
        InvalidInput: a decay outside [0, 1].
    """
    if decay is not None and not 0 <= decay <= 1:
        raise InvalidInput(f"weight_average: decay must lie between 0 and 1; got {decay}")
    if decay is None:  # tensor by tensor: PyTorch's grouped form refuses batch normalisation's integer counter
        return AveragedModel(model, avg_fn=get_swa_avg_fn(), use_buffers=True)
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
