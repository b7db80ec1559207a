"""Attacks on linear models, whose worst input is known, and estimates against the true gradient."""

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from scipy.stats import kstest
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.mlp import MLP
from palaestra.neural_blocks.robustness.adversarial import (
    adversarial_training_step,
    fgsm,
    finite_difference_gradient,
    input_gradient,
    pgd,
    project,
    random_in_ball,
    steepest_step,
    trades_attack,
    trades_loss,
    transfer_attack,
    with_room,
)

WIDE = (-100.0, 100.0)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), MLP(12, (32,), 5)).requires_grad_()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(6, 1, 3, 4, generator=generator), torch.randint(0, 5, (6,), generator=generator)


def losses(model, x, labels):
    return F.cross_entropy(model(x), labels, reduction="none").detach()


def lengths(perturbation, norm):
    return perturbation.flatten(1).abs().amax(1) if norm == "linf" else perturbation.flatten(1).norm(dim=1)


def test_the_input_gradient_is_autograds_row_by_row(model, batch):
    x, labels = batch
    for row in range(6):
        one = x[row : row + 1].clone().requires_grad_()
        (wanted,) = torch.autograd.grad(F.cross_entropy(model(one), labels[row : row + 1]), one)
        torch.testing.assert_close(input_gradient(model, x, labels)[row : row + 1], wanted)


def test_a_very_sure_model_still_shows_its_gradient():
    """70 nats ahead, the plain cross-entropy is 0 in float32; its gradient is exp(-70) times the margin's."""
    weight = torch.tensor([[30.0, 10.0], [-20.0, -10.0]])
    x, labels = torch.ones(1, 2), torch.tensor([0])
    assert F.cross_entropy(x @ weight.T, labels) == 0
    wanted = torch.exp(torch.tensor(-70.0)) * (weight[1] - weight[0])
    found = input_gradient(lambda inputs: inputs @ weight.T, x, labels)
    torch.testing.assert_close(found[0], wanted, rtol=1e-4, atol=0)
    estimate = finite_difference_gradient(lambda inputs: inputs @ weight.T, x, labels, delta=1e-3)
    torch.testing.assert_close(estimate[0], wanted, rtol=0.01, atol=0)


