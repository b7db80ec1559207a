"""Worked by hand: estimators, their bias and variance, by going through everything that can happen."""

import itertools
import math

import pytest
import torch

from palaestra.envs.perception.measures import mean_average_precision
from palaestra.neural_blocks.generation.autoencoder import Autoencoder
from palaestra.neural_blocks.generation.gan_losses import discriminator_loss, generator_loss
from palaestra.neural_blocks.neurons.spiking import SynapseFilter
from palaestra.neural_blocks.perception.convolution import parameter_count
from palaestra.neural_blocks.perception.mlp import MLP

SIGNS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4)), dtype=torch.float64)  # noise of variance 1


def test_bayes_rule_for_a_diagnosis():
    # half have the flu and two thirds of them a headache, as has half of everybody: of twelve people, who has what
    people = torch.tensor([[4.0, 2.0], [2.0, 4.0]])  # flu or not, by headache or not
    joint = people / people.sum()
    assert (joint.sum(1)[0].item(), joint.sum(0)[0].item()) == pytest.approx((1 / 2, 1 / 2))
    flu, headache = joint.sum(1)[0], joint.sum(0)[0]
    of_the_ill, of_the_aching = joint[0, 0] / flu, joint[0, 0] / headache
    assert of_the_ill.item() == pytest.approx(2 / 3)
    assert of_the_aching.item() == pytest.approx((of_the_ill * flu / headache).item()) == pytest.approx(2 / 3)


def test_least_squares_is_unbiased_and_ridge_is_not():
    # two columns of length 2 and 1/2 at right angles: X'X = diag(4, 1/4), theta = (1, -2)
    x = torch.tensor([[1.0, 0.25], [1.0, -0.25], [1.0, 0.25], [1.0, -0.25]], dtype=torch.float64)
    theta = torch.tensor([1.0, -2.0], dtype=torch.float64)
    y = x @ theta + SIGNS  # (16, 4), every noise there is
    plain = torch.linalg.lstsq(x, y.T).solution.T
    torch.testing.assert_close(plain.mean(0), theta)
    torch.testing.assert_close(torch.cov(plain.T, correction=0), torch.diag(torch.tensor([0.25, 4.0]).double()))
    # the variance of a forecast x0 theta is the sum of x_i^2 / s_i^2: at (2, 1), 4/4 + 1 * 4
    forecast = plain @ torch.tensor([2.0, 1.0], dtype=torch.float64)
    assert forecast.var(correction=0).item() == pytest.approx(5)
    # with lambda = 1: theta s^2 / (s^2 + 1) = (4/5, -2/5), and variances s^2 / (s^2 + 1)^2, both 0.16
    ridge = torch.linalg.solve(x.T @ x + torch.eye(2).double(), x.T @ y.T).T
    assert ridge.mean(0).tolist() == pytest.approx([0.8, -0.4])
    assert ridge.var(0, correction=0).tolist() == pytest.approx([0.16, 0.16])


def test_an_error_is_variance_squared_bias_and_noise():
    # f estimates 3 by half the mean of 4 measurements: mean 1.5, variance 1/16; a new one is off by noise of variance 1
    estimate = 0.5 * (3 + SIGNS).mean(1)
    bias, variance = estimate.mean() - 3, estimate.var(correction=0)
    assert (bias.item(), variance.item()) == pytest.approx((-1.5, 1 / 16))
    new = 3 + torch.tensor([-1.0, 1.0], dtype=torch.float64)
    error = (new[:, None] - estimate).square().mean()
    assert error.item() == pytest.approx(1 + 1.5**2 + 1 / 16)


