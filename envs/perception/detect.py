"""Detect: propose a box with a class and a confidence for each object of a picture, one at a time, then stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import flag, integer
from ..core.task import Step, Task
from ..core.tracing import row_by_row
from ..core.tree import tree_map
from ..drawing.canvas import ACCENT, BAD, GOOD, MUTED, Canvas
from ..drawing.choices import Choice
from .forms import SHAPES, shape_forms
from .measures import box_iou, highest_overlap, mean_average_precision, picture_precision
from .pictures import draw_box
from .rows import GREY, box_tables, boxed
from .scene import Scenes, picture_side

OBJECTS, PROPOSALS = 4, 6  # the most of a picture, and of an episode
ENTRIES = 6  # by which a proposal is told
CLASSES = len(SHAPES)
ENOUGH = 0.5  # of intersection over union
THRESHOLDS = tuple(k / 20 for k in range(10, 20))  # 0.5 to 0.95
FIRST_CLASS = 6  # entries of an action before those of the classes


@dataclass(frozen=True)
class DetectState:
    """A picture, what is in it, and what was proposed.

    Attributes:
        image: (B, C + 1, 16, 16) uint8 the picture, and the boxes proposed, each filled with a grey for its class.
        boxes: (B, 4, 4) int64 left, top, width and height of the object in each quarter, 0 where there is none.
        classes: (B, 4) int64 its class, -1 where there is none.
        found: (B, 4) bool which of them a proposal has matched.
        proposals: (B, 36) float32 what was proposed, as it is seen: of each box, class and confidence.
        overlap: (B, 6) float64 the highest with an object of the class, -1 where there is none.
        nearest: (B, 6) int64 the object that has it.
        right: (B, 6) bool which proposals matched.
        time: (B,) int64 steps taken.
        stopped: (B,) bool whether the agent has stopped.
    """

    image: Tensor
    boxes: Tensor
    classes: Tensor
    found: Tensor
    proposals: Tensor
    overlap: Tensor
    nearest: Tensor
    right: Tensor
    time: Tensor
    stopped: Tensor


class Detect(Task[DetectState]):
    """Box and name every object of a picture, one at a time, then stop.

    Find and name all of the one to four objects in a picture of 16 x 16 pixels.

    Isolates detection: how many things there are, where each is, how large and of which class, without finding one
    twice. The objects lie in different quarters of the picture and cover each other and the marks that clutter the
    ground; a box frames an object's covered parts as well. An episode has at most six proposals.

    Observation: a dict. "image": (2, 16, 16) uint8, the picture in grey, and the boxes proposed so far, each filled
        with a grey for its class; with `colour` (4, 16, 16), red, green and blue before the boxes. "proposals": (36,)
        float32, of each proposal in turn left, top, width and height as shares of the picture's side, the class's
        number as a share of 4, counted from 1, and the confidence; zeros for those to come.
    Action: Box(-1, 1, (10,)): left, top, width and height, -1 for 0 and 1 for the picture's side, rounded to whole
        pixels and cut to the picture, at least a pixel wide and high; the confidence c, -1 for 0 and 1 for 1; whether
        to stop (above 0), without a proposal; and a number for each class, the highest of which is named.
    Reward: a proposal matches if the object of its class that it overlaps most does so by an intersection over union
        of at least 0.5 and was not found before. It earns (2 c - c^2) / objects if it matches, else -c^2 / objects: at
        best on average if c is the chance of a match.
    Episode: terminates when the agent stops, or with the sixth proposal.
    Metrics: at the end, of the picture by itself: map_50, mean average precision at 0.5 by the PASCAL protocol; map,
        its average over the thresholds 0.5, 0.55, ..., 0.95; found, the share of objects found. `pooled` ranks the
        proposals of many pictures together.
    Expert: proposes each object not yet found, by quarters as one reads, and stops. It returns 1. Random actions return
        about -0.16, stopping at once 0.
    Source: Everingham et al. (2010) for the protocol, Lin et al. (2014) for the thresholds; one object after the other
        as in Stewart et al. (2016); the reward of a confidence after Brier (1950).

    Args:
        clutter: how many marks lie beneath the objects.
        colour: three channels; each object, mark and the ground of a random colour.

        side: pixels a side of the picture, 16 or 24; objects grow with it.

    Raises:
        InvalidInput: a number outside its limits.
    """

    variants = ({"colour": True, "side": 24}, {"clutter": 12})

    horizon = PROPOSALS
    thresholds: Tensor
    greys: Tensor  # (4, 32) int64 of each class, a picture's pixels, eight at once
    frames: Tensor

    def __init__(self, *, clutter: int = 4, colour: bool = False, side: int = 16) -> None:
        super().__init__()
        clutter = integer("Detect: clutter", clutter, 1, 32)
        self.channels = 3 if flag("Detect: colour", colour) else 1
        self.side = picture_side("Detect", side)
        self.scenes = Scenes(shape_forms(self.side), self.side, OBJECTS, clutter, self.channels)
        self.reset_noise = self.scenes.noise
        greys = (torch.arange(1, CLASSES + 1) * (3 * GREY)).to(torch.uint8)[:, None].repeat(1, self.side**2)
        self.register_buffer("greys", greys.view(torch.int64), persistent=False)
        self.register_buffer("frames", box_tables(self.side), persistent=False)
        self.register_buffer("thresholds", torch.tensor(THRESHOLDS, dtype=torch.float64), persistent=False)
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (self.channels + 1, self.side, self.side), np.uint8),
                "proposals": spaces.Box(0, 1, (PROPOSALS * ENTRIES,), np.float32),
            }
        )
        self.action_space = spaces.Box(-1, 1, (FIRST_CLASS + CLASSES,), np.float32)

    def reset(self, noise: Tensor) -> DetectState:
        """A scene without any proposal."""
        scene, batch = self.scenes(noise), len(noise)
        zeros = torch.zeros(batch, PROPOSALS, dtype=torch.int64, device=noise.device)
        return DetectState(
            image=torch.cat([scene.picture, torch.zeros_like(scene.picture[:, :1])], 1),
            boxes=scene.boxes,
            classes=scene.classes,
            found=torch.zeros_like(scene.classes, dtype=torch.bool),
            proposals=zeros.new_zeros(batch, PROPOSALS * ENTRIES, dtype=torch.float32),
            overlap=zeros.double() - 1,
            nearest=zeros,
            right=zeros > 0,
            time=zeros[:, 0],
            stopped=zeros[:, 0] > 0,
        )

    def step(self, state: DetectState, action: Tensor, noise: Tensor) -> Step[DetectState]:
        """Judges the proposal, and at the end all of them."""
        box, stopped = _box(action, self.side), action[:, 5] > 0
        named = action[:, FIRST_CLASS:].argmax(1)
        confidence = (action[:, 4] + 1) / 2
        same = state.classes == named[:, None]  # (B, 4)
        overlap = box_iou(box[:, None], state.boxes).masked_fill(~same, -1.0)
        highest, nearest = highest_overlap(overlap)  # (B,), (B,)
        own = torch.arange(OBJECTS, device=box.device) == nearest[:, None]
        match = own & (highest[:, None] >= ENOUGH) & ~state.found & ~stopped[:, None]  # (B, 4), at most one of a row
        right = match.any(1)
        objects = (state.classes >= 0).sum(1)
        earned = torch.where(right, confidence * (2 - confidence), -confidence.square()) / objects
        here = (torch.arange(PROPOSALS, device=box.device) == state.time[:, None]) & ~stopped[:, None]  # (B, 6)
        numbers = [box.float() / self.side, (named + 1)[:, None].float() / CLASSES, confidence[:, None]]
        told = torch.cat(numbers, 1)  # (B, 6)
        found, time = state.found | match, state.time + 1
        finished = stopped | (time >= PROPOSALS)
        following = DetectState(
            image=self._cover(state.image, box, named, stopped),
            boxes=state.boxes,
            classes=state.classes,
            found=found,
            proposals=torch.where(here[..., None], told[:, None], _each(state.proposals)).flatten(1),
            overlap=torch.where(here, highest[:, None], state.overlap),
            nearest=torch.where(here, nearest[:, None], state.nearest),
            right=state.right | (here & right[:, None]),
            time=time,
            stopped=stopped,
        )
        precision = self._precision(following, finished)  # (B, 2)
        metrics = {
            "map_50": precision[:, 0],
            "map": precision[:, 1],
            "found": (found.sum(1).float() / objects).masked_fill(~finished, torch.nan),
        }
        return Step(following, earned.masked_fill(stopped, 0.0), finished, metrics)

    def _cover(self, image: Tensor, box: Tensor, named: Tensor, stopped: Tensor) -> Tensor:
        """The image with one more box on top of those so far, unless the agent has stopped."""
        high = box[:, 3:].masked_fill(stopped[:, None], 0)
        return boxed(image, torch.cat([box[:, :3], high], 1), self.greys.index_select(0, named), self.frames)

    def _precision(self, state: DetectState, finished: Tensor) -> Tensor:
        """(B, 2) mean average precision at 0.5 and over all thresholds, NaN where the episode goes on."""
        if not row_by_row(finished.device):
            return self._judged(state).masked_fill(~finished[:, None], torch.nan)
        rows = (finished & (state.overlap >= ENOUGH).any(1)).nonzero().squeeze(1)  # else no threshold is reached
        judged = self._judged(tree_map(lambda tensor: tensor.index_select(0, rows), state))
        none = judged.new_zeros(len(finished), 2).masked_fill(~finished[:, None], torch.nan)
        return none.index_copy_(0, rows, judged)

    def _judged(self, state: DetectState) -> Tensor:
        entries = _each(state.proposals)
        proposals = _named(entries), entries[..., 5], state.overlap, state.nearest
        objects = (state.classes[:, None] == torch.arange(CLASSES, device=state.classes.device)[:, None]).sum(2)
        each = picture_precision(*proposals, objects, self.thresholds)  # (Q, B)
        return torch.stack([each[0], reduce(torch.add, each.unbind(0)) / len(each)], 1)

    def pooled(self, state: DetectState) -> dict[str, Tensor]:
        """`map_50` and `map` of many pictures together, () float64, from the states at the end of their episodes."""
        entries = _each(state.proposals)
        boxes = (entries[..., :4] * self.side).round().long()
        told = boxes, _named(entries), entries[..., 5], state.boxes, state.classes
        found = {"map_50": self.thresholds[:1], "map": self.thresholds}
        return {
            name: mean_average_precision(*told, count=CLASSES, thresholds=thresholds)
            for name, thresholds in found.items()
        }

    def observe(self, state: DetectState) -> dict[str, Tensor]:
        """The picture with what was proposed, as an image and as numbers."""
        return {"image": state.image, "proposals": state.proposals}

    def expert(self, state: DetectState) -> Tensor:
        """The first object that is not found; where there is none, to stop."""
        left = (state.classes >= 0) & ~state.found
        first = (left & (left.cumsum(1) == 1)).long()  # (B, 4), one of a row at most
        box = (first[..., None] * state.boxes).sum(1).float() / (self.side / 2) - 1
        kind = (first * state.classes).sum(1, keepdim=True) == torch.arange(CLASSES, device=left.device)
        flags = torch.cat([torch.ones_like(kind[:, :1]), ~left.any(1, keepdim=True), kind], 1)
        return torch.cat([box, flags.float() * 2 - 1], 1)

    def draw(self, state: DetectState, canvas: Canvas) -> None:
        """The picture with all boxes, the true ones dashed; beneath, what was found."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle = canvas.width // 2
        canvas.text("Box and name every shape, then stop", (middle, 24), size=26, anchor="center")
        frame = canvas.image(state.image[: self.channels], (60, 44, 360, 360))
        for box, kind in zip(state.boxes.tolist(), state.classes.tolist(), strict=True):
            if kind >= 0:
                draw_box(canvas, frame, self.side, box, SHAPES[kind], MUTED, truth=True)
        made, objects = 0, int((state.classes >= 0).sum())
        for right, (*box, kind, _) in zip(state.right.tolist(), _each(state.proposals).tolist(), strict=True):
            if kind > 0:
                made += 1
                told = f"{made} {self._name(kind)} {'+' if right else 'x'}"
                draw_box(canvas, frame, self.side, self._pixels(box), told, GOOD if right else BAD)
        told = f"found {int(state.found.sum())} of {objects} (dashed), with {made} of {PROPOSALS} boxes"
        canvas.text(told, (middle, 422), size=24, anchor="center")
        if bool(state.stopped) or int(state.time) == PROPOSALS:
            batch = tree_map(lambda tensor: tensor[None].to(self.thresholds.device), state)
            share = float(self._judged(batch)[0, 0])
            told = f"over: average precision {share:.2f} of 1"
        else:
            told = "+ is a match, x is none"
        canvas.text(told, (middle, 454), size=24, colour=MUTED, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The picture with the boxes proposed."""
        middle = canvas.width // 2
        canvas.text("Box and name every shape, then stop", (middle, 24), size=26, anchor="center")
        frame = canvas.image(observation["image"][: self.channels], (60, 44, 360, 360))
        made = 0
        for *box, kind, confidence in _each(observation["proposals"]).tolist():
            if kind > 0:
                made += 1
                told = f"{made} {self._name(kind)} {confidence:.2f}"
                draw_box(canvas, frame, self.side, self._pixels(box), told, ACCENT)
        canvas.text(f"{made} of {PROPOSALS} boxes, each with class and confidence", (middle, 422), 24, anchor="center")
        told = "one to four shapes, each in its own quarter"
        canvas.text(told, (middle, 454), size=22, colour=MUTED, anchor="center")

    def _name(self, entry: float) -> str:
        """The class of a proposal's entry."""
        return SHAPES[round(entry * CLASSES) - 1]

    def _pixels(self, box: Sequence[float]) -> list[int]:
        """A proposal's box."""
        return [round(share * self.side) for share in box]

    def choices(self) -> list[Choice]:
        """A key to stop."""
        stop = [-1.0] * (FIRST_CLASS + CLASSES)
        stop[5] = 1.0
        return [Choice("space", "stop", stop)]

    def entries(self) -> list[str]:
        """The box, its confidence, whether to stop, and the classes."""
        return ["left", "top", "width", "height", "sure", "stop", *SHAPES]


def _each(proposals: Tensor) -> Tensor:
    """(..., 6, 6) of each proposal its box, class and confidence, from all in a row."""
    return proposals.unflatten(-1, (PROPOSALS, ENTRIES))


def _named(entries: Tensor) -> Tensor:
    """(...) int64 the classes of proposals (..., 6), -1 for those to come."""
    return (entries[..., 4] * CLASSES).round().long() - 1


def _box(action: Tensor, side: int) -> Tensor:
    """(B, 4) int64 the box that an action (B, 4 or more) proposes in a picture of that side."""
    edges = ((action[:, :4] + 1) * (side / 2)).round().long()
    corner = edges[:, :2].clamp(max=side - 1)
    return torch.cat([corner, torch.minimum(edges[:, 2:].clamp(min=1), side - corner)], 1)
