"""What both neurons share: the clock of their spikes, the target rate, the reward and the drawing."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer, number
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, GOOD, INK, MUTED, Canvas
from ..drawing.trails import in_order, written
from ..drawing.wording import fixed

Neuron = tuple[Tensor, ...]
TRACE = 32  # steps that a drawing shows, a power of two
SCALE = 100.0  # hertz: rates are observed in hundreds
TARGET = (150, 212, 190)  # colour of the target's line, which a rate's runs upon


@dataclass(frozen=True)
class FiringState:
    """A neuron, its spikes and its task.

    Attributes:
        neuron: its variables, each (B,) float32, the voltage first.
        since: (B,) float32 seconds since the last spike, infinite before one.
        interval: (B,) float32 seconds between the last two spikes, infinite before there are two.
        target: (B,) float32 the rate to hold, in hertz.
        background: (B,) float32 the hidden current that is added to every action.
        current: (B,) float32 the current last injected.
        trace: (B, 2, TRACE) float32 voltage and rate after each of the last steps, a ring by time; NaN before
            the first.
        time: (B,) int64 steps taken.
    """

    neuron: Neuron
    since: Tensor
    interval: Tensor
    target: Tensor
    background: Tensor
    current: Tensor
    trace: Tensor
    time: Tensor

    @property
    def rate(self) -> Tensor:
        """(B,) the recent rate in hertz: of the last interval, or of the time since, once that is longer."""
        return _rate(self.interval, self.since)


class FiringTask(Task[FiringState]):
    """Inject current into a neuron so that it fires at a target rate. A subclass says what neuron.

    Args:
        length: steps of an episode.
        background: half-width of the hidden constant current that each episode draws.
        strongest_background: the largest `background` allowed.
        strongest: the current at an action of 1; at 0 there is none.
        outward: the current drawn out at an action of -1; 0 if actions begin at 0.
        targets: the lowest and the highest target rate, hertz.
        variables: how many numbers `seen` gives.
    """

    time_step: float  # seconds of a step, shorter than any interval between spikes
    voltages: tuple[float, float]  # what a drawing spans
    volts: float  # of voltage in one of its observed units
    gates: tuple[str, ...]  # what the variables behind the voltage are called
    unit: tuple[str, str]  # of voltage and current
    reset_noise = 2

    def __init__(
        self,
        *,
        length: int,
        background: float,
        strongest_background: float,
        strongest: float,
        targets: tuple[float, float],
        variables: int,
        outward: float = 0.0,
    ) -> None:
        super().__init__()
        self.horizon = integer(f"{self.name}: length", length, 1)
        self.background = number(f"{self.name}: background", background, 0, strongest_background)
        self.targets, self.strongest, self.outward = targets, strongest, outward
        self.observation_space = spaces.Box(-np.inf, np.inf, (variables + 2,), np.float32)
        self.action_space = spaces.Box(-1 if outward else 0, 1, (1,), np.float32)

    @abstractmethod
    def start(self, like: Tensor) -> tuple[Neuron, Tensor]:
        """The neuron's variables at the start, each (B,), and the seconds since its last spike, (B,)."""

    @abstractmethod
    def advance(self, neuron: Neuron, current: Tensor) -> tuple[Neuron, Tensor, Tensor]:
        """The neuron a step later, whether it fired (B,), and if so how many seconds before the step's end (B,).

        All in float64, which `step` rounds: the last bits of an exponential differ from one processor to the next.
        """

    @abstractmethod
    def seen(self, neuron: Neuron) -> list[Tensor]:
        """The neuron's variables as they are observed, each (B,)."""

    @abstractmethod
    def steady_current(self, rate: Tensor) -> Tensor:
        """The constant current (B,) at which the neuron fires at that rate (B,), in hertz; both float64."""

    def reset(self, noise: Tensor) -> FiringState:
        """A neuron at its start, a target and a background."""
        lowest, highest = self.targets
        target = (lowest + (highest - lowest) * noise[:, 0].double()).float()
        neuron, since = self.start(target)
        trace = target.new_full((len(target), 2, TRACE), torch.nan)
        interval = torch.full_like(target, torch.inf)
        background = ((2 * noise[:, 1].double() - 1) * self.background).float()
        time = torch.zeros_like(target, dtype=torch.int64)
        return FiringState(neuron, since, interval, target, background, torch.zeros_like(target), trace, time)

    def step(self, state: FiringState, action: Tensor, noise: Tensor) -> Step[FiringState]:
        """Holds the current for a step and compares the rate with the target."""
        current = self.strongest * action[:, 0].clamp(min=0) + self.outward * action[:, 0].clamp(max=0)
        before = tuple(part.double() for part in state.neuron)
        exact, fired, after = self.advance(before, current.double() + state.background)
        neuron, elapsed = tuple(part.float() for part in exact), state.since.double() + self.time_step
        since = torch.where(fired, after, elapsed).float()
        interval = torch.where(fired, elapsed - after, state.interval).float()
        rate = _rate(interval, since)
        shown = neuron[0].masked_fill(fired, self.voltages[1])  # a spike may fall between two steps
        time = state.time + 1
        trace = written(state.trace, time, torch.stack([shown, rate], 1))
        following = FiringState(neuron, since, interval, state.target, state.background, current, trace, time)
        fit = torch.minimum(rate, state.target).double() / torch.maximum(rate, state.target)
        reward = (fit.square().square() / self.horizon).float()
        return Step(following, reward, time >= self.horizon, {"rate_error": (rate - state.target).abs()})

    def observe(self, state: FiringState) -> Tensor:
        """The neuron's variables, the recent rate and the target, (B, variables + 2)."""
        return torch.stack(
            [*self.seen(state.neuron), (state.rate.double() / SCALE).float(), (state.target.double() / SCALE).float()],
            1,
        )

    def expert(self, state: FiringState) -> Tensor:
        """The constant current that gives the target rate, less the background."""
        current = self.steady_current(state.target.double()) - state.background
        return (current / self.strongest).clamp(0, 1).float()[:, None]

    def draw(self, state: FiringState, canvas: Canvas) -> None:
        """Voltage and rate over the last steps, the rate's target beneath, and the current injected."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        trace = in_order(state.trace, state.time)
        middle, (volt, ampere), clock = canvas.width // 2, self.unit, (-1000 * TRACE * self.time_step, 0.0)
        canvas.text("Inject current to fire at the target rate", (middle, 20), size=26, anchor="center")
        names = ("time (ms)", f"membrane voltage ({volt})")
        area = canvas.axes((16, 40, 448, 172), clock, self.voltages, names)
        canvas.curve(trace[:, 0], area, INK, *self.voltages, framed=False)
        top = 1.4 * self.targets[1]
        names = ("time (ms)", "firing rate (Hz): thin line; its target: broad line")
        area = canvas.axes((16, 214, 448, 172), clock, (0.0, top), names)
        canvas.curve(state.target.expand(TRACE), area, TARGET, 0, top, width=9, framed=False)
        canvas.curve(trace[:, 1], area, ACCENT, 0, top, width=3, framed=False)
        canvas.text(f"rate {float(state.rate):.0f} Hz", (middle - 20, 402), 28, ACCENT, "midright")
        canvas.text(f"target {float(state.target):.0f} Hz", (middle + 20, 402), 28, GOOD, "midleft")
        told = f"current {fixed(float(state.current), 2)}{ampere}"
        if self.background:
            told += f"      background {fixed(float(state.background), 2)} (hidden)"
        canvas.text(told, (middle, 434), size=22, anchor="center")
        canvas.text(f"step {int(state.time)} of {self.horizon}", (middle, 462), size=20, colour=MUTED, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The recent rate and its target on one scale, and the neuron's variables on theirs."""
        *variables, rate, target = observation.tolist()
        middle, top, (low, high) = canvas.width // 2, 1.4 * self.targets[1], self.voltages
        canvas.text("Inject current to fire at the target rate", (middle, 30), size=28, anchor="center")
        rate, target = SCALE * rate, SCALE * target
        canvas.text(f"rate {rate:.0f} Hz, target {target:.0f} Hz (marked)", (middle, 80), size=26, anchor="center")
        gauge(rate / top, 105, canvas, target / top)
        voltage = self.volts * variables[0]
        canvas.text(f"membrane voltage {fixed(voltage, 2)} ({self.unit[0]})", (middle, 200), size=24, anchor="center")
        gauge((voltage - low) / (high - low), 222, canvas)
        for k, (name, share) in enumerate(zip(self.gates, variables[1:], strict=True)):
            canvas.text(f"{name} {share:.2f}", (30, 303 + 46 * k), size=24, anchor="midleft")
            gauge(share, 288 + 46 * k, canvas, left=250)

    def entries(self) -> list[str]:
        """The current."""
        return ["current"]


def gauge(share: float, top: int, canvas: Canvas, target: float | None = None, left: int = 30) -> None:
    """A horizontal bar from 0 to 1 with, if there is one, a target marked on it."""
    width = canvas.width - 30 - left
    canvas.outline((left, top, width, 30), MUTED)
    share = min(max(share, 0.0), 1.0)
    if round(share * width):
        canvas.fill((left, top, share * width, 30), ACCENT)
    if target is not None:
        place = left + target * width
        canvas.fill((place - 3, top - 6, 6, 42), GOOD)
        canvas.text("target", (place, top + 40), size=22, colour=GOOD, anchor="midtop")


def _rate(interval: Tensor, since: Tensor) -> Tensor:
    return (1 / torch.maximum(interval, since).double()).float()
