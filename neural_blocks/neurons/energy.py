"""Energy-based networks: the Hopfield memory and the restricted Boltzmann machine."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..noise import Draws, Seed

RULES = ("hebbian", "mean_product")
ENUMERABLE = 16  # units of which all 2^16 states fit in memory at once


class Hopfield(nn.Module):
    """Content-addressable memory of N units in {-1, 1} (Hopfield, 1982).

    The couplings are symmetric without self-coupling, whatever `weight` holds. They come from the patterns (`memorise`)
    or from gradient descent on `loss`, whose couplings store more of them (MacKay, 2003, chapter 42). Biases are the
    couplings of each unit to one that is always 1; without them they stay 0.

    Args:
        size: N.
        biases: whether units have biases.

    Raises:
        InvalidInput: a size below 2.
    """

    bias: Tensor

    def __init__(self, size: int, biases: bool = False) -> None:
        super().__init__()
        if size < 2:
            raise InvalidInput(f"Hopfield: size must be at least 2; got {size}")
        self.size = size
        self.weight = nn.Parameter(torch.zeros(size, size))
        if biases:
            self.bias = nn.Parameter(torch.zeros(size))
        else:
            self.register_buffer("bias", torch.zeros(size), persistent=False)

    def couplings(self) -> Tensor:
        """The symmetric part of `weight` with a zero diagonal, (N, N)."""
        return without_self((self.weight + self.weight.T) / 2)

    @torch.no_grad()
    def memorise(self, patterns: Tensor, rule: str = "hebbian") -> None:
        """Replace what is stored by patterns (P, N) of -1 and 1.

        Args:
            patterns: (P, N).
            rule: "hebbian", w_ij = sum of x_i x_j / N over patterns, or "mean_product", W = X^T X / P, their mean. The
                two differ by a factor, which changes the energy and not the recall. Biases follow the same rule.

        Raises:
            InvalidInput: patterns of another shape, or an unknown rule.
        """
        self._check(patterns)
        if rule not in RULES:
            raise unknown_name("Hopfield: rule", rule, RULES)
        scale = self.size if rule == "hebbian" else len(patterns)
        self.weight.copy_(patterns.T @ patterns / scale)
        if isinstance(self.bias, nn.Parameter):
            self.bias.copy_(patterns.sum(0) / scale)

    def loss(self, patterns: Tensor) -> Tensor:
        """Mean negative log-probability of each bit given the others, for gradient training (Besag, 1975).

        (P, N) of -1 and 1 to a scalar. A bit's probability given the rest is a logistic function of its field.
        """
        self._check(patterns)
        return F.softplus(-2 * patterns * (patterns @ self.couplings() + self.bias)).mean()

    def energy(self, state: Tensor) -> Tensor:
        """-x^T W x / 2 - b x, which recall unit by unit never raises: (B, N) of -1 and 1 to (B,)."""
        self._check(state)
        return -0.5 * ((state @ self.couplings()) * state).sum(-1) - state @ self.bias

    @torch.no_grad()
    def forward(self, state: Tensor, sweeps: int = 20, order: Tensor | None = None) -> Tensor:
        """Recall: every unit takes the sign of its field, `sweeps` times; a unit whose field is zero stays.

        Args:
            state: (B, N) of -1 and 1, where recall starts.
            sweeps: how often each unit is updated.
            order: (N,) int64, the order in which units are updated one after the other (asynchronous); None updates
                all at once (synchronous).

        Returns:
            (B, N) of -1 and 1.

        Raises:
            InvalidInput: a state or an order of the wrong shape.
        """
        self._check(state)
        if order is not None and tuple(order.shape) != (self.size,):
            raise InvalidInput(f"Hopfield: order must have shape ({self.size},); got {tuple(order.shape)}")
        couplings = self.couplings()
        if order is None:
            return settled(couplings, state, self.bias, sweeps)
        for _ in range(sweeps):
            state = state.clone()
            for unit in order.unbind():
                index = unit.view(1)
                field = state @ couplings.index_select(1, index) + self.bias.index_select(0, index)  # (B, 1)
                state.index_copy_(1, index, _aligned(state.index_select(1, index), field))
        return state

    def _check(self, state: Tensor) -> None:
        if state.ndim != 2 or state.shape[1] != self.size:
            raise InvalidInput(f"Hopfield: states must have shape (B, {self.size}); got {tuple(state.shape)}")


def without_self(couplings: Tensor) -> Tensor:
    """Couplings (..., N, N) with a zero diagonal."""
    return couplings - torch.diag_embed(couplings.diagonal(dim1=-2, dim2=-1))


def settled(couplings: Tensor, state: Tensor, bias: Tensor | float = 0.0, sweeps: int = 20) -> Tensor:
    """Synchronous recall: all units take the signs of their fields at once; a unit whose field is zero stays.

    Args:
        couplings: (N, N), or of each state its own, (B, N, N); symmetric.
        state: (B, N).
        bias: (N,), (B, N), or 0.
        sweeps: how often.

    Returns:
        (B, N).
    """
    for _ in range(sweeps):
        field = state @ couplings if couplings.ndim == 2 else torch.einsum("bn,bnm->bm", state, couplings)
        state = _aligned(state, field + bias)
    return state


def settled_in_turn(couplings: Tensor, state: Tensor, bias: Tensor | float = 0.0, sweeps: int = 20) -> Tensor:
    """Asynchronous recall: one unit after the other takes the sign of its field, as `settled` does all at once.

    Args:
        couplings: (B, N, N), of each state its own; symmetric.
        state: (B, N).
        bias: (N,), (B, N), or 0.
        sweeps: how often each unit is updated.

    Returns:
        (B, N).
    """
    biases = (torch.zeros_like(state) + bias).unbind(1)
    units = list(state.unbind(1))
    for _ in range(sweeps):
        for place, own in enumerate(biases):
            field = (couplings[:, place] * torch.stack(units, 1)).sum(1) + own
            units[place] = _aligned(units[place], field)
    return torch.stack(units, 1)


def mean_product_field(patterns: Tensor, state: Tensor, self_connections: bool = False) -> Tensor:
    """W s under the mean-product rule W = X^T X / M of each state's own patterns, with or without W's diagonal of ones.

    W itself, N x N for each state, is not made.

    Args:
        patterns: X, (B, M, N) of -1 and 1.
        state: (B, N).
        self_connections: whether a unit is coupled to itself.

    Returns:
        (B, N), exact up to the division by M where the state holds whole numbers.
    """
    products = torch.einsum("bmn,bm->bn", patterns, torch.einsum("bmn,bn->bm", patterns, state)) / patterns.shape[1]
    return products if self_connections else products - state


def mean_product_recall(patterns: Tensor, cue: Tensor, sweeps: int = 10) -> Tensor:
    """The cue after updates of all bits at once to the sign of their field; a bit without a field stays.

    As `settled` does with the couplings W = X^T X / M, in whole numbers, so that a field of 0 is one.

    Args:
        patterns: X, (B, M, N) of -1 and 1.
        cue: (B, N) of -1, 0 and 1.
        sweeps: how often.
    """
    whole = patterns.shape[1]
    for _ in range(sweeps):
        cue = _aligned(cue, (mean_product_field(patterns, cue) * whole).round())
    return cue


def _aligned(state: Tensor, field: Tensor) -> Tensor:
    return torch.where(field == 0, state, field.sign())


class RBM(nn.Module):
    """Restricted Boltzmann machine: V visible and K hidden binary units, p(v, h) ~ exp(b.v + c.h + v W h).

    Smolensky (1986); trained by contrastive divergence (Hinton, 2002).

    Args:
        visible: V.
        hidden: K.

    Raises:
        InvalidInput: a size below 1.
    """

    def __init__(self, visible: int, hidden: int) -> None:
        super().__init__()
        if min(visible, hidden) < 1:
            raise InvalidInput(f"RBM: sizes must be at least 1; got {visible} and {hidden}")
        self.weight = nn.Parameter(0.01 * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    def free_energy(self, visible: Tensor) -> Tensor:
        """-log of the sum over h of exp(b.v + c.h + v W h): (..., V) to (...)."""
        self._check(visible)
        return _free_energy(visible, self.weight, self.visible_bias, self.hidden_bias)

    def forward(self, visible: Tensor) -> Tensor:
        """The features of an input, P(h = 1 | v): (..., V) to (..., K)."""
        self._check(visible)
        return torch.sigmoid(visible @ self.weight + self.hidden_bias)

    def reconstruct(self, hidden: Tensor) -> Tensor:
        """P(v = 1 | h): (..., K) to (..., V)."""
        return torch.sigmoid(hidden @ self.weight.T + self.visible_bias)

    @torch.no_grad()
    def gibbs(self, visible: Tensor, steps: int = 1, seed: Seed = None) -> Tensor:
        """`steps` rounds of drawing h given v, then v given h: (..., V) to (..., V) of 0 and 1."""
        draws = Draws(seed, visible.device)
        for _ in range(steps):
            visible = _drawn(self.reconstruct(_drawn(self(visible), draws)), draws)
        return visible

    def loss(self, visible: Tensor, steps: int = 1, seed: Seed = None) -> Tensor:
        """Contrastive divergence CD-k: mean free energy of the data less that of samples k Gibbs rounds away.

        Its gradient is the update rule; its value is not a likelihood. (B, V) to a scalar.
        """
        negative = self.gibbs(visible, steps, seed)
        return self.free_energy(visible).mean() - self.free_energy(negative).mean()

    @torch.no_grad()
    def sample(self, n: int, steps: int = 1000, seed: Seed = None) -> Tensor:
        """n states after `steps` Gibbs rounds from uniform bits: (n, V) of 0 and 1."""
        draws = Draws(seed, self.visible_bias.device)
        start = _drawn(self.visible_bias.new_full((n, self.visible_bias.shape[0]), 0.5), draws)
        return self.gibbs(start, steps, draws.part())

    @torch.no_grad()
    def restore(self, visible: Tensor, missing: Tensor, rounds: int = 200, seed: Seed = None) -> Tensor:
        """Missing units' probability given the others, as Gibbs rounds find it that leave the others as they are.

        The mean of P(v = 1 | h) over the later half of the rounds; in the first, missing units are uniform.

        Args:
            visible: (..., V) in [0, 1].
            missing: bool, of the same shape.
            rounds: how many, at least 1.
            seed: of the draws, see `noise`.

        Returns:
            (..., V) in [0, 1].
        """
        draws = Draws(seed, visible.device)
        state, total = torch.where(missing, _drawn(torch.full_like(visible, 0.5), draws), visible), 0 * visible
        for count in range(rounds):
            probability = self.reconstruct(_drawn(self(state), draws))
            state = torch.where(missing, _drawn(probability, draws), visible)
            total = total + probability * (count >= rounds // 2)
        return torch.where(missing, total / (rounds - rounds // 2), visible)

    def log_partition(self) -> Tensor:
        """log Z, a scalar, by summing over every state of the smaller layer.

        Raises:
            InvalidInput: both layers have more than 16 units.
        """
        visible, hidden = self.weight.shape
        if min(visible, hidden) > ENUMERABLE:
            raise InvalidInput(
                f"RBM: the exact partition function needs a layer of at most {ENUMERABLE} units; "
                f"got {visible} visible and {hidden} hidden"
            )
        weight: Tensor = self.weight
        own, other = self.visible_bias, self.hidden_bias
        if hidden < visible:
            weight, own, other = weight.T, other, own
        powers = torch.arange(own.shape[0], device=weight.device)
        states = torch.arange(2 ** own.shape[0], device=weight.device).unsqueeze(1) >> powers & 1  # (2^units, units)
        return torch.logsumexp(-_free_energy(states.to(weight.dtype), weight, own, other), 0)

    def log_prob(self, visible: Tensor) -> Tensor:
        """Exact log p(v) in nats, for small machines: (..., V) to (...). Raises as `log_partition` does."""
        return -self.free_energy(visible) - self.log_partition()

    def _check(self, visible: Tensor) -> None:
        if visible.shape[-1] != len(self.visible_bias):
            raise InvalidInput(
                f"RBM: visible states must have shape (..., {len(self.visible_bias)}); got {tuple(visible.shape)}"
            )


def _drawn(probabilities: Tensor, draws: Draws) -> Tensor:
    return (draws.uniform(*probabilities.shape) < probabilities).to(probabilities.dtype)


def _free_energy(states: Tensor, weight: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Of one layer's states (..., n), the other layer summed out."""
    return -states @ own - F.softplus(states @ weight + other).sum(-1)
