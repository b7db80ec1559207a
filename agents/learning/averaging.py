"""Averages of the weights that learning passes through, to act with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .optimisation import OptimisationConfig


class Averaged(nn.Module):
    """An average of the weights that some modules have had; see `OptimisationConfig`.

    Args:
        modules: on their device.
        config: how the average is taken.

    Attributes:
        weights: the average of each parameter that is learned.
        begun: () 1 where the average has begun, which whoever learns says; until then it is the last weights.
        count: () how many weights the average is of.
    """

    begun: Tensor
    count: Tensor

    def __init__(self, modules: Sequence[nn.Module], config: OptimisationConfig) -> None:
        super().__init__()
        self._config, self._places = config, list(_places(modules))
        now = self._now()
        self.weights = nn.ParameterList(nn.Parameter(one.detach().clone(), requires_grad=False) for one in now)
        self.register_buffer("begun", torch.zeros((), dtype=torch.float32, device=now[0].device))
        self.register_buffer("count", torch.zeros((), dtype=torch.float32, device=now[0].device))

    def _now(self) -> list[Any]:
        return [home[name] for home, name in self._places]

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights as they are now."""
        if self._config.averaging == "ema":
            share = torch.where(self.count > 0, 1 - self._config.average_decay, 1.0)
        else:
            share = torch.reciprocal(self.count + 1)
        share = torch.where(self.begun > 0, share, 1.0)
        own = list(self.weights)
        apart = torch._foreach_sub(self._now(), own)
        torch._foreach_mul_(apart, share)
        torch._foreach_add_(own, apart)
        self.count += self.begun

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Within, the modules have the average for their weights."""
        now = self._now()
        for (home, name), weight in zip(self._places, self.weights, strict=True):
            home[name] = weight
        try:
            yield
        finally:
            for (home, name), weight in zip(self._places, now, strict=True):
                home[name] = weight


def _places(modules: Sequence[nn.Module]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where each parameter that is learned stands, in every module that has it."""
    for module in modules:
        for part in module.modules():
            for name, parameter in part._parameters.items():
                if parameter is not None and parameter.requires_grad:
                    yield part._parameters, name
