"""SpikingNetwork: drive input neurons so that those behind them fire at a target rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.neurons.spiking import lif_rate
from ..checks.options import choice, integer
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, MUTED, PANEL, Canvas
from ..drawing.trails import in_order, written
from .firing import TARGET, gauge

INPUTS, NEURONS = 8, 8  # neurons of the two layers; the later half of the inputs inhibits
MEMBRANE, WAIT = 20e-3, 2  # seconds; parts of a step for which a neuron is refractory
PART, PARTS = 1e-3, 5  # seconds, and how many of them a step has
SYNAPSE, MEAN = 20e-3, 40e-3  # time constants of the synaptic filters and of the rates that are seen, seconds
SCALE = 100.0  # hertz: rates are observed in hundreds
LOWEST, HIGHEST = 20.0, 60.0  # hertz, of the target
MIDDLE, SWING = 2.0, 2.0  # the current at an action of 0, and what one of 1 adds; a neuron fires above 1
BACKGROUND = (0.7, 1.05)  # constant currents of the first and the last neuron downstream
WEAKEST, STRONGEST = 20, 48  # weights, in units of 1 / 64 for a hundred hertz
GRID = 64
WEIGHTS = ("drawn", "fixed")
HURRY = 1.5  # by how much of what the rate lacks the expert aims beyond the target
HALVINGS = 16
GAIN = -math.expm1(-PART / MEMBRANE)  # share of the way to where it would settle that a voltage goes in a part
DECAY, FADING = math.exp(-PART / SYNAPSE), math.exp(-PART / MEAN)  # what a part leaves of the filters' values
OLDER = 2**31 - 1  # the bits of a spike train that are kept when one is added
TOP = 1.4 * HIGHEST  # hertz that a drawing spans
HEADING = "mean rate of those behind (Hz): thin line; its target: broad line"
TRACE = 32  # steps that a drawing shows, a power of two and the bits of a spike train


@dataclass(frozen=True)
class SpikingNetworkState:
    """Two layers of neurons, the synapses between them, and the rate to hold.

    Attributes:
        voltage: (B, 16) float32, the inputs' first; a neuron fires at 1.
        wait: (B, 16) float32 parts of a step for which each is still refractory.
        weights: (B, 8, 8) float32 of each neuron downstream, from each input: multiples of 1/64, below 0 from inputs
            that inhibit.
        arriving: (B, 8) float32 the synaptic current into each neuron downstream.
        rates: (B, 9) float32 the filtered rate of each input and the mean one downstream, in hertz.
        target: (B,) float32 the rate to hold downstream, in hertz.
        spikes: (B, 16) int64 the last 32 steps of each neuron, a bit each, the newest the lowest.
        trace: (B, 1, TRACE) float32 the rate downstream after each of the last steps, a ring by time; NaN before
            the first.
        time: (B,) int64 steps taken.
    """

    voltage: Tensor
    wait: Tensor
    weights: Tensor
    arriving: Tensor
    rates: Tensor
    target: Tensor
    spikes: Tensor
    trace: Tensor
    time: Tensor


class SpikingNetwork(Task[SpikingNetworkState]):
    """Drive input neurons so that those behind them fire at a target rate.

    Isolates control through a layer of events: what an action does is seen two filters later, by the rate of neurons
    that are not driven but connected. Eight leaky integrate-and-fire neurons take one current each; four of them
    excite and four inhibit eight neurons downstream, through synapses that filter spikes by exp(-t / 20 ms) and whose
    strengths each episode draws and does not show. All follow dv/dt = (J - v) / 20 ms, fire at v = 1 and are
    refractory for 2 ms; downstream J is the synapses' current, 0.31 to 0.75 for a hundred hertz of each input, and a
    constant one of 0.7 to 1.05, another for each neuron. A step holds the currents for 5 ms and is integrated in parts
    of 1 ms, exactly but for the synapses' current, which changes from part to part; a spike arrives at the end of its
    step. An episode starts with voltages uniform on 0 to 1, silent synapses and a target uniform on 20 to 60 Hz.

    Observation: (10,) float32: the rate of each input, the mean rate downstream and its target, in hundreds of hertz;
        rates are spikes filtered by exp(-t / 40 ms).
    Action: Box(-1, 1, (8,)), the current of each input, J = 2 + 2 action; the first four excite.
    Reward: the smaller of rate and target divided by the larger, squared; divided by the episode's steps, so that a
        return of 1 is the target rate from first to last.
    Episode: terminates after `length` steps.
    Metrics: rate_error, the distance of the rate downstream and its target in hertz.
    Expert: drives all that excite by one amount and all that inhibit by its opposite, the one with which the neurons'
        tuning curves and the weights, which it sees, give the target; aims higher while the rate is below it: return
        0.83, the rest being the wait for the filters. Random currents return 0.11.
    Source: Dayan and Abbott (2001), chapters 5 and 7; the task is Palaestra's own.

    Args:
        weights: "drawn", of each episode, or "fixed", the same in all.
        length: steps of an episode, 5 ms each.
    """

    variants = ({"weights": "fixed"}, {"length": 40})

    fixed: Tensor
    background: Tensor
    sign: Tensor
    bits: Tensor

    def __init__(self, *, weights: str = "drawn", length: int = 100) -> None:
        super().__init__()
        self.drawn = choice("SpikingNetwork: weights", weights, WEIGHTS) == "drawn"
        self.horizon = integer("SpikingNetwork: length", length, 1)
        self.reset_noise = 1 + INPUTS + NEURONS + INPUTS * NEURONS * self.drawn
        self.observation_space = spaces.Box(-np.inf, np.inf, (INPUTS + 2,), np.float32)
        self.action_space = spaces.Box(-1, 1, (INPUTS,), np.float32)
        share = np.random.RandomState(0).random_sample((1, NEURONS, INPUTS)).astype(np.float32)
        sign = torch.tensor([1.0] * (INPUTS // 2) + [-1.0] * (INPUTS // 2), dtype=torch.float32)
        background = torch.linspace(*BACKGROUND, NEURONS, dtype=torch.float64)
        self.register_buffer("sign", sign, persistent=False)
        self.register_buffer("background", background, persistent=False)
        self.register_buffer("fixed", self._weights(torch.from_numpy(share)), persistent=False)

    def _weights(self, share: Tensor) -> Tensor:
        """Weights (B, N, K) of shares in [0, 1), from the weakest to the strongest."""
        return self.sign * ((WEAKEST + share * (STRONGEST - WEAKEST + 1)).floor() / GRID).float()

    def reset(self, noise: Tensor) -> SpikingNetworkState:
        """A target, voltages and, where they are drawn, weights."""
        target = (LOWEST + (HIGHEST - LOWEST) * noise[:, 0].double()).float()
        batch, many = len(target), INPUTS + NEURONS
        if self.drawn:
            weights = self._weights(noise[:, 1 + many :].unflatten(1, (NEURONS, INPUTS)))
        else:
            weights = self.fixed.expand(batch, -1, -1).contiguous()
        voltage = noise[:, 1 : 1 + many].float()
        wait, rates = torch.zeros_like(voltage), target.new_zeros(batch, INPUTS + 1)
        trace = target.new_full((batch, 1, TRACE), torch.nan)
        spikes, time = torch.zeros_like(voltage, dtype=torch.int64), torch.zeros_like(target, dtype=torch.int64)
        return SpikingNetworkState(voltage, wait, weights, rates[:, 1:], rates, target, spikes, trace, time)

    def step(self, state: SpikingNetworkState, action: Tensor, noise: Tensor) -> Step[SpikingNetworkState]:
        """All neurons over a step, at whose end what the inputs sent in it arrives."""
        driven = MIDDLE + SWING * action.double()
        steady = torch.cat([driven, self.background.expand(len(driven), -1)], 1)  # (B, 16)
        synaptic = torch.cat([torch.zeros_like(driven), state.arriving.double()], 1)
        voltage, wait = state.voltage.double(), state.wait.double()
        count, heard = torch.zeros_like(voltage), torch.zeros_like(voltage)
        for part in range(PARTS):
            current = torch.add(steady, synaptic, alpha=DECAY**part)
            voltage, wait, fired = advanced(voltage, wait, current)
            count.add_(fired)
            heard.mul_(FADING).add_(fired)
        # Sums of multiples of 1/64, which come out the same in any order.
        sent = (state.weights * count[:, None, :INPUTS].float()).sum(2)  # (B, N)
        arriving = torch.add(sent * ((1 - DECAY) / (PART * SCALE)), synaptic[:, INPUTS:], alpha=DECAY**PARTS)
        heard = torch.cat([heard[:, :INPUTS], heard[:, INPUTS:].mean(1, keepdim=True)], 1)
        rates = torch.add(heard * ((1 - FADING) / PART), state.rates, alpha=FADING**PARTS).float()
        time, rate = state.time + 1, rates[:, -1]
        following = SpikingNetworkState(
            voltage=voltage.float(),
            wait=wait.float(),
            weights=state.weights,
            arriving=arriving.float(),
            rates=rates,
            target=state.target,
            spikes=2 * (state.spikes & OLDER) + count.long(),
            trace=written(state.trace, time, rate[:, None]),
            time=time,
        )
        fit = torch.minimum(rate, state.target).double() / torch.maximum(rate, state.target)
        reward = (fit.square() / self.horizon).float()
        return Step(following, reward, time >= self.horizon, {"rate_error": (rate - state.target).abs()})

    def observe(self, state: SpikingNetworkState) -> Tensor:
        """The rates of the inputs, the mean one downstream and the target, (B, 10)."""
        return (torch.cat([state.rates, state.target[:, None]], 1).double() / SCALE).float()

    def expert(self, state: SpikingNetworkState) -> Tensor:
        """How far the inputs are to be driven, by halving the range in which it must be."""
        target, rate = state.target.double(), state.rates[:, -1].double()
        aim = target + HURRY * (target - rate)
        drive, step = torch.zeros_like(aim), 0.5
        for _ in range(HALVINGS):
            drive = torch.where(self.steady_rate(state.weights, drive) < aim, drive + step, drive - step)
            step = step / 2
        return (drive[:, None] * self.sign).float()

    def steady_rate(self, weights: Tensor, drive: Tensor) -> Tensor:
        """The mean rate downstream (B,), in hertz, of weights (B, N, K) and a drive (B,) of those that excite.

        As if the synapses' current were constant: the tuning curves of both layers one after the other.
        """
        sent = lif_rate(MIDDLE + SWING * drive[:, None] * self.sign, MEMBRANE, WAIT * PART)  # (B, K)
        current = self.background + (weights.double() * sent[:, None]).sum(2) / SCALE
        return lif_rate(current, MEMBRANE, WAIT * PART).mean(1)

    def draw(self, state: SpikingNetworkState, canvas: Canvas) -> None:
        """The spikes of all neurons over the last steps, the rate downstream with its target beneath."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, clock = canvas.width // 2, -1000 * TRACE * PARTS * PART
        canvas.text("Drive the inputs: those behind must hit the target rate", (middle, 20), 24, anchor="center")
        _draw_spikes(state.spikes, min(int(state.time), TRACE), canvas)
        area = canvas.axes((16, 260, 448, 156), (clock, 0.0), (0.0, TOP), ("time (ms)", HEADING))
        canvas.curve(state.target.expand(TRACE), area, TARGET, 0, TOP, width=9, framed=False)
        canvas.curve(in_order(state.trace, state.time)[:, 0], area, ACCENT, 0, TOP, width=3, framed=False)
        told = f"rate {float(state.rates[-1]):.0f} Hz, target {float(state.target):.0f} Hz"
        canvas.text(told, (middle, 432), 26, anchor="center")
        canvas.text(f"step {int(state.time)} of {self.horizon}", (middle, 462), 20, MUTED, "center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The rates of the inputs as bars, and the mean rate downstream with its target on one scale."""
        middle, (*inputs, rate, target) = canvas.width // 2, (SCALE * observation).tolist()
        canvas.text("Drive the inputs: those behind must hit the target rate", (middle, 25), 24, anchor="center")
        canvas.text("rate of each input (Hz)", (middle, 66), 22, MUTED, "center")
        labels = [f"{k + 1}" for k in range(INPUTS)]
        canvas.bars(torch.tensor(inputs).round(), (20, 82, 440, 180), labels, maximum=130.0)
        for left, told in ((20, "+ excite those behind"), (240, "- inhibit those behind")):
            canvas.text(told, (left + 110, 278), 22, anchor="center")
        told = f"those behind: rate {rate:.0f} Hz, target {target:.0f} Hz (marked)"
        canvas.text(told, (middle, 335), 24, anchor="center")
        gauge(rate / TOP, 362, canvas, target / TOP)

    def entries(self) -> list[str]:
        """The inputs."""
        half = INPUTS // 2
        return [f"current of input {k + 1} ({'excites' if k < half else 'inhibits'})" for k in range(INPUTS)]


def _draw_spikes(spikes: Tensor, steps: int, canvas: Canvas) -> None:
    """A row of ticks for each neuron: spike trains (16,) of so many steps, the newest at the right."""
    left, top, row, column = 118, 58, 11, 346 / TRACE
    canvas.text("spikes of the last 160 ms", (left + 173, 45), 18, MUTED, "center")
    for k, train in enumerate(spikes.tolist()):
        y = top + row * k + 6 * (k >= INPUTS // 2) + 6 * (k >= INPUTS)
        for age in range(steps):
            if train >> age & 1:
                canvas.fill((left + column * (TRACE - 1 - age), y, 6, row - 2), ACCENT)
        canvas.fill((left, y + row - 1, 346, 1), PANEL)
    for y, told in ((top + 22, "excite +"), (top + 72, "inhibit -"), (top + 144, "behind")):
        canvas.text(told, (left - 10, y), 20, ACCENT, "midright")


def advanced(voltage: Tensor, wait: Tensor, current: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Leaky integrate-and-fire neurons a part of a step later, exact where the current is constant.

    A neuron that is above the threshold by `over` passed it before the end of the part, and is put to where it would be
    by then, had it begun at 0: at current * over / (current - 1), as the two exponentials give it. There it stays
    while it is refractory, so that it goes on as if that began and ended with a part.

    Args:
        voltage: (B, N) float64, at most 1.
        wait: (B, N) float64 parts for which each is still refractory, whole.
        current: (B, N) float64, which is written over: a new tensor takes longer than what is computed.

    Returns:
        Voltage and wait afterwards, and 1 where it fired and 0 elsewhere, each (B, N) float64.
    """
    # No `where`: what it would pick is hard to foretell, for which a processor pays ten times the arithmetic.
    integrates = (1 - wait).clamp_(min=0)
    voltage = (current - voltage).mul_(integrates).mul_(GAIN).add_(voltage)
    over = (voltage - 1).clamp_(min=0)
    fired = over.sign()
    past = over.mul_(current).div_(current.sub_(1).clamp_(min=1e-9))  # over is 0 unless the current is above 1
    wait = (wait - 1).clamp_(min=0).add_(fired, alpha=WAIT)
    return voltage.addcmul_(voltage, fired, value=-1).add_(past), wait, fired
