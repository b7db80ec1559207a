"""Adversarial examples: attacks on a classifier, gradients estimated from its scores, and training against them.

A model is any callable from (B, ...) inputs to (B, K) logits that treats its rows alike and apart from each other; a
network with batch normalisation has to be in evaluation mode. Labels are (B,) int64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..noise import Draws, Seed

Model = Callable[[Tensor], Tensor]
NORMS = ("linf", "l2", "l1")


def input_gradient(model: Model, x: Tensor, labels: Tensor) -> Tensor:
    """Gradient of each row's cross-entropy with respect to that row: (B, ...) inputs and (B,) labels to (B, ...)."""
    _check_labels("input_gradient", x, labels)
    return _gradient(lambda inputs: _cross_entropy(model(inputs), labels).sum(), x)


def steepest_step(gradient: Tensor, epsilon: float, norm: str = "linf") -> Tensor:
    """The step of length `epsilon` that raises a linear function most: epsilon sign(g), or epsilon g / |g| for "l2".

    For "l1" all of it goes to the number with the largest derivative, the first of them.

    Args:
        gradient: (B, ...).
        epsilon: length in that norm.
        norm: "linf", "l2" or "l1", over everything but the batch axis.

    Raises:
        InvalidInput: an unknown norm or a negative epsilon.
    """
    _check_ball("steepest_step", epsilon, norm)
    if norm == "linf":
        return epsilon * gradient.sign()
    if norm == "l1":
        flat = gradient.flatten(1)
        largest = torch.arange(flat.shape[1], device=flat.device) == flat.abs().argmax(1, keepdim=True)
        return epsilon * (flat.sign() * largest).view_as(gradient)
    return epsilon * gradient / _length(gradient).clamp(min=torch.finfo(gradient.dtype).tiny)


def project(perturbation: Tensor, epsilon: float, norm: str = "linf") -> Tensor:
    """Perturbations (B, ...) brought into the ball of that radius around 0; other arguments as in `steepest_step`.

    Each goes to the nearest point of the ball; for "l1" by the sort of Duchi et al. (2008).
    """
    _check_ball("project", epsilon, norm)
    if norm == "linf":
        return perturbation.clamp(-epsilon, epsilon)
    if norm == "l1":
        size = perturbation.flatten(1).abs()  # (B, D)
        ordered = size.sort(dim=1, descending=True).values
        excess = (ordered.cumsum(1) - epsilon) / torch.arange(1, size.shape[1] + 1, device=size.device)
        # the mean excess of the k largest rises up to the k that is right, and falls from there on
        threshold = excess.amax(1, keepdim=True).clamp(min=0)
        return ((size - threshold).clamp(min=0) * perturbation.flatten(1).sign()).view_as(perturbation)
    tiny = torch.finfo(perturbation.dtype).tiny
    return perturbation * (epsilon / _length(perturbation).clamp(min=tiny)).clamp(max=1)


def with_room(gradient: Tensor, x: Tensor, bounds: tuple[float, float]) -> Tensor:
    """The gradient (B, ...) without its parts that lead out of the bounds where x (B, ...) is at one of them."""
    return gradient.masked_fill(((x >= bounds[1]) & (gradient > 0)) | ((x <= bounds[0]) & (gradient < 0)), 0)


