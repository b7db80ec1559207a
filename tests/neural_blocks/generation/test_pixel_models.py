"""Autoregressive models by rows, diagonals and attention: what makes a product of conditionals a distribution."""

import itertools

import pytest
import torch
from scipy.stats import logistic

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.autoregressive import LogisticMixture, PixelCNN, PixelModel
from palaestra.neural_blocks.generation.pixel_rnn import DiagonalPixelRNN, PixelRNN, skewed, unskewed
from palaestra.neural_blocks.generation.pixel_transformer import PixelTransformer
from palaestra.neural_blocks.generation.pixels import logistic_mixture

SIZE, LEVELS = (2, 3), 2
MODELS = {
    "PixelCNN": lambda **more: PixelCNN(SIZE, LEVELS, 8, 1, 5, **more),
    "PixelRNN": lambda **more: PixelRNN(SIZE, LEVELS, 8, 1, **more),
    "DiagonalPixelRNN": lambda **more: DiagonalPixelRNN(SIZE, LEVELS, 8, 2, **more),
    "PixelTransformer": lambda **more: PixelTransformer(SIZE, LEVELS, 8, 1, 2, **more),
    "PixelTransformer by diagonals": lambda **more: PixelTransformer(SIZE, LEVELS, 8, 1, 2, "diagonal", **more),
}


def shaken(model, seed=0):
    """The model with weights so large that every pixel matters to those after it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.7 * torch.randn(weight.shape, generator=generator))
    return model.double()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("mixture", [0, 2])
@pytest.mark.parametrize("name", MODELS)
def test_the_probabilities_of_all_pictures_add_up_to_one(name, mixture, classes):
    model = shaken(MODELS[name](mixture=mixture, classes=classes))
    pictures = torch.tensor(list(itertools.product(range(LEVELS), repeat=6))).view(-1, 1, *SIZE)
    for label in (None, 0, 2) if classes else (None,):
        labels = None if label is None else torch.full((len(pictures),), label)
        log_prob = model.log_prob(pictures, labels)
        assert log_prob.logsumexp(0).item() == pytest.approx(0, abs=1e-9)
        assert log_prob.std() > 0.05


@pytest.mark.parametrize("name", MODELS)
def test_a_class_changes_what_is_likely_and_none_is_asked_for_of_a_model_without(name):
    model = shaken(MODELS[name](classes=3))
    pixels = torch.zeros(2, 1, *SIZE, dtype=torch.long)
    assert model.log_prob(pixels, torch.tensor([0, 1])).diff().abs() > 1e-3
    assert torch.equal(model(pixels), model(pixels, torch.tensor([3, 3])))  # the last row is for none
    with pytest.raises(InvalidInput, match="labels are for a model with classes; got some for 0"):
        MODELS[name]()(pixels, torch.tensor([0, 1]))


def test_a_transformer_draws_with_kept_keys_what_it_draws_without():
    model = shaken(PixelTransformer(SIZE, 3, 8, 2, 2, "diagonal", classes=2))
    labels = torch.tensor([0, 1, 0, 1, 1])
    assert torch.equal(model.sample(5, 7, labels), PixelModel.sample(model, 5, 7, labels))


def test_skewing_puts_each_row_one_place_further_and_is_undone():
    x = torch.arange(1, 7).view(2, 3)
    assert skewed(x).tolist() == [[1, 2, 3, 0], [0, 4, 5, 6]]
    y = torch.randn(2, 4, 5, 3)
    assert torch.equal(unskewed(skewed(y), 3), y)


def test_a_mixture_of_logistics_has_the_mass_of_each_greys_bin():
    """By hand from SciPy's distribution function: the end bins reach to infinity."""
    weight, mean, log_scale = torch.tensor([0.3, 0.7]), torch.tensor([0.2, 0.8]), torch.tensor([-2.0, -3.0])
    greys = torch.arange(5)
    found = logistic_mixture(greys[:, None], weight.log(), mean, log_scale, levels=5).exp()
    edges = [-float("inf"), 0.125, 0.375, 0.625, 0.875, float("inf")]
    for grey in range(5):
        parts = [
            logistic.cdf(edges[grey : grey + 2], loc, scale) for loc, scale in zip(mean, log_scale.exp(), strict=True)
        ]
        expected = sum(float(w) * (high - low) for w, (low, high) in zip(weight, parts, strict=True))
        assert found[grey].item() == pytest.approx(expected, abs=1e-6)


def test_a_mixture_layer_gives_log_probabilities_with_a_gradient():
    layer = LogisticMixture(4, levels=6, components=3)
    output = layer(torch.randn(2, 4, 1, 2))
    assert output.shape == (2, 6, 1, 2)
    torch.testing.assert_close(output.logsumexp(1), torch.zeros(2, 1, 2), atol=1e-5, rtol=0)
    output[:, 2].sum().backward()
    assert layer.layer.weight.grad.abs().sum() > 0


def test_bad_sizes_are_refused():
    for make, told in (
        (lambda: PixelTransformer(channels=6, heads=4), "a multiple of 4 heads; got 6"),
        (lambda: PixelTransformer(order="spiral"), "'raster', 'diagonal'; got 'spiral'"),
        (lambda: PixelCNN(classes=-1), "at least 0; got -1 and 0"),
    ):
        with pytest.raises(InvalidInput, match=told):
            make()
