"""The perceptron against plain matrix products, and its refusals."""

import pytest
import torch
import torch.nn.functional as F

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.layers.activations import ACTIVATIONS, make_activation
from palaestra.neural_blocks.layers.initialisation import INITIALISATIONS, initialised, orthogonal
from palaestra.neural_blocks.layers.normalisation import make_normalisation
from palaestra.neural_blocks.perception.mlp import MLP


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_the_function_of_its_name(name):
    function = {
        "tanh": torch.tanh,
        "relu": F.relu,
        "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
        "elu": F.elu,
        "silu": F.silu,
        "gelu": F.gelu,
        "logistic": torch.sigmoid,
        "arctan": torch.atan,
        "threshold": lambda x: (x > 0).float(),
    }[name]
    x = torch.linspace(-3, 3, 20)
    assert torch.equal(make_activation(name)(x), function(x))


def test_a_threshold_learns_by_the_gradient_of_a_fast_sigmoid():
    x = torch.tensor([-1.0, -0.2, 0.0, 0.3, 2.0], requires_grad=True)
    make_activation("threshold")(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([1 / 36, 1 / 4, 1.0, 1 / 6.25, 1 / 121]))


def test_first_weights_have_the_spread_of_their_name():
    torch.manual_seed(0)
    layers = {name: initialised(torch.nn.Linear(300, 100), name) for name in INITIALISATIONS}
    variances = {name: float(layer.weight.detach().var()) for name, layer in layers.items()}
    expected = {"fan_in": 1 / 900, "xavier": 2 / 400, "he": 2 / 300, "gaussian": 1e-4, "zeros": 0.0}
    for name, variance in expected.items():
        assert variances[name] == pytest.approx(variance, rel=0.05), name
    assert layers["xavier"].weight.abs().max() <= (6 / 400) ** 0.5
    assert all(not layer.bias.any() for name, layer in layers.items() if name != "fan_in")
    torch.manual_seed(1)
    whole = initialised(torch.nn.Linear(30, 10), "he").weight
    torch.manual_seed(1)
    assert torch.equal(initialised(torch.nn.Linear(30, 10), "he", 0.1).weight, whole * 0.1)


