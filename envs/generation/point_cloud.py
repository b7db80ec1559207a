"""PointCloud: place points one by one so that together they look like a density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, GOOD, MUTED, Canvas
from ..drawing.wording import fixed
from ..frozen.rounding import rounded

HILLS = 3
WIDTH = 0.3  # the kernel's standard deviation
LEAST = 0.2  # a hill's weight before all of them are scaled to a sum of 1; at most 1
FAR = 0.7  # how far from the middle a hill may stand along each axis
NARROWEST, WIDEST = 0.08, 0.3
CELLS = 21  # along each axis, of the places that the expert chooses from
PALE = (255, 255, 255)
PICTURE = 48  # pixels along each axis of a drawn density


@dataclass(frozen=True)
class PointCloudState:
    """A density and the points placed so far.

    Attributes:
        weight: (B, 3) float32 of each hill, the highest first; they add up to 1.
        centre: (B, 3, 2) float32 of each hill, right and up.
        deviation: (B, 3) float32 of each hill, the same along both axes.
        points: (B, N, 2) float32, zeros where none is placed yet.
        time: (B,) int64 points placed.
        left: (B,) float32 the discrepancy as a share of that without points.
    """

    weight: Tensor
    centre: Tensor
    deviation: Tensor
    points: Tensor
    time: Tensor
    left: Tensor


class PointCloud(Task[PointCloudState]):
    """Place points one by one so that together they look like a density.

    Isolates making a whole out of parts: where a point is worth most depends on those that lie already, in proportion
    to the hills' weights, and none can be moved. The density is a mixture of three round normal distributions, drawn
    anew for every episode: there is no data to split.

    How unlike they are is the squared maximum mean discrepancy under the kernel k(x, y) = exp(-|x - y|^2 / (2 * 0.3^2))
    between the density and the measure that has 1 / N at every point, which has a closed form; without points it is the
    density's own expected kernel.

    Observation: a dict. "hills": (12,) float32, weight, centre to the right and up, and standard deviation of each
        hill, the highest weight first; "points": (2 N,) float32, right and up of each, zeros where none is placed yet;
        "placed": Discrete(N + 1).
    Action: Box(-1, 1, (2,)), where the next point goes, right and up.
    Reward: the fall of the discrepancy as a share of that without points, so that a return is 1 at best.
    Episode: terminates with the last point, after N = `points` steps.
    Metrics: discrepancy of all points, squared, as it is.
    Expert: the place on a grid of 21 x 21 where the discrepancy falls most: kernel herding. It is greedy, a strong
        reference, no bound: it returns about 0.97.
    Source: Gretton et al. (2012) for the discrepancy; Chen, Welling and Smola (2010) for herding; the rules are
        Palaestra's own.

    Args:
        points: of an episode.

    Raises:
        InvalidInput: a number of points outside its limits.
    """

    variants = ({"points": 24},)

    reset_noise = 4 * HILLS
    grid: Tensor

    def __init__(self, *, points: int = 12) -> None:
        super().__init__()
        self.horizon = integer("PointCloud: points", points, 1, 256)
        self.register_buffer("grid", torch.linspace(-1, 1, CELLS, dtype=torch.float64), persistent=False)
        self.observation_space = spaces.Dict(
            {
                "hills": spaces.Box(-1, 1, (HILLS * 4,), np.float32),
                "points": spaces.Box(-1, 1, (self.horizon * 2,), np.float32),
                "placed": spaces.Discrete(self.horizon + 1),
            }
        )
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, noise: Tensor) -> PointCloudState:
        """A density and no points."""
        uniform = noise.double().view(-1, HILLS, 4)
        share = LEAST + (1 - LEAST) * uniform[..., 0]
        share = rounded(share / share.sum(1, keepdim=True)).sort(1, descending=True).values
        share = torch.cat([1 - share[:, 1:].sum(1, keepdim=True), share[:, 1:]], 1)  # exact: a grid of 1 / 4096
        centre = rounded(FAR * (2 * uniform[..., 1:3] - 1))
        deviation = rounded(NARROWEST + (WIDEST - NARROWEST) * uniform[..., 3])
        points = centre.new_zeros(len(noise), self.horizon, 2)
        time = torch.zeros(len(noise), dtype=torch.int64, device=noise.device)
        return PointCloudState(share, centre, deviation, points, time, torch.ones_like(share[:, 0]))

    def step(self, state: PointCloudState, action: Tensor, noise: Tensor) -> Step[PointCloudState]:
        """Places the point."""
        here = torch.arange(self.horizon, device=action.device) == state.time[:, None]
        points = torch.where(here[..., None], action[:, None].clamp(-1, 1), state.points)
        time = state.time + 1
        fall = self._fall(state, action[:, None].double().clamp(-1, 1))[:, 0]
        whole = _own(state)
        left = (state.left.double() - fall / whole).float()
        finished = time >= self.horizon
        metrics = {"discrepancy": (left.double() * whole).float().masked_fill(~finished, torch.nan)}
        following = PointCloudState(state.weight, state.centre, state.deviation, points, time, left)
        return Step(following, state.left - left, finished, metrics)

    def _fall(self, state: PointCloudState, place: Tensor) -> Tensor:
        """How far a point at each of the places (B, P, 2) float64 would lower the discrepancy, (B, P)."""
        apart = (place[:, :, None] - state.points.double()[:, None]).square().sum(3)  # (B, P, N)
        lies = torch.arange(self.horizon, device=place.device) < state.time[:, None, None]
        crowd = (_kernel(apart, WIDTH**2) * lies).sum(2)
        return (2 * _mean(state, place) - (1 + 2 * crowd) / self.horizon) / self.horizon

    def observe(self, state: PointCloudState) -> dict[str, Tensor]:
        """The density's numbers and the points."""
        hills = torch.cat([state.weight[..., None], state.centre, state.deviation[..., None]], 2)
        return {"hills": hills.flatten(1), "points": state.points.flatten(1), "placed": state.time}

    def expert(self, state: PointCloudState) -> Tensor:
        """The place on the grid where the discrepancy falls most, (B, 2)."""
        # A kernel is a product of one along each axis, so the whole grid is one product of matrices.
        variance, lies = _variance(state), torch.arange(self.horizon, device=self.grid.device) < state.time[:, None]
        spread = torch.cat([variance, torch.full_like(state.points[..., 0].double(), WIDTH**2)], 1)  # (B, 3 + N)
        height = torch.cat([state.weight.double() * WIDTH**2 / variance, lies * (-1 / self.horizon)], 1)
        middle = torch.cat([state.centre, state.points], 1).double()  # (B, 3 + N, 2)
        along = _kernel((self.grid - middle[..., None]).square(), spread[..., None, None])  # (B, 3 + N, 2, 21)
        gain = torch.einsum("bjx,bjy->bxy", height[..., None] * along[:, :, 0], along[:, :, 1])
        best = rounded(gain.flatten(1)).argmax(1)
        return torch.stack([self.grid[best // CELLS], self.grid[best % CELLS]], 1).float()

    def draw(self, state: PointCloudState, canvas: Canvas) -> None:
        """The density with the points on it, and how much of the discrepancy is left."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        self._draw(self.observe_one(state), canvas)
        told = f"difference left: {fixed(100 * float(state.left), 1)} % of what it is without points"
        canvas.text(told, (canvas.width // 2, 458), size=22, colour=GOOD, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The density with the points on it."""
        self._draw(observation, canvas)
        told = "more where it is darker; numbers count points"
        canvas.text(told, (canvas.width // 2, 458), size=22, colour=MUTED, anchor="center")

    def _draw(self, observation: Any, canvas: Canvas) -> None:
        """The density, the darker the denser, the points numbered by their marks, and their number."""
        middle, placed = canvas.width // 2, int(observation["placed"])
        canvas.text("Place points so that they look like the shading", (middle, 26), size=26, anchor="center")
        line = torch.linspace(-1, 1, PICTURE)
        density = torch.zeros(PICTURE, PICTURE)
        for share, right, up, deviation in observation["hills"].view(HILLS, 4).tolist():
            hill = torch.exp(-((line - right) ** 2 + (line.flip(0)[:, None] - up) ** 2) / (2 * deviation**2))
            density += share / deviation**2 * hill
        shade = (density / density.max()).sqrt()
        rect = (middle - 180, 52, 360, 360)
        canvas.image(1 - 0.8 * shade, rect, border=MUTED)
        if placed:
            limits, xy = (-1, 1, -1, 1), observation["points"].view(-1, 2)[:placed]
            canvas.points(xy, rect, (PALE,), 10, limits)
            canvas.points(xy, rect, (ACCENT,), 8, limits)
            for (x, y), count in zip(*(part.tolist() for part in xy.unique(dim=0, return_counts=True)), strict=True):
                if count > 1:  # points on the same spot
                    place = (rect[0] + 180 * (1 + x), rect[1] + 180 * (1 - y) + 1)
                    canvas.text(f"{count}", place, 20, PALE, "center")
        canvas.text(f"{placed} of {self.horizon} points", (middle, 430), size=24, anchor="center")

    def entries(self) -> list[str]:
        """Where the point goes."""
        return ["right", "up"]


def _kernel(square: Tensor, variance: Tensor | float) -> Tensor:
    """exp(-square / (2 variance))."""
    return torch.exp(-square / (2 * variance))


def _variance(state: PointCloudState) -> Tensor:
    """That of each hill seen through the kernel, (B, 3) float64."""
    return state.deviation.double().square() + WIDTH**2


def _mean(state: PointCloudState, place: Tensor) -> Tensor:
    """The kernel's expectation under the density at places (B, P, 2) float64, (B, P)."""
    variance = _variance(state)[:, None]  # (B, 1, 3)
    apart = (place[:, :, None] - state.centre.double()[:, None]).square().sum(3)  # (B, P, 3)
    return (state.weight.double()[:, None] * WIDTH**2 / variance * _kernel(apart, variance)).sum(2)


def _own(state: PointCloudState) -> Tensor:
    """The kernel's expectation between two draws from the density, (B,) float64."""
    square = state.deviation.double().square()
    variance = WIDTH**2 + square[:, :, None] + square[:, None]  # (B, 3, 3)
    apart = (state.centre[:, :, None].double() - state.centre[:, None].double()).square().sum(3)
    weight = state.weight.double()
    return (weight[:, :, None] * weight[:, None] * WIDTH**2 / variance * _kernel(apart, variance)).sum((1, 2))
