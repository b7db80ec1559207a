"""Worked with SciPy: an axon under currents, and synapses that are fast or slow."""

import math

import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from palaestra.envs.control.hodgkin_huxley import integrated
from palaestra.neural_blocks.neurons.spiking import SynapseFilter, settled_axon


def balance(voltage, current):
    """The membrane's net current with all gates settled, uA / cm^2, written out for one voltage in mV."""
    above = voltage + 65
    m = 0.1 * (above - 25) / (1 - math.exp((25 - above) / 10)), 4 * math.exp(-above / 18)
    h = 0.07 * math.exp(-above / 20), 1 / (1 + math.exp((30 - above) / 10))
    n = 0.01 * (above - 10) / (1 - math.exp((10 - above) / 10)), 0.125 * math.exp(-above / 80)
    m, h, n = (opens / (opens + closes) for opens, closes in (m, h, n))
    sodium, potassium = 120 * m**3 * h * (voltage - 50), 36 * n**4 * (voltage + 77)
    return current - sodium - potassium - 0.3 * (voltage + 54.387)


def under(currents, milliseconds):
    """(steps + 1, B) the voltages of axons that start at rest, 16 steps a millisecond."""
    voltage, *gates = settled_axon(torch.full((len(currents),), -65.0, dtype=torch.float64))
    return integrated(voltage, tuple(gates), torch.tensor(currents), 1 / 16, 16 * milliseconds)[0]


def test_an_axon_settles_where_its_currents_balance():
    """At rest at -65 mV, and near -120 under 20 uA / cm^2 outwards."""
    currents = (0.0, -20.0, -30.0)
    balanced = [brentq(balance, -200, -60, args=(current,)) for current in currents]
    assert balanced == pytest.approx([-65.0, -121.1, -154.4], abs=0.1)
    assert under(currents, 50)[-1].tolist() == pytest.approx(balanced, abs=0.1)


def test_an_axon_is_silent_below_its_threshold_and_fires_regularly_above():
    voltages = under((-5.0, 2.0, 10.0), 100)
    rises = (voltages[:-1] < 0) & (voltages[1:] >= 0)
    assert rises.sum(0).tolist() == [0, 0, 7]
    between = rises[:, 2].nonzero()[:, 0].diff()[1:].double() / 16
    assert (between - between.mean()).abs().max() < 0.3  # ms


def test_fast_and_slow_synapses_pass_on_as_much_but_not_as_soon():
    """Time constants of 2 and 100 ms: peaks of 500 and 10 Hz, and after 10 ms 1 - exp(-5) and 1 - exp(-0.1) of it."""
    step, spike = 1e-5, torch.zeros(100_000, 1, 1, dtype=torch.float64)
    spike[0] = 1 / step
    for tau, early in ((2e-3, 0.9933), (0.1, 0.0952)):
        synapse = SynapseFilter(1, time_step=step, tau=tau).double()
        current = exponential(spike, synapse.blend)
        assert step * current.sum() == pytest.approx(1, abs=1e-3)
        assert current[0] == pytest.approx(1 / tau, rel=0.01)
        assert step * current[:1000].sum() == pytest.approx(early, abs=1e-3)


def exponential(spike, blend):
    """The filter's response to one spike at the first step, in closed form: what each step leaves is 1 - blend."""
    return (spike[0] * blend * (1 - blend) ** torch.arange(len(spike), dtype=torch.float64))[0]


def test_a_first_order_filter_is_its_differential_equation():
    """tau ds/dt = -s between spikes, each of which adds w / tau: solved by SciPy for three spikes."""
    tau, step, steps, at, weight = 5e-3, 2e-4, 120, (0.0, 0.01, 0.013), 2.0
    spikes = torch.zeros(steps, 1, 1, dtype=torch.float64)
    for time in at:
        spikes[round(time / step)] = weight / step
    synapse = SynapseFilter(1, time_step=step, tau=tau).double()
    found = synapse(spikes, synapse.initial_memory(1))[0][:, 0, 0]
    value = 0.0
    for time, until in zip(at, (*at[1:], step * steps), strict=True):
        times = [step * k for k in range(round(time / step), round(until / step))]
        solved = solve_ivp(lambda _, s: -s / tau, (time, until), [value + weight / tau], rtol=1e-8, dense_output=True)
        torch.testing.assert_close(
            found[round(time / step) : round(until / step)], torch.from_numpy(solved.sol(times)[0]), rtol=0.04, atol=2.0
        )
        value = solved.y[0, -1]
