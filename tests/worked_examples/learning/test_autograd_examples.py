"""Worked by hand: reverse mode through f(x, y) = sin x + x y, and through time in a one-unit Elman network."""

import math

import pytest
import torch

from palaestra.neural_blocks.sequence.recurrent import Elman


def test_reverse_mode_through_a_small_graph():
    # a = sin x, b = x y, f = a + b: df/dx = cos x + y, df/dy = x; at (0, 2): 1 + 2 = 3 and 0; at (pi, 1): 0 and pi
    for at, wanted in [((0.0, 2.0), (3.0, 0.0)), ((math.pi, 1.0), (0.0, math.pi))]:
        x, y = (torch.tensor(value, requires_grad=True) for value in at)
        (torch.sin(x) + x * y).backward()
        assert (x.grad.item(), y.grad.item()) == pytest.approx(wanted, abs=1e-6)
    # second derivatives: d2f/dx2 = -sin x, d2f/dxdy = 1
    hessian = torch.func.hessian(lambda v: torch.sin(v[0]) + v[0] * v[1])(torch.tensor([math.pi / 2, 5.0]))
    torch.testing.assert_close(hessian, torch.tensor([[-1.0, 1.0], [1.0, 0.0]]))


def network(weight):
    """h' = tanh(x + weight h)."""
    block = Elman(1, 1)
    for parameter, value in zip(block.parameters(), (1.0, 0.0, weight, 0.0), strict=True):
        parameter.data.fill_(value)
    return block


def test_back_propagation_through_time_and_its_truncation():
    # two steps of h' = tanh(x + u h) with x = (0, 0), h_0 = 0.5, u = 1:
    # h_1 = tanh 0.5 = 0.46212, h_2 = tanh h_1 = 0.43181
    # dh_2/du = (1 - h_2^2) (h_1 + u (1 - h_1^2) h_0) = 0.81354 (0.46212 + 0.78645 * 0.5) = 0.69586
    # truncated after one step, h_1 counts as given: 0.81354 * 0.46212 = 0.37595
    block, first = network(1.0), torch.full((1, 1), 0.5)
    weight = block.memory_gates.weight
    output, _ = block(torch.zeros(2, 1, 1), (first,))
    assert output.flatten().tolist() == pytest.approx([0.46212, 0.43181], abs=1e-5)
    assert torch.autograd.grad(output[1].sum(), weight)[0].item() == pytest.approx(0.69586, abs=1e-5)
    _, memory = block(torch.zeros(1, 1, 1), (first,))
    output, _ = block(torch.zeros(1, 1, 1), tuple(part.detach() for part in memory))
    assert torch.autograd.grad(output.sum(), weight)[0].item() == pytest.approx(0.37595, abs=1e-5)


def test_clipping_shortens_an_exploding_gradient_and_keeps_its_direction():
    # at h = 0 every step multiplies the gradient by u = 3: dh_10/dx_1 = 3^9 = 19683, clipped to norm 1
    block, x = network(3.0), torch.zeros(10, 1, 1, requires_grad=True)
    block(x, block.initial_memory(1))[0][-1].sum().backward()
    assert x.grad.flatten().tolist() == pytest.approx([3.0**k for k in range(9, -1, -1)])
    norm = torch.nn.utils.clip_grad_norm_([x], 1.0)
    # the norm of a geometric series: sqrt((9^10 - 1) / 8)
    assert norm.item() == pytest.approx(math.sqrt((9**10 - 1) / 8), rel=1e-6)
    assert x.grad.norm().item() == pytest.approx(1, rel=1e-5)
    assert (x.grad[0] / x.grad[1]).item() == pytest.approx(3, rel=1e-5)


def test_forward_mode_takes_a_pass_for_each_input_and_reverse_mode_one_for_each_output():
    weight = torch.randn(2, 6, generator=torch.Generator().manual_seed(0)).double()
    x, passes = torch.linspace(-1, 1, 6).double(), []

    def function(inputs):
        passes.append(None)
        return (weight @ inputs).tanh() * inputs.square().sum()

    wanted = torch.autograd.functional.jacobian(function, x)  # (2, 6)
    passes.clear()
    columns = [torch.func.jvp(function, (x,), (direction,))[1] for direction in torch.eye(6).double()]
    assert len(passes) == 6
    torch.testing.assert_close(torch.stack(columns, 1), wanted)
    passes.clear()
    _, back = torch.func.vjp(function, x)
    rows = [back(direction)[0] for direction in torch.eye(2).double()]
    assert len(passes) == 1  # and two passes back
    torch.testing.assert_close(torch.stack(rows), wanted)


def test_a_hessian_times_a_vector_is_a_derivative_of_the_gradient_along_it():
    x, along = torch.tensor([0.5, -1.0, 2.0]).double(), torch.tensor([1.0, 3.0, -2.0]).double()

    def function(inputs):
        return inputs.prod() + inputs.pow(3).sum()

    product = torch.func.jvp(torch.func.grad(function), (x,), (along,))[1]  # without the Hessian
    a, b, c = x.tolist()
    hessian = torch.tensor([[6 * a, c, b], [c, 6 * b, a], [b, a, 6 * c]]).double()
    torch.testing.assert_close(product, hessian @ along)
