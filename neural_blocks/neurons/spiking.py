"""Spiking neurons: leaky integrate-and-fire, synaptic filters, and the Hodgkin-Huxley axon."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..sequence.memory import CellMemory, State


class _Dynamics(CellMemory):
    """A layer of N units whose memory is a tuple of `parts` (B, N) tensors."""

    rest: Tensor

    def __init__(self, size: int, parts: int) -> None:
        super().__init__()
        if size < 1:
            raise InvalidInput(f"{type(self).__name__}: size must be at least 1; got {size}")
        self.input_size = self.output_size = size
        self.shapes = [(size,)] * parts
        self.register_buffer("rest", torch.zeros(size), persistent=False)  # follows the module's device and dtype

    def initial_memory(self, batch: int) -> State:
        """Zeros, (B, N) for each part of the memory."""
        return tuple(self.rest.expand(batch, -1) for _ in self.shapes)


class LIF(_Dynamics):
    """Leaky integrate-and-fire neurons: dv/dt = (J - v) / tau_m; a spike where v passes 1, then v = 0 for tau_ref.

    Between spikes the integration is exact for a current held over the step, and the moment of the spike inside the
    step is solved for, so that the rate agrees with `lif_rate` at any step that is shorter than the spike interval.
    Gradients pass a spike as those of a fast sigmoid of v - 1 (Zenke and Ganguli, 2018). The memory is the voltage and
    the seconds of refractory period that are left.

    Input: current J (threshold 1). Output: spikes, 0 or 1.

    Args:
        size: N.
        time_step: seconds.
        membrane: tau_m, seconds.
        refractory: tau_ref, seconds.
        slope: steepness of the surrogate, 1 / (1 + slope |v - 1|)^2.

    Raises:
        InvalidInput: a size below 1, a time_step or membrane that is not positive, a negative refractory.
    """

    def __init__(
        self,
        size: int,
        *,
        time_step: float = 1e-3,
        membrane: float = 20e-3,
        refractory: float = 2e-3,
        slope: float = 10.0,
    ) -> None:
        super().__init__(size, parts=2)
        if min(time_step, membrane) <= 0 or refractory < 0:
            raise InvalidInput(
                "LIF: time_step and membrane must be above 0 and refractory at least 0; "
                f"got {time_step}, {membrane} and {refractory}"
            )
        self.time_step, self.membrane, self.refractory, self.slope = time_step, membrane, refractory, slope

    def cell(self, x: Tensor, memory: State) -> tuple[Tensor, State]:
        """Current (B, N) to spikes (B, N), and voltage and refractory seconds left."""
        voltage, wait = memory
        active = (self.time_step - wait).clamp(min=0)  # seconds of this step in which the neuron integrates
        voltage = voltage - (x - voltage) * torch.expm1(-active / self.membrane)
        above = voltage - 1
        fired = above > 0
        soft = above / (1 + self.slope * above.abs())
        spike = fired.to(x.dtype) + (soft - soft.detach())  # exactly 0 or 1, with the gradient of `soft`
        with torch.no_grad():
            drive = torch.where(fired, x - 1, 1.0)
            since = -self.membrane * torch.log1p(-(above / drive).clamp(0, 1))  # seconds since the threshold
            since = torch.minimum(since, active)
            wait = torch.where(fired, self.refractory - since, (wait - self.time_step).clamp(min=0))
        return spike, (voltage.masked_fill(fired, 0.0), wait)


def lif_rate(current: Tensor, membrane: float = 20e-3, refractory: float = 2e-3) -> Tensor:
    """The LIF neuron's tuning curve: its firing rate in Hz at a constant current (...), 0 up to the threshold 1.

    1 / (tau_ref - tau_m ln(1 - 1 / J)); Dayan and Abbott (2001), chapter 5.
    """
    fires = current > 1
    excess = torch.where(fires, current - 1, 1.0)
    return torch.where(fires, 1 / (refractory + membrane * torch.log1p(1 / excess)), 0.0)


class SynapseFilter(_Dynamics):
    """Synaptic low-pass filters of unit area: order 1 is exp(-t / tau) / tau, order 2 the alpha function.

    Input and output have the same unit: spikes divided by the time step become a rate in Hz. Dayan and Abbott (2001).

    Args:
        size: N.
        time_step: seconds.
        tau: time constant, seconds.
        order: how many exponential filters follow each other; 2 gives t exp(-t / tau) / tau^2.

    Raises:
        InvalidInput: a size or order below 1, a time step or tau that is not positive.
    """

    def __init__(self, size: int, *, time_step: float = 1e-3, tau: float = 5e-3, order: int = 1) -> None:
        super().__init__(size, parts=max(order, 1))
        if min(time_step, tau) <= 0 or order < 1:
            raise InvalidInput(
                "SynapseFilter: time_step and tau must be above 0 and order at least 1; "
                f"got {time_step}, {tau} and {order}"
            )
        self.blend = -math.expm1(-time_step / tau)

    def cell(self, x: Tensor, memory: State) -> tuple[Tensor, State]:
        """Input (B, N) to its filtered value (B, N), and the value after each of the filters."""
        filtered: list[Tensor] = []
        for part in memory:
            x = torch.lerp(part, x, self.blend)
            filtered.append(x)
        return x, tuple(filtered)


class Axon(NamedTuple):
    """State of a Hodgkin-Huxley membrane, or its derivative per millisecond: four tensors of shape (B,).

    voltage in mV; m opens sodium channels, h inactivates them, n opens potassium channels, each in [0, 1].
    """

    voltage: Tensor
    m: Tensor
    h: Tensor
    n: Tensor


CAPACITANCE = 1.0  # uF / cm^2
CONDUCTANCE = {"sodium": 120.0, "potassium": 36.0, "leak": 0.3}  # mS / cm^2
REVERSAL = {"sodium": 50.0, "potassium": -77.0, "leak": -54.387}  # mV, for a membrane at rest at -65 mV


def hodgkin_huxley(axon: Axon, current: Tensor) -> Axon:
    """Right-hand side of the Hodgkin-Huxley equations with the squid axon's parameters at 6.3 degrees Celsius.

    Hodgkin and Huxley (1952), with voltage measured outwards from a rest of -65 mV as in Dayan and Abbott (2001).

    Args:
        axon: the state, (B,) each.
        current: injected current, uA / cm^2, (B,); positive depolarises.

    Returns:
        The state's derivative, per millisecond.

    Raises:
        InvalidInput: shapes that differ.
    """
    shapes = [tuple(part.shape) for part in (*axon, current)]
    if len(set(shapes)) != 1:
        raise InvalidInput(f"hodgkin_huxley: voltage, m, h, n and current must have one shape; got {shapes}")
    voltage, m, h, n = axon
    sodium = CONDUCTANCE["sodium"] * m**3 * h * (voltage - REVERSAL["sodium"])  # uA / cm^2
    potassium = CONDUCTANCE["potassium"] * n**4 * (voltage - REVERSAL["potassium"])
    leak = CONDUCTANCE["leak"] * (voltage - REVERSAL["leak"])
    gates = [
        (1 - gate) * opens - gate * closes for gate, (opens, closes) in zip((m, h, n), gate_rates(voltage), strict=True)
    ]
    return Axon((current - sodium - potassium - leak) / CAPACITANCE, *gates)


def settled_axon(voltage: Tensor) -> Axon:
    """The axon held at that voltage (B,), in mV, with its gates where they settle."""
    return Axon(voltage, *(opens / (opens + closes) for opens, closes in gate_rates(voltage)))


def gate_rates(voltage: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Opening and closing rate of each gate, m, h and n, (B,) each per millisecond, of voltages (B,) in mV."""
    above = voltage + 65  # mV above rest
    return [
        (_linoid((above - 25) / 10), 4 * torch.exp(above / -18)),
        (0.07 * torch.exp(above / -20), torch.sigmoid((above - 30) / 10)),
        (0.1 * _linoid((above - 10) / 10), 0.125 * torch.exp(above / -80)),
    ]


def _linoid(x: Tensor) -> Tensor:
    """x / (1 - exp(-x)), which is 1 at 0."""
    away = x.masked_fill(x == 0, 1e-7)
    return away / -torch.expm1(-away)
