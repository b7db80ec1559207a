"""Segment: say of every pixel of a picture what it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import flag, integer
from ..core.task import Step, Task
from ..drawing.canvas import COLOURS, INK, MUTED, PANEL, Canvas
from .forms import SHAPES, shape_forms
from .measures import matched_iou, mean_iou, panoptic_quality
from .rows import painted, pixels, spread_tables
from .scene import Scene, Scenes, picture_side

OBJECTS = 4  # the most of a picture
VALUES = 5  # of a pixel: the ground, and four classes or four objects
VALUE_BITS = 3


@dataclass(frozen=True)
class SegmentState:
    """A picture, what each pixel is, and the answer.

    Attributes:
        picture: (B, C, S, S) uint8.
        truth: (B, S, S) uint8 0 for the ground, else 1 and up for the class, or the object, that a pixel belongs to.
        answer: (B, S, S) uint8 the agent's; 0 before.
        time: (B,) int64 steps taken.
    """

    picture: Tensor
    truth: Tensor
    answer: Tensor
    time: Tensor


class Segment(Task[SegmentState]):
    """Say of every pixel of a picture what it belongs to.

    Outline one to four objects that cover each other in a picture of 16 x 16 pixels, all of it at once.

    Isolates dense prediction: there are as many answers as pixels, and what a pixel belongs to is decided by what lies
    around it, also far away. The objects are shapes of four classes, 5 to 9 pixels a side, each of another
    grey, in different quarters of the picture; small marks of other greys beneath them are ground.

    Observation: (1, 16, 16) uint8, with `colour` (3, 16, 16); `side` pixels a side.
    Action: MultiDiscrete, (16, 16) times 5: for each pixel 0 for the ground, or 1 and up for a square, frame,
        triangle or cross. With `instances` 1 to 4 stand for objects, whatever their class, in any order.
    Reward: intersection over union, averaged over ground and classes that occur in picture or answer; with `instances`
        the panoptic quality: a mask of the answer matches that of an object if their intersection over union is above
        one half, and the sum over matches is divided by the mean number of masks in answer and picture.
    Episode: a single step, which terminates.
    Metrics: pixels, the share that is right; without `instances` iou and with them quality, the reward; then also
        matched, the mean over objects of the overlap with their mask, in the pairing of masks where it is highest.
    Expert: the truth; objects are numbered as one reads. It returns 1. Random actions return 0.07, calling all of it
        ground returns 0.26; with `instances` both return 0.
    Source: Long et al. (2015) for the measure; Kirillov et al. (2019) for the panoptic quality.

    Args:
        clutter: how many marks lie beneath the objects.
        colour: three channels; each object, mark and the ground of a random colour.
        instances: tell objects apart instead of classes.
        side: pixels a side of the picture, 16 or 24; objects grow with it.

    Raises:
        InvalidInput: a number outside its limits.
    """

    variants = ({"instances": True}, {"colour": True, "side": 24})

    horizon = 1
    pairings: Tensor
    spread: Tensor

    def __init__(self, *, clutter: int = 3, colour: bool = False, instances: bool = False, side: int = 16) -> None:
        super().__init__()
        clutter = integer("Segment: clutter", clutter, 1, 32)
        self.instances = flag("Segment: instances", instances)
        self.side = picture_side("Segment", side)
        channels = 3 if flag("Segment: colour", colour) else 1
        self.scenes = Scenes(shape_forms(self.side), self.side, OBJECTS, clutter, channels)
        self.reset_noise = self.scenes.noise
        self.names = [f"object {k + 1}" for k in range(OBJECTS)] if instances else SHAPES
        self.register_buffer("pairings", torch.tensor([*permutations(range(OBJECTS))]), persistent=False)  # (24, 4)
        self.register_buffer("spread", spread_tables(VALUE_BITS), persistent=False)
        self.observation_space = spaces.Box(0, 255, (channels, self.side, self.side), np.uint8)
        self.action_space = spaces.MultiDiscrete(np.full((self.side, self.side), VALUES))

    def reset(self, noise: Tensor) -> SegmentState:
        """A scene."""
        scene = self.scenes(noise)
        truth = self._truth(scene)
        return SegmentState(scene.picture, truth, torch.zeros_like(truth), torch.zeros_like(scene.classes[:, 0]))

    def _truth(self, scene: Scene) -> Tensor:
        """(B, S, S) uint8 what each pixel is: the objects painted with their values instead of greys."""
        values = scene.slots if self.instances else scene.classes.t().gather(0, scene.slots)  # (K, B)
        planes = painted(scene.masks, values[:, None] + 1, torch.zeros_like(values[:1]), VALUE_BITS)
        return pixels(planes, self.spread, self.side)[:, 0]

    def step(self, state: SegmentState, action: Tensor, noise: Tensor) -> Step[SegmentState]:
        """Judges the answer."""
        answer = action.to(torch.uint8)
        reward, right, counts = self._judged(answer, state.truth)
        metrics = {"quality" if self.instances else "iou": reward, "pixels": right}
        if self.instances:
            metrics["matched"] = matched_iou(*_masks(counts), self.pairings).float()
        following = SegmentState(state.picture, state.truth, answer, state.time + 1)
        return Step(following, reward, torch.ones_like(reward, dtype=torch.bool), metrics)

    def _judged(self, answer: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The reward (B,), the share of right pixels (B,) and the counts of answers (B, S, S), see `_together`."""
        counts = self._together(answer, truth)
        right = counts.diagonal(dim1=1, dim2=2)  # (B, 5)
        share = right.sum(1).float() / (self.side * self.side)
        if self.instances:
            return panoptic_quality(*_masks(counts)).float(), share, counts
        return mean_iou(right, counts.sum(2), counts.sum(1)).float(), share, counts

    def _together(self, answer: Tensor, truth: Tensor) -> Tensor:
        """(B, 5, 5) int64 how many pixels have each value in the answer (B, S, S), and each in truth."""
        pair = (answer * VALUES + truth).flatten(1).long()  # (B, S S)
        counts = torch.zeros(len(pair), VALUES * VALUES, dtype=torch.int32, device=pair.device)
        return counts.scatter_add_(1, pair, torch.ones_like(pair, dtype=torch.int32)).long().unflatten(1, (VALUES, -1))

    def observe(self, state: SegmentState) -> Tensor:
        """The picture."""
        return state.picture

    def expert(self, state: SegmentState) -> Tensor:
        """What each pixel is."""
        return state.truth.long()

    def draw(self, state: SegmentState, canvas: Canvas) -> None:
        """The picture, what the agent made of it and what is true, each value with a colour and a mark."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle = canvas.width // 2
        canvas.text(self._told(), (middle, 22), size=26, anchor="center")
        left, right, top, bottom, size = 16, 250, 60, 280, 192
        canvas.image(state.picture, (left, top, size, size), border=MUTED)
        self._map(state.truth.tolist(), (left, bottom), size, canvas)
        for text, place in (("picture", (left, top)), ("truth", (left, bottom)), ("answer", (right, top))):
            canvas.text(text, (place[0] + size // 2, place[1] - 12), size=20, colour=MUTED, anchor="center")
        if int(state.time):
            self._map(state.answer.tolist(), (right, top), size, canvas)
        else:
            canvas.outline((right, top, size, size), MUTED)
            canvas.text("none yet", (right + size // 2, top + size // 2), size=22, colour=MUTED, anchor="center")
        self._legend((right + 16, bottom), canvas)
        if int(state.time):
            device = self.pairings.device
            reward, *_ = self._judged(*(one[None].to(device) for one in (state.answer, state.truth)))
            told = f"{'panoptic quality' if self.instances else 'mean overlap'} {float(reward):.2f} of 1"
            canvas.text(told, (right + size // 2, bottom + 172), size=24, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The picture, and what its pixels may be."""
        canvas.text(self._told(), (canvas.width // 2, 26), size=26, anchor="center")
        canvas.image(observation, (80, 48, 320, 320), border=MUTED)
        kinds = "objects, numbered in any order" if self.instances else "shapes"
        told = f"0 is the ground, 1 to 4 are the {kinds}"
        canvas.text(told, (canvas.width // 2, 396), size=24, anchor="center")
        told = ", ".join(f"{k + 1} {name}" for k, name in enumerate(self.names))
        canvas.text(told, (canvas.width // 2, 428), size=22, colour=MUTED, anchor="center")

    def _told(self) -> str:
        return "Say which object each pixel is" if self.instances else "Say what each pixel belongs to"

    def _map(self, values: Sequence[Sequence[int]], corner: tuple[int, int], size: int, canvas: Canvas) -> None:
        """What each pixel is: a colour and a mark."""
        cell = size // self.side
        for row, line in enumerate(values):
            for column, value in enumerate(line):
                _cell(canvas, (corner[0] + column * cell, corner[1] + row * cell), cell, value)
        canvas.outline((*corner, cell * self.side, cell * self.side), MUTED)

    def _legend(self, corner: tuple[int, int], canvas: Canvas) -> None:
        """The colour and the mark of each value."""
        for value, name in enumerate(["ground", *self.names]):
            place = corner[0], corner[1] + 30 * value
            for k in range(4):
                _cell(canvas, (place[0] + 12 * (k % 2), place[1] + 12 * (k // 2)), 12, value)
            canvas.text(f"{value} {name}", (place[0] + 36, place[1] + 12), size=22, anchor="midleft")

    def entries(self) -> list[str]:
        """Row and column of each pixel."""
        return [f"{row},{column}" for row in range(self.side) for column in range(self.side)]


def _masks(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of counts (B, 5, 5): pixels in common (B, 4, 4), those of each mask of the answer, and of each object."""
    return counts[:, 1:, 1:], counts[:, 1:].sum(2), counts[:, :, 1:].sum(1)


def _cell(canvas: Canvas, place: tuple[int, int], size: int, value: int) -> None:
    """A pixel's square: plain for the ground, else with a bar along one of its sides, or none."""
    x, y = place
    canvas.fill((x, y, size, size), PANEL if value == 0 else COLOURS[value - 1])
    thin = max(2, size // 5)
    bars = {2: (x, y, size, thin), 3: (x, y, thin, size), 4: (x + size // 2 - 1, y + size // 2 - 1, thin, thin)}
    if value in bars:
        canvas.fill(bars[value], INK)
