"""HodgkinHuxley against SciPy's integration of the textbook's equations."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.control.hodgkin_huxley import CURRENTS, RATES, SUBSTEP, integrated
from palaestra.neural_blocks.neurons.spiking import settled_axon
from palaestra.tests.neural_blocks.neurons.test_spiking import squid_axon

ID = "palaestra/HodgkinHuxley-v0"
REST = [-65.0, 0.0529325, 0.5961208, 0.3176769]  # where the gates settle at -65 mV


@cache
def peer(current, duration=100):
    """Spike times in ms and the highest voltage, by SciPy."""

    def crossing(time, state, current):
        return state[0]

    crossing.direction = 1
    times = np.arange(0, duration, 0.01)
    solved = solve_ivp(
        squid_axon, (0, duration), REST, "LSODA", times, events=crossing, args=(current,), rtol=1e-8, atol=1e-8
    )
    return solved.t_events[0], solved.y[0].max()


def played(currents, duration=100):
    """Spike times in ms that the environment finds at constant currents, a list for each."""
    steps = 2 * duration
    env = BatchedEnv(make_task(ID, length=steps + 1), len(currents), seed=0)
    env.reset()
    times = [[] for _ in currents]
    for count in range(1, steps + 1):
        env.step(torch.tensor(currents)[:, None] / 50)
        since = 1000 * env.state.since
        for row in (since < 0.5).nonzero()[:, 0].tolist():
            times[row].append(0.5 * count - float(since[row]))
    return times


def test_spikes_come_when_scipy_s_do():
    currents = [3.0, 7.0, 10.0, 20.0, 40.0]
    for current, times in zip(currents, played(currents), strict=True):
        expected, _ = peer(current)
        assert len(times) == len(expected)
        np.testing.assert_allclose(times, expected, atol=0.3)
    assert [len(times) for times in played([0.0, 10.0])] == [0, 7]


def settled(count):
    """Voltages (B,) and gates, (B,) each, of axons at rest, float64."""
    axon = settled_axon(torch.full((count,), -65.0, dtype=torch.float64))
    return axon.voltage, axon[1:]


def test_the_peak_is_scipy_s():
    currents = torch.tensor([7.0, 10.0, 20.0, 40.0], dtype=torch.float64)
    voltages, _ = integrated(*settled(4), currents, SUBSTEP, round(100 / SUBSTEP))
    expected = [peer(current)[1] for current in currents.tolist()]
    np.testing.assert_allclose(voltages.amax(0).numpy(), expected, atol=0.5)


@pytest.mark.parametrize("current", [-30.0, -20.0, -16.0, -5.0, 2.0, 60.0])
def test_it_is_stable_and_right_at_any_current(current):
    """A membrane pulled far below rest has gates that close hundreds of times a millisecond."""
    voltages, gates = integrated(
        *settled(1), torch.tensor([current], dtype=torch.float64), SUBSTEP, round(20 / SUBSTEP)
    )
    times = np.arange(len(voltages)) * SUBSTEP
    solved = solve_ivp(
        squid_axon, (0, times[-1]), REST, "LSODA", times, args=(current,), rtol=1e-9, atol=1e-9, max_step=0.1
    )
    apart = np.abs(voltages[:, 0].numpy() - solved.y[0])
    assert np.median(apart) < 0.3
    assert apart.max() < (40 if current > 6 else 0.1)  # a spike's flank rises 400 mV in a millisecond
    assert all(0 <= float(gate) <= 1 for gate in gates)


def test_the_integration_is_of_second_order():
    current = torch.tensor([8.0], dtype=torch.float64)
    ends = [integrated(*settled(1), current, 1.5 / parts, parts)[0][-1] for parts in (24, 48, 96, 1536)]
    errors = [float((end - ends[-1]).abs()) for end in ends[:-1]]
    assert 3.5 < errors[0] / errors[1] < 4.5
    assert 3.5 < errors[1] / errors[2] < 4.5


def test_it_fires_on_above_the_rheobase_and_not_below():
    """From rest, a steady current starts repetitive firing between 6.2 and 6.4 uA / cm^2."""
    below, above = played([6.0, 6.6], duration=300)
    assert len(below) <= 2
    assert max(below, default=0) < 40
    assert len(above) > 14
    assert above[-1] > 270
    assert np.diff(above[2:]).std() < 0.2


def test_the_tuning_curve_of_the_expert_is_scipy_s():
    for current, rate in zip(CURRENTS[1::2], RATES[1::2], strict=True):
        times, _ = peer(current, 300)
        assert 1000 / (times[-1] - times[-2]) == pytest.approx(rate, rel=0.01)


def test_the_expert_reaches_the_target_and_holds_it():
    env = BatchedEnv(make_task(ID, background=3.0, length=400), 64, seed=3)
    env.reset()
    for _ in range(399):
        step = env.step(env.expert_action())
    rate, target = step.observation[:, 4], step.observation[:, 5]
    torch.testing.assert_close(rate, target, rtol=0.03, atol=0)
    assert float(step.reward.min()) > 0.88 / 400


def test_observation_and_reward_are_what_the_docstring_says():
    env = BatchedEnv(make_task(ID), 8, seed=1)
    torch.testing.assert_close(env.reset()[0, :5], torch.tensor([-0.65, *REST[1:], 0.0]), rtol=1e-4, atol=1e-5)
    for _ in range(80):
        step = env.step(torch.full((8, 1), 0.4))
    state = env.state
    torch.testing.assert_close(step.observation[:, 0], state.neuron[0] / 100)
    rate, target = 1 / torch.maximum(state.interval, state.since), state.target
    assert bool((rate > 50).all() & (target >= 60).all() & (target <= 110).all())
    ratio = torch.minimum(rate, target) / torch.maximum(rate, target)
    torch.testing.assert_close(step.reward, ratio**4 / 120)
    torch.testing.assert_close(step.metrics["rate_error"], (rate - target).abs())


def test_a_row_is_the_same_in_a_large_batch_as_alone():
    large, alone = BatchedEnv(make_task(ID), 100, seed=0), BatchedEnv(make_task(ID), 1, seed=77)
    large.reset()
    alone.reset()
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        action = torch.rand(100, 1, generator=generator)
        many, one = large.step(action), alone.step(action[77:78])
        assert torch.equal(many.observation[77], one.observation[0])
        assert torch.equal(many.reward[77], one.reward[0])


def test_an_axon_let_go_after_an_outward_current_fires_when_scipy_s_does():
    """Anode break: far below rest the sodium gates open up, and the axon fires once the current ends."""
    env = BatchedEnv(make_task(ID, outward=30.0), 1, seed=0)
    assert env.task.action_space.low.tolist() == [-1]
    env.reset()
    for _ in range(40):
        env.step(torch.tensor([[-0.8]]))  # 24 uA / cm^2 outwards for 20 ms
    times = np.arange(0, 20, 0.01)
    held = solve_ivp(squid_axon, (0, 20), REST, "LSODA", args=(-24.0,), rtol=1e-9, atol=1e-9, max_step=0.05).y[:, -1]
    assert float(env.state.neuron[0]) == pytest.approx(held[0], abs=0.01)
    let_go = solve_ivp(squid_axon, (0, 20), held, "LSODA", times, args=(0.0,), rtol=1e-9, atol=1e-9, max_step=0.05)
    expected = times[np.argmax(let_go.y[0] > 0)]
    assert expected > 0
    spikes = []
    for count in range(1, 41):
        env.step(torch.tensor([[0.0]]))
        if (since := 1000 * float(env.state.since)) < 0.5:
            spikes.append(0.5 * count - since)
    assert spikes == [pytest.approx(expected, abs=0.3)]
