"""Draws docs/images/neurons.png: the gates of an axon, its voltage under currents, beside a leaky neuron; synapses.

python docs/neurons.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from palaestra.envs import Canvas
from palaestra.envs.control.hodgkin_huxley import CURRENTS, RATES, integrated
from palaestra.envs.drawing.canvas import COLOURS, INK
from palaestra.neural_blocks.neurons.spiking import LIF, SynapseFilter, gate_rates, lif_rate, settled_axon

WIDTH, HEIGHT, COLUMNS = 560, 400, 2
PART = 1 / 16  # ms
GATES = ("m, sodium opens", "h, sodium stays", "n, potassium opens")
Line = tuple[str, Tensor]


def panel(
    place: int, canvas: Canvas, title: str, across: str, ends: tuple[float, float], lines: Sequence[Line], unit: str
) -> None:
    """One chart: lines over evenly spaced places, named below."""
    left, top = place % COLUMNS * WIDTH, place // COLUMNS * HEIGHT
    values = torch.cat([line[~line.isnan()] for _, line in lines])
    low, high = float(values.min()), float(values.max())
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    canvas.text(title, (left + 20, top + 14), 20, INK, max_width=WIDTH - 40)
    box = canvas.axes((left + 20, top + 44, WIDTH - 50, HEIGHT - 100), ends, (low, high), (across, unit), (3, 3))
    for number, (name, line) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        canvas.curve(line, box, colour, low, high, width=4 - 2 * (number % 2), framed=False)
        x = left + 20 + number * (WIDTH - 40) // len(lines)
        canvas.fill((x, top + HEIGHT - 36 + 2 * (number % 2), 24, 6 - 4 * (number % 2)), colour)
        canvas.text(name, (x + 30, top + HEIGHT - 44), 16, INK, max_width=(WIDTH - 40) // len(lines) - 34)


def driven(current: Tensor) -> Tensor:
    """(T + 1,) mV: an axon that starts at rest, under currents (T,) in uA / cm^2, each held for 1/16 ms."""
    voltage, *gates = settled_axon(torch.tensor([-65.0], dtype=torch.float64))
    state, found = tuple(gates), [voltage]
    for now in current:
        voltages, state = integrated(found[-1], state, now[None], PART, 1)
        found.append(voltages[-1])
    return torch.cat(found)


def leaky(current: float, steps: int) -> Tensor:
    """(steps,) the voltage of a leaky neuron, in thresholds, every 1/16 ms; 2 at a spike."""
    neuron = LIF(1, time_step=PART / 1000)
    memory, found = neuron.initial_memory(1), []
    for _ in range(steps):
        spike, memory = neuron.step(torch.full((1, 1), current), memory)
        found.append(2.0 if spike > 0 else float(memory[0]))
    return torch.tensor(found)


def steady(axis: Tensor) -> tuple[list[Line], list[Line]]:
    """Where each gate settles at voltages, and how fast, in ms."""
    settled, rates = settled_axon(axis)[1:], gate_rates(axis)
    times = [1 / (opens + closes) for opens, closes in rates]
    return list(zip(GATES, settled, strict=True)), list(zip(GATES, times, strict=True))


def main() -> None:
    """Draws all panels."""
    canvas = Canvas(COLUMNS * WIDTH, 3 * HEIGHT)
    states, times = steady(torch.linspace(-100, 50, 301, dtype=torch.float64))
    panel(0, canvas, "Where an axon's gates settle", "mV", (-100, 50), states, "share open")
    panel(1, canvas, "How soon: their time constants", "mV", (-100, 50), times, "ms")
    held = torch.tensor([-20.0, 2.0, 10.0]).repeat_interleave(round(40 / PART))
    voltage = driven(held)
    title = "An axon under -20, then 2, then 10 uA / cm^2, 40 ms each"
    panel(2, canvas, title, "ms", (0, 120), [("membrane", voltage)], "mV")
    currents = torch.linspace(0, 4, 200)
    both = [
        ("leaky neuron, current in thresholds", lif_rate(currents)),
        ("axon, in 12.5 uA / cm^2", axon_rate(currents)),
    ]
    panel(3, canvas, "Rates over a constant current", "current", (0, 4), both, "Hz")
    axon, rate = driven(torch.full((round(100 / PART),), 10.0))[:-1], 68.32
    drive = inverse(lif_rate, rate)
    scaled = (axon + 65) / 110  # from rest to the top of a spike
    traces = [
        ("axon, 0 at rest and 1 above all", scaled),
        ("leaky neuron, 1 at its threshold", leaky(drive, len(axon))),
    ]
    panel(4, canvas, f"Both at {rate:.0f} Hz: a spike with a course, and one without", "ms", (0, 100), traces, "")
    spike = torch.zeros(1600, 1, 1)
    spike[0] = 1000 / PART
    kinds = {"fast, 5 ms": (5e-3, 1), "slow, 50 ms": (50e-3, 1), "alpha, 5 ms": (5e-3, 2)}
    filtered = [
        (name, synapse(spike, synapse.initial_memory(1))[0][:, 0, 0])
        for name, (tau, order) in kinds.items()
        for synapse in [SynapseFilter(1, time_step=PART / 1000, tau=tau, order=order)]
    ]
    panel(5, canvas, "What one spike leaves in synapses of equal area", "ms", (0, 100), filtered, "Hz")
    canvas.save_png(Path(__file__).with_name("images") / "neurons.png")


def axon_rate(currents: Tensor) -> Tensor:
    """The axon's measured rate (Hz) at shares of 12.5 uA / cm^2; 0 below its lowest."""
    at = 12.5 * currents
    known, rates = torch.tensor(CURRENTS), torch.tensor(RATES)
    right = torch.searchsorted(known, at).clamp(1, len(known) - 1)
    share = (at - known[right - 1]) / (known[right] - known[right - 1])
    return torch.lerp(rates[right - 1], rates[right], share).masked_fill(at < known[0], 0)


def inverse(rising: Callable[[Tensor], Tensor], wanted: float, low: float = 1.0, high: float = 100.0) -> float:
    """Where a rising function takes a value, by halving."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if float(rising(torch.tensor(middle))) > wanted else (middle, high)
    return low


if __name__ == "__main__":
    main()