def test_derivatives_of_squared_norms():
    matrix = torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([2.0, -1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(x.square().sum(), x)[0].tolist() == [4, -2]  # 2 x
    # f(x) = A'x; its derivatives, a row for each output, are A'
    jacobian = torch.autograd.functional.jacobian(lambda one: matrix.detach().T @ one, x.detach())
    assert jacobian.tolist() == matrix.T.tolist()
    # A'x = (2, 5, -3), |A'x|^2 = 38: 2 A A'x = 2 (12, -14), and 2 x (A'x)' = 2 [4 10 -6; -2 -5 3]
    norm = (matrix.T @ x).square().sum()
    to_x, to_matrix = torch.autograd.grad(norm, [x, matrix])
    assert norm.item() == 38
    assert to_x.tolist() == [24, -28]
    assert to_matrix.tolist() == [[8, 20, -12], [-4, -10, 6]]


def test_minibatches_have_the_gradient_of_the_whole_on_average():
    torch.manual_seed(0)
    network, x, y = MLP(2, (3,), 1).double(), torch.randn(5, 2).double(), torch.randn(5, 1).double()

    def slope(rows):
        return torch.autograd.grad((network(x[rows]) - y[rows]).square().mean(), list(network.parameters()))

    pairs = [slope(list(rows)) for rows in itertools.combinations(range(5), 2)]
    for mean, whole in zip(
        [torch.stack(each).mean(0) for each in zip(*pairs, strict=True)], slope(range(5)), strict=True
    ):
        torch.testing.assert_close(mean, whole)


def test_the_best_constant_baseline_is_not_the_mean_return():
    # two arms at p = (3/4, 1/4), which pay 1 and 5; d log p by the first logit is 1 - 3/4 or -3/4
    p, reward, score = torch.tensor([0.75, 0.25]), torch.tensor([1.0, 5.0]), torch.tensor([0.25, -0.75])

    def spread(baseline):
        estimate = score * (reward - baseline)
        return (p * estimate.square()).sum() - (p * estimate).sum().square()

    mean = (p * reward).sum().item()
    best = ((p * score.square() * reward).sum() / (p * score.square()).sum()).item()
    assert (mean, best) == pytest.approx((2, 4))
    assert [spread(one).item() for one in (0, mean, best)] == pytest.approx([3, 0.75, 0], abs=1e-6)
    gradient = [(p * score * (reward - one)).sum().item() for one in (0, mean, best)]
    assert gradient == pytest.approx([-0.75] * 3)  # no constant moves it


def test_the_likelihood_of_a_trajectory_is_a_sum():
    # start 1/2; choices 1/4 and 1/2; transitions 1 and 1/3: ln(1/48); the dynamics drop out of its gradient
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]], requires_grad=True)
    choices = logits.log_softmax(-1)[:, 0]
    whole = math.log(1 / 2) + choices.sum() + math.log(1) + math.log(1 / 3)
    assert whole.item() == pytest.approx(-math.log(48))
    (slope,) = torch.autograd.grad(whole, logits)
    assert slope.flatten().tolist() == pytest.approx([0.75, -0.75, 0.5, -0.5])


def test_the_variance_of_a_dot_product():
    # d entries of means a and b and variances s and t: mean d a b, variance d (s t + s b^2 + t a^2), not d squared:
    # 2 * 6 and 2 (1 + 9 + 4) for a = 2 and b = 3
    query, key = 2 + SIGNS[:, :2], 3 + SIGNS[:, 2:]
    scores = (query * key).sum(1)
    assert scores.mean().item() == pytest.approx(12)
    assert scores.var(correction=0).item() == pytest.approx(28)
    # around 0 it is d, which scores over sqrt(d) do not have
    assert ((SIGNS[:, :2] * SIGNS[:, 2:]).sum(1) / math.sqrt(2)).var(correction=0).item() == pytest.approx(1)


def test_scaled_scores_by_numbers():
    # scores 112 and 96 over sqrt(64): 14 and 12, weights 1 / (1 + e^-2)
    weights = (torch.tensor([112.0, 96.0]) / math.sqrt(64)).softmax(0)
    assert weights.tolist() == pytest.approx([0.8808, 0.1192], abs=5e-5)


