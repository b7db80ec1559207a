"""LIFNeuron against the tuning curve of the leaky integrate-and-fire neuron."""

from __future__ import annotations

import math

import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.score_table import measure
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/LIFNeuron-v0"


def tuning_curve(current):
    return 1 / (2e-3 - 20e-3 * math.log(1 - 1 / current))


def held(currents, steps, **options):
    """The steps of episodes side by side in each of which one injected current is held."""
    env = BatchedEnv(make_task(ID, length=steps + 1, **options), len(currents), seed=0)
    env.reset()
    for _ in range(steps):
        yield env.step(torch.tensor(currents)[:, None] / 4), env.state


def test_the_rate_follows_the_tuning_curve_within_one_percent():
    currents = [1.1, 1.5, 2.0, 3.0, 4.0]
    since = []
    for step, state in held(currents, 1000):
        since.append(state.since.clone())
        rates = 100 * step.observation[:, 2]
    for row, current in enumerate(currents):
        wait = torch.stack(since)[:, row]  # since the last spike, at the end of each step of 5 ms
        counts = (wait < 5e-3).nonzero()[:, 0]
        times, spikes = 5e-3 * (counts + 1) - wait[counts], len(counts)
        assert float(rates[row]) == pytest.approx(tuning_curve(current), rel=0.01)
        assert (spikes - 1) / float(times[-1] - times[0]) == pytest.approx(tuning_curve(current), rel=0.01)
        assert spikes / 5 == pytest.approx(tuning_curve(current), rel=0.01, abs=0.2)  # a count is whole


def test_at_the_threshold_and_below_it_stays_silent():
    currents = [0.0, 0.7, 1.0]
    for step, _ in held(currents, 200):
        assert (step.observation[:, 2] == 0).all()  # the rate
    assert step.observation[:, 0].tolist() == pytest.approx(currents, abs=1e-3)  # the voltage settles at the current


def test_a_hidden_background_adds_to_the_action():
    env = BatchedEnv(make_task(ID, background=0.5, length=400), 64, seed=0)
    env.reset()
    background = env.state.background
    assert 0.4 < float(background.abs().max()) <= 0.5
    for _ in range(399):
        step = env.step(torch.full((64, 1), 0.5))
    expected = [tuning_curve(2 + value) for value in background.tolist()]
    torch.testing.assert_close(100 * step.observation[:, 2], torch.tensor(expected), rtol=0.01, atol=0)


def test_the_rate_falls_when_no_spike_comes():
    """A second without a spike is a rate of at most 1 Hz."""
    env = BatchedEnv(make_task(ID, length=300), 1, seed=0)
    env.reset()
    for _ in range(40):
        env.step(torch.tensor([[0.75]]))
    for _ in range(200):
        step = env.step(torch.tensor([[0.0]]))
    assert 0.9 < 100 * float(step.observation[0, 2]) < 1


def test_the_reward_is_the_fourth_power_of_the_ratio_and_the_expert_waits_one_interval():
    """The expert's return is all but the first interval: on average its mean over targets, log(5) / 80 s, of 0.5 s."""
    task = make_task(ID)
    env = BatchedEnv(task, 256, seed=4)
    env.reset()
    for _ in range(60):
        step = env.step(env.expert_action())
        rate, target = step.observation[:, 2] * 100, step.observation[:, 3] * 100
        ratio = torch.minimum(rate, target) / torch.maximum(rate, target)
        torch.testing.assert_close(step.reward, ratio**4 / 100)
        torch.testing.assert_close(step.metrics["rate_error"], (rate - target).abs(), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(rate, target, rtol=1e-3, atol=0)
    played = measure(ID, {}, episodes=2048)
    assert played.expert == pytest.approx(1 - math.log(5) / 80 / 0.5, abs=0.01)


def test_a_wrong_option_is_named():
    with pytest.raises(InvalidInput, match=r"LIFNeuron: background must be a number from 0 to 0\.5; got 1"):
        make_task(ID, background=1)
    with pytest.raises(InvalidInput, match="did you mean 'background'"):
        make_task(ID, backgrund=0.1)