def fgsm(
    model: Model,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    norm: str = "linf",
    targeted: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    """Fast gradient (sign) method: one step along the gradient (Goodfellow et al., 2015).

    Args:
        model: (B, ...) to (B, K) logits.
        x: (B, ...).
        labels: (B,) int64: the true classes, or with `targeted` those that the model should say.
        epsilon: length of the step.
        norm: "linf", "l2" or "l1".
        targeted: lower the loss of `labels` instead of raising it.
        bounds: range of a valid input.

    Returns:
        (B, ...) adversarial inputs.

    Raises:
        InvalidInput: labels of the wrong shape, an unknown norm or a negative epsilon.
    """
    gradient = input_gradient(model, x, labels)
    step = steepest_step(-gradient if targeted else gradient, epsilon, norm)
    return (x.detach() + step).clamp(*bounds)


def pgd(
    model: Model,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    step_size: float,
    steps: int = 40,
    norm: str = "linf",
    targeted: bool | Tensor = False,
    bounds: tuple[float, float] = (0.0, 1.0),
    start: Tensor | None = None,
) -> Tensor:
    """Projected gradient: `steps` steepest steps, each brought back into the ball around x (Madry et al., 2018).

    Args:
        model: (B, ...) to (B, K) logits.
        x: (B, ...), centre of the ball.
        labels: (B,) int64: the true classes, or with `targeted` those that the model should say.
        epsilon: radius of the ball.
        step_size: length of one step.
        steps: how many.
        norm: "linf", "l2" or "l1".
        targeted: lower the loss of `labels` instead of raising it; a (B,) bool says so of each row.
        bounds: range of a valid input.
        start: (B, ...), such as `random_in_ball`; None starts at x.

    Returns:
        (B, ...) adversarial inputs, within the ball and the bounds.

    Raises:
        InvalidInput: labels or a start of the wrong shape, an unknown norm or a negative epsilon.
    """
    _check_labels("pgd", x, labels)
    sign = 1 - 2 * targeted.to(x.dtype) if isinstance(targeted, Tensor) else -1.0 if targeted else 1.0
    return _ascend(
        lambda inputs: (sign * _cross_entropy(model(inputs), labels)).sum(),
        x,
        x if start is None else start,
        epsilon=epsilon,
        step_size=step_size,
        steps=steps,
        norm=norm,
        bounds=bounds,
    )


def random_in_ball(x: Tensor, epsilon: float, norm: str = "linf", seed: Seed = None) -> Tensor:
    """x (B, ...) plus a perturbation drawn uniformly from the ball of that radius: where PGD may start."""
    _check_ball("random_in_ball", epsilon, norm)
    draws = Draws(seed, x.device)
    if norm == "linf":
        return x + epsilon * (2 * draws.uniform(*x.shape) - 1).to(x.dtype)
    direction = draws.normal(*x.shape, dtype=x.dtype)
    if norm == "l1":  # shares of exponential numbers, one of which is left out, fill the simplex evenly
        shares = -draws.uniform(x.shape[0], x[0].numel() + 1).clamp(min=1e-7).log()
        shares = (shares / shares.sum(1, keepdim=True))[:, 1:].to(x.dtype)
        return x + epsilon * shares.view_as(x) * direction.sign()
    radius = (draws.uniform(x.shape[0]) ** (1 / x[0].numel())).to(x.dtype)  # (B,)
    return x + steepest_step(direction, epsilon, "l2") * radius.view(-1, *[1] * (x.ndim - 1))


def trades_attack(
    model: Model,
    x: Tensor,
    epsilon: float,
    *,
    step_size: float,
    steps: int = 10,
    norm: str = "linf",
    bounds: tuple[float, float] = (0.0, 1.0),
    seed: Seed = None,
) -> Tensor:
    """Inputs in the ball on which the model's prediction differs most from that on x, by KL: (B, ...) to (B, ...).

    Inner maximisation of TRADES (Zhang et al., 2019), from x plus normal noise of deviation 0.001; arguments and errors
    as in `pgd`.
    """
    with torch.no_grad():
        clean = F.log_softmax(model(x), -1)
    noise = Draws(seed, x.device).normal(*x.shape, dtype=x.dtype)
    return _ascend(
        lambda inputs: F.kl_div(F.log_softmax(model(inputs), -1), clean, reduction="sum", log_target=True),
        x,
        x + 1e-3 * noise,
        epsilon=epsilon,
        step_size=step_size,
        steps=steps,
        norm=norm,
        bounds=bounds,
    )


def trades_loss(clean: Tensor, adversarial: Tensor, labels: Tensor, beta: float = 6.0) -> Tensor:
    """Cross-entropy on clean inputs plus beta times the KL divergence to the attacked prediction (Zhang et al., 2019).

    Args:
        clean: (B, K) logits of the inputs.
        adversarial: (B, K) logits of `trades_attack`'s inputs.
        labels: (B,) int64.
        beta: robustness against accuracy.

    Raises:
        InvalidInput: shapes that do not fit each other.
    """
    if clean.shape != adversarial.shape or labels.shape != clean.shape[:1]:
        raise InvalidInput(
            "trades_loss: both logits must have shape (B, K) and labels (B,); "
            f"got {tuple(clean.shape)}, {tuple(adversarial.shape)} and {tuple(labels.shape)}"
        )
    divergence = F.kl_div(
        F.log_softmax(adversarial, -1), F.log_softmax(clean, -1), reduction="batchmean", log_target=True
    )
    return F.cross_entropy(clean, labels) + beta * divergence


def adversarial_training_step(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    step_size: float,
    steps: int = 10,
    norm: str = "linf",
    beta: float | None = None,
    seed: Seed = None,
) -> Tensor:
    """One optimiser step on the worst inputs in the ball; the attack sees the model in evaluation mode.

    Args:
        model: (B, ...) to (B, K) logits; it is in training mode afterwards.
        optimiser: of the model's parameters.
        x: (B, ...) in [0, 1].
        labels: (B,) int64.
        epsilon: radius of the ball.
        step_size: length of one attack step.
        steps: attack steps.
        norm: "linf", "l2" or "l1".
        beta: None minimises the cross-entropy of PGD examples (Madry et al., 2018); a number is the weight of
            `trades_loss` (Zhang et al., 2019).
        seed: of where the attack starts, see `noise`.

    Returns:
        The loss before the step, a detached scalar.
    """
    model.eval()
    if beta is None:
        start = random_in_ball(x, epsilon, norm, seed)
        attacked = pgd(model, x, labels, epsilon, step_size=step_size, steps=steps, norm=norm, start=start)
    else:
        attacked = trades_attack(model, x, epsilon, step_size=step_size, steps=steps, norm=norm, seed=seed)
    model.train()
    if beta is None:
        loss = F.cross_entropy(model(attacked), labels)
    else:
        loss = trades_loss(model(x), model(attacked), labels, beta)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()


@torch.no_grad()
def finite_difference_gradient(
    model: Model,
    x: Tensor,
    labels: Tensor,
    *,
    delta: float = 1e-2,
    groups: Tensor | None = None,
    components: Tensor | None = None,
) -> Tensor:
    """The gradient of the cross-entropy from the model's scores alone, by central differences (Bhagoji et al., 2018).

    The model is called twice for each group, on whole batches.

    Args:
        model: (B, ...) to (B, K) logits.
        x: (B, ...), D numbers a row.
        labels: (B,) int64.
        delta: how far each number is moved to either side.
        groups: (G, D) bool, which numbers are moved together and share one estimate, each number in one group, such as
            `F.one_hot(torch.randperm(D) % G, G).T.bool()`; None gives each its own.
        components: (G, D) directions of length 1 at right angles to each other, such as the principal components of
            data, along which alone is asked, instead of groups.

    Returns:
        (B, ...) the estimate; within a group, the mean of its derivatives; of components, the gradient's share in them.

    Raises:
        InvalidInput: labels, groups or components of the wrong shape.
    """
    _check_labels("finite_difference_gradient", x, labels)
    size = x[0].numel()
    if components is not None:
        if components.ndim != 2 or components.shape[1] != size:
            shape = tuple(components.shape)
            raise InvalidInput(f"finite_difference_gradient: components must have shape (G, {size}); got {shape}")
        directions = components.to(x.dtype)
    elif groups is None:
        directions = torch.eye(size, device=x.device, dtype=x.dtype)
    elif groups.ndim != 2 or groups.shape[1] != size:
        raise InvalidInput(f"finite_difference_gradient: groups must have shape (G, {size}); got {tuple(groups.shape)}")
    else:
        directions = groups.to(x.dtype)
    estimate = torch.zeros_like(x)
    for direction in directions.unbind():
        move = (delta * direction).view_as(x[0])
        ahead = _cross_entropy(model(x + move), labels)
        behind = _cross_entropy(model(x - move), labels)
        length = 1 if components is not None else direction.sum().clamp(min=1)
        slope = (ahead - behind) / (2 * delta * length)  # (B,)
        estimate = estimate + slope.view(-1, *[1] * (x.ndim - 1)) * direction.view_as(x[0])
    return estimate


def transfer_attack(
    surrogate: Model, victim: Model, x: Tensor, labels: Tensor, attack: Callable[[Model, Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Adversarial examples made for one model and tried on another (Papernot et al., 2016).

    Args:
        surrogate: the model whose gradient is known.
        victim: the model under attack, asked once.
        x: (B, ...).
        labels: (B,) int64, the true classes.
        attack: from (surrogate, x, labels) to (B, ...), such as `functools.partial(fgsm, epsilon=0.1)`.

    Returns:
        The inputs (B, ...), and (B,) bool, where the victim is wrong on them.
    """
    adversarial = attack(surrogate, x, labels)
    with torch.no_grad():
        return adversarial, victim(adversarial).argmax(-1) != labels


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) in the form softplus(log sum of the others' exp - own): exact and with a gradient where the model is sure.

    `F.cross_entropy` rounds to 0 there, which would hide a very sure model from every attack.
    """
    own = logits.gather(1, labels.unsqueeze(1))  # (B, 1)
    others = logits.scatter(1, labels.unsqueeze(1), -torch.inf)
    return F.softplus(torch.logsumexp(others, 1) - own.squeeze(1))


def _gradient(objective: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.no_grad():  # no second graph through the model's parameters
        return torch.func.grad(objective)(x)


def _ascend(
    objective: Callable[[Tensor], Tensor],
    x: Tensor,
    start: Tensor,
    *,
    epsilon: float,
    step_size: float,
    steps: int,
    norm: str,
    bounds: tuple[float, float],
) -> Tensor:
    _check_ball("pgd", epsilon, norm)
    if start.shape != x.shape:
        raise InvalidInput(f"pgd: start must have shape {tuple(x.shape)}; got {tuple(start.shape)}")
    x, start = x.detach(), start.detach()  # what the attack finds is data, whatever x was made by
    adversarial = project(start - x, epsilon, norm).add(x).clamp(*bounds)
    for _ in range(steps):
        gradient = _gradient(objective, adversarial)
        if norm == "l1":  # a number at its bound has nowhere to go, and would be chosen again and again
            gradient = with_room(gradient, adversarial, bounds)
        moved = adversarial + steepest_step(gradient, step_size, norm)
        adversarial = project(moved - x, epsilon, norm).add(x).clamp(*bounds)
    return adversarial


def _length(x: Tensor) -> Tensor:
    """Euclidean length of each row, (B, 1, ...)."""
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)), keepdim=True)


def _check_labels(name: str, x: Tensor, labels: Tensor) -> None:
    if labels.shape != x.shape[:1]:
        raise InvalidInput(f"{name}: labels must have shape {tuple(x.shape[:1])}; got {tuple(labels.shape)}")


def _check_ball(name: str, epsilon: float, norm: str) -> None:
    if norm not in NORMS:
        raise unknown_name(f"{name}: norm", norm, NORMS)
    if epsilon < 0:
        raise InvalidInput(f"{name}: epsilon must be at least 0; got {epsilon}")
