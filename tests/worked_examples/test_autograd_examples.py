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
