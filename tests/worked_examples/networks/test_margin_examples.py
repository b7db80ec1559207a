"""Worked by hand: losses of a margin, why many dimensions are near a boundary, and gradients that hide."""

import math

import pytest
import torch
import torch.nn.functional as F

from palaestra.neural_blocks.robustness.adversarial import (
    fgsm,
    finite_difference_gradient,
    pgd,
    steepest_step,
    transfer_attack,
)


@pytest.mark.parametrize("size", [1, 4, 64, 784])
def test_with_more_dimensions_the_same_accuracy_is_nearer_to_the_boundary(size):
    """Classes at -m and m with unit variance, m_i = 2 / sqrt(D): the natural error is Phi(-2) whatever D is.

    A change of 0.1 in every dimension moves the score by 0.1 sqrt(D) deviations: the robust error Phi(0.1 sqrt(D) - 2)
    is 0.03 in one dimension and 0.79 in 784.
    """
    generator = torch.Generator().manual_seed(size)
    label = torch.arange(6_000) % 2
    mean = torch.full((size,), 2 / math.sqrt(size))
    x = torch.randn(len(label), size, generator=generator) + (2.0 * label[:, None] - 1) * mean
    model = lambda x: torch.stack([-(x @ mean), x @ mean], 1)  # noqa: E731

    def error(x):
        return (model(x).argmax(1) != label).float().mean().item()

    def below(z):
        return 0.5 * (1 + math.erf(z / math.sqrt(2)))

    assert error(x) == pytest.approx(below(-2), abs=0.01)
    moved = fgsm(model, x, label, 0.1, bounds=(-99.0, 99.0))
    assert error(moved) == pytest.approx(below(0.1 * math.sqrt(size) - 2), abs=0.025)


def test_rounded_inputs_hide_the_gradient_but_not_the_boundary():
    """A classifier that rounds to tenths is flat nearly everywhere; what changes its answers has not moved."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 6, generator=generator)
    plain = lambda x: x @ weight.T  # noqa: E731
    masked = lambda x: plain((x * 10).round() / 10)  # noqa: E731
    x = torch.rand(200, 6, generator=generator)
    label = masked(x).argmax(1)
    attack = lambda model, x, label: pgd(model, x, label, 0.15, step_size=0.05, steps=5)  # noqa: E731
    assert torch.equal(attack(masked, x, label), x)  # no gradient, no step
    found, fooled = transfer_attack(plain, masked, x, label, attack)
    assert (found - x).abs().max() <= 0.15 + 1e-6
    assert fooled.float().mean() > 0.3
    slope = finite_difference_gradient(masked, x, label, delta=0.1)  # wider than a stair
    moved = (x + steepest_step(slope, 0.15)).clamp(0, 1)
    assert (masked(moved).argmax(1) != label).float().mean() > 0.3


def test_a_very_sure_model_hides_from_a_rounded_cross_entropy_alone():
    """Logits forty times as large: the slope of the usual form rounds to 0, that of a difference does not."""
    weight = 40 * torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0]])
    model = lambda x: x @ weight.T  # noqa: E731
    x, label = torch.full((1, 3), 0.5), torch.tensor([0])
    x.requires_grad_()
    F.cross_entropy(model(x), label).backward()
    assert x.grad.abs().max() == 0
    moved = pgd(model, x.detach(), label, 0.3, step_size=0.1, steps=4)
    torch.testing.assert_close(moved, torch.tensor([[0.2, 0.8, 0.2]]))
    assert model(moved).argmax(1).item() == 1
