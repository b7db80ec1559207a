"""Localize: move and stretch a box until it frames the object in a cluttered picture, then name the object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, flag, integer
from ..classification.sources.images import DIGITS
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, GOOD, MUTED, Canvas
from ..drawing.choices import Choice, numbered
from .forms import SHAPES, digit_forms, shape_forms
from .measures import box_iou
from .pictures import draw_box
from .scene import Scenes, picture_side

REGION = 12  # pixels a side of the region seen larger or smaller
MARGIN = 2  # pixels that it goes beyond the box
REACH = 4  # pixels that an edge moves in a step, at most
MOVES = ("to the right", "downwards", "wider", "taller", "submit")


@dataclass(frozen=True)
class LocalizeState:
    """A picture, what is in it, and the box so far.

    Attributes:
        picture: (B, C, 16, 16) uint8.
        target: (B, 4) int64 left, top, width and height of the object.
        label: (B,) int64 its class.
        box: (B, 4) int64 the agent's box.
        time: (B,) int64 steps taken.
        guess: (B,) int64 the class submitted, -1 before.
    """

    picture: Tensor
    target: Tensor
    label: Tensor
    box: Tensor
    time: Tensor
    guess: Tensor


class Localize(Task[LocalizeState]):
    """Move and stretch a box until it frames an object, then name it.

    Frame the one object in a picture of 16 x 16 pixels and name its class.

    Isolates localisation: where something is and how large it is, read off the picture, beside what it is. The object
    lies anywhere on small marks of other greys that clutter the ground. The box starts as the picture's middle, 8 x 8
    pixels, and stays in the picture: what would leave it is cut.

    Observation: a dict. "image": (1, 16, 16) uint8, with `colour` (3, 16, 16); "box": (4,) float32, the box's left,
        top, width and height as shares of the picture's side; "region": (1, 12, 12) uint8, or (3, 12, 12), the box and
        two pixels around it, whatever its size, each pixel the nearest of the picture, black beyond it.
    Action: Box(-1, 1, (5 + classes,)): how far the box moves to the right and down, how much wider and taller it gets,
        each rounded to whole pixels of at most 4 at once (16 where `steps` is 1, and so many that every box can be
        reached in between); whether it is submitted (above 0), after it has moved; and a number for each class, the
        highest of which is named then.
    Reward: what the box gains in intersection over union with the object's own, which frames it tightly; when it is
        submitted, the intersection over union once more if the class is right.
    Episode: terminates when the box is submitted; the last step submits it in any case.
    Metrics: iou of the box submitted; accuracy of the class.
    Expert: moves every edge as far towards the object as it may and submits when it arrives, with the right class. It
        returns 1.71, as the box has 0.29 to begin with. Random actions return -0.07.
    Source: Caicedo and Lazebnik (2015) for a box that acts and a region of one size; digits of Alpaydin and Kaynak
        (1998), by scikit-learn.

    Args:
        objects: "shapes" of four classes, each of 5 to 9 pixels a side, made anew in every episode; or "digits" of ten,
            black and white, in three sizes.
        clutter: how many marks lie beneath the object.
        colour: three channels; object, marks and ground each of a random colour.
        side: pixels a side of the picture, 16 or 24; objects grow with it.
        steps: after which an episode ends; 1 to predict the box at once.
        split: "train", "validation" or "test", the images that digits are taken from; shapes have no data to split.

    Raises:
        InvalidInput: an unknown kind of object or split, or a number outside its limits.
    """

    variants = ({"objects": "digits", "split": "test"}, {"steps": 1}, {"colour": True, "clutter": 12, "side": 24})

    def __init__(
        self,
        *,
        objects: str = "shapes",
        clutter: int = 4,
        colour: bool = False,
        side: int = 16,
        steps: int = 10,
        split: str = "train",
    ) -> None:
        super().__init__()
        choice("Localize: objects", objects, ("shapes", "digits"))
        choice("Localize: split", split, SPLITS)
        clutter = integer("Localize: clutter", clutter, 1, 32)
        self.horizon = integer("Localize: steps", steps, 1, 100)
        self.side = picture_side("Localize", side)
        self.reach = max(REACH, -(-self.side // self.horizon))
        forms = digit_forms(split, self.side) if objects == "digits" else shape_forms(self.side)
        self.class_names = DIGITS if objects == "digits" else SHAPES
        channels = 3 if flag("Localize: colour", colour) else 1
        self.scenes = Scenes(forms, self.side, 1, clutter, channels)
        self.reset_noise = self.scenes.noise
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (channels, self.side, self.side), np.uint8),
                "box": spaces.Box(0, 1, (4,), np.float32),
                "region": spaces.Box(0, 255, (channels, REGION, REGION), np.uint8),
            }
        )
        self.action_space = spaces.Box(-1, 1, (len(MOVES) + len(self.class_names),), np.float32)

    def reset(self, noise: Tensor) -> LocalizeState:
        """A scene, and the box in its middle."""
        scene = self.scenes(noise)
        label = scene.classes[:, 0]
        quarter = torch.full_like(label, self.side // 4)
        box = torch.stack([quarter, quarter, 2 * quarter, 2 * quarter], 1)
        zero = torch.zeros_like(label)
        return LocalizeState(scene.picture, scene.boxes[:, 0], label, box, zero, zero - 1)

    def step(self, state: LocalizeState, action: Tensor, noise: Tensor) -> Step[LocalizeState]:
        """Moves the box, and judges it where it is submitted."""
        moved = state.box + (action[:, :4] * self.reach).round().long()
        corner = moved[:, :2].clamp(0, self.side - 1)
        box = torch.cat([corner, torch.minimum(moved[:, 2:].clamp(min=1), self.side - corner)], 1)
        time = state.time + 1
        submitted = (action[:, 4] > 0) | (time >= self.horizon)
        guess = action[:, 5:].argmax(1)
        correct = submitted & (guess == state.label)
        before, after = box_iou(state.box, state.target), box_iou(box, state.target)
        reward = (after - before + after * correct).float()
        metrics = {
            "iou": after.float().masked_fill(~submitted, torch.nan),
            "accuracy": correct.float().masked_fill(~submitted, torch.nan),
        }
        guess = guess.masked_fill(~submitted, -1)
        following = LocalizeState(state.picture, state.target, state.label, box, time, guess)
        return Step(following, reward, submitted, metrics)

    def observe(self, state: LocalizeState) -> dict[str, Tensor]:
        """The picture, the box and what lies in it."""
        region = self._region(state.picture, state.box)
        return {"image": state.picture, "box": state.box.float() / self.side, "region": region}

    def _region(self, picture: Tensor, box: Tensor) -> Tensor:
        """(B, C, 12, 12) the boxes (B, 4) of pictures with what lies around them, stretched to one size."""
        middle = 2 * torch.arange(REGION, device=box.device) + 1  # of each pixel, in 24ths of the region
        place = box[:, :2, None] - MARGIN + (box[:, 2:, None] + 2 * MARGIN) * middle // (2 * REGION)  # (B, 2, 12)
        within = (place >= 0) & (place < self.side)
        column, row = place.clamp(0, self.side - 1).unbind(1)
        index = (row[:, :, None] * self.side + column[:, None]).flatten(1)  # (B, 144)
        seen = picture.flatten(2).gather(2, index[:, None].expand(-1, picture.shape[1], -1))
        return seen.unflatten(2, (REGION, REGION)) * (within[:, 1, :, None] & within[:, 0, None])[:, None]

    def expert(self, state: LocalizeState) -> Tensor:
        """The way to the object, as far as a step goes; its class in every step."""
        way = state.target - state.box  # (B, 4)
        move = way.clamp(-self.reach, self.reach)
        arrives = (move == way).all(1, keepdim=True)
        scores = state.label[:, None] == torch.arange(len(self.class_names), device=way.device)
        return torch.cat([move.float() / self.reach, torch.cat([arrives, scores], 1).float() * 2 - 1], 1)

    def draw(self, state: LocalizeState, canvas: Canvas) -> None:
        """The picture with the agent's box and the true one; beneath, how well they agree."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, guess, label = canvas.width // 2, int(state.guess), int(state.label)
        canvas.text(self._told(), (middle, 26), size=26, anchor="center")
        frame = canvas.image(state.picture, (72, 48, 336, 336))
        name = self.class_names[label]
        draw_box(canvas, frame, self.side, state.target.tolist(), f"truth: {name}", GOOD, truth=True)
        draw_box(canvas, frame, self.side, state.box.tolist(), "box" if guess < 0 else self.class_names[guess], ACCENT)
        share = float(box_iou(state.box, state.target))
        if guess < 0:
            canvas.text(f"overlap {share:.2f} of 1", (middle, 410), size=26, anchor="center")
            told = f"step {int(state.time)} of {self.horizon}"
            canvas.text(told, (middle, 445), size=24, colour=MUTED, anchor="center")
            return
        canvas.verdict(guess == label, (72, 394, 336, 76))
        told = f"a {name}: right" if guess == label else f"named {self.class_names[guess]}; it is a {name}"
        canvas.text(told, (middle - 10, 418), size=24, anchor="center", max_width=260)
        canvas.text(f"overlap {share:.2f} of 1", (middle - 10, 446), size=24, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The picture with the agent's box."""
        middle = canvas.width // 2
        canvas.text(self._told(), (middle, 26), size=26, anchor="center")
        frame = canvas.image(observation["image"], (72, 48, 336, 336))
        box = [round(float(share) * self.side) for share in observation["box"]]
        draw_box(canvas, frame, self.side, box, "box", ACCENT)
        left, top, wide, high = box
        canvas.text(f"box: {wide} x {high} pixels at ({left}, {top})", (middle, 410), size=24, anchor="center")
        told = f"up to {self.reach} pixels a step; submit it with a class"
        canvas.text(told, (middle, 445), size=22, colour=MUTED, anchor="center")

    def _told(self) -> str:
        kind = "digit" if self.class_names == DIGITS else "shape"
        return f"Frame the {kind} tightly, then name it"

    def choices(self) -> list[Choice]:
        """An arrow for each way, a letter for each way to stretch, and a key for each class, which submits."""
        classes = len(self.class_names)
        named = numbered(self.class_names)
        ways = [("right", 0, 1), ("left", 0, -1), ("down", 1, 1), ("up", 1, -1)]
        ways += [("w", 2, 1), ("n", 2, -1), ("t", 3, 1), ("l", 3, -1)]
        labels = {"w": "wider", "n": "narrower", "t": "taller", "l": "lower"}
        moves = []
        for key, entry, sign in ways:
            action = [0.0] * (len(MOVES) + classes)
            action[entry], action[4] = float(sign), -1.0
            moves.append(Choice(key, labels.get(key, key), action))
        submitted = [[0.0] * 4 + [1.0] + [1.0 if k == one.action else -1.0 for k in range(classes)] for one in named]
        return moves + [Choice(one.key, one.label, action) for one, action in zip(named, submitted, strict=True)]

    def entries(self) -> list[str]:
        """Moves, the submission, and the classes."""
        return ["right", "down", "wider", "taller", "submit", *self.class_names]
