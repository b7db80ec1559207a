"""Worked by hand: four orthogonal patterns in a Hopfield network of 16 units; natural and robust error of a line."""

import itertools

import torch

from palaestra.neural_blocks import Hopfield
from palaestra.neural_blocks.robustness.adversarial import fgsm


def test_four_orthogonal_patterns_are_eigenvectors_and_one_wrong_bit_is_put_right_at_once():
    # products of the patterns: X X^T = 16 I; w = X^T X / 4 without its diagonal: X w = (16 / 4 - 1) X = 3 X
    signs = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).float()
    patterns = signs.repeat_interleave(4, 1)
    assert torch.equal(patterns @ patterns.T, 16 * torch.eye(4))
    net = Hopfield(16)
    net.memorise(patterns)  # divides by 16 units, the example by 4 patterns; that is a factor of the energy
    mean_product = 4 * net.couplings().detach()
    assert torch.equal(patterns @ mean_product, 3 * patterns)
    start = patterns[1].clone()
    start[15] = -start[15]  # of the second pattern a last bit
    assert (patterns @ start).tolist() == [2, 14, -2, 2]
    # energies -x^T w x / 2: -(16 * 3) / 2 of a pattern; of the start -((4 + 196 + 4 + 4) / 4 - 16) / 2
    assert (4 * net.energy(patterns)).tolist() == [-24] * 4
    assert (4 * net.energy(start[None])).tolist() == [-18]
    recalled = net(start[None], sweeps=1)
    differ = lambda x: (x != patterns).sum(1).tolist()  # noqa: E731
    assert differ(start) == [7, 1, 9, 7]
    assert differ(recalled[0]) == [8, 0, 8, 8]


def test_robust_error_is_at_least_natural_error_and_no_more_without_an_attack():
    # f(x) = sign(x), labels by hand; within 0.5 an attacker moves every point between -0.5 and 0.5 across
    x = torch.tensor([[-2.0], [-0.4], [-0.1], [0.2], [0.3], [1.5]])
    label = torch.tensor([0, 0, 1, 1, 0, 1])  # the third and the fifth are wrong
    model = lambda x: torch.cat([-x, x], 1)  # noqa: E731
    errors = []
    for epsilon in (0.0, 0.25, 0.5):
        moved = fgsm(model, x, label, epsilon, bounds=(-9.0, 9.0))
        errors.append(int((model(moved).argmax(1) != label).sum()))
    natural = int((model(x).argmax(1) != label).sum())
    assert errors == [natural, 3, 4] == [2, 3, 4]  # 0.2 falls first, then -0.4


def test_gradient_descent_on_the_energy_of_patterns_learns_their_mean_product():
    """The mean energy and a quarter of the squared couplings are least at X^T X / M less its diagonal."""
    patterns = torch.where(torch.rand(3, 6, generator=torch.Generator().manual_seed(1)) < 0.5, -1.0, 1.0)
    block, wanted = Hopfield(6), Hopfield(6)
    wanted.memorise(patterns, "mean_product")
    torch.testing.assert_close(wanted.couplings(), patterns.T @ patterns / 3 - torch.eye(6))
    optimiser = torch.optim.SGD(block.parameters(), 0.5)
    energies = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = block.energy(patterns).mean() + block.couplings().square().sum() / 4
        energies.append(loss.item())
        loss.backward()
        optimiser.step()
    assert all(after <= before + 1e-6 for before, after in itertools.pairwise(energies))
    torch.testing.assert_close(block.couplings(), wanted.couplings(), atol=1e-4, rtol=0)


def test_units_between_minus_one_and_one_descend_the_energy_to_a_pattern():
    """tau dx / dt = x W + b, within the box: the state goes down the energy's gradient and ends in a corner."""
    patterns = torch.tensor([[1.0, 1, 1, 1, -1, -1, -1, -1], [1.0, -1, 1, -1, 1, -1, 1, -1]])
    block = Hopfield(8)
    block.memorise(patterns)
    state = 0.3 * patterns[:1] + torch.tensor([[0.1, -0.2, 0.0, 0.1, 0.2, 0.0, -0.1, 0.1]])
    energies = []
    for _ in range(400):
        free = state.clone().requires_grad_()
        energy = -0.5 * (free @ block.couplings() * free).sum()
        energies.append(energy.item())
        (slope,) = torch.autograd.grad(energy, free)
        torch.testing.assert_close(-slope, state @ block.couplings())  # the field is the way down
        state = (state - 0.05 * slope).clamp(-1, 1).detach()
    assert all(after <= before + 1e-7 for before, after in itertools.pairwise(energies))
    assert torch.equal(state, patterns[:1])
    assert energies[-1] == block.energy(patterns[:1]).item()
