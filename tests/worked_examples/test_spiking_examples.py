"""The leaky integrate-and-fire neuron's rate by hand."""

import math

import pytest
import torch

from palaestra.neural_blocks.neurons.spiking import LIF, lif_rate


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
