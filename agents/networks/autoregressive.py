"""Policies whose choices are made one after the other, each knowing those before it."""

from __future__ import annotations

import math

import gymnasium.spaces as spaces
import torch
from torch import Tensor, nn

from ...envs.core.noise import normal
from .distributions import Bernoulli, Categorical, DiagonalGaussian, MultiCategorical, choose

CONTEXT = 32  # features that the network gives of the observation, beside what each choice would be alone


class Chain(nn.Module):
    """What each of n choices owes to the observation and to the choices before it (Larochelle and Murray, 2011).

    h_k = tanh(c + what the choices before k add), of which choice k's m numbers are a linear function, added to those
    that the network gives. At first no choice adds anything: each is as without the chain.

    Args:
        count: n.
        values: m, numbers that a choice has for parameters.
        entries: numbers by which a choice is told: one for each of its values, or 1.
    """

    def __init__(self, count: int, values: int, entries: int) -> None:
        super().__init__()
        self.count, self.values = count, values
        self.size = count * values + CONTEXT
        self.adds = nn.Parameter(torch.zeros(count, entries, CONTEXT))
        self.reads = nn.Parameter(torch.randn(count, values, CONTEXT) / math.sqrt(CONTEXT))

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """The network's outputs as parameters of each choice alone (..., n, m) and context (..., C)."""
        alone, context = parameters.split([self.count * self.values, CONTEXT], -1)
        return alone.unflatten(-1, (self.count, self.values)), context

    def one(self, alone: Tensor, context: Tensor, place: int) -> Tensor:
        """(..., m) the parameters of the choice at a place, from a context to which those before it are added."""
        return alone[..., place, :] + torch.tanh(context) @ self.reads[place].T

    def all(self, parameters: Tensor, added: Tensor) -> Tensor:
        """(..., n, m) the parameters of all choices, of which each adds (..., n, C)."""
        alone, context = self.split(parameters)
        before = context.unsqueeze(-2) + added.cumsum(-2) - added
        return alone + torch.einsum("...nc,nmc->...nm", torch.tanh(before), self.reads)


