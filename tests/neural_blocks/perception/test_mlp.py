"""The perceptron against plain matrix products, and its refusals."""

import pytest
import torch
import torch.nn.functional as F

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.mlp import ACTIVATIONS, MLP, make_activation, orthogonal


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_the_function_of_its_name(name):
    function = {"tanh": torch.tanh, "relu": F.relu, "silu": F.silu, "gelu": F.gelu}[name]
    x = torch.linspace(-3, 3, 20)
    assert torch.equal(make_activation(name)(x), function(x))


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