@torch.no_grad()
def test_attacks_work_where_gradients_are_switched_off(model, batch):
    assert not fgsm(model, *batch, 0.1).requires_grad
    assert (losses(model, fgsm(model, *batch, 0.1), batch[1]) > losses(model, *batch)).all()


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_the_steepest_step_attains_the_dual_norm(norm, dual):
    gradient = torch.randn(5, 2, 3)
    step = steepest_step(gradient, 0.3, norm)
    torch.testing.assert_close(lengths(step, norm), torch.full((5,), 0.3))
    torch.testing.assert_close((gradient * step).sum((1, 2)), 0.3 * gradient.flatten(1).norm(dual, dim=1))
    assert (steepest_step(torch.zeros(2, 3), 0.3, norm) == 0).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fgsm_is_one_step_up_or_down_the_gradient(model, batch, norm):
    x, labels = batch
    step = steepest_step(input_gradient(model, x, labels), 0.05, norm)
    torch.testing.assert_close(fgsm(model, x, labels, 0.05, norm=norm, bounds=WIDE), x + step)
    torch.testing.assert_close(fgsm(model, x, labels, 0.05, norm=norm, targeted=True, bounds=WIDE), x - step)
    inside = fgsm(model, x, labels, 5.0, norm=norm)
    assert inside.min() >= 0
    assert inside.max() <= 1


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_finds_the_worst_point_of_a_linear_model(norm):
    """The margin of two classes is linear: its minimum in the ball is in closed form, from any start."""
    torch.manual_seed(0)
    model, x, labels = nn.Linear(7, 2), torch.randn(9, 7), torch.tensor([0, 1, 0] * 3)
    start = random_in_ball(x, 0.2, norm, seed=0)
    found = pgd(model, x, labels, 0.2, step_size=0.05, steps=40, norm=norm, bounds=WIDE, start=start)
    downhill = (model.weight[1 - labels] - model.weight[labels]).detach()
    torch.testing.assert_close(found, x + steepest_step(downhill, 0.2, norm), atol=2e-3, rtol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_stays_in_the_ball_and_the_bounds_and_beats_fgsm(model, batch, norm):
    x, labels = batch
    found = pgd(model, x, labels, 0.3, step_size=0.05, norm=norm)
    assert (lengths(found - x, norm) <= 0.3 + 1e-6).all()
    assert found.min() >= 0
    assert found.max() <= 1
    single = fgsm(model, x, labels, 0.3, norm=norm)
    assert losses(model, found, labels).mean() > losses(model, single, labels).mean() > losses(model, x, labels).mean()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_start_inside_the_ball_is_kept_and_one_outside_brought_back(model, batch, norm):
    x, labels = batch[0] / 2 + 0.25, batch[1]
    inside, outside = (x + steepest_step(torch.randn_like(x), length, norm) for length in (0.1, 5.0))
    still = [pgd(model, x, labels, 0.2, step_size=0.1, steps=0, norm=norm, start=start) for start in (inside, outside)]
    torch.testing.assert_close(still[0], inside)
    torch.testing.assert_close(still[1] - x, (outside - x) * 0.2 / 5.0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_targeted_attack_raises_the_wanted_class(model, batch, norm):
    x, labels = batch
    found = pgd(model, x, labels, 2.0, step_size=0.2, norm=norm, targeted=True)
    assert (losses(model, found, labels) < losses(model, x, labels)).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball(norm):
    x = torch.zeros(20_000, 3)
    length = lengths(random_in_ball(x, 2.0, norm, seed=0), norm)
    assert length.max() <= 2 + 1e-5
    # a uniform point's length is distributed as 2 u^(1/3), whose median is 2 / 2^(1/3)
    assert length.median().item() == pytest.approx(2 / 2 ** (1 / 3), abs=0.01)


def test_the_trades_attack_raises_the_divergence_inside_the_ball(model, batch):
    x, _ = batch
    found = trades_attack(model, x, 0.2, step_size=0.05, seed=0)
    clean, near = (torch.distributions.Categorical(logits=model(inputs).detach()) for inputs in (x, found))
    noise = torch.distributions.Categorical(logits=model(random_in_ball(x, 0.2)).detach())
    divergence = torch.distributions.kl_divergence
    assert (divergence(clean, near) > divergence(clean, noise)).all()
    assert (lengths(found - x, "linf") <= 0.2 + 1e-6).all()


def test_the_trades_loss_is_cross_entropy_plus_divergence():
    clean, adversarial, labels = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    first, second = (torch.distributions.Categorical(logits=logits) for logits in (clean, adversarial))
    wanted = -first.log_prob(labels).mean() + 2.5 * torch.distributions.kl_divergence(first, second).mean()
    torch.testing.assert_close(trades_loss(clean, adversarial, labels, beta=2.5), wanted)


@pytest.mark.parametrize("beta", [None, 3.0])
def test_an_adversarial_training_step_lowers_the_loss_it_returns(beta):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    x, labels = torch.rand(32, 6), torch.randint(0, 3, (32,))
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    torch.manual_seed(0)
    step = functools.partial(adversarial_training_step, model, optimiser, x, labels, 0.05)
    reached = [step(step_size=0.02, steps=5, beta=beta) for _ in range(30)]
    assert model.training
    assert reached[-1] < 0.9 * reached[0]
    assert not reached[0].requires_grad


def test_finite_differences_are_the_gradient_and_groups_its_means(model, batch):
    x, labels = batch
    model, x = model.double(), x.double()
    gradient = input_gradient(model, x, labels)
    torch.testing.assert_close(finite_difference_gradient(model, x, labels, delta=1e-4), gradient, atol=1e-6, rtol=1e-4)
    groups = torch.stack([torch.arange(12) % 3 == group for group in range(3)])
    estimate = finite_difference_gradient(model, x, labels, delta=1e-4, groups=groups).flatten(1)
    for group in groups:
        wanted = gradient.flatten(1)[:, group].mean(1, keepdim=True).expand(-1, 4)
        torch.testing.assert_close(estimate[:, group], wanted, atol=1e-6, rtol=1e-4)


def test_grouping_asks_the_model_twice_a_group(batch):
    x, labels = batch
    asked = []

    def model(inputs):
        asked.append(len(inputs))
        return inputs.flatten(1)[:, :5]

    finite_difference_gradient(model, x, labels, groups=torch.eye(3).repeat_interleave(4, 1))
    assert asked == [6] * 6


def test_a_transferred_attack_is_made_on_one_model_and_judged_by_the_other(model, batch):
    x, labels = batch
    torch.manual_seed(3)
    victim = nn.Sequential(nn.Flatten(), MLP(12, (32,), 5))
    found, fooled = transfer_attack(model, victim, x, labels, functools.partial(fgsm, epsilon=0.5))
    torch.testing.assert_close(found, fgsm(model, x, labels, 0.5))
    assert fooled.tolist() == [victim(found).argmax(1)[row].item() != labels[row].item() for row in range(6)]


@pytest.mark.parametrize(
    "attack",
    [
        lambda model, x, labels: fgsm(model, x, labels, 0.1),
        lambda model, x, labels: fgsm(model, x, labels, 0.1, norm="l2", targeted=True),
        lambda model, x, labels: pgd(model, x, labels, 0.1, step_size=0.03, steps=3, norm="l2"),
        lambda model, x, labels: pgd(model, x, labels, 0.1, step_size=0.03, steps=3, start=random_in_ball(x, 0.1)),
        lambda model, x, labels: trades_attack(model, x, 0.1, step_size=0.03, steps=3),
        lambda model, x, labels: finite_difference_gradient(
            model, x, labels, groups=torch.eye(3).repeat_interleave(4, 1)
        ),
    ],
)
def test_attacks_compile_and_run_in_bfloat16(model, batch, attack):
    x, labels = batch
    torch.manual_seed(0)
    eager = attack(model, x, labels)
    torch.manual_seed(0)
    compiled = torch.compile(attack, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(model, x, labels), eager)
    assert attack(model.bfloat16(), x.bfloat16(), labels).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda model, x, labels: fgsm(model, x, labels[:4], 0.1), ["(6,)", "(4,)"]),
        (lambda model, x, labels: fgsm(model, x, labels, 0.1, norm="l3"), ["'l2'", "'l3'"]),
        (lambda model, x, labels: fgsm(model, x, labels, -0.1), ["0", "-0.1"]),
        (lambda model, x, labels: pgd(model, x, labels, 0.1, step_size=0.1, start=x[:3]), ["(6, 1", "(3, 1"]),
        (lambda model, x, labels: pgd(model, x, labels, -1.0, step_size=0.1), ["0", "-1.0"]),
        (lambda model, x, labels: finite_difference_gradient(model, x, labels, groups=labels), ["(G, 12)", "(6,)"]),
        (lambda model, x, labels: trades_loss(model(x), model(x)[:2], labels), ["(6, 5)", "(2, 5)"]),
        (lambda model, x, labels: random_in_ball(x, 1.0, "max"), ["'linf'", "'max'"]),
    ],
)
def test_bad_input_is_named(model, batch, call, named):
    with pytest.raises(InvalidInput) as refusal:
        call(model, *batch)
    assert all(part in str(refusal.value) for part in named)