class AutoregressiveCategorical(MultiCategorical):
    """Several choices, each knowing those before it: a MultiDiscrete space.

    Parameters are those of a `Chain`; raw actions (..., n), and the space's own, as of `MultiCategorical`. Its mode
    takes the likeliest value of each choice in turn.
    """

    impossible: Tensor

    def __init__(self, space: spaces.MultiDiscrete) -> None:
        super().__init__(space)
        most = max(self.sizes)
        self.chain = Chain(len(self.sizes), most, most)
        self.size = self.chain.size
        beyond = torch.arange(most) >= torch.tensor(self.sizes).unsqueeze(1)
        self.register_buffer("impossible", beyond, persistent=False)  # (n, m) values that a choice does not have

    def _taken(self, parameters: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """The choices (..., n), and the entropy of each given those before it (..., n)."""
        alone, context = self.chain.split(parameters)
        values, entropies = [], []
        for place in range(self.chain.count):
            logits = self.chain.one(alone, context, place).masked_fill(self.impossible[place], -torch.inf)
            value = logits.argmax(-1) if noise is None else choose(logits, noise[..., place : place + 1])
            context = context + self.chain.adds[place, value]
            values.append(value)
            entropies.append(Categorical.entropy(self.parts[place], logits))
        return torch.stack(values, -1), torch.stack(entropies, -1)

    def logits(self, parameters: Tensor, action: Tensor) -> Tensor:
        """(..., n, m) of each choice, given those of the action (..., n) before it."""
        added = self.chain.adds[torch.arange(self.chain.count, device=action.device), action]  # (..., n, C)
        return self.chain.all(parameters, added).masked_fill(self.impossible, -torch.inf)

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        """Random choices, one after the other."""
        return self._taken(logits, noise)[0]

    def mode(self, logits: Tensor) -> Tensor:
        """The likeliest value of each choice, given the likeliest of those before it."""
        return self._taken(logits, None)[0]

    def log_prob(self, logits: Tensor, action: Tensor) -> Tensor:
        """(...) the log-probability of all choices together."""
        return self.parts[0].log_prob(self.logits(logits, action), action).sum(-1)

    def focal(self, logits: Tensor, action: Tensor, gamma: float) -> Tensor:
        """(...) the sum over choices, each given those before it, see `Categorical.focal`."""
        return self.parts[0].focal(self.logits(logits, action), action, gamma).sum(-1)

    def hinge(self, logits: Tensor, action: Tensor) -> Tensor:
        """(...) the sum over choices, each given those before it, see `Categorical.hinge`."""
        return self.parts[0].hinge(self.logits(logits, action), action).sum(-1)

    def mean_log_prob(self, logits: Tensor) -> Tensor:
        """(...) the mean of the log-probabilities of each choice's values, given the likeliest before it, summed."""
        found = self.logits(logits, self._taken(logits, None)[0])
        return self.parts[0].mean_log_prob(found).sum(-1)

    def entropy(self, logits: Tensor) -> Tensor:
        """(...) in nats, of each choice given the likeliest of those before it, summed."""
        return self._taken(logits, None)[1].sum(-1)


class AutoregressiveBernoulli(Bernoulli):
    """Bits, each knowing those before it: a MultiBinary space; parameters of a `Chain`, all else as of `Bernoulli`."""

    def __init__(self, space: spaces.MultiBinary) -> None:
        super().__init__(space)
        self.chain = Chain(self.size, 1, 1)
        self.size = self.chain.size

    def _taken(self, parameters: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """The bits (..., n), and the logit of each given those before it (..., n)."""
        alone, context = self.chain.split(parameters)
        bits, logits = [], []
        for place in range(self.chain.count):
            logit = self.chain.one(alone, context, place)[..., 0]
            bit = (logit > 0 if noise is None else noise[..., place] < logit.sigmoid()).to(logit.dtype)
            context = context + bit.unsqueeze(-1) * self.chain.adds[place, 0]
            bits.append(bit)
            logits.append(logit)
        return torch.stack(bits, -1), torch.stack(logits, -1)

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        """Random bits, one after the other."""
        return self._taken(logits, noise)[0]

    def mode(self, logits: Tensor) -> Tensor:
        """The likeliest value of each bit, given the likeliest of those before it."""
        return self._taken(logits, None)[0]

    def log_prob(self, logits: Tensor, action: Tensor) -> Tensor:
        """(...) the log-probability of all bits together."""
        added = action.unsqueeze(-1) * self.chain.adds[:, 0]
        return super().log_prob(self.chain.all(logits, added)[..., 0], action)

    def entropy(self, logits: Tensor) -> Tensor:
        """(...) in nats, of each bit given the likeliest of those before it, summed."""
        return super().entropy(self._taken(logits, None)[1])


class AutoregressiveGaussian(DiagonalGaussian):
    """Normal distributions, the mean of each knowing the numbers before it: a Box space.

    Parameters are those of a `Chain`; deviations do not depend on anything, so the entropy is exact; raw actions and
    the space's own as of `DiagonalGaussian`. Its mode takes each mean in turn.
    """

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space)
        self.chain = Chain(self.dimensions, 1, 1)
        self.size = self.chain.size

    def _taken(self, parameters: Tensor, noise: Tensor | None) -> Tensor:
        alone, context = self.chain.split(parameters)
        apart = None if noise is None else self.log_std.exp() * normal(noise)
        numbers: list[Tensor] = []
        for place in range(self.dimensions):
            number = self.chain.one(alone, context, place)[..., 0]
            number = number if apart is None else number + apart[..., place]
            context = context + number.unsqueeze(-1) * self.chain.adds[place, 0]
            numbers.append(number)
        return torch.stack(numbers, -1)

    def sample(self, mean: Tensor, noise: Tensor) -> Tensor:
        """Random numbers, one after the other."""
        return self._taken(mean, noise)

    def mode(self, mean: Tensor) -> Tensor:
        """Each mean, given those before it."""
        return self._taken(mean, None)

    def log_prob(self, mean: Tensor, action: Tensor) -> Tensor:
        """(...) the log-density of the raw action."""
        added = action.unsqueeze(-1) * self.chain.adds[:, 0]
        return super().log_prob(self.chain.all(mean, added)[..., 0], action)
