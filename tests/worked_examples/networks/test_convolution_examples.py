"""Worked by hand: sizes and parameters of a convolution, its passes as matrices, a transposed convolution."""

import torch
import torch.nn.functional as F
from torch import nn

from palaestra.neural_blocks.perception.convolution import convolution_parameters, convolution_size, parameter_count


def test_ten_five_by_five_filters_over_a_colour_image():
    # (32 + 2 * 2 - 5) / 1 + 1 = 32; 10 * (5 * 5 * 3 + 1) = 760
    layer = nn.Conv2d(3, 10, 5, padding=2)
    assert convolution_size(32, 5, padding=2) == 32
    assert layer(torch.zeros(1, 3, 32, 32)).shape == (1, 10, 32, 32)
    assert convolution_parameters(3, 10, 5) == parameter_count(layer) == 760


def test_a_transposed_convolution_of_a_square_with_itself():
    # each entry of the input stamps the kernel, scaled, at its place:
    # 1 * [0 1; 2 3] one to the right, 2 * [0 1; 2 3] one down, 3 * [0 1; 2 3] one right and down
    square = torch.tensor([[0.0, 1.0], [2.0, 3.0]])[None, None]
    assert F.conv_transpose2d(square, square)[0, 0].tolist() == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]


def test_the_passes_of_a_convolution_are_products_with_a_matrix():
    # y_i = w_1 x_i + w_2 x_(i+1) + w_3 x_(i+2), so y = W x = X w with
    w = torch.tensor([1.0, 2.0, -1.0], requires_grad=True)
    x = torch.tensor([3.0, 0.0, 1.0, 2.0], requires_grad=True)
    matrix_of_w = torch.tensor([[1.0, 2, -1, 0], [0, 1, 2, -1]])
    matrix_of_x = torch.tensor([[3.0, 0, 1], [0, 1, 2]])
    # y = (3 + 0 - 1, 0 + 2 - 2) = (2, 0)
    y = F.conv1d(x[None, None], w[None, None])[0, 0]
    assert y.tolist() == (matrix_of_w @ x).tolist() == (matrix_of_x @ w).tolist() == [2, 0]
    # with dL/dy = (1, 2): dL/dx = W^T dL/dy = (1, 2 + 2, -1 + 4, -2), dL/dw = X^T dL/dy = (3, 2, 1 + 4)
    upstream = torch.tensor([1.0, 2.0])
    to_input, to_weight = torch.autograd.grad(y, [x, w], upstream)
    assert to_input.tolist() == (matrix_of_w.T @ upstream).tolist() == [1, 4, 3, -2]
    assert to_weight.tolist() == (matrix_of_x.T @ upstream).tolist() == [3, 2, 5]
    # the former is the transposed convolution, the latter the convolution of the input with dL/dy
    assert F.conv_transpose1d(upstream[None, None], w[None, None])[0, 0].tolist() == [1, 4, 3, -2]
    assert F.conv1d(x[None, None], upstream[None, None])[0, 0].tolist() == [3, 2, 5]


def test_what_a_convolution_and_a_mean_say_does_not_hang_on_the_place():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    flat = nn.Sequential(nn.Flatten(), nn.Linear(144, 4), nn.ReLU())
    image = torch.zeros(1, 1, 12, 12)
    image[..., 3:7, 3:7] = torch.rand(4, 4)
    moved = image.roll((3, 2), (2, 3))  # what is shown keeps away from the edges
    convolved = network[:2]
    torch.testing.assert_close(convolved(moved), convolved(image).roll((3, 2), (2, 3)))  # equivariance
    torch.testing.assert_close(network(moved), network(image))  # invariance
    assert (flat(moved) - flat(image)).abs().max() > 0.05