def test_the_ball_of_sums_is_projected_onto_as_an_optimiser_does():
    perturbation = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = project(perturbation, 1.5, "l1")
    for row, point in zip(found.numpy(), perturbation.numpy(), strict=True):
        parts = minimize(  # of positive and negative parts, which makes the limit linear
            lambda z, point=point: float(((z[:6] - z[6:] - point) ** 2).sum()),
            np.zeros(12),
            bounds=[(0, None)] * 12,
            constraints={"type": "ineq", "fun": lambda z: 1.5 - z.sum()},
            options={"ftol": 1e-14},
        ).x
        np.testing.assert_allclose(row, parts[:6] - parts[6:], atol=1e-5)
    inside = perturbation / 20
    assert torch.allclose(project(inside, 1.5, "l1"), inside)


def test_the_steepest_step_of_a_sum_moves_one_number_and_never_one_at_its_bound():
    gradient = torch.tensor([[1.0, -3.0, 2.0], [0.5, 0.0, -0.1]])
    np.testing.assert_allclose(steepest_step(gradient, 0.4, "l1"), [[0, -0.4, 0], [0.4, 0, 0]], rtol=1e-6)
    x = torch.tensor([[0.5, 0.0, 0.5], [1.0, 0.5, 0.5]])
    np.testing.assert_allclose(with_room(gradient, x, (0.0, 1.0)), [[1, 0, 2], [0, 0, -0.1]], rtol=1e-6)


def test_random_starts_fill_the_ball_of_sums():
    points = random_in_ball(torch.zeros(20_000, 3), 2.0, "l1", seed=0)
    size = points.abs().sum(1) / 2
    assert kstest((size**3).numpy(), "uniform").pvalue > 0.001  # the volume within a radius grows with its cube
    assert float(points.mean(0).abs().max()) < 0.02
