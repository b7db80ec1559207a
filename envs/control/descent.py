"""Descent: set the step size and the momentum of an optimiser while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, integer
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, GOOD, INK, MUTED, Canvas
from .surfaces import SURFACES

SMALLEST, LARGEST = -3.0, 1.0  # log10 of the step size
STEADIEST = 0.99  # the largest momentum
LOWEST, HIGHEST = -6.0, 2.0  # log10 of the loss over its first value, as far as it counts
FAR = 100.0  # parameters stay within this of 0
TRIED = torch.cartesian_prod(torch.linspace(-1, 1, 9), torch.tensor([-1.0, 0.0, 0.7]))  # the expert's, (27, 2)


@dataclass(frozen=True)
class DescentState:
    """A loss, and where an optimiser is on it.

    Attributes:
        member: (B, ...) float32 the numbers that make the loss, see `surfaces`.
        parameters: (B, P) float32.
        velocity: (B, P) float32 the last change of the parameters.
        gradient: (B, P) float32 at the parameters.
        first: (B,) float32 log10 of the loss at the start.
        level: (B,) float32 log10 of the loss over that at the start, from -6 to 2.
        change: (B,) float32 what the last step added to the level.
        curvature: (B,) float32 along the last step: the change of the gradient along it over its length squared.
        setting: (B, 2) float32 the last action; 0 before the first.
        trace: (B, length + 1) float32 the level after each step, NaN ahead.
        time: (B,) int64 steps taken.
    """

    member: Tensor
    parameters: Tensor
    velocity: Tensor
    gradient: Tensor
    first: Tensor
    level: Tensor
    change: Tensor
    curvature: Tensor
    setting: Tensor
    trace: Tensor
    time: Tensor


class Descent(Task[DescentState]):
    """Set the step size and momentum of an optimiser from what its last steps did.

    Isolates learning to optimise: what is best depends on the curvature met on the way, which only the optimiser's own
    steps tell, and a step that pays at once may cost later. A step is that of the heavy ball, v = momentum v - step
    size times gradient, then x = x + v. Every episode draws a loss of the family and a start. Nothing that is seen or
    set depends on how the parameters' axes are turned.

    Observation: (9,) float32: log10 of the loss over its first value, in units of 3; log10 of the gradient's norm, in
        units of 2; the change of log10 of the loss by the last step; the cosine of gradient and last step; log10 of the
        curvature's size along the last step, and its sign; the last action's two parts; the share of steps taken.
    Action: Box(-1, 1, (2,)): log10 of the step size from -3 to 1, and the momentum from 0 to 0.99, both linear.
    Reward: how much log10 of the loss fell, with the loss counted from 10^-6 to 100 times its first value: the return
        is the orders of magnitude that the loss fell in all.
    Episode: terminates after `length` steps.
    Metrics: loss, log10 of it over its first value, at the end.
    Expert: of 27 settings, and of Newton's in the plane of gradient and last step, the one whose step leads to the
        lowest loss, which it computes for each: on a quadratic the method of conjugate gradients. It sees ahead by one
        step alone, so it may be beaten in the long run on the others: half of the time it stays in the shallow well.
        Random settings raise the loss.
    Source: heavy ball of Polyak (1964); learning to optimise as reinforcement learning of Li and Malik (2017).

    Args:
        surface: "quadratic", "valley" (Rosenbrock's), "double_well", "shallow_well" (before a deep one), "logistic"
            (regression) or "network" (of four units); see `surfaces`.
        length: steps of an episode.

    Raises:
        InvalidInput: an unknown surface, or a length outside its limits.
    """

    variants = (
        {"surface": "valley"},
        {"surface": "double_well"},
        {"surface": "shallow_well"},
        {"surface": "logistic"},
        {"surface": "network", "length": 40},
    )

    tried: Tensor

    def __init__(self, *, surface: str = "quadratic", length: int = 30) -> None:
        super().__init__()
        self.surface = SURFACES[choice("Descent: surface", surface, SURFACES)]()
        self.title = surface.replace("_", " ")
        self.horizon = integer("Descent: length", length, 1, 10_000)
        self.reset_noise = self.surface.noise
        self.observation_space = spaces.Box(-np.inf, np.inf, (9,), np.float32)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.register_buffer("tried", TRIED.double(), persistent=False)

    def reset(self, noise: Tensor) -> DescentState:
        """A loss, and a start at rest."""
        member, start = (part.float() for part in self.surface.draw(noise))
        loss, gradient = self.surface.loss(member.double(), start.double())
        zero, time = torch.zeros_like(start[:, 0]), torch.zeros(len(noise), dtype=torch.int64, device=noise.device)
        ahead = zero.new_full((len(zero), self.horizon), torch.nan)
        trace, rest = torch.cat([zero[:, None], ahead], 1), torch.zeros_like(start)
        first, setting = loss.log10().float(), torch.zeros_like(start[:, :2])
        return DescentState(member, start, rest, gradient.float(), first, zero, zero, zero, setting, trace, time)

    def step(self, state: DescentState, action: Tensor, noise: Tensor) -> Step[DescentState]:
        """One step of the heavy ball."""
        size, momentum = settings(action.double())
        before, old = state.parameters.double(), state.gradient.double()
        moved = momentum[:, None] * state.velocity.double() - size[:, None] * old
        parameters = (before + moved).clamp(-FAR, FAR).float()
        velocity = (parameters.double() - before).float()
        loss, gradient = self.surface.loss(state.member.double(), parameters.double())
        level = (loss.log10() - state.first.double()).clamp(LOWEST, HIGHEST).float()
        along = velocity.double()
        curvature = ((gradient - old) * along).sum(1) / along.square().sum(1).clamp(min=1e-30)
        time, change = state.time + 1, level - state.level
        now = torch.arange(self.horizon + 1, device=action.device) == time[:, None]
        following = DescentState(
            member=state.member,
            parameters=parameters,
            velocity=velocity,
            gradient=gradient.float(),
            first=state.first,
            level=level,
            change=change,
            curvature=curvature.clamp(-1e6, 1e6).float(),
            setting=action,
            trace=torch.where(now, level[:, None], state.trace),
            time=time,
        )
        ended = time >= self.horizon
        return Step(following, -change, ended, {"loss": level.masked_fill(~ended, torch.nan)})

    def observe(self, state: DescentState) -> Tensor:
        """What the last steps did, (B, 9)."""
        gradient, velocity = state.gradient.double(), state.velocity.double()
        steep, fast = gradient.square().sum(1).sqrt(), velocity.square().sum(1).sqrt()
        cosine = (gradient * velocity).sum(1) / (steep * fast).clamp(min=1e-30)
        curvature = state.curvature.double()
        parts = [
            state.level.double() / 3,
            steep.clamp(min=1e-8).log10() / 2,
            state.change.double(),
            cosine,
            curvature.abs().clamp(1e-4, 1e4).log10().masked_fill(curvature == 0, 0.0),
            curvature.sign(),
            *state.setting.double().unbind(1),
            state.time.double() / self.horizon,
        ]
        return torch.stack(parts, 1).float()

    def expert(self, state: DescentState) -> Tensor:
        """The setting of all that are tried whose step leads lowest, (B, 2)."""
        at, velocity, gradient = (part.double() for part in (state.parameters, state.velocity, state.gradient))
        member = state.member.double()
        own = self._plane(member, at, velocity, gradient)
        tried = torch.cat([self.tried.expand(len(at), -1, -1), own[:, None]], 1)  # (B, C, 2)
        size, momentum = settings(tried)
        ends = at[:, None] + momentum[..., None] * velocity[:, None] - size[..., None] * gradient[:, None]
        loss = self.surface.value(member[:, None], ends.clamp(-FAR, FAR))
        best = loss.argmin(1)[:, None, None].expand(-1, 1, 2)
        return tried.gather(1, best)[:, 0].float()

    def _plane(self, member: Tensor, at: Tensor, velocity: Tensor, gradient: Tensor) -> Tensor:
        """Newton's step size and momentum in the plane of gradient and last step, as an action (B, 2)."""
        reach = 1e-4 / torch.stack([gradient, velocity]).square().sum(-1, keepdim=True).sqrt().clamp(min=1e-30)
        bent = [  # the Hessian's products with both, by central differences
            (self.surface.loss(member, at + h * way)[1] - self.surface.loss(member, at - h * way)[1]) / (2 * h)
            for h, way in zip(reach, (gradient, velocity), strict=True)
        ]
        a, b, c = (gradient * bent[0]).sum(1), (gradient * bent[1]).sum(1), (velocity * bent[1]).sum(1)
        p, q = gradient.square().sum(1), (gradient * velocity).sum(1)
        determinant = a * c - b * b
        both = determinant > 1e-9 * (a * c).abs()
        safe = torch.where(both, determinant, 1.0)
        size = torch.where(both, (p * c - q * b) / safe, p / a.abs().clamp(min=1e-30))
        momentum = torch.where(both, (p * b - q * a) / safe, 0.0)
        size = size.clamp(10**SMALLEST, 10**LARGEST)
        place = 2 * (size.log10() - SMALLEST) / (LARGEST - SMALLEST) - 1
        return torch.stack([place, 2 * momentum.clamp(0, STEADIEST) / STEADIEST - 1], 1)

    def draw(self, state: DescentState, canvas: Canvas) -> None:
        """The loss over the steps, the last setting, and what the next step will see."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle = canvas.width // 2
        canvas.text(f"Bring the loss down: {self.title}", (middle, 24), 28, anchor="center")
        names = ("steps", "log10 of the loss over its first value")
        area = canvas.axes((14, 45, 452, 270), (0, self.horizon), (LOWEST, HIGHEST), names, (4, 5))
        canvas.curve(torch.zeros(2), area, MUTED, LOWEST, HIGHEST, width=1, framed=False)
        canvas.curve(state.trace, area, ACCENT, LOWEST, HIGHEST, width=3, framed=False)
        size, momentum = (float(part) for part in settings(state.setting.double()))
        told = f"last step size {size:.3g}, momentum {momentum:.2f}" if int(state.time) else "no step taken yet"
        canvas.text(told, (middle, 338), 24, INK, "center")
        told = f"loss {10 ** float(state.first + state.level):.3g}, at the start {10 ** float(state.first):.3g}"
        canvas.text(told, (middle, 370), 24, GOOD, "center")
        steep = float(state.gradient.double().square().sum().sqrt())
        told = f"gradient's norm {steep:.3g}, curvature along the last step {float(state.curvature):.3g}"
        canvas.text(told, (middle, 402), 20, MUTED, "center")
        canvas.text(f"step {int(state.time)} of {self.horizon}", (middle, 450), 22, MUTED, "center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The numbers that the optimiser is steered by."""
        level, steep, change, cosine, curvature, sign, first, second, share = observation.tolist()
        size, momentum = (float(part) for part in settings(torch.tensor([first, second], dtype=torch.float64)))
        middle, begun = canvas.width // 2, round(share * self.horizon) > 0
        canvas.text(f"Bring the loss down: {self.title}", (middle, 30), 28, anchor="center")
        canvas.text(f"step {round(share * self.horizon)} of {self.horizon}", (middle, 65), 22, MUTED, "center")
        rows = [
            ("log10 of the loss over its first value", f"{3 * level:+.2f}"),
            ("changed by the last step", f"{change:+.2f}"),
            ("log10 of the gradient's norm", f"{2 * steep:+.2f}"),
            ("cosine of gradient and last step", f"{cosine:+.2f}"),
            ("curvature along the last step", f"{math.copysign(10**curvature, sign):.3g}" if sign else "none"),
            ("last step size", f"{size:.3g}" if begun else "none"),
            ("last momentum", f"{momentum:.2f}" if begun else "none"),
        ]
        for k, (name, value) in enumerate(rows):
            canvas.text(name, (24, 110 + 42 * k), 24, anchor="midleft")
            canvas.text(value, (456, 110 + 42 * k), 24, ACCENT, "midright")
        canvas.text("low loss, small gradient: down", (middle, 430), 20, MUTED, "center")

    def entries(self) -> list[str]:
        """Both settings."""
        return ["step size", "momentum"]


def settings(action: Tensor) -> tuple[Tensor, Tensor]:
    """Step sizes and momenta (...) of actions (..., 2)."""
    place = (action + 1) / 2
    return 10 ** (SMALLEST + (LARGEST - SMALLEST) * place[..., 0]), STEADIEST * place[..., 1]
