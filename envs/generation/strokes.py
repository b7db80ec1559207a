"""Strokes: copy a drawing, or draw a digit, with a pen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, integer
from ..classification.sources.images import load_images
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, BAD, GOOD, INK, MUTED, Canvas
from ..drawing.wording import fixed
from ..frozen.classifiers import classifier
from ..frozen.likeness import likeness
from ..frozen.rounding import rounded

SIDE, CLASSES = 8, 10
REACH = 2.0  # pixels that a step moves the pen along each axis at most
CORE, RIM = 0.5, 1.25  # pixels from the line up to which ink is full, and from which on there is none
WHITE = 255
GRID = 2 * SIDE - 1  # places along an axis, half a pixel apart, from which and to which the expert draws
PRESSURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # that it chooses from
NEAR = 2.0  # pixels at which missing ink counts 1 / e of what it does where the pen is
HERE, APART = 40, 128  # what it makes of a grey that is missing where the pen is, and of one that is wrong


@dataclass(frozen=True)
class StrokesState:
    """A drawing, the pen over it, and what should be drawn.

    Attributes:
        canvas: (B, 1, 8, 8) uint8 the ink so far, 255 for full.
        target: (B, 1, 8, 8) uint8 the drawing to copy; for the goal "class" what the expert draws, hidden.
        request: (B,) int64 the digit's class.
        pen: (B, 2) float32 where the pen is, pixels to the right and down from the middle of the upper left pixel.
        time: (B,) int64 steps taken.
        closeness: (B,) float32 the agreement with the target, or the classifier's confidence.
    """

    canvas: Tensor
    target: Tensor
    request: Tensor
    pen: Tensor
    time: Tensor
    closeness: Tensor


class Strokes(Task[StrokesState]):
    """Copy a drawing, or draw a digit, with a pen that moves and presses.

    Isolates drawing by continuous movements: a stroke leaves ink all along its way, ink never comes off, the pen has to
    travel, and there are too few steps to waste many. The drawings are scikit-learn's digits, 8 x 8 pixels in 17 greys.

    A step moves the pen in a straight line. Pixels whose middle is within half a pixel of the line get ink as dark as
    the pen presses; from there it fades to nothing at a distance of 1.25. Where there is darker ink already, it stays.

    Observation: a dict. "canvas": (1, 8, 8) uint8, the ink so far, 255 for full; "pen": (2,) float32, where the pen is,
        right and down, from -1 to 1 between the middles of the outermost pixels; "time": Discrete(length + 1), steps
        taken; for the goal "drawing", "target": (1, 8, 8) uint8, the drawing to copy; for the goal "class", "request":
        Discrete(10), the digit to draw, uniform.
    Action: Box(-1, 1, (3,)): how far the pen moves to the right and down, 1 being 2 pixels, up to the outermost pixels'
        middles; and how hard it presses, 1 for full ink; from 0 down it is lifted.
    Reward: the gain of closeness. For a drawing that is 1 - sum |canvas - target| / sum target, 0 for an empty canvas
        and 1 at best; for a class the probability that a frozen classifier (the adversarially trained one of
        `frozen.classifiers`) gives to it.
    Episode: terminates after `length` steps. The pen begins in the middle.
    Metrics: closeness at the end. An evaluation adds the drawings' likeness to the split's digits, see
        `frozen.likeness`.
    Expert: of strokes to 81 places within reach, half a pixel apart, at six pressures, the one with the highest gain of
        agreement and the most missing ink close by, far ink counting less; for a class with the digit of the split that
        the classifier is surest of as target. A strong reference, no bound, and little above the greedy drawer that
        takes the stroke with the highest gain: on the validation drawings they return 0.76 and 0.75. Going to the pixel
        in reach that lacks most ink returns 0.51, random strokes about 0.
    Source: drawing by strokes as in Ganin et al. (2018) and Huang et al. (2019); Alpaydin and Kaynak (1998) for the
        digits, by scikit-learn; the rules are Palaestra's own.

    Args:
        goal: "drawing" or "class".
        length: steps of an episode.
        split: "train", "validation" or "test", the digits to copy; that of `DigitBandit`.

    Raises:
        InvalidInput: an unknown goal or split, or a length outside its limits.
    """

    variants = ({"split": "test"}, {"goal": "class"})

    reset_noise = 1
    targets: Tensor
    labels: Tensor
    moves: Tensor
    inks: Tensor
    pressures: Tensor
    nearness: Tensor

    def __init__(self, *, goal: str = "drawing", length: int = 12, split: str = "train") -> None:
        super().__init__()
        self.goal = choice("Strokes: goal", goal, ("drawing", "class"))
        self.split = choice("Strokes: split", split, SPLITS)
        self.horizon = integer("Strokes: length", length, 1, 1000)
        pixels, classes, _ = load_images("digits", split)
        images, labels = torch.from_numpy(pixels), torch.from_numpy(classes)
        if goal == "class":
            self.classifier = classifier("robust").double()
            sure = self.classifier(images.double() / WHITE).log_softmax(1)  # (N, 10)
            rows = sure.masked_fill(labels[:, None] != torch.arange(CLASSES), -torch.inf).argmax(0)
            images, labels = images[rows], labels[rows]
        self.register_buffer("targets", images, persistent=False)  # (N, 1, 8, 8)
        self.register_buffer("labels", labels, persistent=False)
        middles = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).flip(1).double()  # (64, 2) right, down
        halves = torch.arange(-2 * int(REACH), 2 * int(REACH) + 1, dtype=torch.float64) / 2
        self.register_buffer("moves", torch.cartesian_prod(halves, halves), persistent=False)  # (81, 2)
        places = torch.cartesian_prod(torch.arange(GRID), torch.arange(GRID)).flip(1).double()[:, None] / 2
        inks = WHITE * self._stroke(places, (places + self.moves).clamp(0, SIDE - 1))
        self.register_buffer("inks", inks.float(), persistent=False)  # (225, 81, 64) of full strokes from each place
        self.register_buffer("pressures", torch.tensor(PRESSURES, dtype=torch.float32), persistent=False)
        away = (places - middles).square().sum(2).sqrt()
        nearness = (HERE * torch.exp(-away / NEAR)).round().float()
        self.register_buffer("nearness", nearness, persistent=False)  # (225, 64) of each pixel to each place
        image = spaces.Box(0, WHITE, (1, SIDE, SIDE), np.uint8)
        parts: dict[str, spaces.Space[Any]] = {
            "canvas": image,
            "pen": spaces.Box(-1, 1, (2,), np.float32),
            "time": spaces.Discrete(self.horizon + 1),
        }
        wanted = {"target": image} if goal == "drawing" else {"request": spaces.Discrete(CLASSES)}
        self.observation_space = spaces.Dict(parts | wanted)
        self.action_space = spaces.Box(-1, 1, (3,), np.float32)

    def reset(self, noise: Tensor) -> StrokesState:
        """An empty canvas, the pen in its middle, and what is wanted."""
        row = (noise[:, 0] * len(self.targets)).long()
        target, request = self.targets.index_select(0, row), self.labels.index_select(0, row)
        pen = noise.new_full((len(row), 2), (SIDE - 1) / 2, dtype=torch.float32)
        canvas, time = torch.zeros_like(target), torch.zeros_like(row)
        return StrokesState(canvas, target, request, pen, time, self._closeness(canvas, target, request))

    def step(self, state: StrokesState, action: Tensor, noise: Tensor) -> Step[StrokesState]:
        """Moves the pen, which leaves ink."""
        start = state.pen.double()
        end = rounded((start + REACH * action[:, :2].double()).clamp(0, SIDE - 1))
        ink = self._stroke(start, end.double()) * action[:, 2:].double().clamp(min=0)  # (B, 64)
        canvas = torch.maximum(state.canvas, _grey(ink).view_as(state.canvas))
        closeness = self._closeness(canvas, state.target, state.request)
        time = state.time + 1
        finished = time >= self.horizon
        following = StrokesState(canvas, state.target, state.request, end, time, closeness)
        metrics = {"closeness": closeness.masked_fill(~finished, torch.nan)}
        return Step(following, closeness - state.closeness, finished, metrics)

    def _stroke(self, start: Tensor, end: Tensor) -> Tensor:
        """The ink (..., 64) that a full stroke from start (..., 2) to end (..., 2) leaves, from 0 to 1."""
        (x, y), (right, down) = start.unbind(-1), (end - start).unbind(-1)  # each (...)
        side = torch.arange(SIDE, dtype=torch.float64, device=start.device)
        ahead_x, ahead_y = side - x[..., None], side - y[..., None]  # (..., 8) of columns, of rows
        along = (ahead_y * down[..., None])[..., None] + (ahead_x * right[..., None])[..., None, :]  # (..., 8, 8)
        right, down = right[..., None, None], down[..., None, None]
        along = along.div_((right * right + down * down).clamp(min=1e-9)).clamp_(0, 1)
        off_x, off_y = ahead_x[..., None, :] - along * right, ahead_y[..., None] - along * down
        away = off_x.square_().add_(off_y.square_()).sqrt_()
        return away.neg_().add_(RIM).div_(RIM - CORE).clamp_(0, 1).flatten(-2)

    def _closeness(self, canvas: Tensor, target: Tensor, request: Tensor) -> Tensor:
        """(B,) how near the canvas is to what is wanted, 1 at best."""
        if self.goal == "class":
            return rounded(self._log_prob(canvas, request).exp())
        apart = (canvas.int() - target.int()).abs().sum((1, 2, 3))
        return 1 - apart.float() / target.int().sum((1, 2, 3)).float()

    def _log_prob(self, canvas: Tensor, request: Tensor) -> Tensor:
        """The classifier's log-probability (B,) of the class asked for."""
        return self.classifier(canvas.double() / WHITE).log_softmax(1).gather(1, request[:, None])[:, 0]

    def observe(self, state: StrokesState) -> dict[str, Tensor]:
        """The canvas, the pen, the time and what is wanted."""
        pen = (state.pen / ((SIDE - 1) / 2) - 1).clamp(-1, 1)
        wanted = {"target": state.target} if self.goal == "drawing" else {"request": state.request}
        return {"canvas": state.canvas, "pen": pen, "time": state.time, **wanted}

    def made(self, action: Tensor, observation: Any) -> Tensor:
        """The drawing."""
        return observation["canvas"]

    def measured(self, made: Tensor) -> dict[str, float]:
        """Its likeness to the split's digits."""
        return likeness(made, torch.from_numpy(load_images("digits", self.split)[0]))

    def expert(self, state: StrokesState) -> Tensor:
        """The stroke with the best gain of agreement and most missing ink close by, (B, 3)."""
        start = state.pen.double()
        spot = (2 * start).round()  # the nearest place: close enough to choose by, and exact along its own strokes
        there = (spot[:, None] + 2 * self.moves).clamp(0, GRID - 1)  # (B, 81, 2)
        ink = self.inks.index_select(0, _number(spot))  # (B, 81, 64)
        worth = self.nearness[_number(there)].sub_(2 * APART)
        canvas, target = (part.flatten(1)[:, None].float() for part in (state.canvas, state.target))
        values = []
        for pressure in PRESSURES:  # in place, as new memory costs more than the arithmetic; of whole numbers, so exact
            missing = (pressure * ink).round_().clamp_(min=canvas).neg_().add_(target)
            total = missing.sum(2)  # as |missing| = 2 * what lacks - missing
            values.append(missing.clamp_(min=0).mul_(worth).sum(2).add_(total, alpha=APART))
        best = torch.stack(values, 2).flatten(1).argmax(1)  # of (B, 81 * 6)
        end = there.gather(1, (best // len(PRESSURES))[:, None, None].expand(-1, 1, 2))[:, 0] / 2
        firmness = self.pressures[best % len(PRESSURES)][:, None]
        return torch.cat([(end - start) / REACH, firmness.double()], 1).clamp(-1, 1).float()

    def draw(self, state: StrokesState, canvas: Canvas) -> None:
        """The drawing with the pen on it beside what it should become, and how close it is."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle = canvas.width // 2
        self._draw(state.canvas, state.pen, int(state.time), canvas)
        if self.goal == "drawing":
            self._draw_target(state.target, canvas)
        else:
            self._draw_request(int(state.request), canvas)
        told = "agreement" if self.goal == "drawing" else f"how sure a classifier is that this is a {state.request}"
        share = float(state.closeness)
        canvas.text(f"{told}: {fixed(100 * share, 0)} %", (middle, 395), size=24, anchor="center")
        canvas.outline((90, 415, 300, 26), MUTED)
        if share >= 0.01:
            canvas.fill((90, 415, 300 * min(share, 1), 26), GOOD if share > 0.5 else BAD)

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The drawing with the pen on it, and what it should become."""
        pen = (observation["pen"].double() + 1) * (SIDE - 1) / 2
        self._draw(observation["canvas"], pen, int(observation["time"]), canvas)
        if self.goal == "drawing":
            self._draw_target(observation["target"], canvas)
        else:
            self._draw_request(int(observation["request"]), canvas)
        told = "the pen moves and presses; ink cannot be taken off"
        canvas.text(told, (canvas.width // 2, 415), size=22, colour=MUTED, anchor="center")

    def _draw(self, image: Tensor, pen: Tensor, time: int, canvas: Canvas) -> None:
        """The drawing, a cross where the pen is, and the step."""
        middle = canvas.width // 2
        asked = "Copy the drawing on the right" if self.goal == "drawing" else "Draw the digit asked for"
        canvas.text(f"{asked} with a pen", (middle, 35), size=28, anchor="center")
        canvas.text("your drawing", (130, 80), size=22, colour=ACCENT, anchor="center")
        left, top, width, _ = canvas.image(WHITE - image, (20, 95, 220, 220), border=ACCENT)
        side = width / SIDE
        x, y = (start + side * (float(part) + 0.5) for start, part in zip((left, top), pen, strict=True))
        for reach, colour, wide in ((13, (255, 255, 255), 6), (12, BAD, 3)):  # a pale rim shows it on ink, too
            canvas.fill((x - reach, y - wide / 2, 2 * reach, wide), colour)
            canvas.fill((x - wide / 2, y - reach, wide, 2 * reach), colour)
        canvas.text("the cross is the pen", (130, 335), size=20, colour=BAD, anchor="center")
        canvas.text(f"step {time} of {self.horizon}", (355, 335), size=22, anchor="center")

    def _draw_target(self, target: Tensor, canvas: Canvas) -> None:
        """The drawing to copy."""
        canvas.text("to copy", (355, 80), size=22, colour=GOOD, anchor="center")
        canvas.image(WHITE - target, (260, 110, 190, 190), border=GOOD)

    def _draw_request(self, request: int, canvas: Canvas) -> None:
        """The class asked for."""
        canvas.text("draw a", (355, 80), size=22, colour=GOOD, anchor="center")
        canvas.text(str(request), (355, 205), size=200, colour=INK, anchor="center")

    def entries(self) -> list[str]:
        """The movement and the pressure."""
        return ["right", "down", "press"]


def _grey(ink: Tensor) -> Tensor:
    """Ink from 0 to 1 as uint8."""
    return (WHITE * ink).round().to(torch.uint8)


def _number(place: Tensor) -> Tensor:
    """The number of a place (..., 2) given in half pixels, as int64 (...)."""
    return (place[..., 0] + GRID * place[..., 1]).long()
