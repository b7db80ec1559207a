"""PixelCanvas: draw a digit pixel by pixel that a density model finds likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.generation.autoregressive import ORDERS, visits
from ...neural_blocks.generation.pixels import quantise, unit_scale
from ..checks.options import choice
from ..classification.sources.images import load_images
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, INK, MUTED, Canvas
from ..drawing.choices import Choice
from ..drawing.wording import fixed
from ..frozen.classifiers import classifier
from ..frozen.density import CLASSES, LEVELS, SIDE
from ..frozen.generators import density
from ..frozen.likeness import likeness
from ..frozen.rounding import rounded

PIXELS = SIDE * SIDE
GIVEN = {"raster": 16, "diagonal": 21}  # pixels there at the start where no class is asked for: two rows, six diagonals
SHARE = 0.1  # of the uniform distribution in the density


@dataclass(frozen=True)
class PixelCanvasState:
    """The picture so far and what the density model makes of it.

    Attributes:
        pixels: (B, 64) int64 in raster order, 1 for ink; 0 where nothing is drawn yet.
        request: (B,) int64 the class asked for, 10 for none.
        time: (B,) int64 pixels on the canvas, in the order of the task.
        log_prob: (B, 2) float32 log-probability of paper and of ink at the next pixel, nats.
        memory: (B, blocks, 9, D) float64 the density model's features of the last nine pixels; 15 by diagonals.
        log_density: (B,) float32 of the pixels drawn so far, nats.
    """

    pixels: Tensor
    request: Tensor
    time: Tensor
    log_prob: Tensor
    memory: Tensor
    log_density: Tensor


class PixelCanvas(Task[PixelCanvasState]):
    """Draw a digit pixel by pixel that a density model finds likely.

    Draw an 8 x 8 digit in black and white, one pixel a step in a fixed order, that a density model finds likely.

    Isolates generation as a sequence of choices: each pixel is judged by those before it, and none can be changed
    later. The judge is a frozen PixelCNN of p(x | class), trained on scikit-learn's digits (all but the test split)
    with a threshold at half ink; a tenth of every pixel's probability is spread evenly, so that no pixel costs more
    than 3 nats. The order is row by row, or along the diagonals from the upper left corner to the lower right, each
    from its upper end down; the same density is then split into other factors, by a network trained for that.

    What is rewarded is likelihood, not variety: for each request one picture is the best. In black and white these
    pictures are clear digits, and an empty canvas lies at 0.71 of the way from random play to the expert; it is what
    scores 0. (With 17 greys, every pixel of ink costs the uncertainty about its grey, and the empty canvas is about as
    likely as anything.)

    Observation: a dict. "canvas": (1, 8, 8) uint8, ink 255, else 0; "position": Discrete(65), the pixel to be drawn
        now, 64 at the end; and, with `request`, "request": Discrete(10), the class asked for, uniform. Without it the
        canvas starts with the two upper rows, or the first six diagonals, of a digit drawn uniformly from the split.
    Action: Discrete(2), 1 for ink.
    Reward: "density": ln p(pixel | pixels before, class) divided by the pixels to draw, so that a return is the
        log-density in nats per pixel. "classifier": 0 until the last pixel, then the probability that a frozen
        classifier (the adversarially trained one of `frozen.classifiers`) gives to the class asked for.
    Episode: terminates with the last pixel, after 64 steps, without `request` after 48, or 43 by diagonals.
    Metrics: log_density of the pixels drawn, nats; with `request` also confidence, the classifier's probability of
        the class asked for. An evaluation adds the pictures' likeness to the split's digits, see `frozen.likeness`.
    Expert: the likelier of the two at each pixel. That is greedy, so no bound: its pictures have -9.1 nats, and the
        best that a beam of 256 finds -8.8 (means over the classes); random ones have -75. By diagonals the expert's
        have -9.5, random ones -76. By "classifier" it returns 0.96, and random drawing 0.10.
    Source: van den Oord et al. (2016a) for the model; Alpaydin and Kaynak (1998) for the digits, by scikit-learn;
        drawing as an episode is Palaestra's.

    Args:
        request: ask for a class; otherwise for a digit that goes on as it begins.
        reward: "density" or "classifier".
        order: in which the pixels are drawn, "raster" or "diagonal".
        split: "train", "validation" or "test", the digits whose beginnings are given; that of `DigitBandit`.

    Raises:
        InvalidInput: an unknown reward, order or split, or the classifier's reward without a request.
    """

    variants = (
        {"request": False},
        {"request": False, "split": "test"},
        {"reward": "classifier"},
        {"order": "diagonal"},
        {"order": "diagonal", "request": False},
    )

    route: Tensor
    first_pixels: Tensor
    first_request: Tensor
    first_log_prob: Tensor
    first_memory: Tensor

    def __init__(
        self, *, request: bool = True, reward: str = "density", order: str = "raster", split: str = "train"
    ) -> None:
        super().__init__()
        self.reward = choice("PixelCanvas: reward", reward, ("density", "classifier"))
        self.order = choice("PixelCanvas: order", order, ORDERS)
        choice("PixelCanvas: split", split, SPLITS)
        if not isinstance(request, bool) or (reward == "classifier" and not request):
            raise InvalidInput(f"PixelCanvas: request must be True or False, and True for a classifier; got {request}")
        self.request, self.reset_noise = request, 1
        self.density, self.classifier = density(order), classifier("robust").double()
        self.visits = [*visits((SIDE, SIDE), order), PIXELS]
        self.register_buffer("route", torch.tensor(self.visits), persistent=False)  # (65,) the pixel of each step
        if request:
            labels, given = torch.arange(CLASSES), 0
            pixels = labels.new_zeros(CLASSES, PIXELS)
        else:
            images, given = torch.from_numpy(load_images("digits", split)[0]), GIVEN[order]
            labels = torch.full((len(images),), CLASSES)
            pixels = quantise(images / 255, LEVELS).flatten(1)
            pixels[:, self.route[given:-1]] = 0
        memory = self.density.initial_memory(len(labels))
        for position in range(given + 1):
            logits, memory = self.density.step(pixels, torch.full_like(labels, position), labels, memory)
        self.register_buffer("first_pixels", pixels, persistent=False)  # (N, 64) the canvases that episodes begin with
        self.register_buffer("first_request", labels, persistent=False)
        self.register_buffer("first_log_prob", _log_prob(logits), persistent=False)  # (N, 2)
        self.register_buffer("first_memory", memory, persistent=False)
        self.given, self.horizon = given, PIXELS - given
        self.split = split
        parts = {
            "canvas": spaces.Box(0, 255, (1, SIDE, SIDE), np.uint8),
            "position": spaces.Discrete(PIXELS + 1),
        }
        if request:
            parts["request"] = spaces.Discrete(CLASSES)
        self.observation_space = spaces.Dict(parts)
        self.action_space = spaces.Discrete(LEVELS)

    def reset(self, noise: Tensor) -> PixelCanvasState:
        """An empty canvas and the class asked for, or one with a digit's beginning."""
        row = (noise[:, 0] * len(self.first_pixels)).long()
        log_prob = self.first_log_prob[row]
        time, nothing = torch.full_like(row, self.given), torch.zeros_like(log_prob[:, 0])
        request, memory = self.first_request[row], self.first_memory[row]
        return PixelCanvasState(self.first_pixels[row], request, time, log_prob, memory, nothing)

    def step(self, state: PixelCanvasState, action: Tensor, noise: Tensor) -> Step[PixelCanvasState]:
        """Draws the pixel, then asks the density for the next one."""
        pixels = state.pixels.scatter(1, self.route[state.time.clamp(max=PIXELS - 1)][:, None], action[:, None])
        time = state.time + 1
        finished = time >= PIXELS
        gained = state.log_prob.gather(1, action[:, None])[:, 0]  # (B,) nats
        position = time.clamp(max=PIXELS - 1)
        logits, memory = self.density.step(pixels, position, state.request, state.memory)
        log_density = state.log_density + gained
        following = PixelCanvasState(pixels, state.request, time, _log_prob(logits), memory, log_density)
        metrics = {"log_density": log_density.masked_fill(~finished, torch.nan)}
        reward = gained / self.horizon
        if self.request:
            confidence = self._confidence(pixels, state.request)
            metrics["confidence"] = confidence.masked_fill(~finished, torch.nan)
            reward = reward if self.reward == "density" else confidence * finished
        return Step(following, reward, finished, metrics)

    def _confidence(self, pixels: Tensor, request: Tensor) -> Tensor:
        """The classifier's probability (B,) of the class asked for."""
        images = unit_scale(pixels, LEVELS, torch.float64).view(-1, 1, SIDE, SIDE)
        return rounded(self.classifier(images).softmax(1).gather(1, request[:, None])[:, 0])

    def observe(self, state: PixelCanvasState) -> dict[str, Tensor]:
        """The canvas, the pixel to be drawn and the class asked for."""
        canvas = (unit_scale(state.pixels, LEVELS) * 255).round().to(torch.uint8).view(-1, 1, SIDE, SIDE)
        seen = {"canvas": canvas, "position": self.route[state.time.clamp(max=PIXELS)]}
        return seen | {"request": state.request} if self.request else seen

    def made(self, action: Tensor, observation: Any) -> Tensor:
        """The canvas."""
        return observation["canvas"]

    def examples(self, split: str | None = None) -> tuple[Tensor, Tensor]:
        """Digits in black and white, and their classes."""
        images, labels, _ = load_images("digits", split or self.split)
        pixels = quantise(torch.from_numpy(images) / 255, LEVELS)
        return (pixels * 255).to(torch.uint8), torch.from_numpy(labels)

    def measured(self, made: Tensor) -> dict[str, float]:
        """Its likeness to the split's digits in black and white."""
        return likeness(made, self.examples()[0])

    def expert(self, state: PixelCanvasState) -> Tensor:
        """Ink where it is the likelier."""
        return state.log_prob.argmax(1)

    def draw(self, state: PixelCanvasState, canvas: Canvas) -> None:
        """The canvas with the next pixel framed, and how likely the density finds ink there."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, time = canvas.width // 2, int(state.time)
        asked = f"Draw the digit {int(state.request)}" if self.request else "Complete the digit"
        canvas.text(f"{asked}, {self._told()}", (middle, 30), size=30, anchor="center")
        self._draw_pixels(state.pixels, time, 20, canvas)
        if time < PIXELS:
            canvas.text("how likely", (410, 90), size=22, colour=MUTED, anchor="center")
            canvas.text("is ink here?", (410, 112), size=22, colour=MUTED, anchor="center")
            canvas.bars(
                state.log_prob.exp(), (360, 130, 100, 250), labels=["no", "yes"], colours=[MUTED, INK], maximum=1.0
            )
        canvas.text(f"pixel {time} of {PIXELS}", (middle, 412), size=26, anchor="center")
        told = f"log-density so far {fixed(float(state.log_density), 1)} nats (0 is certain)"
        canvas.text(told, (middle, 447), size=24, anchor="center")

    def _draw_pixels(self, pixels: Tensor, time: int, left: int, canvas: Canvas) -> None:
        """The pixels (64,) drawn so far, the next one framed, and dots on those that follow it along a diagonal."""
        drawn = pixels.clone()
        drawn[self.visits[time:-1]] = -1
        left, top, width, _ = canvas.grid(drawn.view(SIDE, SIDE), (left, 60, 320, 320), colours=((255, 255, 255), INK))
        side, now = width // SIDE, self.visits[time]
        if time < PIXELS:
            canvas.outline((left + now % SIDE * side, top + now // SIDE * side, side, side), ACCENT, 4)
        for pixel in self.visits[time + 1 : -1]:
            row, column = divmod(pixel, SIDE)
            if self.order == "diagonal" and row + column == now // SIDE + now % SIDE:
                canvas.fill((left + (column + 0.4) * side, top + (row + 0.4) * side, 0.2 * side, 0.2 * side), ACCENT)

    def _told(self) -> str:
        return "pixel by pixel" if self.order == "raster" else "by diagonals"

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The canvas with the next pixel framed, and the class asked for."""
        middle, time = canvas.width // 2, self.visits.index(int(observation["position"]))
        asked = f"Draw the digit {int(observation['request'])}" if self.request else "Complete the digit"
        canvas.text(f"{asked}, {self._told()}", (middle, 30), size=30, anchor="center")
        self._draw_pixels((observation["canvas"].flatten() > 0).long(), time, middle - 160, canvas)
        told = "the digit is finished" if time == PIXELS else f"pixel {time + 1} of {PIXELS}: ink or paper?"
        canvas.text(told, (middle, 420), size=26, anchor="center")

    def choices(self) -> list[Choice]:
        """0 for paper, 1 for ink."""
        return [Choice("0", "paper", 0), Choice("1", "ink", 1)]


def _log_prob(logits: Tensor) -> Tensor:
    """Logits (B, 2) as log-probabilities with a share of the uniform distribution, nats."""
    return rounded(((1 - SHARE) * logits.softmax(1) + SHARE / LEVELS).log())
