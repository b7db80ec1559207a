"""Worked by hand: what layers send back. Softmax, ReLU, skips, dropout, batch normalisation, convolutions, an LSTM."""

import math

import gymnasium.spaces as spaces
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.agents.networks.heads import distribution
from palaestra.neural_blocks.layers.activations import make_activation
from palaestra.neural_blocks.layers.dropout import Dropout
from palaestra.neural_blocks.layers.normalisation import make_normalisation
from palaestra.neural_blocks.perception.convolution import convolution_size
from palaestra.neural_blocks.perception.mlp import MLP
from palaestra.neural_blocks.sequence.recurrent import LSTM


def test_a_softmax_layer_sends_back_what_it_is_off_by():
    # W = [1 0; 0 1; 0 0], b = 0, x = (ln 2, ln 5): logits (ln 2, ln 5, 0), p = (2, 5, 1) / 8
    # the label is 0: p - e = (-6, 5, 1) / 8
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], requires_grad=True)
    bias = torch.zeros(3, requires_grad=True)
    x = torch.tensor([math.log(2), math.log(5)], requires_grad=True)
    policy = distribution(spaces.Discrete(3), "gaussian", 1)
    loss = -policy.log_prob((weight @ x + bias)[None], torch.tensor([0])).sum()
    off = torch.tensor([-6.0, 5.0, 1.0]) / 8
    to_weight, to_bias, to_x = torch.autograd.grad(loss, [weight, bias, x])
    torch.testing.assert_close(to_bias, off)
    torch.testing.assert_close(to_weight, off[:, None] * x.detach())  # the outer product
    torch.testing.assert_close(to_x, torch.tensor([-6 / 8, 5 / 8]))  # W^T (p - e)


def test_relu_forwards_and_backwards_on_a_matrix():
    relu = make_activation("relu")
    x = torch.tensor([[1.0, -2, 3, -4], [-1, 2, -3, 4], [5, 6, -7, -8], [0.5, -0.5, 0.25, -0.25]], requires_grad=True)
    upstream = torch.arange(16.0).view(4, 4)
    y = relu(x)
    assert y.tolist() == [[1, 0, 3, 0], [0, 2, 0, 4], [5, 6, 0, 0], [0.5, 0, 0.25, 0]]
    # only where something came through does something go back
    assert torch.autograd.grad(y, x, upstream)[0].tolist() == [[0, 0, 2, 0], [0, 5, 0, 7], [8, 9, 0, 0], [12, 0, 14, 0]]


def test_a_dead_unit_learns_nothing_and_a_leaky_one_does():
    for name, slope in [("relu", 0.0), ("leaky_relu", 0.01)]:
        weight = torch.tensor([1.0], requires_grad=True)
        inputs = torch.linspace(-1, 1, 9)  # none of which reaches beyond the bias
        make_activation(name)(weight * inputs - 10).sum().backward()
        assert weight.grad.item() == pytest.approx(slope * inputs.sum().item(), abs=1e-7)
        weight.grad = None
        (make_activation(name)(weight * inputs - 10) * inputs).sum().backward()
        assert weight.grad.item() == pytest.approx(slope * inputs.square().sum().item(), abs=1e-7)


def test_a_gradient_goes_around_what_is_skipped():
    # y = x + W2 relu(W1 x) with W1 = [1 1; 1 -1], W2 = [2 0; 1 1], x = (1, 2): z = (3, -1), y = (1 + 6, 2 + 3)
    # dL/dx = d + W1^T R W2^T d with d = (1, 1): W2^T d = (3, 1), R = diag(1, 0), W1^T (3, 0) = (3, 3)
    one, two = torch.tensor([[1.0, 1.0], [1.0, -1.0]]), torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x + two @ torch.relu(one @ x)
    assert y.tolist() == [7, 5]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [4, 4]
    assert torch.autograd.grad((x + 0 * two @ torch.relu(one @ x)).sum(), x)[0].tolist() == [1, 1]  # a dead block


