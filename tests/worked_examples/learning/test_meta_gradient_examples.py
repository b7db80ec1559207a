"""The gradient through one gradient step (Finn et al., 2017), written out."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, grad, hessian

from palaestra.neural_blocks.perception.mlp import MLP


def test_the_meta_gradient_of_a_quadratic_by_hand():
    """L(w) = (w - 1)^2 / 2 in training, (w + 1)^2 / 2 in testing; w = 3, a = 0.25.

    w' = 3 - 0.25 (3 - 1) = 2.5 and the test gradient there 3.5; times (1 - 0.25) it is 2.625.
    """

    def after_a_step(w):
        adapted = w - 0.25 * grad(lambda v: (v - 1) ** 2 / 2)(w)
        return (adapted + 1) ** 2 / 2

    assert grad(after_a_step)(torch.tensor(3.0)).item() == pytest.approx(2.625)


def test_the_meta_gradient_of_a_network_is_the_curvature_corrected_test_gradient():
    """d L'(w - a dL(w)) / dw = (I - a d^2 L(w)) dL'(w'), the Hessian in full."""
    torch.manual_seed(0)
    network, step_size = MLP(2, (4,), 1).double(), 0.1
    names, shapes = zip(*((name, parameter.shape) for name, parameter in network.named_parameters()), strict=True)
    sizes = [shape.numel() for shape in shapes]
    flat = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    inputs, targets = torch.randn(2, 10, 2).double(), torch.randn(2, 10, 1).double()

    def loss(weights, task):
        parts = [part.view(shape) for part, shape in zip(weights.split(sizes), shapes, strict=True)]
        output = functional_call(network, dict(zip(names, parts, strict=True)), inputs[task])
        return F.mse_loss(output, targets[task])

    def adapted(weights):
        return weights - step_size * grad(loss)(weights, 0)

    meta = grad(lambda weights: loss(adapted(weights), 1))(flat)
    explicit = (torch.eye(len(flat)).double() - step_size * hessian(loss)(flat, 0)) @ grad(loss)(adapted(flat), 1)
    torch.testing.assert_close(meta, explicit)
    assert not torch.allclose(meta, grad(loss)(adapted(flat), 1))  # the first-order shortcut is another vector
