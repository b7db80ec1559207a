"""Published networks, counted from the tables of their layers: how many numbers training changes."""

import itertools

import pytest
import torch
from torch import nn

from palaestra.neural_blocks.perception.convolution import parameter_count
from palaestra.neural_blocks.perception.residual import BottleneckBlock, ResidualBlock

VGG_16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)  # filters of 3 x 3, Simonyan and Zisserman
RESNETS = {  # kind of block, filters of the last stage, blocks of each stage, and the count; He et al., 2016
    18: (ResidualBlock, 512, (2, 2, 2, 2), 11_689_512),
    34: (ResidualBlock, 512, (3, 4, 6, 3), 21_797_672),
    50: (BottleneckBlock, 2048, (3, 4, 6, 3), 25_557_032),
    101: (BottleneckBlock, 2048, (3, 4, 23, 3), 44_549_160),
    152: (BottleneckBlock, 2048, (3, 8, 36, 3), 60_192_808),
}


@pytest.fixture(autouse=True)
def _shapes_alone():
    with torch.device("meta"):  # no memory for the numbers themselves
        yield


def test_vgg_16_has_138_million_parameters_most_of_them_in_one_layer():
    convolutions = [nn.Conv2d(*each, 3) for each in itertools.pairwise((3, *VGG_16))]
    linear = [nn.Linear(512 * 7 * 7, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]  # 224 halved five times is 7
    counts = [parameter_count(layer) for layer in (*convolutions, *linear)]
    assert counts[0] == 3 * 9 * 64 + 64
    assert sum(counts) == 138_357_544
    assert parameter_count(linear[0]) / sum(counts) == pytest.approx(0.743, abs=5e-4)


@pytest.mark.parametrize("depth", RESNETS)
def test_residual_networks_of_published_depths(depth):
    """Of the suite's own blocks; each convolution has two numbers a map for its normalisation, and no bias."""
    kind, widest, stages, published = RESNETS[depth]
    layers = [nn.Conv2d(3, 64, 7)]
    before = 64
    for stage, blocks in enumerate(stages):
        filters = widest >> (3 - stage)
        for block in range(blocks):
            layers.append(kind(before, filters, stride=2 if stage and not block else 1))
            before = filters
    convolutions = [part for layer in layers for part in layer.modules() if isinstance(part, nn.Conv2d)]
    shortcuts = sum(isinstance(getattr(layer, "shortcut", None), nn.Conv2d) for layer in layers)
    assert len(convolutions) + 1 - shortcuts == depth  # and one linear layer; shortcuts are not counted
    numbers = sum(part.weight.numel() + 2 * part.out_channels for part in convolutions)
    assert numbers + parameter_count(nn.Linear(widest, 1000)) == published
