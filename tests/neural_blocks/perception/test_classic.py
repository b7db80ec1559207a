"""The classic image networks: their layers by hand, sizes from tiny images to large ones, and depth as a setting."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import nn

from palaestra import agents
from palaestra.agents.networks.network import make_encoder
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.classic import VGG, AlexNet, DenseNet, Inception
from palaestra.neural_blocks.perception.convolution import DenseBlock, InceptionModule, parameter_count

NETWORKS = (AlexNet, VGG, Inception, DenseNet)
DEEP = {
    "vgg": nn.Conv2d,
    "inception": InceptionModule,
    "residual": nn.Conv2d,
    "residual_bottleneck": nn.Conv2d,
    "densenet": nn.Conv2d,
}


def count(module, kind):
    return sum(isinstance(part, kind) for part in module.modules())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 20, 28), (3, 84, 84)])
def test_images_of_any_size_are_read_and_each_pixel_counts(network, shape):
    torch.manual_seed(0)
    net = network(shape, 7)
    x = torch.rand(2, *shape, requires_grad=True)
    out = net(x)
    assert out.shape == (2, 7)
    out.sum().backward()
    seen = x.grad.abs().sum((0, 1)) > 0
    assert seen.float().mean() > 0.9
    with pytest.raises(InvalidInput, match=rf"{network.__name__}: images must have shape"):
        net(torch.zeros(2, shape[0], shape[1] + 1, shape[2]))
    with pytest.raises(InvalidInput, match=rf"{network.__name__}: shape must be"):
        network((1, 3, 8))


def test_alexnet_has_five_convolutions_and_large_images_the_originals_first_one():
    net = AlexNet((3, 224, 224), 1000)
    first, *others = (part for part in net.modules() if isinstance(part, nn.Conv2d))
    assert (first.kernel_size, first.stride, len(others)) == ((11, 11), (4, 4), 4)
    assert count(net, nn.MaxPool2d) == 1  # one module, three times
    assert net.maps(torch.zeros(1, 3, 224, 224)).shape == (1, 64, 7, 7)
    assert [part.out_features for part in net.modules() if isinstance(part, nn.Linear)] == [256, 256, 1000]


def test_vgg_halves_the_image_stage_by_stage_and_doubles_its_filters():
    net = VGG((3, 32, 32), 10, depth=3)
    widths = [part.out_channels for part in net.modules() if isinstance(part, nn.Conv2d)]
    assert widths == [16] * 3 + [32] * 3 + [64] * 3 + [128] * 3
    assert net.maps(torch.zeros(1, 3, 32, 32)).shape == (1, 128, 2, 2)
    filters = sum(9 * a * b + b for a, b in zip([3, *widths], widths, strict=False))
    assert parameter_count(net.maps) == filters


def test_the_dense_net_halves_maps_and_pixels_between_its_blocks():
    net = DenseNet((1, 16, 16), 10, depth=4)
    blocks = [part for part in net.modules() if isinstance(part, DenseBlock)]
    assert [block.output_channels for block in blocks] == [24 + 48, 36 + 48, 42 + 48]
    assert net.maps(torch.zeros(1, 1, 16, 16)).shape == (1, 90, 4, 4)


@pytest.mark.parametrize("name", DEEP)
def test_depth_is_a_setting_of_every_deep_encoder(name):
    space = spaces.Box(0, 255, (1, 16, 16), np.uint8)
    shallow, deep = (count(make_encoder(space, name, depth), DEEP[name]) for depth in (1, 4))
    assert deep > shallow
    env = make_batched("palaestra/DigitBandit-v0", 4, seed=0)
    agent = agents.make("ppo", env, encoder=name, encoder_depth=2, rollout_steps=2, minibatches=1, hidden=(4,))
    agent.train(env, 8)
    agent.save("agent.pt")
    again = agents.load("agent.pt")
    assert again.config.encoder_depth == 2
    assert count(again.network, DEEP[name]) == count(agent.network, DEEP[name])


def test_a_depth_is_refused_where_there_is_none_to_choose():
    env = make_batched("palaestra/DigitBandit-v0", 2)
    deep = "vgg, inception, residual, residual_bottleneck, densenet, vit, swin"
    told = f"encoder_depth: encoder must be one of {deep}; got 'lenet'"
    with pytest.raises(InvalidInput, match=told):
        agents.make("ppo", env, encoder="lenet", encoder_depth=2)
    for network in (VGG, Inception, DenseNet):
        with pytest.raises(InvalidInput, match=f"{network.__name__}: depth must be at least 1; got 0"):
            network((1, 8, 8), depth=0)
