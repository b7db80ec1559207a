"""Random changes of images against their geometry, computed by hand; and agents that learn with them."""

import math

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.augmentation import KINDS, Augmentation, mixed
from palaestra.neural_blocks.perception.image_changes import (
    CHAINS,
    NEEDED,
    SMALL,
    WAVES,
    augmix,
    clouds,
    cutout,
    flip,
    one_of,
    pixmix,
    posterise,
    randaugment,
    shift,
    solarise,
)

BYTES = spaces.Box(0, 255, (2, 16, 24), np.uint8)


def pictures(count=5):
    return torch.randint(0, 256, (count, 2, 16, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_a_shift_moves_whole_pixels_and_repeats_the_edge():
    images = pictures(3)
    noise = torch.tensor([[0.0, 0.999], [0.5, 0.5], [0.999, 0.2]])  # sides of 16 and 24: up to 2 and 3 pixels
    moved = shift(images, noise, 255.0)
    for image, result, (down, right) in zip(images, moved, [(-2, 3), (0, 0), (2, -2)], strict=True):
        padded = np.pad(image.numpy(), ((0, 0), (3, 3), (3, 3)), mode="edge")
        np.testing.assert_array_equal(result, padded[:, 3 + down : 19 + down, 3 + right : 27 + right])


def test_a_flip_is_left_for_right():
    images = pictures(2)
    flipped = flip(images, torch.tensor([[0.4], [0.6]]), 255.0)
    assert torch.equal(flipped[0], images[0].flip(-1))
    assert torch.equal(flipped[1], images[1])


@pytest.mark.parametrize(("kind", "noise"), [("rotate", [1.0]), ("rotate", [0.2]), ("crop", [0.5, 0.9, 0.1])])
def test_turns_and_crops_read_a_slope_where_geometry_says(kind, noise):
    down, right = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    slopes = torch.stack([right, down]).unsqueeze(0)  # each pixel holds its own place
    read = KINDS[kind][0](slopes, torch.tensor([noise]), 1.0)[0]
    x, y = right - 12, down - 8
    if kind == "rotate":
        angle = (2 * noise[0] - 1) * math.pi / 12
        expected = [x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)]
    else:
        part, rest = 0.9, 0.1
        expected = [part * x + 12 * rest * (2 * noise[1] - 1), part * y + 8 * rest * (2 * noise[2] - 1)]
    inside = (slice(4, 12), slice(6, 18))
    torch.testing.assert_close(read[0][inside], expected[0][inside] + 12, atol=1e-4, rtol=0)
    torch.testing.assert_close(read[1][inside], expected[1][inside] + 8, atol=1e-4, rtol=0)


def test_a_cut_out_is_a_box_of_zeros():
    images = torch.ones(1, 2, 16, 24)
    cut = cutout(images, torch.tensor([[0.5, 0.5, 0.5]]), 1.0)  # a quarter of each side, in the middle
    expected = torch.ones(16, 24)
    expected[6:10, 9:15] = 0
    assert torch.equal(cut[0], expected.expand(2, -1, -1))


def test_noise_has_its_deviation():
    images = torch.full((40, 2, 16, 24), 128, dtype=torch.uint8)
    layer = Augmentation(BYTES, ["noise"], seed=1)
    apart = layer(images).float() - 128
    assert apart.std() == pytest.approx(255 / 20, rel=0.02)
    assert apart.mean().abs() < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_images_change_in_training_alone_each_row_by_itself_and_go_on_after_a_restart(kind):
    layer, images = Augmentation(BYTES, [kind], seed=3), pictures(8)
    assert torch.equal(layer.eval()(images), images)
    layer.train()
    first = layer(images)
    assert first.dtype == torch.uint8
    assert not torch.equal(first, images)
    saved = {name: value.clone() for name, value in layer.state_dict().items()}
    second = layer(images)
    assert not torch.equal(first, second)
    again = Augmentation(BYTES, [kind], seed=99)
    again.load_state_dict(saved)
    assert torch.equal(again(images[:3]), second[:3])


def test_only_images_of_a_dict_change_and_channels_may_stand_last():
    space = spaces.Dict({"picture": spaces.Box(0, 255, (16, 24, 2), np.uint8), "number": spaces.Box(0, 1, (3,))})
    layer = Augmentation(space, ["flip"], seed=1)
    seen = {"picture": pictures(20).permute(0, 2, 3, 1), "number": torch.rand(20, 3)}
    changed = layer(seen)
    assert torch.equal(changed["number"], seen["number"])
    turned = [torch.equal(a, b.flip(1)) for a, b in zip(changed["picture"], seen["picture"], strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(changed["picture"], seen["picture"], strict=True)]
    assert all(one != other for one, other in zip(turned, kept, strict=True))
    assert 4 < sum(turned) < 16


def test_levels_and_opposites_are_those_of_a_hand_s():
    images = torch.tensor([0.0, 60.0, 130.0, 250.0]).view(1, 1, 2, 2)
    assert posterise(images, torch.tensor([[0.0]]), 255.0).flatten().tolist() == [0, 0, 127.5, 255]
    assert solarise(images, torch.tensor([[0.0]]), 255.0).flatten().tolist() == [0, 60, 125, 5]


def test_each_image_has_a_change_of_its_own_and_two_follow_each_other():
    images, rows = pictures(len(SMALL)), torch.rand(len(SMALL), 2 * NEEDED)
    for first in (0, NEEDED):
        rows[:, first] = (torch.arange(len(SMALL)) + 0.5) / len(SMALL)
    changed = [change(images, rows[:, 1:NEEDED], 255.0)[k] for k, change in enumerate(SMALL)]
    assert torch.equal(one_of(images, rows[:, :NEEDED], 255.0), torch.stack(changed))
    again = [change(torch.stack(changed), rows[:, NEEDED + 1 :], 255.0)[k] for k, change in enumerate(SMALL)]
    assert torch.equal(randaugment(images, rows, 255.0), torch.stack(again))


def test_augmix_is_the_image_and_the_mean_of_chains_by_their_shares():
    images, noise = pictures(2), torch.rand(2, KINDS["augmix"][1])
    noise[:, -1] = 0
    assert torch.equal(augmix(images, noise, 255.0), images)
    noise[:, -1] = 0.25
    first = CHAINS  # of the first chain; the others weigh nothing where their uniforms are almost 1
    noise[:, :CHAINS] = torch.tensor([0.5, *[1 - 2**-24] * (CHAINS - 1)])
    noise[:, first + NEEDED + 1] = 0.9  # the chain ends after one change
    changed = one_of(images.float(), noise[:, first + 1 : first + 1 + NEEDED], 255.0)
    wanted = 0.75 * images.float() + 0.25 * changed
    assert (augmix(images, noise, 255.0).float() - wanted).abs().max() <= 0.51


def test_pixmix_adds_or_multiplies_a_pattern_from_black_to_white():
    images, noise = pictures(1).float() / 255, torch.rand(1, KINDS["pixmix"][1])
    pattern = clouds(noise[:, NEEDED : NEEDED + 4 * WAVES], 16, 24)
    assert (float(pattern.min()), float(pattern.max())) == (0, 1)
    nothing = [0.0, 0.0, 0.0, 0.9]
    noise[0, -8:] = torch.tensor([0.0, 0.6, 0.0, 0.0, *nothing])  # three tenths of the pattern, once
    torch.testing.assert_close(pixmix(images, noise, 1.0), 0.7 * images + 0.3 * pattern)
    noise[0, -8:] = torch.tensor([0.0, 0.6, 0.9, 0.0, *nothing])
    torch.testing.assert_close(pixmix(images, noise, 1.0), (images * (0.7 + 0.6 * pattern)).clamp(max=1))


def test_mixtures_hold_both_images_by_their_share():
    images = pictures(4).float()
    both, share = mixed(images, torch.tensor([[0.5, 0.5, 0.36]] * 4), "mixup")
    torch.testing.assert_close(both, 0.36 * images + 0.64 * images.roll(-1, 0))
    assert share.tolist() == pytest.approx([0.36] * 4)
    both, share = mixed(images, torch.tensor([[0.5, 0.5, 0.75]] * 4), "cutmix")  # half of each side
    expected = images.clone()
    expected[:, :, 4:12, 6:18] = images.roll(-1, 0)[:, :, 4:12, 6:18]
    assert torch.equal(both, expected)
    assert share.tolist() == [0.75] * 4


def test_what_cannot_be_changed_is_refused_in_one_line():
    with pytest.raises(InvalidInput, match="augment needs an image in the observation"):
        Augmentation(spaces.Box(0, 1, (3,)), ["flip"])
    with pytest.raises(InvalidInput, match=r"augment must be one of .*did you mean 'flip'"):
        Augmentation(BYTES, ["flop"])
    env = make_batched("palaestra/TabularBandit-v0", 2)
    for settings, told in [({"augment": ("shift",)}, "augment needs an image"), ({"mix": "mixup"}, "mix needs images")]:
        with pytest.raises(InvalidInput, match=told):
            agents.make("behaviour_cloning", env, **settings)
