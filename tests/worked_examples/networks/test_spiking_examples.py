"""The leaky integrate-and-fire neuron's rate by hand."""

import math

import pytest
import torch

from palaestra.neural_blocks.neurons.spiking import LIF, SynapseFilter, lif_rate


def test_a_neuron_driven_at_twice_its_threshold_fires_at_63_hz():
    """1 / (2 ms + 20 ms ln 2) = 1 / 15.86 ms = 63 Hz, in the formula and counted over a second of 1 ms steps."""
    by_hand = 1 / (0.002 + 0.020 * math.log(2))
    assert round(by_hand) == 63
    assert lif_rate(torch.tensor(2.0), 20e-3, 2e-3).item() == pytest.approx(by_hand)
    neuron = LIF(1, membrane=20e-3, refractory=2e-3)
    spikes, _ = neuron(torch.full((1000, 1, 1), 2.0), neuron.initial_memory(1))
    assert spikes.sum().item() == 63


def test_the_first_spike_comes_when_the_exponential_reaches_the_threshold():
    """2 (1 - exp(-t / 20 ms)) = 1 at t = 20 ms ln 2 = 13.86 ms, within the fourteenth step of 1 ms."""
    neuron = LIF(1)
    spikes, _ = neuron(torch.full((20, 1, 1), 2.0), neuron.initial_memory(1))
    assert spikes[:, 0, 0].nonzero().flatten().tolist() == [13]


def test_at_the_threshold_a_neuron_is_silent():
    assert lif_rate(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0.0, 0.0, 0.0]


def test_no_current_drives_a_neuron_faster_than_once_in_its_rest():
    """A rest of 2 ms: towards 500 Hz, of which a current of a thousand thresholds reaches 99 %."""
    rates = lif_rate(torch.tensor([2.0, 10.0, 100.0, 1000.0, 1e6]), 20e-3, 2e-3)
    assert (rates.diff() > 0).all()
    assert rates.tolist() == pytest.approx([63.04, 243.474, 454.337, 495.047, 499.995], abs=0.005)


def test_capacitance_and_resistance_are_a_time_constant_and_a_threshold():
    """C dV/dt = J - g (V - V_L): with C = 200 pF, g = 10 nS, V_L = -70 mV and a threshold of -50 mV, 0.4 nA are twice.

    v = (V - V_L) / (V_th - V_L) follows tau dv/dt = J / (g (V_th - V_L)) - v with tau = C / g = 20 ms.
    """
    capacitance, conductance, leak, threshold, current = 200e-12, 10e-9, -70e-3, -50e-3, 0.4e-9
    step, voltage, steps = 1e-6, leak, 0
    while voltage < threshold:  # Euler's, in volts and amperes
        voltage += step / capacitance * (current - conductance * (voltage - leak))
        steps += 1
    drive = current / (conductance * (threshold - leak))
    assert drive == pytest.approx(2)
    assert steps * step == pytest.approx(0.020 * math.log(2), rel=1e-3)
    rate = lif_rate(torch.tensor(drive), capacitance / conductance, 2e-3)
    assert 1 / rate.item() - 2e-3 == pytest.approx(steps * step, rel=1e-3)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_filters_of_any_order_have_unit_area(order):
    """t^(n - 1) exp(-t / tau) / (tau^n (n - 1)!), whose mean delay is n tau."""
    synapse = SynapseFilter(1, time_step=1e-5, tau=1e-3, order=order)
    spike = torch.zeros(2000, 1, 1)
    spike[0] = 1e5
    response = synapse(spike, synapse.initial_memory(1))[0][:, 0, 0].double()
    time = 1e-5 * torch.arange(1, 2001).double()
    assert 1e-5 * response.sum().item() == pytest.approx(1, abs=1e-4)
    assert 1e-5 * (time * response).sum().item() == pytest.approx(order * 1e-3, rel=0.01)
    formula = time ** (order - 1) * torch.exp(-time / 1e-3) / (1e-3**order * math.factorial(order - 1))
    torch.testing.assert_close(response[50:], formula[50:], atol=1.0, rtol=0.02)