def test_dropout_sends_back_what_it_let_through():
    # at p = 0.8 what stays is multiplied by 5, forwards and backwards
    dropout = Dropout(0.8, seed=1).train()
    x = torch.ones(1000, requires_grad=True)
    y = dropout(x)
    assert sorted(set(y.tolist())) == pytest.approx([0, 5])
    (back,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(back, y.detach())


def test_batch_normalisation_sends_back_neither_mean_nor_scale():
    # a feature (1, 3, 5, 7): mean 4, variance 5; normalised (-3, -1, 1, 3) / sqrt 5
    layer = make_normalisation("batch", 1).double().train()
    layer.eps = 1e-30
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 10.0)
    x = torch.tensor([[1.0], [3.0], [5.0], [7.0]], dtype=torch.float64, requires_grad=True)
    y, upstream = layer(x), torch.tensor([[1.0], [0.0], [0.0], [2.0]], dtype=torch.float64)
    root = math.sqrt(5)
    hat = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]], dtype=torch.float64) / root
    torch.testing.assert_close(y, 10 + 2 * hat)
    to_x, to_scale, to_shift = torch.autograd.grad(y, [x, layer.weight, layer.bias], upstream)
    assert to_shift.item() == pytest.approx(3)  # the sum of what comes
    assert to_scale.item() == pytest.approx(3 / root)  # -3 / root + 2 * 3 / root
    # scale / deviation (d - mean d - x^ mean(d x^)), mean d = 3/4, mean(d x^) = 3 / (4 root)
    wanted = 2 / root * (upstream - 3 / 4 - hat * 3 / (4 * root))
    torch.testing.assert_close(to_x, wanted)
    assert to_x.sum().item() == pytest.approx(0, abs=1e-12)
    assert (to_x * hat).sum().item() == pytest.approx(0, abs=1e-12)


def test_slopes_of_logistic_units():
    # sigma' = sigma (1 - sigma): 0.9933 at 5 and 0.5250 at 0.1, so 0.00665 and 0.2494, 37.5 times as steep
    logistic = make_activation("logistic")
    z = torch.tensor([5.0, 0.1, 4.0, 0.0], dtype=torch.float64, requires_grad=True)
    values = logistic(z)
    (slopes,) = torch.autograd.grad(values.sum(), z)
    torch.testing.assert_close(slopes, values.detach() * (1 - values.detach()))
    assert values.tolist() == pytest.approx([0.99331, 0.52498, 0.98201, 0.5], abs=1e-5)
    assert slopes.tolist() == pytest.approx([0.006648, 0.249376, 0.017663, 0.25], abs=1e-6)
    assert (slopes[1] / slopes[0]).item() == pytest.approx(37.5, abs=0.05)
    assert 0.01 * slopes[2].item() == pytest.approx(0.0001766, abs=1e-7)  # a layer below what sends back 0.01
    assert slopes.max() == slopes[3]  # a quarter, the largest there is


@pytest.mark.parametrize(("weight", "wanted"), [(1.0, 0.25**4), (8.0, 16.0)])
def test_a_chain_of_logistic_units_multiplies_its_slopes(weight, wanted):
    # four layers that all stand at 0: (w / 4)^4, so it vanishes at w = 1 and grows to 16 at w = 8; ReLU keeps 1
    chain = MLP(1, (1, 1, 1), 1, activation="logistic").double()
    layers = [part for part in chain.modules() if isinstance(part, nn.Linear)]
    for layer in layers:
        nn.init.constant_(layer.weight, weight)
        nn.init.constant_(layer.bias, -weight / 2)  # what comes is a half
    x = torch.tensor([[0.5]], dtype=torch.float64, requires_grad=True)
    through = torch.sigmoid(chain(x))  # the fourth of them; x stands for the output of one before
    assert torch.autograd.grad(through.sum(), x)[0].item() == pytest.approx(wanted)


def test_sizes_and_a_pointwise_convolution():
    assert convolution_size(32, 5) == 28  # (32 - 5) / 1 + 1
    layer = nn.Conv2d(3, 2, 1, bias=False)
    image = torch.randn(1, 3, 4, 5)
    torch.testing.assert_close(layer(image), torch.einsum("oi,bihw->bohw", layer.weight[..., 0, 0], image))


