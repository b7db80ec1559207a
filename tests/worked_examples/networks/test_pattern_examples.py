"""Worked with PyTorch: five patterns of eight bits through three, and a small network that learns by plain descent."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.envs import make_task
from palaestra.neural_blocks import Autoencoder
from palaestra.neural_blocks.perception.convolution import parameter_count
from palaestra.neural_blocks.primer.dense import DenseLayer

PATTERNS = ("10100110", "01011010", "01001000", "11101101", "00110011")


def bits(*rows):
    """(N, 8) float32 of 0 and 1."""
    return torch.tensor([[float(bit) for bit in row] for row in rows])


def test_five_patterns_of_eight_bits_have_five_codes_of_three_and_a_query_finds_the_nearest():
    """Weights by hand on bits of +-1: each unit of the code, and each bit rebuilt, is the sign of a small whole sum."""
    patterns, query = bits(*PATTERNS), bits("10110110")
    assert (query != patterns).sum(1).tolist() == [1, 5, 7, 5, 3]
    read = torch.tensor([[-1, 0, 1, -1, 0, -1, -1, 1], [-1, 0, 0, 0, 0, -1, 0, 0], [0, 1, 0, 0, 1, 0, 0, 0]])
    write = torch.tensor(
        [[0, -1, 0], [0, 0, 1], [0, -1, -1], [-1, 2, -1], [0, 0, 1], [0, -1, 0], [-1, 0, -1], [2, -1, -1]]
    )
    offset = torch.tensor([0, 0, 1, -1, 0, 0, 1, -1])
    net = Autoencoder((8,), 3, ())
    encoder, decoder = (part for part in net.modules() if isinstance(part, nn.Linear))
    with torch.no_grad():
        for layer, weight, bias in ((encoder, read, 0), (decoder, write, offset)):
            layer.weight.copy_(20 * weight)  # steep, so that a unit is 0 or 1 but for 1e-4
            layer.bias.copy_(10 * (bias - weight.sum(1)))
        codes = net.encode(patterns)
        assert (codes - codes.round()).abs().max() < 1e-4
        assert codes.round().int().tolist() == [[0, 0, 0], [0, 1, 1], [1, 1, 1], [1, 0, 1], [1, 1, 0]]
        assert (net(patterns) - patterns).abs().max() < 1e-3
        assert torch.equal(net(query).round(), patterns[:1])


class Small(nn.Module):
    """6-10-5-3, the first layer without a bias."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(6, 10, bias=False), nn.Linear(10, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.third(torch.sigmoid(self.second(torch.sigmoid(self.first(x)))))


def test_descent_written_out_is_the_librarys_and_learns_three_prototypes():
    task = make_task("palaestra/TabularBandit-v0", dataset="prototypes")
    x, labels = task.inputs, task.labels
    torch.manual_seed(0)
    net = Small()
    assert [list(part.shape) for part in net.parameters()] == [[10, 6], [5, 10], [5], [3, 5], [3]]
    assert parameter_count(net) == 60 + 50 + 5 + 15 + 3
    layers = [net.first, net.second, net.third]
    biases = [torch.zeros(10), net.second.bias, net.third.bias]
    own = [[layer.weight.detach().T, bias.detach()] for layer, bias in zip(layers, biases, strict=True)]  # (D, H), (H,)
    own = [[part.clone() for part in layer] for layer in own]
    optimiser = torch.optim.SGD(net.parameters(), lr=1.0)
    targets = F.one_hot(labels, 3)
    for _ in range(200):
        optimiser.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        optimiser.step()
        kinds = ("logistic", "logistic", "identity")
        stack, seen = [DenseLayer(*part, kind) for part, kind in zip(own, kinds, strict=True)], [x]
        for layer in stack:
            seen.append(layer.forward(seen[-1]))
        sensitivity = (seen[-1].softmax(1) - targets) / len(x)
        for place in (2, 1, 0):
            gradients = stack[place].backward(seen[place], seen[place + 1], sensitivity)
            sensitivity = gradients.x
            own[place][0] = own[place][0] - gradients.weight
            own[place][1] = own[place][1] - gradients.bias * (place > 0)
    for layer, (weight, _) in zip(layers, own, strict=True):
        torch.testing.assert_close(layer.weight.detach(), weight.T, atol=1e-4, rtol=1e-3)
    probability = net(x).softmax(1).gather(1, labels[:, None])
    assert probability.min() > 0.9
    torch.testing.assert_close(seen[-1].softmax(1).sum(1), torch.ones(len(x)))


def test_a_loss_with_a_weight_for_each_step_weighs_what_each_sends_back():
    """E = sum of a_i L_i: dE/dh_i = a_i dL_i/dh_i + dE/dh_(i+1) (1 - h_(i+1)^2) u, for one unit h' = tanh(x + u h)."""
    weights, x, target, u = [0.0, 0.5, 2.0], [0.3, -0.2, 0.7], [1.0, 0.0, -1.0], torch.tensor(0.8, requires_grad=True)
    states, loss = [torch.tensor(0.0)], torch.tensor(0.0)
    for weight, value, wanted in zip(weights, x, target, strict=True):
        states.append(torch.tanh(value + u * states[-1]))
        loss = loss + weight * (states[-1] - wanted) ** 2 / 2
    loss.backward()
    back, by_hand = 0.0, 0.0
    for step in (3, 2, 1):
        h = states[step].item()
        back = (weights[step - 1] * (h - target[step - 1]) + back) * (1 - h * h)  # by what is within the tanh
        by_hand += back * states[step - 1].item()
        back *= 0.8
    assert u.grad.item() == pytest.approx(by_hand, rel=1e-5)
