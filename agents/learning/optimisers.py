"""Optimisers whose state lives on the device: made, set and restored alike on the CPU and on CUDA, captured or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from .optimisation import OptimisationConfig
from .traced_step import traced_step

STATE: dict[str, tuple[str, ...]] = {
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
    "sgd": (),
    "momentum": ("momentum_buffer",),
    "nesterov": ("momentum_buffer",),
    "adagrad": ("sum",),
    "rmsprop": ("square_avg",),
}
"""What each optimiser remembers of a parameter, beside the number of steps."""
SETTINGS = ("lr", "capturable", "fused", "foreach")


class Adagrad(torch.optim.Optimizer):
    """Steps that shrink with the root of the sum of all squared gradients (Duchi et al., 2011).

    PyTorch's own reads the number of steps on the host, which a captured graph cannot.

    Args:
        parameters: or groups of them.
        lr: learning rate, a number or a tensor of no dimensions.
        eps: added to the root.
        weight_decay: factor of the squared weights' half in the loss.
    """

    def __init__(self, parameters: Any, lr: float | Tensor, eps: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients that are there."""
        for group in self.param_groups:
            own = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not own:
                continue
            sums: list[Tensor] = [self.state[one]["sum"] for one in own]
            gradients: Any = [one.grad for one in own]
            if group["weight_decay"]:
                gradients = torch._foreach_add(gradients, own, alpha=group["weight_decay"])
            torch._foreach_addcmul_(sums, gradients, gradients)
            roots = torch._foreach_sqrt(sums)
            torch._foreach_add_(roots, group["eps"])
            steps = torch._foreach_div(gradients, roots)
            torch._foreach_mul_(steps, group["lr"])
            torch._foreach_sub_(own, steps)


def make_optimiser(
    parameters: Iterable[nn.Parameter], config: OptimisationConfig, free: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """The optimiser that the settings name, with the state that its first step would make.

    Args:
        parameters: those that do not require a gradient are left out.
        config: the settings.
        free: those among them, such as a policy's deviation, whose size is not held small.
    """
    chosen, apart = [one for one in parameters if one.requires_grad], {id(one) for one in free}
    groups: list[dict[str, Any]] = [{"params": chosen}]
    if config.weight_decay and apart:
        groups = [
            {"params": [one for one in chosen if id(one) not in apart]},
            {"params": [one for one in chosen if id(one) in apart], "weight_decay": 0.0},
        ]
    optimiser = _made(groups, config, chosen[0].device if chosen else torch.device("cpu"))
    _begin(optimiser, STATE[config.optimiser])
    return optimiser


def adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
    """Adam with PyTorch's own settings and this rate."""
    settings: dict[str, Any] = {"learning_rate": learning_rate}
    return make_optimiser(parameters, OptimisationConfig(**settings))


def _made(groups: list[dict[str, Any]], config: OptimisationConfig, device: torch.device) -> torch.optim.Optimizer:
    """On CUDA the rate is a tensor, which a captured graph reads anew at each replay."""
    name, on_cuda = config.optimiser, device.type == "cuda"
    lr: Any = torch.tensor(config.learning_rate, device=device) if on_cuda else config.learning_rate
    further: dict[str, Any] = {"weight_decay": config.weight_decay} if config.weight_decay or name == "adamw" else {}
    if name in ("adam", "adamw", "rmsprop") and on_cuda:
        further["capturable"] = True
    if name == "adam":
        return torch.optim.Adam(groups, lr, eps=config.optimiser_eps, fused=True, **further)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr, eps=config.optimiser_eps, fused=True, **further)
    if name == "rmsprop":
        return torch.optim.RMSprop(groups, lr, alpha=0.99, eps=config.optimiser_eps, foreach=True, **further)
    if name == "adagrad":
        return Adagrad(groups, lr, config.optimiser_eps, **further)
    momentum = 0.0 if name == "sgd" else config.momentum
    return torch.optim.SGD(groups, lr, momentum, nesterov=name == "nesterov" and momentum > 0, fused=True, **further)


