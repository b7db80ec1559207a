"""GANGame: its payoff by hand, its distributions against SciPy, its scripted players, its equilibrium."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from palaestra.envs import BatchedEnv, make_game, make_task
from palaestra.envs.adversarial.mixture import Disc, Ring, chance
from palaestra.envs.score_table import measure
from palaestra.neural_blocks.errors import InvalidInput

GAN = "palaestra/GANGame-v0"
RING = Ring(5, 0.1, 5, 0.65)


def mixture_density(x, y, modes=5, spread=0.1):
    """The ring's density by SciPy."""
    angle = 2 * np.pi * np.arange(modes) / modes
    centres = 0.65 * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.mean([stats.multivariate_normal(c, spread**2).pdf(np.stack([x, y], -1)) for c in centres], axis=0)


def test_the_density_is_scipys_and_integrates_to_one():
    points = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = mixture_density(*points.double().numpy().T)
    np.testing.assert_allclose(RING.log_density(points).exp().numpy(), expected, rtol=2e-4, atol=1e-30)
    axis = torch.linspace(-1.2, 1.2, 241)
    grid = torch.cartesian_prod(axis, axis)
    density = RING.log_density(grid).exp().view(241, 241).double().numpy()
    assert integrate.simpson(integrate.simpson(density, x=axis.numpy()), x=axis.numpy()) == pytest.approx(1, abs=1e-4)


def test_samples_follow_the_mixture():
    points = RING.sample(torch.rand(40_000, 2, generator=torch.Generator().manual_seed(1)))
    distance = torch.cdist(points, RING.centres)
    nearest = distance.argmin(1)
    assert stats.chisquare(nearest.bincount(minlength=5).numpy()).pvalue > 0.001
    offset = ((points - RING.centres[nearest]) / 0.1).numpy()
    for axis in (0, 1):
        assert stats.kstest(offset[:, axis], "norm").pvalue > 0.001


def test_the_chance_is_bayes_rule():
    points = torch.tensor([[0.65, 0.0], [0.0, 0.0], [0.5, 0.1]])
    p = mixture_density(*points.double().numpy().T)
    np.testing.assert_allclose(chance(RING, Disc(), points)[:, 0].numpy(), p / (p + 1 / np.pi), rtol=1e-3, atol=1e-9)
    assert chance(RING, RING, points).tolist() == [[0.5]] * 3


def test_noise_fills_the_disc_and_gives_its_uniforms_back():
    uniforms = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(2))
    points = Disc().sample(uniforms)
    assert stats.kstest(points.square().sum(1).numpy(), "uniform").pvalue > 0.001
    assert float((Disc().uniforms(points) - uniforms).abs().max()) < 2e-6


def test_the_payoff_is_the_logarithm_of_what_the_truth_was_given():
    game = make_game(GAN, points=2)
    state = game.reset(torch.tensor([[0.3, 0.3, 0.3, 0.0]] * 3))  # noise at the disc's middle
    heads, tails = torch.tensor([[0.1] * 4 + [0.0]] * 3), torch.tensor([[0.9] * 4 + [0.0]] * 3)
    made = torch.tensor([[0.65, 0.0], [0.0, 0.0], [1.0, -1.0]])
    belief = torch.tensor([[0.2], [1.0], [0.5]])
    first = game.step(state, {"generator": made, "discriminator": belief}, tails)
    assert first.reward["generator"].tolist() == [0, 0, 0]  # the first point does not count
    assert first.metrics["accuracy"].isnan().all()
    assert torch.equal(game.observe(first.state)["discriminator"], made)
    second = game.step(first.state, {"generator": made, "discriminator": belief}, heads)
    expected = [math.log(0.8) / 2, math.log(0.01) / 2, math.log(0.5) / 2]
    assert second.reward["discriminator"].tolist() == pytest.approx(expected)
    assert second.reward["generator"].tolist() == pytest.approx([-value for value in expected])
    assert second.metrics["accuracy"].tolist() == [1, 0, 0.5]
    assert not bool(second.terminated.any())
    shown = game.observe(second.state)["discriminator"]
    assert torch.equal(shown, game.source.real(heads[:, 1:3]))  # a real one this time
    third = game.step(second.state, {"generator": made, "discriminator": belief}, heads)
    expected = [math.log(0.2) / 2, math.log(0.99) / 2, math.log(0.5) / 2]
    assert third.reward["discriminator"].tolist() == pytest.approx(expected)
    assert bool(third.terminated.all())
    assert third.metrics["quality"].tolist() == [1, 0, 0]
    assert third.metrics["coverage"].tolist() == pytest.approx([1 / 5, 0, 0])


def test_at_the_equilibrium_nobody_gains_by_changing():
    stated = measure(GAN, {"player": "discriminator"}, episodes=512)
    assert stated.expert == pytest.approx(-math.log(2), abs=1e-6)
    env = BatchedEnv(make_task(GAN, player="discriminator", opponent="true"), 512, seed=3)
    env.reset()
    total = torch.zeros(512)
    for _ in range(33):
        bold = (env.observation[:, :1] > 0).float() * 0.2 + 0.4  # any rule that is not 1/2
        total += env.step(bold).reward
    assert float(total.mean()) < -math.log(2) - 0.01


def test_a_collapsed_generator_is_caught_and_covers_one_mode():
    env = BatchedEnv(make_task(GAN, player="discriminator", opponent="collapsed"), 256)
    env.reset()
    accuracy = []
    for _ in range(33):
        step = env.step(env.expert_action())
        accuracy.append(step.metrics["accuracy"])
    assert float(step.metrics["coverage"].mean()) == pytest.approx(1 / 5, abs=0.02)
    assert float(torch.stack(accuracy[1:]).mean()) > 0.88  # 9 of 10 but for the tails


def test_the_generators_expert_covers_the_ring():
    env = BatchedEnv(make_task(GAN), 256)
    env.reset()
    for _ in range(33):
        step = env.step(env.expert_action())
    assert float(step.metrics["coverage"].mean()) == pytest.approx(1 - (4 / 5) ** 33, abs=0.01)
    assert float(step.metrics["quality"].mean()) > 0.95  # 1 - exp(-9 / 2) on average


@pytest.mark.parametrize(
    "options", [{"modes": 0}, {"spread": 0.5}, {"points": 0}, {"dataset": "faces"}, {"split": "tset"}]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(InvalidInput, match=f"GANGame: {next(iter(options))} must be"):
        make_game(GAN, **options)
