"""Worked by hand: momentum as a body with friction, and why a valley is crossed back and forth without it."""

import pytest
import torch
from torch import nn

from palaestra.agents.learning.optimisation import OptimisationConfig
from palaestra.agents.learning.optimisers import make_optimiser


def path(name, rate, curvature, start, steps, momentum=0.0):
    """Where an optimiser goes in the bowl of half the squared places times their curvatures."""
    place = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimiser = make_optimiser([place], OptimisationConfig(optimiser=name, learning_rate=rate, momentum=momentum))
    been = [place.detach().clone()]
    for _ in range(steps):
        place.grad = place.detach() * torch.tensor(curvature, dtype=torch.float64)
        optimiser.step()
        been.append(place.detach().clone())
    return torch.stack(been)


def test_momentum_is_a_body_that_rolls_with_friction():
    # v' = (1 - r) v + dt a and x' = x + dt v' with a = -slope: the heavy ball of momentum 1 - r and rate dt^2
    friction, step, curvature = 0.3, 0.5, 2.0
    x, v, rolled = 1.0, 0.0, [1.0]
    for _ in range(8):
        v = (1 - friction) * v - step * curvature * x
        x += step * v
        rolled.append(x)
    been = path("momentum", step**2, [curvature], [1.0], 8, 1 - friction)
    assert been[:, 0].tolist() == pytest.approx(rolled)
    assert rolled[1:3] == pytest.approx([0.5, -0.1])  # 1 - 0.25 * 2, and 0.5 + 0.7 * (0.5 - 1) - 0.25 * 2 * 0.5


def test_a_rate_that_suits_the_steep_side_crawls_along_the_flat_one():
    # at curvatures 1 and 100 each step multiplies by 1 - rate * curvature: 0.9 at most converges, 2.1 does not
    been = path("sgd", 0.019, [1.0, 100.0], [1.0, 1.0], 10)
    assert been[-1].tolist() == pytest.approx([0.981**10, 0.9**10])  # 1 - 1.9 = -0.9: across and back each time
    assert (been[1:, 1] * been[:-1, 1] < 0).all()
    assert path("sgd", 0.031, [1.0, 100.0], [1.0, 1.0], 10)[-1, 1].item() == pytest.approx(2.1**10)
    # the best momentum, ((sqrt k - 1) / (sqrt k + 1))^2 for a condition of k = 100, makes of 0.98 a step 0.82
    best = path("momentum", (2 / 11) ** 2, [1.0, 100.0], [1.0, 1.0], 60, (9 / 11) ** 2)
    plain = path("sgd", 2 / 101, [1.0, 100.0], [1.0, 1.0], 60)
    assert plain[-1].norm().item() == pytest.approx(2**0.5 * (99 / 101) ** 60)
    assert best[-1].norm() < 1e-3 < plain[-1].norm()


def test_a_batch_of_k_times_as_many_allows_a_rate_k_times_as_high():
    """k small steps and one large one end at the same place but for terms of the rate's square (Goyal et al., 2017)."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(4, 8, 3, generator=draw).double(), torch.randn(4, 8, generator=draw).double()

    def after(rate, batches):
        weight = nn.Parameter(torch.ones(3).double())
        optimiser = torch.optim.SGD([weight], rate)
        for inputs, targets in batches:
            optimiser.zero_grad()
            (inputs @ weight - targets).square().mean().backward()
            optimiser.step()
        return weight.detach()

    small = list(zip(x, y, strict=True))  # four batches of eight
    large = [(x.flatten(0, 1), y.flatten())]
    apart = [(after(rate, small) - after(4 * rate, large)).norm().item() for rate in (1e-3, 5e-4)]
    assert apart[0] < 0.02 * (after(1e-3, small) - 1).norm().item()
    assert apart[0] / apart[1] == pytest.approx(4, rel=0.02)
