"""The steps of PyTorch's optimisers as plain operators, for a program that holds a whole update."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def traced_step(optimiser: torch.optim.Optimizer) -> None:
    """What `optimiser.step()` does, but for rounding; its learning rates are tensors of no dimensions.

    PyTorch's own fused kernels cannot be traced, and its others read the number of steps on the host.
    """
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            gradient, state, decay = parameter.grad, optimiser.state[parameter], group["weight_decay"]
            if isinstance(optimiser, torch.optim.AdamW) or group.get("decoupled_weight_decay"):
                parameter.mul_(1 - group["lr"] * decay)
            elif decay:
                gradient = gradient.add(parameter, alpha=decay)
            parameter.sub_(_along(optimiser, group, gradient, state))


def _along(optimiser: torch.optim.Optimizer, group: dict[str, Any], gradient: Tensor, state: dict[str, Tensor]) -> Any:
    """By how much the parameter falls; the moments are brought up to date."""
    rate = group["lr"]
    if isinstance(optimiser, torch.optim.Adam):  # and AdamW
        first, second = group["betas"]
        time = state["step"].add_(1)
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        deviation = state["exp_avg_sq"].sqrt() / (1 - second**time).sqrt() + group["eps"]
        return rate / (1 - first**time) * state["exp_avg"] / deviation
    if isinstance(optimiser, torch.optim.RMSprop):
        state["step"].add_(1)
        state["square_avg"].mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
        return rate * gradient / (state["square_avg"].sqrt() + group["eps"])
    if isinstance(optimiser, torch.optim.SGD):
        if not group["momentum"]:
            return rate * gradient
        momentum = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        return rate * (gradient + group["momentum"] * momentum if group["nesterov"] else momentum)
    state["sum"].addcmul_(gradient, gradient)
    return rate * gradient / (state["sum"].sqrt() + group["eps"])
