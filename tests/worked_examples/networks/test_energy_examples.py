"""Worked by hand: what the couplings and the energy of a Hopfield network are, and other ways to write the same."""

import itertools
import math

import pytest
import torch

from palaestra.neural_blocks import Hopfield


def states(count):
    """(2^count, count) all states of -1 and 1."""
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=count)))


def test_a_coupling_is_positive_between_units_that_agree_and_negative_between_those_that_differ():
    # units 0 and 1 agree in all three patterns, 0 and 2 differ in all, 0 and 3 agree in two
    patterns = torch.tensor([[1.0, 1, -1, 1], [-1, -1, 1, -1], [1, 1, -1, -1]])
    net = Hopfield(4)
    net.memorise(patterns, "mean_product")
    assert net.couplings()[0].tolist() == pytest.approx([0, 1, -1, 1 / 3])


def test_small_steps_down_the_energy_of_the_patterns_are_the_hebbian_rule():
    # -dE/dw_ij of both halves of a coupling together is x_i x_j, that of a bias x_j
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randint(2, (3, 8), generator=generator) * 2.0 - 1
    net, at_once = Hopfield(8, biases=True), Hopfield(8, biases=True)
    rates = [{"params": [net.weight], "lr": 2 / 80}, {"params": [net.bias], "lr": 1 / 80}]
    optimiser, energies = torch.optim.SGD(rates), []
    for _ in range(10):
        optimiser.zero_grad()
        energy = net.energy(patterns).sum()
        energies.append(energy.item())
        energy.backward()
        optimiser.step()
    at_once.memorise(patterns)
    torch.testing.assert_close(net.couplings(), at_once.couplings())
    torch.testing.assert_close(net.bias, at_once.bias)
    assert all(after < before for before, after in itertools.pairwise(energies))


@pytest.mark.parametrize("field", [0.0, 0.4])
def test_equal_couplings_on_a_ring_are_isings_chain(field):
    """Ising's (1925) partition function of 9 spins in a ring, the trace of the ninth power of a 2 x 2 matrix."""
    count, coupling = 9, 0.7
    net = Hopfield(count, biases=True)
    with torch.no_grad():
        net.weight.copy_(coupling * (torch.eye(count).roll(1, 0) + torch.eye(count).roll(-1, 0)))
        net.bias.fill_(field)
        found = torch.exp(-net.energy(states(count)).double()).sum().item()
    up, down, apart = math.exp(coupling + field), math.exp(coupling - field), math.exp(-coupling)
    power = torch.linalg.matrix_power(torch.tensor([[up, apart], [apart, down]], dtype=torch.float64), count)
    assert found == pytest.approx(power.trace().item(), rel=1e-5)


def test_units_of_0_and_1_are_the_same_network_with_other_numbers():
    """With x = 2 s - 1: couplings 4 W and biases 2 b - 2 W 1 give the same energy but for a constant, and recall."""
    generator = torch.Generator().manual_seed(1)
    patterns = torch.randint(2, (2, 9), generator=generator) * 2.0 - 1
    net = Hopfield(9, biases=True)
    net.memorise(patterns)
    weight, bias = 4 * net.couplings().detach(), 2 * net.bias.detach() - 2 * net.couplings().detach().sum(1)
    x = states(9)
    s = (x + 1) / 2
    energy = -0.5 * ((s @ weight) * s).sum(1) - s @ bias
    apart = energy - net.energy(x).detach()
    torch.testing.assert_close(apart, apart[:1].expand(len(apart)), atol=1e-5, rtol=0)
    field = (s @ weight + bias).double().round(decimals=4)  # a field of 0 is one, whatever the rounding
    updated = torch.where(field == 0, s, (field > 0).float())
    torch.testing.assert_close(2 * updated - 1, net(x, sweeps=1))


def test_four_pictures_of_36_cells_are_told_apart_after_noise_and_two_blank_rows():
    # products A B = A C = B C = 0, A E = 8, B E = 4: bits that differ from B are (36 - product) / 2 = 18, 0, 18, 16
    rows = torch.arange(6)
    upper, left = torch.where(rows < 3, 1.0, -1.0)[:, None].expand(6, 6), torch.where(rows < 3, 1.0, -1.0).expand(6, 6)
    chequers = (-1.0) ** (rows[:, None] + rows)
    other = torch.tensor(
        [
            [1.0, -1, 1, -1, 1, 1],
            [1, 1, -1, 1, -1, -1],
            [1, -1, 1, -1, 1, 1],
            [-1, 1, -1, -1, 1, -1],
            [1, -1, 1, -1, -1, 1],
            [-1, 1, -1, 1, -1, -1],
        ]
    )
    patterns = torch.stack([upper, left, chequers, other]).flatten(1)
    assert (patterns @ patterns.T)[[0, 0, 0, 1, 1], [1, 2, 3, 2, 3]].tolist() == [0, 0, 8, 0, 4]
    net = Hopfield(36)
    net.memorise(patterns)
    generator = torch.Generator().manual_seed(0)
    flips = torch.rand(36, generator=generator) < 0.2
    start = torch.where(flips, -patterns[1], patterns[1])
    start[24:] = -1
    assert (start != patterns[1]).sum() > 9
    recalled = net(start[None])[0]
    assert (recalled != patterns).sum(1).tolist() == [18, 0, 18, 16]