@pytest.mark.parametrize("name", ["batch", "layer", "group"])
def test_hidden_layers_are_normalised_before_their_activation(name):
    mlp = MLP(3, (8,), 2, activation="relu", normalisation=name, dropout=0.5)
    x = torch.randn(5, 6, 3)
    linear = mlp.layers[0](x)
    if name == "batch":
        mean, variance = linear.mean((0, 1)), linear.var((0, 1), correction=0)
    else:
        parts = linear.unflatten(-1, (2, 4) if name == "group" else (1, 8))
        mean = parts.mean(-1, keepdim=True).expand_as(parts).flatten(-2)
        variance = parts.var(-1, keepdim=True, correction=0).expand_as(parts).flatten(-2)
    expected = (linear - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(mlp.layers[1](linear), expected)
    kept = mlp.layers[:-1](x)  # dropout leaves about half, twice as large
    zero = (kept == 0) & (torch.relu(expected) > 0)
    assert 0.3 < zero.sum() / (torch.relu(expected) > 0).sum() < 0.7
    mlp.eval()
    assert torch.equal(mlp(x[:1, :1]), mlp(x[:1, :1]))


def test_batch_normalisation_evaluates_with_the_statistics_it_has_seen():
    own, torchs = make_normalisation("batch", 3), torch.nn.BatchNorm1d(3)
    for _ in range(4):
        x = torch.randn(2, 5, 3) * 3 + 1
        torch.testing.assert_close(own(x), torchs(x.flatten(0, 1)).view_as(x))
    one = torch.randn(1, 3)
    assert torch.equal(own(one), torchs.eval()(one))  # of a single row there is no variance


def test_adaptive_batch_normalisation_evaluates_with_the_statistics_of_what_it_sees():
    own = make_normalisation("adaptive_batch", 3)
    for _ in range(3):
        own(torch.randn(20, 3))
    moved = 5 + 2 * torch.randn(4, 10, 3)
    own.eval()
    wanted = (moved - moved.mean((0, 1))) / (moved.var((0, 1), unbiased=False) + own.eps).sqrt()
    torch.testing.assert_close(own(moved), wanted)
    alone = make_normalisation("batch", 3)
    alone.load_state_dict(own.state_dict())
    assert torch.equal(own(moved[:1, :1]), alone.eval()(moved[:1, :1]))


def test_a_perceptron_is_products_with_an_activation_between_them():
    mlp = MLP(3, (5, 4), 2, activation="relu")
    weights, biases = list(mlp.parameters())[::2], list(mlp.parameters())[1::2]
    x = torch.randn(7, 3)
    expected = torch.relu(torch.relu(x @ weights[0].T + biases[0]) @ weights[1].T + biases[1]) @ weights[2].T
    torch.testing.assert_close(mlp(x), expected + biases[2])
    assert [tuple(weight.shape) for weight in weights] == [(5, 3), (4, 5), (2, 4)]


@pytest.mark.parametrize(
    ("hidden", "output", "size", "layers"),
    [((5, 4), None, 4, 2), ((5, 4), 2, 2, 3), ((), 2, 2, 1), ((), None, 3, 0), ([6], 1, 1, 2)],
)
def test_the_output_size_is_that_of_the_last_layer(hidden, output, size, layers):
    mlp = MLP(3, hidden, output)
    assert mlp(torch.randn(2, 6, 3)).shape == (2, 6, size)
    assert mlp.output_size == size
    assert len(list(mlp.parameters())) == 2 * layers


def test_without_an_output_layer_the_last_activation_stays():
    assert (MLP(3, (5,), activation="relu")(torch.randn(50, 3)) >= 0).all()


def test_weights_are_orthogonal_with_their_gain_and_biases_zero():
    mlp = MLP(8, (8,), 8, output_gain=0.01)
    first, second = mlp.layers[0], mlp.layers[2]
    torch.testing.assert_close(first.weight @ first.weight.T, 2 * torch.eye(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(second.weight @ second.weight.T, 1e-4 * torch.eye(8), atol=1e-7, rtol=0)
    assert not first.bias.any()
    assert orthogonal(torch.nn.Linear(2, 2, bias=False)).bias is None


@pytest.mark.parametrize(("sizes", "shown"), [((0, (4,), 2), "0"), ((3, (4, -1), 2), "-1"), ((3, (4,), 0), "output 0")])
def test_sizes_below_one_are_refused(sizes, shown):
    with pytest.raises(InvalidInput, match=f"sizes must be at least 1; got .*{shown}"):
        MLP(*sizes)


def test_an_unknown_activation_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidInput, match=r"'tanhh'.*did you mean 'tanh'"):
        MLP(3, (4,), activation="tanhh")


def test_a_perceptron_runs_in_bfloat16_and_compiled():
    mlp, x = MLP(3, (5,), 2), torch.randn(4, 3)
    torch.testing.assert_close(torch.compile(mlp, backend="eager", fullgraph=True)(x), mlp(x))
    assert mlp.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_each_of_several_perceptrons_is_that_perceptron_alone():
    perceptron = MLP(3, (5, 4), 2, activation="tanh")
    generator = torch.Generator().manual_seed(0)
    named = dict(perceptron.named_parameters())
    weights = {name: torch.randn(6, *part.shape, generator=generator) for name, part in named.items()}
    x = torch.randn(6, 7, 3, generator=generator)
    for row, output in enumerate(perceptron.each(weights, x)):
        own = {name: part[row] for name, part in weights.items()}
        torch.testing.assert_close(output, torch.func.functional_call(perceptron, own, (x[row],)))
