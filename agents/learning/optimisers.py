"""Optimisers whose state lives on the device: made, set and restored alike on the CPU and on CUDA, captured or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def adam(parameters: Iterable[nn.Parameter], learning_rate: float, eps: float = 1e-8) -> torch.optim.Adam:
    """Adam (Kingma and Ba, 2015), in one kernel."""
    chosen = [parameter for parameter in parameters if parameter.requires_grad]
    optimiser = torch.optim.Adam(chosen, eps=eps, fused=True, **_arguments(chosen, learning_rate))
    _begin(optimiser, ("exp_avg", "exp_avg_sq"))
    return optimiser


def rmsprop(parameters: Iterable[nn.Parameter], learning_rate: float, alpha: float, eps: float) -> torch.optim.RMSprop:
    """RMSprop (Tieleman and Hinton, 2012)."""
    chosen = [parameter for parameter in parameters if parameter.requires_grad]
    optimiser = torch.optim.RMSprop(chosen, alpha=alpha, eps=eps, foreach=True, **_arguments(chosen, learning_rate))
    _begin(optimiser, ("square_avg",))
    return optimiser


def _arguments(parameters: list[nn.Parameter], learning_rate: float) -> dict[str, Any]:
    """On CUDA the rate is a tensor, which a captured graph reads anew at each replay."""
    if not parameters or parameters[0].device.type != "cuda":
        return {"lr": learning_rate}
    return {"lr": torch.tensor(learning_rate, device=parameters[0].device), "capturable": True}


def _begin(optimiser: torch.optim.Optimizer, moments: tuple[str, ...]) -> None:
    """Makes the state that the first step would make: a captured graph must find it in place."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            state = optimiser.state[parameter]
            state["step"] = torch.zeros((), dtype=torch.float32, device=_clock_device(group, parameter))
            state |= {name: torch.zeros_like(parameter) for name in moments}


def set_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Sets the learning rate of all parameters."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(learning_rate)
        else:
            group["lr"] = learning_rate


def restore(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Takes over a saved state, of whatever device; how the optimiser runs here stays as it is."""
    first = optimiser.param_groups[0]
    own: dict[str, Any] = {name: first[name] for name in ("lr", "capturable", "fused", "foreach") if name in first}
    optimiser.load_state_dict(state)
    learning_rate = float(optimiser.param_groups[0]["lr"])
    for group in optimiser.param_groups:
        group |= own
        for parameter in group["params"]:
            kept = optimiser.state[parameter]
            kept["step"] = kept["step"].to(_clock_device(group, parameter))
    set_rate(optimiser, learning_rate)


def _clock_device(group: dict[str, Any], parameter: Tensor) -> torch.device:
    """Where the count of steps lives."""
    return parameter.device if group.get("capturable") or group.get("fused") else torch.device("cpu")


def tensors(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """All that a step changes beside the parameters."""
    states = [value for state in optimiser.state.values() for value in state.values() if isinstance(value, Tensor)]
    return states + [group["lr"] for group in optimiser.param_groups if isinstance(group["lr"], Tensor)]
