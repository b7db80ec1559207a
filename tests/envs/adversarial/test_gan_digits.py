"""GANGame on digits: what is made and what is real, the classes it counts, its scripted players by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from pettingzoo.test import parallel_api_test, parallel_seed_test
from scipy.special import softmax
from sklearn.datasets import load_digits

from palaestra.envs import BatchedEnv, make_game, make_parallel, make_task
from palaestra.envs.adversarial.digits import Digits
from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.core.splits import SPLITS
from palaestra.envs.frozen.classifiers import classifier

GAN = "palaestra/GANGame-v0"
DIGITS = Digits("train")


def uniforms(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_real_ones_are_the_splits_digits_each_as_often():
    everything = {image.tobytes() for image in np.round(load_digits().images * 255 / 16).astype(np.uint8)}
    parts = []
    for split in SPLITS:
        source = Digits(split)
        count = len(source.images)
        drawn = source.real((torch.arange(count)[:, None] + 0.5) / count)
        parts.append({image.numpy().tobytes() for image in drawn})
        assert len(parts[-1]) == count
    assert set().union(*parts) == everything
    assert sum(map(len, parts)) == len(everything)


def test_what_is_made_has_the_greys_of_real_ones():
    made = DIGITS.make(uniforms(500, 8), uniforms(500, 64))
    assert set(made.unique().tolist()) == set(DIGITS.images.unique().tolist())
    action = DIGITS.images.flatten(1).float() / 255
    assert torch.equal(DIGITS.make(uniforms(len(action), 8), action), DIGITS.images)
    ramp = DIGITS.make(uniforms(1, 8), torch.linspace(0, 1, 64)[None])
    expected = np.round(np.round(np.linspace(0, 1, 64) * 16) * 255 / 16)
    assert ramp.flatten().tolist() == expected.tolist()


def test_the_expert_makes_every_digit_and_nothing_else():
    count = len(DIGITS.images)
    noise = DIGITS.noise((torch.arange(count)[:, None] + 0.5).expand(-1, 8) / count)
    assert torch.equal(DIGITS.make(noise, DIGITS.expert(noise)), DIGITS.images)


def test_a_class_counts_where_the_classifier_is_sure():
    images = torch.cat([DIGITS.images[:300], DIGITS.make(uniforms(300, 8), uniforms(300, 64))])
    logits = classifier("robust").double()(images.double() / 255)
    assert np.array_equal(DIGITS.near(images).numpy(), softmax(logits.numpy(), axis=1) > 0.9)
    assert float(DIGITS.near(images[:300]).any(1).float().mean()) > 0.75
    assert float(DIGITS.near(images[300:]).any(1).float().mean()) < 0.1


def play(opponent, split="train", episodes=256):
    """Mean return of the discriminator's expert, the mean of each metric, and the last step's coverage."""
    env = BatchedEnv(make_task(GAN, dataset="digits", player="discriminator", opponent=opponent, split=split), episodes)
    env.reset()
    total, quality = torch.zeros(episodes), []
    for _ in range(33):
        step = env.step(env.expert_action())
        total += step.reward
        quality.append(step.metrics["quality"])
    return float(total.mean()), float(torch.stack(quality).mean()), float(step.metrics["coverage"].mean())


def test_the_best_discriminator_earns_what_its_chances_say():
    labels = load_images("digits", "train")[1]
    zeros = (labels == 0).mean()  # of the real ones; a zero is a copy with a chance of 1 / (1 + zeros)
    found, quality, coverage = play("collapsed")
    certain, copied, original = math.log(0.99), math.log(1 / (1 + zeros)), math.log(zeros / (1 + zeros))
    expected = ((1 - zeros) * certain + zeros * original + copied) / 2
    assert found == pytest.approx(expected, abs=0.02)
    assert coverage == pytest.approx(0.1)
    assert play("true")[0] == pytest.approx(-math.log(2), abs=1e-6)
    for opponent, least, most in (("true", 0.78, 0.86), ("blurred", 0.05, 0.2), ("uniform", 0, 0.1)):
        found, quality, coverage = play(opponent, split="train")
        assert least <= quality <= most
        assert found == pytest.approx(-math.log(2) if opponent == "true" else math.log(0.99), abs=0.005)
        assert (coverage > 0.9) == (opponent == "true")


def test_the_judge_believes_by_the_distance_to_the_nearest_mean():
    judge = DIGITS.opponents("discriminator")["nearest-mean"]()
    images = Digits("test").images
    pixels, labels = DIGITS.images.flatten(1).numpy(), DIGITS.labels.numpy()
    means = np.stack([pixels[labels == label].mean(0, dtype=np.float64).round() for label in range(10)])
    apart = ((images.flatten(1).numpy()[:, None] - means) ** 2).sum(2).min(1) / 255**2
    belief = judge(images, torch.empty(len(images), 0))
    np.testing.assert_allclose(belief[:, 0], 1 / (1 + apart / 2.5), rtol=1e-5)
    assert belief.median() == pytest.approx(0.5, abs=0.05)
    alone = torch.cat([judge(image[None], torch.empty(1, 0)) for image in images])
    assert torch.equal(belief, alone)


def test_pettingzoo_finds_no_fault():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(make_parallel(GAN, dataset="digits"), num_cycles=40)
        parallel_seed_test(lambda: make_parallel(GAN, dataset="digits"), num_cycles=40)


def test_a_made_image_is_shown_in_the_next_step():
    game = make_game(GAN, dataset="digits", points=3)
    state = game.reset(uniforms(4, 9))
    action = {"generator": uniforms(4, 64), "discriminator": torch.full((4, 1), 0.25)}
    coins = torch.tensor([[0.1], [0.9], [0.4], [0.6]])  # heads for a real one
    noise = torch.cat([coins, uniforms(4, 9, seed=1)], 1)
    following = game.step(state, action, noise).state
    made = game.source.make(state.noise, action["generator"])
    real = game.source.real(noise[:, 1:2])
    shown = game.observe(following)["discriminator"]
    assert torch.equal(shown, torch.stack([real[0], made[1], real[2], made[3]]))
    reward = game.step(following, action, noise).reward["discriminator"]
    expected = [math.log(p) / 3 for p in (0.25, 0.75, 0.25, 0.75)]
    assert reward.tolist() == pytest.approx(expected)
