"""The small convolutional network: shapes, a plain reference, refusals."""

import pytest
import torch
import torch.nn.functional as F

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.convolution import SmallCNN, StridedCNN


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 7, 9), (2, 16, 5)])
def test_every_image_size_is_served(shape):
    cnn = SmallCNN(shape, channels=(4, 6), output_size=10)
    assert cnn(torch.rand(3, *shape)).shape == (3, 10)
    assert cnn.output_size == 10


def test_the_network_is_two_convolutions_and_a_linear_layer():
    cnn, x = SmallCNN((2, 8, 6), channels=(3, 5), output_size=4), torch.rand(2, 2, 8, 6)
    first, second = cnn.convolutions[0], cnn.convolutions[2]
    hidden = F.relu(F.conv2d(x, first.weight, first.bias, padding=1))
    hidden = F.relu(F.conv2d(hidden, second.weight, second.bias, stride=2, padding=1))
    assert hidden.shape == (2, 5, 4, 3)
    torch.testing.assert_close(cnn(x), F.relu(F.linear(hidden.flatten(1), cnn.linear.weight, cnn.linear.bias)))


@pytest.mark.parametrize(("shape", "features"), [((1, 4, 4), 6), ((3, 16, 24), 6 * 4 * 6), ((2, 7, 9), 6 * 1 * 2)])
def test_the_strided_network_halves_an_image_twice(shape, features):
    cnn, x = StridedCNN(shape, channels=(4, 6), output_size=10), torch.rand(3, *shape)
    first, second = cnn.convolutions[0], cnn.convolutions[2]
    hidden = F.relu(F.conv2d(x, first.weight, first.bias, stride=2, padding=1))
    hidden = F.relu(F.conv2d(hidden, second.weight, second.bias, stride=2, padding=1)).flatten(1)
    assert hidden.shape == (3, features)
    torch.testing.assert_close(cnn(x), F.relu(F.linear(hidden, cnn.linear.weight, cnn.linear.bias)))
    with pytest.raises(InvalidInput, match="StridedCNN: shape must be"):
        StridedCNN((1, 3, 8))


@pytest.mark.parametrize("shape", [(1, 3, 8), (8, 8), (1, 8, 8, 3), (0, 8, 8)])
def test_a_shape_that_is_no_image_is_refused(shape):
    with pytest.raises(InvalidInput) as refusal:
        SmallCNN(shape)
    assert str(shape) in str(refusal.value)


def test_the_network_runs_in_bfloat16_and_compiled():
    cnn, x = SmallCNN((1, 8, 8)), torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(torch.compile(cnn, backend="eager", fullgraph=True)(x), cnn(x))
    assert cnn.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