def _begin(optimiser: torch.optim.Optimizer, moments: tuple[str, ...]) -> None:
    """Makes the state that the first step would make: a captured graph must find it in place."""
    counts = isinstance(optimiser, torch.optim.Adam | torch.optim.RMSprop)
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            state = optimiser.state[parameter]
            if counts:
                state["step"] = torch.zeros((), dtype=torch.float32, device=_clock_device(group, parameter))
            state |= {name: torch.zeros_like(parameter) for name in moments}


@torch.no_grad()
def prepare_gradients(
    parameters: Sequence[Tensor], config: OptimisationConfig, free: Iterable[nn.Parameter] = ()
) -> None:
    """Adds the weights' sizes to the loss, and cuts each entry of the gradient, as far as the settings say so.

    Args:
        parameters: with their gradients, which change in place.
        config: the settings.
        free: those among them whose size is not held small.
    """
    learned = [one for one in parameters if one.grad is not None]
    gradients: Any
    if config.l1:
        apart = {id(one) for one in free}
        held = [one for one in learned if id(one) not in apart]
        if held:
            gradients = [one.grad for one in held]
            torch._foreach_add_(gradients, torch._foreach_sign(held), alpha=config.l1)
    if config.max_grad_value is not None and learned:
        gradients = [one.grad for one in learned]
        torch._foreach_clamp_max_(gradients, config.max_grad_value)
        torch._foreach_clamp_min_(gradients, -config.max_grad_value)


def scale_down(parameters: Sequence[Tensor], config: OptimisationConfig) -> Tensor:
    """Scales the gradients down to the largest norm that the settings allow; returns what it was before, ()."""
    if config.max_grad_norm is None:
        return torch.nn.utils.get_total_norm([one.grad for one in parameters if one.grad is not None])
    return torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm, foreach=True)


def step(optimiser: torch.optim.Optimizer) -> None:
    """A step along the gradients; in a program, whose rates are tensors, of operators that it can be made of."""
    if get_proxy_mode() is None:
        optimiser.step()
    else:
        traced_step(optimiser)


def tensor_rates(optimiser: torch.optim.Optimizer) -> None:
    """Makes the learning rates tensors, which a program reads anew each time, in place of numbers."""
    for group in optimiser.param_groups:
        if not isinstance(group["lr"], Tensor):
            group["lr"] = torch.tensor(group["lr"], dtype=torch.float32)


@torch.no_grad()
def step_where(going: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """A step of the optimiser where () `going` is true; else nothing changes. It asks no device, so it is captured."""
    changed = [*(one for group in optimiser.param_groups for one in group["params"]), *tensors(optimiser)]
    before = [one.clone() for one in changed]
    step(optimiser)
    for one, old in zip(changed, before, strict=True):
        one.copy_(torch.where(going, one, old))


def set_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Sets the learning rate of all parameters."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(learning_rate)
        else:
            group["lr"] = learning_rate


def saved(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Its state, to be restored however it runs then: rates are numbers."""
    state = optimiser.state_dict()
    groups = [group | {"lr": float(group["lr"])} for group in state["param_groups"]]
    return state | {"param_groups": groups}


def restore(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Takes over a saved state, of whatever device; how the optimiser runs here stays as it is."""
    first = optimiser.param_groups[0]
    own: dict[str, Any] = {name: first[name] for name in SETTINGS if name in first}
    optimiser.load_state_dict(state)
    learning_rate = float(optimiser.param_groups[0]["lr"])
    for group in optimiser.param_groups:
        group |= own
        for parameter in group["params"]:
            kept = optimiser.state[parameter]
            if "step" in kept:
                kept["step"] = kept["step"].to(_clock_device(group, parameter))
    set_rate(optimiser, learning_rate)


def _clock_device(group: dict[str, Any], parameter: Tensor) -> torch.device:
    """Where the count of steps lives."""
    return parameter.device if group.get("capturable") or group.get("fused") else torch.device("cpu")


def tensors(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """All that a step changes beside the parameters."""
    states = [value for state in optimiser.state.values() for value in state.values() if isinstance(value, Tensor)]
    return states + [group["lr"] for group in optimiser.param_groups if isinstance(group["lr"], Tensor)]
