"""LeNet, residual, inception, dense and U-Net blocks: published counts, plain references, sizes, refusals."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.convolution import (
    DenseBlock,
    InceptionModule,
    LeNet,
    convolution_parameters,
    convolution_size,
    parameter_count,
    transposed_size,
)
from palaestra.neural_blocks.perception.residual import (
    BottleneckBlock,
    BottleneckResidualNet,
    ResidualBlock,
    ResidualNet,
)
from palaestra.neural_blocks.perception.unet import UNet


def test_output_sizes_are_torchs():
    for size in (5, 8, 13):
        for kernel, stride, padding, dilation in [(1, 1, 0, 1), (3, 2, 1, 1), (5, 3, 2, 1), (3, 1, 1, 2), (2, 2, 0, 3)]:
            options = {"stride": stride, "padding": padding, "dilation": dilation}
            out = nn.Conv1d(1, 1, kernel, **options)(torch.zeros(1, 1, size)).shape[-1]
            assert convolution_size(size, kernel, **options) == out
            extra = stride - 1
            out = nn.ConvTranspose1d(1, 1, kernel, output_padding=extra, **options)(torch.zeros(1, 1, size)).shape[-1]
            assert transposed_size(size, kernel, output_padding=extra, **options) == out


def test_parameter_counts_are_torchs():
    assert convolution_parameters(3, 10, 5) == parameter_count(nn.Conv2d(3, 10, 5)) == 760
    assert convolution_parameters(3, 10, 5, bias=False) == parameter_count(nn.Conv2d(3, 10, 5, bias=False)) == 750
    frozen = nn.Linear(3, 4)
    frozen.bias.requires_grad_(False)
    assert parameter_count(frozen) == 12


def test_lenet_has_the_published_number_of_parameters():
    # 6 (25 + 1) + 16 (6 x 25 + 1) + 120 (400 + 1) + 84 (120 + 1) + 10 (84 + 1), every filter seeing every map
    assert parameter_count(LeNet((1, 28, 28))) == 156 + 2416 + 48120 + 10164 + 850 == 61706


def test_inception_has_the_published_numbers_of_maps_and_weights():
    # Szegedy et al. (2015), table 1: inception (3a) takes 192 maps to 256 with 159 K weights
    block = InceptionModule(192, 64, (96, 128), (16, 32), 32)
    assert block.output_channels == block(torch.zeros(1, 192, 3, 3)).shape[1] == 256
    biases = 64 + 96 + 128 + 16 + 32 + 32
    assert (parameter_count(block) - biases) // 1024 == 159


def test_inceptions_branches_stand_side_by_side():
    block, x = InceptionModule(2, 1, (3, 4), (2, 5), 6), torch.randn(2, 2, 5, 7)
    out = block(x)
    torch.testing.assert_close(out[:, :1], F.relu(block.one(x)))
    torch.testing.assert_close(out[:, 1:5], F.relu(block.three(x)))
    torch.testing.assert_close(out[:, 5:10], F.relu(block.five(x)))
    torch.testing.assert_close(out[:, 10:], F.relu(block.pooled(x)))


def test_each_dense_layer_sees_all_maps_before_it():
    block, x = DenseBlock(2, 3, 4), torch.randn(2, 2, 6, 5)
    out = block(x)
    assert out.shape == (2, block.output_channels, 6, 5) == (2, 14, 6, 5)
    assert torch.equal(out[:, :2], x)
    for index, layer in enumerate(block.layers):
        seen = 2 + 3 * index
        torch.testing.assert_close(out[:, seen : seen + 3], layer(out[:, :seen]))


@pytest.mark.parametrize("kind", [ResidualBlock, BottleneckBlock])
def test_a_residual_block_without_change_passes_its_input_on(kind):
    block, x = kind(4, 4), torch.randn(2, 4, 5, 5)
    nn.init.zeros_(block.change[-1].weight)
    assert torch.equal(block(x), x)
    wider = kind(4, 8, stride=2)
    nn.init.zeros_(wider.change[-1].weight)
    torch.testing.assert_close(wider(x), F.conv2d(x, wider.shortcut.weight, wider.shortcut.bias, stride=2))
    assert wider(x).shape == (2, 8, 3, 3)


def test_a_bottleneck_squeezes_the_maps_to_a_quarter_and_back():
    convolutions = [part for part in BottleneckBlock(16, 32, 2).change if isinstance(part, nn.Conv2d)]
    assert [part.weight.shape for part in convolutions] == [(8, 16, 1, 1), (8, 8, 3, 3), (32, 8, 1, 1)]
    assert [part.stride for part in convolutions] == [(1, 1), (2, 2), (1, 1)]
    weights = [
        sum(p.numel() for p in kind(64, 64).parameters() if p.dim() > 1) for kind in (ResidualBlock, BottleneckBlock)
    ]
    assert weights[0] / weights[1] == pytest.approx(18 / 1.0625)  # 2 * 9 against 1/4 + 9/16 + 1/4 of the square


def test_the_residual_net_halves_the_image_at_each_stage_but_the_first():
    net = ResidualNet((1, 8, 8), 5, widths=(4, 8, 16), depth=2)
    assert net.stages(torch.zeros(1, 1, 8, 8)).shape == (1, 16, 2, 2)
    assert sum(isinstance(part, ResidualBlock) for part in net.stages) == 6
    net = BottleneckResidualNet((1, 8, 8), 5, widths=(4, 8, 16), depth=2)
    assert net.stages(torch.zeros(1, 1, 8, 8)).shape == (1, 16, 2, 2)
    assert sum(isinstance(part, BottleneckBlock) for part in net.stages) == 6


def test_the_u_net_joins_what_each_level_saw():
    net = UNet(2, 3, (4, 8, 16))
    assert net(torch.zeros(1, 2, 8, 12)).shape == (1, 3, 8, 12)
    with torch.no_grad():
        for up in net.up:  # cut off from below, a level still sees its own pixels through the joint
            up.weight.zero_()
            up.bias.zero_()
    x = torch.randn(1, 2, 8, 12)
    fine = net.down[0](x)
    joined = net.join[-1](torch.cat([fine, torch.zeros_like(fine)], 1))
    torch.testing.assert_close(net(x), net.output(joined))


def test_a_condition_changes_what_the_u_net_paints():
    net, x = UNet(1, 1, (4, 8), condition_size=3), torch.randn(2, 1, 8, 8)
    same = net(x, torch.zeros(2, 3))
    other = net(x, torch.tensor([[0.0, 0, 0], [1, 2, 3]]))
    torch.testing.assert_close(same[0], other[0])
    assert not torch.allclose(same[1], other[1])


CASES = {
    "lenet": lambda: (LeNet((1, 8, 8)), (torch.rand(3, 1, 8, 8),)),
    "residual_net": lambda: (ResidualNet((3, 8, 9), 6, widths=(8, 16)), (torch.rand(3, 3, 8, 9),)),
    "bottlenecks": lambda: (BottleneckResidualNet((3, 8, 9), 6, widths=(8, 16)), (torch.rand(3, 3, 8, 9),)),
    "inception": lambda: (InceptionModule(2, 1, (3, 4), (2, 5), 6), (torch.rand(3, 2, 5, 7),)),
    "dense": lambda: (DenseBlock(2, 3, 2), (torch.rand(3, 2, 5, 7),)),
    "u_net": lambda: (UNet(1, 2, (4, 8), 3), (torch.rand(3, 1, 8, 8), torch.rand(3, 3))),
}


@pytest.mark.parametrize("name", CASES)
def test_blocks_compile_to_one_graph_run_in_bfloat16_and_come_back_from_a_file(name):
    block, arguments = CASES[name]()
    wanted = block(*arguments)
    torch.testing.assert_close(torch.compile(block, backend="eager", fullgraph=True)(*arguments), wanted)
    torch.save(block.state_dict(), "block.pt")
    other = CASES[name]()[0]
    other.load_state_dict(torch.load("block.pt", weights_only=True))
    torch.testing.assert_close(other(*arguments), wanted)
    output = block.bfloat16()(*(x.bfloat16() for x in arguments))
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), wanted, atol=0.2, rtol=0.1)


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 19, 20), (3, 20, 24), (1, 28, 28), (3, 32, 32)])
def test_every_image_size_is_served(shape):
    for net in (LeNet(shape, 7), ResidualNet(shape, 7, widths=(2, 4, 8))):
        assert net(torch.rand(2, *shape)).shape == (2, net.output_size) == (2, 7)


def test_bad_input_is_named():
    net = UNet(1, 1, (4, 8), 3)
    refusals = [
        (lambda: convolution_size(4, 3, dilation=3), "7 pixels needs as many; got 4"),
        (lambda: LeNet((1, 3, 8)), r"at least 4; got \(1, 3, 8\)"),
        (lambda: ResidualNet((8, 8)), r"at least 4; got \(8, 8\)"),
        (lambda: ResidualNet((1, 8, 8), widths=()), r"widths \(\), depth 1"),
        (lambda: LeNet((1, 8, 8))(torch.zeros(2, 1, 8, 9)), r"\(B, 1, 8, 8\); got \(2, 1, 8, 9\)"),
        (lambda: ResidualNet((1, 8, 8))(torch.zeros(2, 3, 8, 8)), r"\(B, 1, H, W\); got \(2, 3, 8, 8\)"),
        (lambda: ResidualBlock(4, 4)(torch.zeros(4, 8, 8)), r"\(B, 4, H, W\); got \(4, 8, 8\)"),
        (lambda: BottleneckBlock(4, 6), "filters must be a multiple of 4; got 6"),
        (lambda: BottleneckResidualNet((1, 8, 8), depth=0), "BottleneckResidualNet: needs at least one stage"),
        (lambda: InceptionModule(2, 1, (3, 4), (2, 5), 6)(torch.zeros(2, 3, 8, 8)), r"got \(2, 3, 8, 8\)"),
        (lambda: DenseBlock(2, 3, 2)(torch.zeros(2, 3, 8, 8)), r"\(B, 2, H, W\); got \(2, 3, 8, 8\)"),
        (lambda: UNet(1, 1, ()), "at least one level"),
        (lambda: net(torch.zeros(2, 1, 8, 7), torch.zeros(2, 3)), r"divisible by 2; got \(2, 1, 8, 7\)"),
        (lambda: net(torch.zeros(2, 1, 8, 8)), r"condition must have shape \(2, 3\); got None"),
        (lambda: net(torch.zeros(2, 1, 8, 8), torch.zeros(1, 3)), r"\(2, 3\); got \(1, 3\)"),
        (lambda: UNet(1, 1)(torch.zeros(2, 1, 8, 8), torch.zeros(2, 3)), r"shape None; got \(2, 3\)"),
    ]
    for refused, told in refusals:
        with pytest.raises(InvalidInput, match=told):
            refused()
