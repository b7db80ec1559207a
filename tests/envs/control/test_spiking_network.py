"""SpikingNetwork against the tuning curve of the leaky neuron, SciPy's filters and a slow integration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from palaestra.envs import make_task
from palaestra.envs.control.spiking_network import advanced
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/SpikingNetwork-v0"


def tuning_curve(current):
    return 1 / (2e-3 - 20e-3 * math.log(1 - 1 / current)) if current > 1 else 0.0


def played(actions, batch=1, **options):
    """The states of episodes in which the actions (T, 8) are played, the first one in front."""
    task = make_task(ID, length=len(actions), **options)
    state = task.reset(torch.rand(batch, task.reset_noise, generator=torch.Generator().manual_seed(3)))
    states, steps = [state], []
    for action in actions:
        steps.append(task.step(states[-1], action.expand(batch, -1), torch.empty(batch, 0)))
        states.append(steps[-1].state)
    return task, states, steps


def trains(states):
    """(T, B, 16) whether each neuron fired in each step; none fires twice in one."""
    return torch.stack([state.spikes & 1 for state in states[1:]])


def test_neurons_fire_as_the_tuning_curve_says_at_any_constant_current():
    currents = torch.tensor([[0.0, 1.0, 1.05, 1.3, 2.0, 3.0, 4.0, 6.0]], dtype=torch.float64)
    voltage = wait = torch.zeros_like(currents)
    count, parts = torch.zeros_like(currents), 100_000
    for _ in range(parts):
        voltage, wait, fired = advanced(voltage, wait, currents.clone())
        count += fired
    for current, spikes in zip(currents[0].tolist(), count[0].tolist(), strict=True):
        assert spikes == pytest.approx(tuning_curve(current) * parts / 1000, abs=1.0)


def test_a_spike_falls_where_a_slow_integration_finds_it():
    """Euler's method in a thousandth of the time, with a threshold, a reset and 2 ms of rest."""
    current, fine, passed = 2.7, 1e-6, []
    v, rest = 0.4, 0.0
    for k in range(60_000):
        if rest > 0:
            rest -= fine
            continue
        v += fine / 20e-3 * (current - v)
        if v >= 1:
            passed.append(math.ceil((k + 1) * fine * 1000 - 1e-9))  # the part of 1 ms
            v, rest = 0.0, 2e-3
    voltage, wait, parts = torch.tensor([[0.4]]).double(), torch.zeros(1, 1).double(), []
    for part in range(1, 61):
        voltage, wait, fired = advanced(voltage, wait, torch.tensor([[current]]).double())
        parts += [part] * int(fired)
    assert parts == passed
    assert len(parts) == 5


def test_inputs_follow_their_currents_and_the_silent_network_its_background():
    """Inputs without current are silent, and then those behind fire as their constant currents make them."""
    action = torch.full((1, 8), -1.0)
    _, states, _ = played([action] * 600)
    rates = trains(states).double().mean((0, 1)) / 5e-3
    assert (rates[:8] == 0).all()
    for rate, current in zip(rates[8:].tolist(), np.linspace(0.7, 1.05, 8), strict=True):
        assert rate == pytest.approx(tuning_curve(current), abs=0.5)
    driven = torch.tensor([[-1.0, -0.5, -0.4, -0.2, 0.0, 0.3, 0.6, 1.0]])
    _, states, _ = played([driven] * 600)
    rates = trains(states).double().mean((0, 1)) / 5e-3
    for rate, share in zip(rates[:8].tolist(), driven[0].tolist(), strict=True):
        assert rate == pytest.approx(tuning_curve(2 + 2 * share), abs=0.5)


def test_the_synaptic_current_is_the_spikes_filtered_by_scipy():
    actions = list(torch.rand(80, 1, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1)
    _, states, _ = played(actions, batch=3)
    spikes = trains(states)[:, :, :8].double().numpy()  # (T, B, K)
    weights = states[0].weights.double().numpy()
    assert ((weights[..., :4] >= 20 / 64) & (weights[..., :4] <= 48 / 64)).all()
    assert ((weights[..., 4:] <= -20 / 64) & (weights[..., 4:] >= -48 / 64)).all()
    sent = np.einsum("bnk,tbk->tbn", weights, spikes)
    kept = math.exp(-1 / 20)
    impulse = (1 - kept) / 1e-3 / 100  # of a part of 1 ms, by hundreds of hertz; a step has five parts
    expected = lfilter([impulse], [1, -(kept**5)], sent, axis=0)
    found = torch.stack([state.arriving for state in states[1:]]).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    area = impulse * 1e-3 * sum(kept**k for k in range(1000))  # of one spike through a weight of 1, by the part
    assert area == pytest.approx(1 / 100)


def test_rates_settle_at_the_tuning_curve_and_the_model_says_what_the_network_does():
    """Behind, the steady rate neglects the ripple of the synapses, which adds to low ones."""
    sign = torch.tensor([[1.0] * 4 + [-1.0] * 4])
    for drive in (0.1, 0.5):
        task, states, _ = played([drive * sign] * 500, batch=16)
        late = torch.stack([state.rates for state in states[200:]]).mean((0, 1))
        for rate, way in zip(late[:8].tolist(), sign[0].tolist(), strict=True):
            assert rate == pytest.approx(tuning_curve(2 + 2 * drive * way), rel=0.01)
        said = task.steady_rate(states[0].weights, torch.full((16,), drive).double()).mean()
        assert float(late[8]) == pytest.approx(float(said), rel=0.06)


def test_the_expert_finds_the_drive_that_gives_the_target():
    task = make_task(ID)
    state = task.reset(torch.rand(64, task.reset_noise, generator=torch.Generator().manual_seed(0)))
    settled = torch.cat([state.rates[:, :8], state.target[:, None]], 1)
    action = task.expert(type(state)(**(vars(state) | {"rates": settled})))  # as if at its target
    assert (action[:, :4] == action[:, :1]).all()
    assert (action[:, 4:] == -action[:, :1]).all()
    torch.testing.assert_close(
        task.steady_rate(state.weights, action[:, 0].double()).float(), state.target, rtol=1e-3, atol=0
    )


def test_the_reward_is_the_square_of_the_ratio():
    actions = list(torch.rand(30, 1, 8, generator=torch.Generator().manual_seed(2)))
    task, states, steps = played(actions, batch=4, weights="fixed")
    for state, step in zip(states[1:], steps, strict=True):
        rate, target = 100 * task.observe(state)[:, 8], 100 * task.observe(state)[:, 9]
        ratio = torch.minimum(rate, target) / torch.maximum(rate, target)
        torch.testing.assert_close(step.reward, ratio**2 / 30)
        torch.testing.assert_close(step.metrics["rate_error"], (rate - target).abs(), rtol=1e-4, atol=1e-3)
    assert (states[0].weights == states[0].weights[:1]).all()
    assert steps[-1].terminated.all()
    assert not steps[-2].terminated.any()


def test_a_wrong_option_is_named():
    with pytest.raises(InvalidInput, match="SpikingNetwork: weights must be one of 'drawn', 'fixed'; got 'draw'"):
        make_task(ID, weights="draw")
    with pytest.raises(InvalidInput, match="SpikingNetwork: length must be a whole number from 1"):
        make_task(ID, length=0)
