"""First principles against autograd, differences, and numbers worked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.primer.dense import FUNCTIONS, DenseLayer, backpropagate
from palaestra.neural_blocks.primer.gradient_check import check_gradient, difference_quotients
from palaestra.neural_blocks.primer.graph import Variable, exp, log, logistic, relu, sin, total
from palaestra.neural_blocks.primer.step_network import StepNetwork


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_reverse_accumulation_agrees_with_autograd_through_every_operation():
    values = [random(3, 4), random(4, 2, seed=1), random(2, seed=2), random(3, 1, seed=3)]

    def expression(x, w, b, scale, sin, exp, log, logistic, relu, total):
        z = x @ w + b
        h = logistic(z) * scale + sin(z) / exp(relu(z)) - 2.0 * z
        return total(log(exp(h) + 1.0)) + total(h * h) / 3.0 - total(-x)

    ours = [Variable(value) for value in values]
    found = expression(*ours, sin, exp, log, logistic, relu, total)
    found.backward()
    theirs = [value.clone().requires_grad_() for value in values]
    wanted = expression(*theirs, torch.sin, torch.exp, torch.log, torch.sigmoid, torch.relu, torch.sum)
    wanted.backward()
    torch.testing.assert_close(found.value, wanted.detach())
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_graph_of_sin_x_plus_x_y():
    x, y = Variable(math.pi), Variable(1.0)
    f = sin(x) + x * y
    f.backward()
    assert (x.grad.item(), y.grad.item()) == pytest.approx((0.0, math.pi))  # cos x + y and x
    f.backward()
    assert y.grad.item() == pytest.approx(2 * math.pi)  # gradients add up until they are put to zero
    f.zero_grad()
    x.value = torch.tensor(0.0, dtype=torch.float64)
    y.value = torch.tensor(2.0, dtype=torch.float64)
    assert f.evaluate().item() == 0
    f.backward()
    assert (x.grad.item(), y.grad.item()) == pytest.approx((3.0, 0.0))


def test_a_chain_of_three_functions_multiplies_their_slopes():
    x = Variable(0.3)
    h = sin(x)
    g = exp(h)
    f = logistic(g)
    f.backward()
    assert x.grad.item() == pytest.approx(math.cos(0.3) * g.value.item() * f.value.item() * (1 - f.value.item()))


def test_shared_parts_are_visited_once():
    x = Variable(1.0)
    y = x
    for _ in range(200):  # part by part there would be 2^200 ways back
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**200


def test_sums_and_products_of_matrices_pass_sensitivities_back():
    a, b, s = Variable(random(2, 3)), Variable(random(3, 2, seed=1)), random(2, 2, seed=2)
    (a @ b).backward(s)
    torch.testing.assert_close(a.grad, s @ b.value.T)
    torch.testing.assert_close(b.grad, a.value.T @ s)
    c, d, s = Variable(random(2, 3)), Variable(random(2, 3, seed=1)), random(2, 3, seed=2)
    (c + d).backward(s)
    assert torch.equal(c.grad, s)
    assert torch.equal(d.grad, s)
    with pytest.raises(InvalidInput, match=r"Variable: backward needs a sensitivity for values of shape \(2, 3\)"):
        (c + d).backward()
    with pytest.raises(InvalidInput, match=r"sensitivity must have shape \(2, 3\); got \(3,\)"):
        (c + d).backward(torch.ones(3))


def test_gradient_descent_on_the_graph_finds_a_line():
    x, y = random(20), 3 * random(20) - 1
    slope, offset = Variable(0.0), Variable(0.0)
    error = total((slope * x + offset - y) * (slope * x + offset - y)) / 20.0
    for _ in range(200):
        error.evaluate()
        error.zero_grad()
        error.backward()
        for one in (slope, offset):
            one.value = one.value - 0.3 * one.grad
    assert (slope.value.item(), offset.value.item()) == pytest.approx((3.0, -1.0), abs=1e-6)


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_a_layers_backward_rule_is_autograds(activation):
    layer = DenseLayer(random(3, 4), random(4, seed=1), activation)
    x, sensitivity = random(5, 3, seed=2), random(5, 4, seed=3)
    parts = [x, layer.weight, layer.bias]
    leaves = [part.clone().requires_grad_() for part in parts]
    h = DenseLayer(leaves[1], leaves[2], activation).forward(leaves[0])
    wanted = torch.autograd.grad(h, leaves, sensitivity)
    found = layer.backward(x, layer.forward(x), sensitivity)
    for one, other in zip((found.x, found.weight, found.bias), wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_a_network_of_three_four_and_two_units_passes_errors_back_layer_by_layer():
    layers = [DenseLayer(random(3, 4), random(4, seed=1)), DenseLayer(random(4, 2, seed=2), random(2, seed=3))]
    x, target = random(1, 3, seed=4), torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    error, (first, second) = backpropagate(layers, x, target)
    h = layers[0].forward(x)
    y = layers[1].forward(h)
    beta = (y - target) * y * (1 - y)  # of the last layer's currents
    alpha = h * (1 - h) * (beta @ layers[1].weight.T)  # h' * (beta M^T)
    assert error.item() == pytest.approx(float((y - target).square().sum()) / 2)
    assert second.weight[3, 0].item() == pytest.approx(float(beta[0, 0] * h[0, 3]))
    assert first.weight[1, 0].item() == pytest.approx(float(alpha[0, 0] * x[0, 1]))
    torch.testing.assert_close(first.weight, x.T @ alpha)  # an outer product


def test_layers_refuse_what_does_not_fit():
    with pytest.raises(InvalidInput, match="DenseLayer: activation"):
        DenseLayer(random(2, 2), random(2), "sigmoidal")
    with pytest.raises(InvalidInput, match=r"shapes \(D, H\) and \(H,\); got \(2, 3\) and \(2,\)"):
        DenseLayer(random(2, 3), random(2))


def test_a_right_gradient_passes_the_check_and_a_wrong_one_does_not():
    layers = [DenseLayer(random(3, 4), random(4, seed=1)), DenseLayer(random(4, 2, seed=2), random(2, seed=3), "tanh")]
    x, target = random(6, 3, seed=4), random(6, 2, seed=5)
    parameters = [part for layer in layers for part in (layer.weight, layer.bias)]
    kept = [part.clone() for part in parameters]
    _, found = backpropagate(layers, x, target)
    gradients = [part for one in found for part in (one.weight, one.bias)]
    right = check_gradient(lambda: backpropagate(layers, x, target)[0], parameters, gradients)
    assert right.relative < 1e-8
    assert right.worst < 1e-7
    assert all(torch.equal(one, other) for one, other in zip(parameters, kept, strict=True))
    gradients[1] = gradients[1] / len(x)  # a mean where a sum is due
    assert check_gradient(lambda: backpropagate(layers, x, target)[0], parameters, gradients).relative > 0.01


def test_the_difference_quotient_of_a_worked_network():
    """E = -ln y with y = 0.302 at -0.409 and y = 0.300 at -0.609: the notes print 0.302 for both, and E = 1.204."""
    outputs = {-0.409: 0.302, -0.509: 0.301, -0.609: 0.300}
    weight = torch.tensor([-0.509], dtype=torch.float64)
    loss = lambda: torch.tensor(-math.log(outputs[round(weight.item(), 3)]), dtype=torch.float64)  # noqa: E731
    (quotient,) = difference_quotients(loss, [weight], 0.1)
    assert quotient.item() == pytest.approx(math.log(0.300 / 0.302) / 0.2)
    assert [round(-math.log(y), 3) for y in outputs.values()] == [1.197, 1.201, 1.204]
    assert (1.1975 - 1.2045) / 0.2 < -0.0292 < (1.1985 - 1.2035) / 0.2  # what rounding to three digits leaves open


def test_the_check_agrees_with_pytorchs_own():
    layer = torch.nn.Linear(3, 2).double()
    x, label = random(4, 3), torch.tensor([0, 1, 1, 0])
    loss = lambda: F.cross_entropy(layer(x), label)  # noqa: E731
    gradients = torch.autograd.grad(loss(), list(layer.parameters()))
    assert check_gradient(loss, list(layer.parameters()), gradients).relative < 1e-9
    assert torch.autograd.gradcheck(lambda w: F.cross_entropy(x @ w.T, label), layer.weight)


@pytest.mark.parametrize("pieces", [4, 16, 64])
def test_steps_meet_a_function_within_half_a_piece_times_its_slope(pieces):
    network = StepNetwork(torch.sin, pieces, 0, 2 * math.pi, math.inf)
    x = torch.linspace(0, 2 * math.pi, 4001, dtype=torch.float64)
    worst = (network(x) - torch.sin(x)).abs().max().item()
    assert worst <= math.pi / pieces + 1e-6  # slope 1, pieces of 2 pi / n
    assert sum(part.numel() for part in network.parameters()) == 3 * (pieces - 1) + 1


def test_two_steep_logistic_units_make_a_piece():
    network = StepNetwork(lambda x: ((x > 1 / 3) & (x < 2 / 3)).double(), 3, steepness=200)
    assert network(torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])).tolist() == pytest.approx([0, 0, 1, 0, 0], abs=1e-6)
    assert network.output.weight.tolist() == [[1.0, -1.0]]
    assert network.hidden.bias.tolist() == pytest.approx([-200.0, -400.0])  # -w b, with w = 200 / (1 / 3)
    with pytest.raises(InvalidInput, match="pieces must be at least 1"):
        StepNetwork(torch.sin, 0)
