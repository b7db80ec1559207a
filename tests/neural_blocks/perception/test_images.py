"""Which spaces hold images, and where the channels of these are."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra.neural_blocks.perception.images import brightest, image_layout

FOREIGN = [  # (the environment's shape, its image as (C, H, W))
    ((96, 96, 3), (3, 96, 96)),
    ((210, 160, 3), (3, 210, 160)),
    ((160, 210, 1), (1, 160, 210)),
    ((84, 84, 4), (4, 84, 84)),
    ((4, 84, 84), (4, 84, 84)),
    ((84, 84, 12), (12, 84, 84)),
    ((84, 84), (1, 84, 84)),
    ((4, 84, 84, 3), (12, 84, 84)),
    ((4, 84, 84, 1), (4, 84, 84)),
    ((4, 3, 84, 84), (12, 84, 84)),
    ((84, 84, 3, 4), (12, 84, 84)),
    ((7, 7, 3), (3, 7, 7)),
    ((3, 7, 7), (3, 7, 7)),
    ((8, 8, 111), (111, 8, 8)),
    ((111, 8, 8), (111, 8, 8)),
    ((19, 19, 17), (17, 19, 19)),
    ((64, 64, 64), (64, 64, 64)),
]


def pixels(*shape):
    return spaces.Box(0, 255, shape, np.uint8)


@pytest.mark.parametrize(("shape", "expected"), FOREIGN)
def test_the_channels_of_a_strangers_image_are_found(shape, expected):
    assert image_layout(pixels(*shape), foreign=True).shape == expected


@pytest.mark.parametrize(("shape", "expected"), FOREIGN)
def test_what_the_bridge_has_turned_stays_as_it_is(shape, expected):
    assert image_layout(pixels(*expected)).axes == (0, 1, 2)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 16), (48, 32, 20), (16, 16, 10), (8, 8, 3), (40, 30, 5)])
def test_three_axes_of_this_suite_are_channel_first(shape):
    assert image_layout(pixels(*shape)).shape == shape


def test_a_last_axis_that_can_only_be_colour_is_the_channels():
    assert image_layout(pixels(84, 84, 4)).shape == (4, 84, 84)
    assert image_layout(pixels(84, 84)).shape == (1, 84, 84)


@pytest.mark.parametrize("foreign", [True, False])
@pytest.mark.parametrize(
    "space",
    [
        pixels(128),
        pixels(8, 8),
        pixels(2, 3, 4, 5, 6),
        spaces.Box(0, 1, (40, 40), np.float32),
        spaces.Box(0, 1, (3, 15, 40), np.float32),
        spaces.Box(-1, 1, (), np.float32),
        spaces.MultiBinary((3, 20, 20)),
        spaces.Discrete(4),
        spaces.Dict({"image": pixels(3, 20, 20)}),
    ],
)
def test_other_spaces_hold_no_images(space, foreign):
    assert image_layout(space, foreign=foreign) is None


def test_channels_keep_their_order():
    frames = torch.arange(2 * 4 * 20 * 17 * 3).view(2, 4, 20, 17, 3)
    layout = image_layout(pixels(4, 20, 17, 3), foreign=True)
    turned = layout(frames)
    for frame in range(4):
        for colour in range(3):
            assert torch.equal(turned[:, 3 * frame + colour], frames[:, frame, :, :, colour])
    np.testing.assert_equal(layout.array(frames[1].numpy()), turned[1].numpy())


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (pixels(3, 20, 20), 255),
        (spaces.Box(0, 1, (3, 20, 20)), 1),
        (spaces.Box(0, 255, (3, 20, 20)), 255),
        (spaces.Box(-1, 1, (3, 20, 20)), 1),
        (spaces.Box(-np.inf, np.inf, (3, 20, 20)), 1),
    ],
)
def test_values_are_scaled_by_their_bounds(space, expected):
    assert brightest(space) == expected
