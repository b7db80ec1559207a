"""HodgkinHuxley: drive a squid axon at a target rate."""

from __future__ import annotations

import torch
from torch import Tensor

from ...neural_blocks.neurons.spiking import CONDUCTANCE, REVERSAL, gate_rates, settled_axon
from ..checks.options import number
from .firing import FiringTask, Neuron

REST = -65.0  # mV
SUBSTEP, SUBSTEPS = 0.0625, 8  # ms, and how many of them a step has
# Steady firing rates (Hz) at constant currents (uA / cm^2).
CURRENTS = (6.5, 8.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0)
RATES = (55.06, 62.47, 68.32, 78.65, 86.47, 98.75, 108.61, 117.03)


class HodgkinHuxley(FiringTask):
    """Inject current so that a squid axon fires at a target rate.

    Isolates continuous control of a stiff, excitable system with variables that act on different time scales: below
    about 6.3 uA / cm^2 it falls silent, above it fires, and what an injection does depends on the gates. The axon has
    the standard parameters at 6.3 degrees Celsius and starts at rest at -65 mV. A step holds the current for 0.5 ms and
    is integrated in parts of 1/16 ms by turns, gates while the voltage stands and the voltage while the gates stand,
    each exactly: stable at any current, and within 0.3 ms of the spikes of 100 ms. A spike is the moment at which the
    voltage rises through 0 mV. The rate is 1 / (the last interval between spikes), or 1 / (the time since the last
    spike) once that is longer; it is 0 until the second spike. The target is uniform on 60 to 110 Hz.

    Observation: (6,) float32: voltage in hundreds of mV; the gates m, h and n, each in [0, 1]; the recent rate and the
        target rate, both in hundreds of hertz.
    Action: Box(0, 1, (1,)), the injected current as a share of 50 uA / cm^2. With `outward` Box(-1, 1, (1,)): below 0
        as much of the outward current is drawn, which takes the axon far below rest; it may fire when let go.
    Reward: the fourth power of the smaller of rate and target divided by the larger, so that 10 % off costs a third;
        divided by the episode's steps, so that a return of 1 is the target rate from first to last.
    Episode: terminates after `length` steps.
    Metrics: rate_error, the distance of rate and target in hertz.
    Expert: the constant current that fires at the target, from the axon's measured tuning curve, less the background,
        which it sees: return 0.74, the rest being the wait for the second spike, which a stronger push at the right
        time shortens a little. Random currents return 0.41.
    Source: Hodgkin and Huxley (1952), with the voltage of Dayan and Abbott (2001), chapter 5; the task is Palaestra's.

    Args:
        length: steps of an episode, 0.5 ms each.
        background: half-width of a constant current (uA / cm^2) that each episode draws, adds to the action and does
            not show.
        outward: the strongest current (uA / cm^2) that can be drawn out of the axon, from 0 to 30; 0 if none can.

    Raises:
        InvalidInput: a number outside its limits.
    """

    variants = ({"background": 3.0, "length": 60}, {"outward": 30.0})

    currents: Tensor
    rates: Tensor
    time_step = SUBSTEP * SUBSTEPS / 1000
    voltages = (-80.0, 50.0)
    volts = 100.0
    gates = ("sodium opens (m)", "sodium stays (h)", "potassium opens (n)")
    unit = "mV", " µA/cm²"

    def __init__(self, *, length: int = 120, background: float = 0.0, outward: float = 0.0) -> None:
        super().__init__(
            length=length,
            background=background,
            strongest_background=5.0,
            strongest=50.0,
            targets=(60.0, 110.0),
            variables=4,
            outward=number("HodgkinHuxley: outward", outward, 0, 30),
        )
        if outward:
            self.voltages = (-160.0, 50.0)  # mV; at 30 uA / cm^2 outwards the axon settles at -154
        self.register_buffer("currents", torch.tensor(CURRENTS, dtype=torch.float64), persistent=False)
        self.register_buffer("rates", torch.tensor(RATES, dtype=torch.float64), persistent=False)

    def start(self, like: Tensor) -> tuple[Neuron, Tensor]:
        """At rest, with no spike before."""
        rest = settled_axon(torch.full((1,), REST, dtype=torch.float64, device=like.device))
        return tuple(part.float().repeat(len(like)) for part in rest), torch.full_like(like, torch.inf)

    def advance(self, neuron: Neuron, current: Tensor) -> tuple[Neuron, Tensor, Tensor]:
        """Eight parts of 1/16 ms, in at most one of which the voltage rises through 0 mV."""
        voltages, gates = integrated(neuron[0], neuron[1:], current, SUBSTEP, SUBSTEPS)
        before, behind = voltages[:-1], voltages[1:]  # (SUBSTEPS, B)
        crosses = (before < 0) & (behind >= 0)
        share = behind / torch.where(crosses, behind - before, 1.0)  # of the part, by a straight line between its ends
        left = torch.arange(SUBSTEPS - 1, -1, -1, device=share.device)[:, None]  # parts that follow
        after = torch.where(crosses, (left + share) * (SUBSTEP / 1000), 0.0).sum(0)
        return (behind[-1], *gates), crosses.any(0), after

    def seen(self, neuron: Neuron) -> list[Tensor]:
        """Voltage in hundreds of mV, and the gates."""
        return [(neuron[0].double() / 100).float(), *neuron[1:]]

    def steady_current(self, rate: Tensor) -> Tensor:
        """Straight lines between the measured rates."""
        span = self.rates.diff()
        part = ((rate[:, None] - self.rates[:-1]) / span).clamp(0, 1)  # (B, K - 1)
        return self.currents[0] + (part * self.currents.diff()).sum(1)


def integrated(voltage: Tensor, gates: Neuron, current: Tensor, part: float, parts: int) -> tuple[Tensor, Neuron]:
    """An axon under a constant current, by Strang splitting (Strang, 1968) of gates and voltage.

    While one of the two stands still, the other relaxes exponentially to where it would settle, and is integrated
    exactly (Rush and Larsen, 1978): second order, and stable however stiff the gates are.

    Args:
        voltage: (B,) float64, mV.
        gates: m, h and n, (B,) each.
        current: (B,), uA / cm^2.
        part: milliseconds.
        parts: how many of them.

    Returns:
        The voltages (parts + 1, B), and the gates at the end.
    """
    inward = current + CONDUCTANCE["leak"] * REVERSAL["leak"]
    gates, voltages = relaxed(voltage, gates, part / 2), [voltage]
    for count in range(1, parts + 1):
        m, h, n = gates
        sodium, potassium = CONDUCTANCE["sodium"] * (m * m * m * h), CONDUCTANCE["potassium"] * (n * n).square()
        total = sodium + potassium + CONDUCTANCE["leak"]  # mS / cm^2; the capacitance is 1 uF / cm^2
        settled = (inward + REVERSAL["sodium"] * sodium + REVERSAL["potassium"] * potassium) / total
        voltage = torch.lerp(settled, voltage, torch.exp(-part * total))
        gates = relaxed(voltage, gates, part if count < parts else part / 2)
        voltages.append(voltage)
    return torch.stack(voltages), gates


def relaxed(voltage: Tensor, gates: Neuron, time: float) -> Neuron:
    """The gates, (B,) each, after so many milliseconds at a constant voltage (B,)."""
    after = []
    for gate, (opens, closes) in zip(gates, gate_rates(voltage), strict=True):  # never stacked: generated code then
        total = opens + closes  # keeps all of them in registers
        after.append(torch.lerp(opens / total, gate, torch.exp(-time * total)))
    return tuple(after)
