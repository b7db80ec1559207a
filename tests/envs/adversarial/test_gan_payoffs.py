"""GANGame's other payoffs by hand, and its distances against SciPy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import jensenshannon

from palaestra.envs import BatchedEnv, make_game, make_task
from palaestra.envs.adversarial.distances import jensen_shannon
from palaestra.neural_blocks.errors import InvalidInput

GAN = "palaestra/GANGame-v0"


def paid(payoff, real):
    """What generator and discriminator earn for the only sample of a game, believed in by 0.2, 1 and 0.5."""
    game = make_game(GAN, payoff=payoff, points=1)
    state = game.reset(torch.full((3, 4), 0.3))
    coin = torch.tensor([[0.1 if real else 0.9] + [0.3] * 4] * 3)
    action = {"generator": torch.zeros(3, 2), "discriminator": torch.tensor([[0.2], [1.0], [0.5]])}
    first = game.step(state, action, coin)
    assert first.reward["generator"].tolist() == first.reward["discriminator"].tolist() == [0, 0, 0]
    reward = game.step(first.state, action, coin).reward
    return reward["generator"].tolist(), reward["discriminator"].tolist()


def logs(*values):
    return [math.log(value) for value in values]


@pytest.mark.parametrize(
    ("payoff", "generator", "of_real", "of_made"),
    [
        ("non_saturating", logs(0.2, 0.99, 0.5), logs(0.2, 0.99, 0.5), logs(0.8, 0.01, 0.5)),
        ("least_squares", [-0.32, 0, -0.125], [-0.32, 0, -0.125], [-0.02, -0.5, -0.125]),
        ("wasserstein", [0.2, 1, 0.5], [0.2, 1, 0.5], [-0.2, -1, -0.5]),
    ],
)
def test_each_payoff_pays_as_its_loss_does(payoff, generator, of_real, of_made):
    unpaid, discriminator = paid(payoff, real=True)
    assert unpaid == [0, 0, 0]
    assert discriminator == pytest.approx(of_real)
    earned, discriminator = paid(payoff, real=False)
    assert earned == pytest.approx(generator)
    assert discriminator == pytest.approx(of_made)


def test_the_best_bounded_critic_gains_half_the_total_variation():
    task = make_task(GAN, payoff="wasserstein", player="discriminator", opponent="uniform")
    env = BatchedEnv(task, 2048)
    env.reset()
    total = sum(env.step(env.expert_action()).reward for _ in range(33))
    axis = torch.linspace(-1.5, 1.5, 601)
    grid = torch.cartesian_prod(axis, axis)
    real = task.game.source.ring.log_density(grid).exp()
    made = (grid.norm(dim=1) <= 1) / math.pi
    variation = float((real - made).abs().sum()) * 0.005**2 / 2
    assert float(total.mean()) == pytest.approx(variation / 2, abs=0.01)


def test_the_divergence_is_scipys():
    first, second = (np.random.RandomState(seed).dirichlet(np.ones(6), 4) for seed in (0, 1))
    first[0, 2] = 0
    first[0] /= first[0].sum()
    expected = jensenshannon(first, second, base=2, axis=1) ** 2
    assert jensen_shannon(torch.from_numpy(first), torch.from_numpy(second)).numpy() == pytest.approx(expected)
    apart = jensen_shannon(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert float(apart) == pytest.approx(1)  # a bit tells which of the two a sample is from


@pytest.mark.parametrize("dataset", ["mixture", "digits"])
def test_the_distances_are_scipys_over_the_last_samples(dataset):
    task = make_task(GAN, dataset=dataset, points=10, distances=True)
    env = BatchedEnv(task, 3, seed=5)
    env.reset()
    measured, game = task.game.distances, task.game
    for _ in range(10):
        step = env.step(env.expert_action())
        assert step.metrics["wasserstein"].isnan().all()
    state = game.step(env.state, game.expert(env.state), torch.rand(3, game.step_noise)).state
    step = env.step(env.expert_action())
    for row in range(3):
        samples = state.made[row].flatten(1).double().numpy() / (1 if dataset == "mixture" else 255)
        lines = samples @ measured.directions.double().numpy()
        real = measured.quantiles.numpy()
        expected = np.mean([stats.wasserstein_distance(lines[:, k], real[k]) for k in range(8)])
        assert float(step.metrics["wasserstein"][row]) == pytest.approx(expected, abs=1e-5)
        near = game.source.near(state.made[row])
        kinds = torch.where(near.any(1), near.to(torch.uint8).argmax(1), game.source.modes).numpy()
        shares = np.bincount(kinds, minlength=game.source.modes + 1) / 10
        expected = jensenshannon(shares, measured.shares.numpy(), base=2) ** 2
        assert float(step.metrics["jensen_shannon"][row]) == pytest.approx(expected, abs=1e-5)


def test_the_real_shares_are_those_of_the_ring():
    shares = make_game(GAN, distances=True).distances.shares
    beyond = math.exp(-9 / 2)  # of a Gaussian's mass, more than three deviations away
    assert shares.tolist() == pytest.approx([(1 - beyond) / 5] * 5 + [beyond], abs=0.02)


def test_one_mode_alone_is_as_far_off_as_the_closed_form_says():
    game = make_game(GAN, distances=True, spread=0.01, points=64)
    middle = game.source.ring.centres[:1].expand(2, 64, 2)
    found = game.distances(game.source, middle)
    assert float(found["jensen_shannon"][0]) == pytest.approx(
        jensenshannon([1, 0, 0, 0, 0], [0.2] * 5, base=2) ** 2, abs=0.02
    )
    angles = np.arange(8) * np.pi / 8
    lines = 0.65 * np.cos(2 * np.pi * np.arange(5)[:, None] / 5 - angles)  # of the five middles, (5, 8)
    assert float(found["wasserstein"][0]) == pytest.approx(np.abs(lines - lines[0]).mean(), abs=0.02)


@pytest.mark.parametrize("options", [{"payoff": "hinge"}, {"distances": 1}])
def test_wrong_options_are_refused(options):
    with pytest.raises(InvalidInput, match=f"GANGame: {next(iter(options))} must be"):
        make_game(GAN, **options)