def test_a_padded_convolution_is_a_banded_matrix_and_one_of_images_a_product_of_their_patches():
    w, x = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([3.0, 0.0, 1.0, 2.0])
    band = torch.tensor([[1.0, 2, -1, 0, 0, 0], [0, 1, 2, -1, 0, 0], [0, 0, 1, 2, -1, 0], [0, 0, 0, 1, 2, -1]])
    padded = F.pad(x, (1, 1))  # (0, 3, 0, 1, 2, 0): 6 - 0, 3 + 0 - 1, 0 + 2 - 2, 1 + 4 - 0
    assert F.conv1d(x[None, None], w[None, None], padding=1)[0, 0].tolist() == (band @ padded).tolist() == [6, 2, 0, 5]
    image, kernel = torch.arange(9.0).view(1, 1, 3, 3), torch.tensor([[1.0, 0.0], [0.0, -1.0]]).view(1, 1, 2, 2)
    patches = F.unfold(image, 2)[0]  # a column for each place
    assert patches.tolist() == [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    product = (kernel.view(1, 4) @ patches).view(1, 1, 2, 2)
    assert F.conv2d(image, kernel).tolist() == product.tolist() == [[[[-4, -4], [-4, -4]]]]


def test_a_convolution_turns_the_kernel_over_and_a_cross_correlation_does_not():
    f, g = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, -1.0])
    # (f * g)_n = sum f_m g_(n - m): (1, 2, 2, -2, -3); what layers compute is the other: sum f_(n + m) g_m
    turned = F.conv1d(f[None, None], g.flip(0)[None, None], padding=2)[0, 0]
    assert turned.tolist() == [1, 2, 2, -2, -3]
    assert F.conv1d(f[None, None], g[None, None], padding=2)[0, 0].tolist() == [-1, -2, -2, 2, 3]


def test_the_forget_gate_is_what_a_cell_sends_back():
    # without weights from the hidden state, dc_t / dc_(t-1) = f: three steps at f = sigma(2) leave 0.8808^3
    lstm = LSTM(1, 1).double()
    for parameter in lstm.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        lstm.input_gates.bias[1] = 2.0
    cell = torch.tensor([[0.7]], dtype=torch.float64, requires_grad=True)
    _, (_, after) = lstm(torch.zeros(3, 1, 1, dtype=torch.float64), (torch.zeros_like(cell), cell))
    forget = 1 / (1 + math.exp(-2))
    assert after.item() == pytest.approx(forget**3 * 0.7)
    assert torch.autograd.grad(after.sum(), cell)[0].item() == pytest.approx(forget**3)
    assert forget**3 == pytest.approx(0.68333, abs=1e-5)


def test_an_untrained_network_of_three_classes_is_off_by_the_logarithm_of_three():
    network = MLP(6, (10, 5), 3)
    assert [tuple(one.shape) for one in network.parameters()] == [(10, 6), (10,), (5, 10), (5,), (3, 5), (3,)]
    assert sum(one.numel() for one in network.parameters()) == 143  # 60 + 10 + 50 + 5 + 15 + 3
    nn.init.zeros_(list(network.parameters())[-2])
    logits = network(torch.randn(300, 6))
    assert F.cross_entropy(logits, torch.arange(300) % 3).item() == pytest.approx(math.log(3))
    # what the notes print after training: exp(-5.1984, -0.0158, -4.5924)
    assert torch.tensor([-5.1984, -0.0158, -4.5924]).exp().tolist() == pytest.approx([0.0055, 0.9843, 0.0101], abs=5e-5)


def test_a_logistic_unit_saturates_and_its_positive_outputs_push_all_weights_one_way():
    x = torch.tensor([0.0, 2.0, 10.0], requires_grad=True)
    make_activation("logistic")(x).sum().backward()
    shares = x.detach().sigmoid()
    torch.testing.assert_close(x.grad, shares * (1 - shares))
    assert x.grad.tolist() == pytest.approx([0.25, 0.10499, 4.54e-5], rel=1e-3)  # at 10 hardly any comes through
    hidden = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    for name, one_way in (("logistic", True), ("tanh", False)):
        layer = nn.Linear(8, 1)
        signs = []
        for row in make_activation(name)(hidden):  # a step for each row
            (gradient,) = torch.autograd.grad((layer(row) - 3).square().sum(), layer.weight)
            signs.append(gradient.sign().unique().numel() == 1)
        assert all(signs) == one_way
