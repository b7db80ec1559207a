"""LIFNeuron: drive a leaky integrate-and-fire neuron at a target rate."""

from __future__ import annotations

import torch
from torch import Tensor

from ...neural_blocks.neurons.spiking import LIF
from .firing import FiringTask, Neuron

MEMBRANE, REFRACTORY = 20e-3, 2e-3  # seconds
SUBSTEP, SUBSTEPS = 1e-3, 5  # seconds, and how many of them a step has


class LIFNeuron(FiringTask):
    """Inject current so that a leaky neuron fires at a target rate.

    Isolates continuous control of a system that answers in events: nothing tells whether the current is right until the
    next spike. The neuron follows dv/dt = (J - v) / 20 ms; at v = 1 it fires and stays at 0 for 2 ms. A step holds the
    current for 5 ms and is integrated in 1 ms parts, exactly between spikes and with the moment of the spike solved
    for. The rate is 1 / (the last interval between spikes), or 1 / (the time since the last spike) once that is longer;
    it is 0 until the first spike. An episode starts as after a spike, with a target uniform on 20 to 100 Hz.

    Observation: (4,) float32: voltage (threshold 1), what is left of the refractory time as a share of it, the recent
        rate and the target rate, both in hundreds of hertz.
    Action: Box(0, 1, (1,)), the injected current as a share of J = 4 (the neuron fires above J = 1).
    Reward: the fourth power of the smaller of rate and target divided by the larger, so that 10 % off costs a third;
        divided by the episode's steps, so that a return of 1 is the target rate from first to last.
    Episode: terminates after `length` steps.
    Metrics: rate_error, the distance of rate and target in hertz.
    Expert: the constant current that the neuron's tuning curve gives for the target, less the background, which it
        sees: return 0.96, the rest being the wait for the first spike, which a stronger first push shortens a
        little. Random currents return 0.29.
    Source: Dayan and Abbott (2001), section 5.4; the task is Palaestra's own.

    Args:
        length: steps of an episode, 5 ms each.
        background: half-width of a constant current that each episode draws, adds to the action and does not show.
    """

    variants = ({"background": 0.5}, {"length": 40})

    time_step = SUBSTEP * SUBSTEPS
    voltages = (-0.2, 1.6)
    volts = 1.0
    gates = ("refractory time left",)
    unit = "fires at 1", ""

    def __init__(self, *, length: int = 100, background: float = 0.0) -> None:
        super().__init__(
            length=length,
            background=background,
            strongest_background=0.5,
            strongest=4.0,
            targets=(20.0, 100.0),
            variables=2,
        )
        self.neuron = LIF(1, time_step=SUBSTEP, membrane=MEMBRANE, refractory=REFRACTORY)

    def start(self, like: Tensor) -> tuple[Neuron, Tensor]:
        """Just after a spike: voltage 0, the refractory time ahead."""
        zero = torch.zeros_like(like)
        return (zero, zero + REFRACTORY), zero

    def advance(self, neuron: Neuron, current: Tensor) -> tuple[Neuron, Tensor, Tensor]:
        """Five parts of 1 ms, in at most one of which the neuron fires."""
        fired, after = torch.zeros_like(current, dtype=torch.bool), torch.zeros_like(current)
        for _ in range(SUBSTEPS):
            spike, neuron = self.neuron.cell(current, neuron)
            now = spike > 0
            fired, after = fired | now, torch.where(now, REFRACTORY - neuron[1], after + SUBSTEP)
        return neuron, fired, after

    def seen(self, neuron: Neuron) -> list[Tensor]:
        """Voltage, and the refractory time left as a share."""
        return [neuron[0], (neuron[1].double() / REFRACTORY).float()]

    def steady_current(self, rate: Tensor) -> Tensor:
        """The inverse of `lif_rate`."""
        return 1 + 1 / torch.expm1((1 / rate - REFRACTORY) / MEMBRANE)
