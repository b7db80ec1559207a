"""What networks look at, against explicit gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.convolution import SmallCNN
from palaestra.neural_blocks.representation.inspection import (
    activation_image,
    deep_dream_step,
    gram_matrix,
    guided_backprop,
    saliency,
    style_loss,
    transfer_style,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(SmallCNN((2, 6, 6), (4, 4), 8), nn.Linear(8, 3))


@pytest.fixture
def batch():
    return torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2, 1])


def extractor():
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 8, 3)

    def features(images):
        shallow = torch.relu(first(images))
        return [shallow, torch.relu(second(shallow))]

    return features


def test_saliency_is_the_largest_absolute_derivative_over_channels(model, batch):
    images, labels = batch
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: model(x[None])[0]))(images)  # (B, K, C, H, W)
    wanted = torch.stack([jacobian[row, label].abs().amax(0) for row, label in enumerate(labels)])
    torch.testing.assert_close(saliency(model, images, labels), wanted.detach())


def test_guided_backprop_drops_negative_gradients_at_every_relu(batch):
    """Two layers by hand: gradients pass where the unit is active and the gradient is positive."""
    torch.manual_seed(1)
    first, second, third = nn.Linear(72, 9), nn.Linear(9, 9), nn.Linear(9, 3)
    images, labels = batch
    hidden = F.relu(first(images.flatten(1)))
    deep = F.relu(second(hidden))
    gradient = third.weight[labels]  # (B, 9)
    gradient = gradient.clamp(min=0) * (deep > 0) @ second.weight
    gradient = gradient.clamp(min=0) * (hidden > 0) @ first.weight
    for function in (torch.relu, F.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_):
        network = nn.Sequential(nn.Flatten(), first, nn.ReLU(inplace=function is F.relu), second)

        def model(x, network=network, function=function):
            return third(function(network(x)))

        found = guided_backprop(model, images, labels)
        torch.testing.assert_close(found.flatten(1), gradient.detach())
        torch.testing.assert_close(model(images), third(deep))
    assert not torch.allclose(saliency(model, images, labels), found.abs().amax(1))


def test_a_dream_step_moves_pixels_by_the_step_size_towards_larger_features(batch):
    features, images = extractor(), batch[0][:, :1]
    dreamt = deep_dream_step(lambda x: features(x)[1], images, 0.02)
    torch.testing.assert_close((dreamt - images).abs().mean((1, 2, 3)), torch.full((3,), 0.02))
    before, after = (features(x)[1].square().sum((1, 2, 3)) for x in (images, dreamt))
    assert (after > before).all()


def test_the_gram_matrix_forgets_where_things_are():
    features = torch.rand(2, 3, 4, 5)
    wanted = torch.einsum("bchw,bdhw->bcd", features, features) / 20
    torch.testing.assert_close(gram_matrix(features), wanted)
    shuffled = features.flatten(2)[:, :, torch.randperm(20)].view_as(features)
    torch.testing.assert_close(gram_matrix(shuffled), wanted)


def test_style_loss_compares_images_of_different_sizes():
    first, second = torch.rand(1, 2, 3, 3), torch.rand(1, 2, 5, 4)
    wanted = (gram_matrix(first) - gram_matrix(second)).square().mean()
    torch.testing.assert_close(style_loss([first, first], [second, first]), wanted)


def test_style_transfer_takes_the_style_and_keeps_the_content():
    """The digit-like stroke stays where it is while the Gram matrices move to those of stripes."""
    features = extractor()
    content = torch.zeros(1, 1, 12, 12)
    content[..., 3:9, 5:7] = 1.0
    style = (torch.arange(16) % 2).float().expand(1, 1, 16, -1)
    redrawn = transfer_style(features, content, style, style_weight=10.0)

    def style_gap(x):
        return style_loss(features(x), features(style)).item()

    def content_gap(x):
        return F.mse_loss(features(x)[-1], features(content)[-1]).item()

    assert style_gap(redrawn) < 0.3 * style_gap(content)
    assert content_gap(redrawn) < content_gap(style[..., :12, :12])
    assert redrawn.min() >= 0
    assert redrawn.max() <= 1
    inverted = transfer_style(features, content, style, style_weight=0.0)
    torch.testing.assert_close(inverted, content)  # already its own content


@pytest.mark.parametrize("look", [saliency, guided_backprop])
def test_gradient_pictures_compile_and_run_in_bfloat16(model, batch, look):
    images, labels = batch
    eager = look(model, images, labels)
    assert not eager.requires_grad
    compiled = torch.compile(look, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(model, images, labels), eager)
    assert look(model.bfloat16(), images.bfloat16(), labels).dtype == torch.bfloat16


def test_dreams_and_styles_compile_and_run_in_bfloat16(batch):
    features, images = extractor(), batch[0][:, :1]

    def deep(x):
        return features(x)[1]

    compiled = torch.compile(deep_dream_step, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(deep, images), deep_dream_step(deep, images))
    compiled = torch.compile(style_loss, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled([images], [images[:, :, :3]]), style_loss([images], [images[:, :, :3]]))
    assert deep_dream_step(lambda x: x, images.bfloat16()).dtype == torch.bfloat16
    assert gram_matrix(images.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda model, x, y: saliency(model, x, y[:2]), ["(3, 2, 6, 6)", "(2,)"]),
        (lambda model, x, y: guided_backprop(model, x[0], y), ["(2, 6, 6)", "(3,)"]),
        (lambda model, x, y: gram_matrix(x[0]), ["(B, C, H, W)", "(2, 6, 6)"]),
        (lambda model, x, y: style_loss([x], [x[:, :1]]), ["(3, 2, 6, 6)", "(3, 1, 6, 6)"]),
        (lambda model, x, y: style_loss([x], [x, x]), ["(3, 2, 6, 6)"]),
    ],
)
def test_bad_input_is_named(model, batch, call, named):
    with pytest.raises(InvalidInput) as refusal:
        call(model, *batch)
    assert all(part in str(refusal.value) for part in named)


def test_the_image_that_a_linear_score_answers_to_most_is_its_weights_over_twice_the_decay():
    weight = torch.tensor([0.4, -0.3, 0.1, 3.0]).view(1, 1, 2, 2)
    found = activation_image(lambda x: (x * weight).sum((1, 2, 3)), torch.full((1, 1, 2, 2), 0.5), 400, decay=0.5)
    torch.testing.assert_close(found, weight.clamp(0, 1), rtol=0, atol=2e-3)