def test_the_gradient_through_a_sample():
    # x = theta + e: d E[x^2] = E[2 (theta + e)] = 2 theta, and by the score function E[x^2 (x - theta)] for normal e
    theta, normal = 1.5, torch.distributions.Normal(0.0, 1.0)
    nodes = normal.icdf((torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000)
    x = theta + nodes
    assert (2 * x).mean().item() == pytest.approx(2 * theta, abs=1e-4)
    assert (x.square() * (x - theta)).mean().item() == pytest.approx(2 * theta, abs=1e-3)
    assert (2 * x).var() < (x.square() * (x - theta)).var()  # 4 against 43.1


def test_least_squares_of_a_generator_is_pearsons_divergence():
    # real (1/2, 1/2), made (1/4, 3/4): the judge that is best, real / (real + made), is (2/3, 2/5)
    real, made = torch.tensor([0.5, 0.5]).double(), torch.tensor([0.25, 0.75]).double()
    judge = (real / (real + made)).requires_grad_()
    loss = discriminator_loss("least_squares", judge.expand(4, 2).flatten()[[0, 0, 1, 1]], judge[[0, 1, 1, 1]])
    assert torch.autograd.grad(loss, judge)[0].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert generator_loss("least_squares", judge[[0, 1, 1, 1]]).item() == pytest.approx(
        0.5 * (0.25 / 9 + 0.75 * 9 / 25)
    )
    # with labels -1, 1 and 0 both sides' distance from 0 is half of chi^2(real + made, 2 made) (Mao et al., 2017)
    best = (real - made) / (real + made)
    distance = 0.5 * (real * best.square()).sum() + 0.5 * (made * best.square()).sum()
    pearson = ((real + made - 2 * made).square() / (real + made)).sum()
    assert distance.item() == pytest.approx(0.5 * pearson.item())


def test_average_precision_of_given_overlaps():
    # six pictures with an object each; a proposal of the object's left part overlaps it by its share
    overlap = torch.tensor([0.92, 0.701, 0.45, 0.29, 0.11, 0.001])
    true = torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(6, 1, 1)  # left, top, width, height
    boxes = true.clone()
    boxes[:, 0, 2] = overlap
    none = torch.zeros(6, 1, dtype=torch.int64)
    each = [
        mean_average_precision(
            boxes, none, overlap[:, None], true, none, count=1, thresholds=torch.tensor([at]).double()
        ).item()
        for at in (0.0, 0.5, 1.0)
    ]
    assert each == pytest.approx([1, 1 / 3, 0])  # the worksheet has the first and the last the other way round


def test_a_standardised_table():
    # ages 27, 52, 16 and incomes 31, 126, 10 (thousands): means 95/3 and 167/3, deviations 15.06 and 50.47
    table = torch.tensor([[27.0, 31.0], [52.0, 126.0], [16.0, 10.0]], dtype=torch.float64)
    mean, deviation = table.mean(0), table.std(0, correction=0)
    assert mean.tolist() == pytest.approx([95 / 3, 167 / 3])
    assert deviation.tolist() == pytest.approx([15.06, 50.47], abs=0.005)
    rows = ((table - mean) / deviation).flatten().tolist()
    assert rows == pytest.approx([-0.310, -0.489, 1.350, 1.394, -1.040, -0.905], abs=5e-4)


def test_log_likelihoods_of_four_classes():
    y = torch.tensor([0.2, 0.1, 0.4, 0.3])
    assert y.sum().item() == pytest.approx(1)
    assert (-y.log()).tolist() == pytest.approx([1.609, 2.303, 0.916, 1.204], abs=5e-4)


def test_a_bias_is_a_weight_of_a_unit_that_is_always_one():
    layer, x = torch.nn.Linear(3, 2), torch.randn(5, 3)
    joined = torch.cat([layer.weight, layer.bias[:, None]], 1)
    torch.testing.assert_close(layer(x), torch.cat([x, torch.ones(5, 1)], 1) @ joined.T)


def test_a_spike_leaves_one_over_tau_and_fades():
    # unit area: one spike of 1 / dt in a step of dt << tau jumps by 1 / tau and is 1 / e of it a tau later
    tau, step = 5e-3, 1e-6
    synapse = SynapseFilter(1, time_step=step, tau=tau)
    memory = synapse.initial_memory(1)
    jump, memory = synapse.cell(torch.full((1, 1), 1 / step), memory)
    assert jump.item() == pytest.approx(1 / tau, rel=2e-4)
    for _ in range(5000):
        value, memory = synapse.cell(torch.zeros(1, 1), memory)
    assert value.item() == pytest.approx(jump.item() / math.e, rel=1e-3)


def test_a_bottleneck_from_ten_thousand_to_128():
    with torch.device("meta"):
        block = Autoencoder((10_000,), 128, ())
    assert parameter_count(block) == 10_000 * 128 + 128 + 128 * 10_000 + 10_000


def test_the_expected_error_is_noise_and_squared_bias_and_variance():
    """Ridge regression: bias and variance by its formula, against the error of many fits to new noise."""
    draw = torch.Generator().manual_seed(0)
    x, truth, deviation = torch.randn(20, 5, generator=draw).double(), torch.arange(1.0, 6).double(), 2.0
    told = {}
    for penalty in (0.0, 5.0, 50.0):
        solve = torch.linalg.solve(x.T @ x + penalty * torch.eye(5).double(), x.T)  # (5, 20) from targets to weights
        asked = x[0]
        bias = (asked @ solve @ x @ truth - asked @ truth).square().item()
        variance = deviation**2 * (asked @ solve).square().sum().item()
        noise = deviation * torch.randn(20_000, 20, generator=draw).double()
        fitted = (x @ truth + noise) @ solve.T @ asked  # (20,000,)
        fresh = asked @ truth + deviation * torch.randn(20_000, generator=draw).double()
        assert (fitted - fresh).square().mean().item() == pytest.approx(deviation**2 + bias + variance, rel=0.03)
        told[penalty] = bias, variance
    assert told[0.0][0] == pytest.approx(0, abs=1e-18)
    assert told[0.0][0] < told[5.0][0] < told[50.0][0]
    assert told[0.0][1] > told[5.0][1] > told[50.0][1]
