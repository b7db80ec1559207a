"""Restore: mend, clean or enlarge a damaged digit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..checks.options import choice, flag
from ..classification.sources.images import load_images
from ..core.splits import OUTSIDE_TEST, SPLITS
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, GOOD, MUTED, Canvas
from ..drawing.wording import fixed
from ..frozen.likeness import likeness
from ..frozen.rounding import normal, rounded
from .fidelity import SIDE, WHITE, Similarity, signal_to_noise, squared_error
from .linear_code import LinearCode

PIXELS = SIDE * SIDE
HOLE = 4  # pixels a side that are missing
PLACES = SIDE - HOLE + 1  # of a hole along each axis
DEVIATION = 64.0  # greys of the noise
PATCH = 4  # pixels a side that are painted at a time
COMPONENTS, STRIDE, LENGTH = 24, 1.0, 6  # of a code; how far a step moves each; steps
UNIT = {"hole": 336_000, "noise": 156_000, "coarse": 206_000}  # squared error of damaged training digits, on average


@dataclass(frozen=True)
class RestoreState:
    """A damaged digit and what has become of it.

    Attributes:
        original: (B, 64) int32 the digit's greys, hidden.
        damaged: (B, 64) int32 what is left of it.
        missing: (B, 64) bool which pixels are not: the hole's.
        canvas: (B, 64) int32 the picture now.
        code: (B, D) float32 what it is decoded from; zeros where pixels are painted.
        error: (B,) int64 the summed squared difference of the picture from the original.
        time: (B,) int64 steps taken.
    """

    original: Tensor
    damaged: Tensor
    missing: Tensor
    canvas: Tensor
    code: Tensor
    error: Tensor
    time: Tensor


class Restore(Task[RestoreState]):
    """Mend, clean or enlarge a damaged digit.

    A digit has a hole, is noisy, or was made coarse; make of it what it was.

    Isolates restoration, an inverse problem: what is lost cannot be computed from what is left, only guessed from what
    digits look like, and of all guesses the mean of the likely ones is the nearest. The digits are scikit-learn's, of
    8 x 8 pixels in 17 greys. "hole": 4 x 4 pixels in a uniformly drawn place are black. "noise": every pixel has
    normal noise added with a deviation of 64 greys of 255, and is cut off at black and white. "coarse": of every 2 x 2
    pixels only the mean is left.

    Observation: a dict. "damaged": (1, 8, 8) uint8, for a hole (2, 8, 8), with 255 in the second channel where pixels
        are missing; "canvas": (1, 8, 8) uint8, the picture now, at first the damaged one. With `patches`, "time":
        Discrete(5), the patches that are done. By code, "code": (24,) float32, the picture's code, and "time":
        Discrete(7).
    Action: Box(-1, 1, (64,)): how much lighter (white is ink) or darker each pixel gets, 1 being all the way from black
        to white. With `patches` Box(-1, 1, (16,)), the pixels of the upper left, upper right, lower left, then lower
        right quarter. By code Box(-1, 1, (24,)): how far each number of the code moves, in standard deviations; the
        code is that of a linear autoencoder, the first 24 principal components of the digits outside the test split,
        and the canvas begins as what the damaged picture's code shows.
    Reward: the squared error that the step takes away, summed over the pixels, divided by what damage of the kind does
        to digits on average: 0 for leaving all as it is, on average 1 for the original itself, below 0 for harm.
    Episode: terminates after one step, with `patches` after 4, by code after 6.
    Metrics: at the end psnr, the peak signal-to-noise ratio in dB, at most 48.1; ssim, the structural similarity, over
        windows of 7 x 7 pixels. An evaluation adds the pictures' likeness to the split's digits, see `frozen.likeness`.
    Expert: knows the original, and paints it, or moves towards its code. It returns 1, by code 0.80 with a hole and
        0.44 with noise, as 24 numbers hold no more. Who does not know it can at best paint its mean given what is left:
        on test digits linear regression on the training digits returns 0.77 with a hole (0.81 with a regression for
        each of the 25 places), 0.56 with noise and 0.59 for coarse ones; the mean training digit in the hole 0.66.
    Source: Vincent et al. (2008) and Pathak et al. (2016) for denoising and inpainting as learning problems; Wang et
        al. (2004) for the similarity; Alpaydin and Kaynak (1998) for the digits, by scikit-learn.

    Args:
        damage: "hole", "noise" or "coarse".
        by: "pixels" or "code".
        patches: paint a quarter of the picture in each of four steps.
        split: "train", "validation" or "test", the digits; that of `DigitBandit`.

    Raises:
        InvalidInput: an unknown damage, way or split, or patches of a code.
    """

    variants = (
        {"split": "test"},
        {"damage": "noise"},
        {"damage": "coarse", "patches": True},
        {"damage": "noise", "by": "code"},
    )

    images: Tensor
    holes: Tensor
    quarters: Tensor

    def __init__(
        self, *, damage: str = "hole", by: str = "pixels", patches: bool = False, split: str = "train"
    ) -> None:
        super().__init__()
        self.damage = choice("Restore: damage", damage, UNIT)
        self.by = choice("Restore: by", by, ("pixels", "code"))
        self.split = choice("Restore: split", split, SPLITS)
        self.patches = flag("Restore: patches", patches)
        if patches and by == "code":
            raise InvalidInput("Restore: patches must be False by code; got True")
        images = torch.from_numpy(load_images("digits", split)[0]).flatten(1).int()
        self.register_buffer("images", images, persistent=False)  # (N, 64)
        cell, place = torch.arange(SIDE), torch.arange(PLACES)[:, None]
        along = (cell >= place) & (cell < place + HOLE)  # (5, 8)
        holes = (along[:, None, :, None] & along[None, :, None, :]).reshape(PLACES**2, PIXELS)
        self.register_buffer("holes", holes, persistent=False)  # (25, 64)
        number = (cell[:, None] // PATCH) * 2 + cell // PATCH
        quarters = torch.stack([(number.flatten() == k).nonzero().squeeze(1) for k in range(4)])
        self.register_buffer("quarters", quarters, persistent=False)  # (4, 16) the pixels of each
        self.similarity = Similarity()
        if by == "code":
            known = torch.from_numpy(load_images("digits", OUTSIDE_TEST)[0]).flatten(1).int()
            self.coder = LinearCode(known, COMPONENTS)
        self.horizon = LENGTH if by == "code" else 4 if patches else 1
        self.reset_noise = 1 + {"hole": 1, "noise": PIXELS, "coarse": 0}[damage]
        image = (2 if damage == "hole" else 1, SIDE, SIDE)
        parts: dict[str, spaces.Space[Any]] = {
            "damaged": spaces.Box(0, WHITE, image, np.uint8),
            "canvas": spaces.Box(0, WHITE, (1, SIDE, SIDE), np.uint8),
        }
        if self.horizon > 1:
            parts["time"] = spaces.Discrete(self.horizon + 1)
        if by == "code":
            parts["code"] = spaces.Box(-np.inf, np.inf, (COMPONENTS,), np.float32)
        self.observation_space = spaces.Dict(parts)
        size = COMPONENTS if by == "code" else PATCH**2 if patches else PIXELS
        self.action_space = spaces.Box(-1, 1, (size,), np.float32)

    def reset(self, noise: Tensor) -> RestoreState:
        """A digit, damaged."""
        original = self.images.index_select(0, (noise[:, 0] * len(self.images)).long())
        missing = torch.zeros_like(original, dtype=torch.bool)
        if self.damage == "hole":
            missing = self.holes.index_select(0, (noise[:, 1] * len(self.holes)).long())
            damaged = original.masked_fill(missing, 0)
        elif self.damage == "noise":
            damaged = (original + DEVIATION * normal(noise[:, 1:])).round().clamp(0, WHITE).int()
        else:
            blocks = original.view(-1, SIDE // 2, 2, SIDE // 2, 2).sum((2, 4), keepdim=True)
            damaged = ((blocks + 2) // 4).int().expand(-1, -1, 2, -1, 2).reshape(original.shape)
        if self.by == "code":
            code = self.coder.encode(damaged)
            canvas = self.coder.decode(code)
        else:
            code, canvas = noise.new_zeros(len(noise), COMPONENTS, dtype=torch.float32), damaged
        error = squared_error(canvas, original)
        time = torch.zeros_like(error)
        return RestoreState(original, damaged, missing, canvas, code, error, time)

    def step(self, state: RestoreState, action: Tensor, noise: Tensor) -> Step[RestoreState]:
        """Paints, or moves the code and decodes it."""
        code, time = state.code, state.time + 1
        if self.by == "code":
            code = rounded(code.double() + STRIDE * action.double())
            canvas = self.coder.decode(code)
        else:
            change = (WHITE * action.double()).round().int()
            if self.patches:
                canvas = state.canvas.scatter_add(1, self._quarter(state.time), change).clamp(0, WHITE)
            else:
                canvas = (state.canvas + change).clamp(0, WHITE)
        error = squared_error(canvas, state.original)
        finished = time >= self.horizon
        following = RestoreState(state.original, state.damaged, state.missing, canvas, code, error, time)
        reward = (state.error - error).float() / UNIT[self.damage]
        metrics = {"psnr": signal_to_noise(error), "ssim": self.similarity(canvas, state.original)}
        metrics = {name: value.masked_fill(~finished, torch.nan) for name, value in metrics.items()}
        return Step(following, reward, finished, metrics)

    def _quarter(self, time: Tensor) -> Tensor:
        """(B, 16) the pixels that are painted in the step after `time` others."""
        return self.quarters.index_select(0, time.clamp(max=3))

    def observe(self, state: RestoreState) -> dict[str, Tensor]:
        """The damaged picture, and what has become of it."""
        parts = [state.damaged.to(torch.uint8)]
        if self.damage == "hole":
            parts.append(state.missing.to(torch.uint8) * WHITE)
        damaged = torch.stack(parts, 1).view(-1, len(parts), SIDE, SIDE)
        seen = {"damaged": damaged, "canvas": state.canvas.to(torch.uint8).view(-1, 1, SIDE, SIDE)}
        if self.horizon > 1:
            seen["time"] = state.time
        return seen | {"code": state.code} if self.by == "code" else seen

    def made(self, action: Tensor, observation: Any) -> Tensor:
        """The picture."""
        return observation["canvas"]

    def examples(self, split: str | None = None) -> tuple[Tensor, Tensor]:
        """Whole digits, and their classes."""
        images, labels, _ = load_images("digits", split or self.split)
        return torch.from_numpy(images), torch.from_numpy(labels)

    def measured(self, made: Tensor) -> dict[str, float]:
        """Its likeness to the split's digits."""
        return likeness(made, self.images.to(torch.uint8).view(-1, 1, SIDE, SIDE))

    def expert(self, state: RestoreState) -> Tensor:
        """What is left to the original, or to its code."""
        if self.by == "code":
            return ((self.coder.encode(state.original) - state.code) / STRIDE).clamp(-1, 1)
        apart = state.original - state.canvas
        if self.patches:
            apart = apart.gather(1, self._quarter(state.time))
        return apart.float() / WHITE

    def draw(self, state: RestoreState, canvas: Canvas) -> None:
        """The damaged picture, what has become of it, and what it was."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, time = canvas.width // 2, int(state.time)
        canvas.text(self._told(), (middle, 32), size=28, anchor="center")
        missing = state.missing if self.damage == "hole" else None
        self._picture("damaged", state.damaged, (20, 82), 200, canvas, missing)
        self._picture("restored" if time else "to be restored", state.canvas, (260, 82), 200, canvas)
        self._picture("original (hidden)", state.original, (20, 320), 140, canvas)
        if not time:
            return
        error = state.error[None]
        device = self.images.device
        alike = float(self.similarity(*(one[None].to(device) for one in (state.canvas, state.original))))
        before = float(signal_to_noise(squared_error(state.damaged[None], state.original[None])))
        told = (
            f"step {time} of {self.horizon}",
            f"{fixed(float(signal_to_noise(error)), 1)} dB, damaged {fixed(before, 1)} dB",
            f"similarity {fixed(alike, 2)} of 1",
        )
        for line, text in enumerate(told):
            canvas.text(text, (190, 345 + 40 * line), size=24, anchor="midleft")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The damaged picture and what has become of it."""
        middle, damaged = canvas.width // 2, observation["damaged"]
        time = int(observation["time"]) if "time" in observation else None
        canvas.text(self._told(), (middle, 32), size=28, anchor="center")
        missing = damaged[1].flatten() > 0 if self.damage == "hole" else None
        self._picture("damaged", damaged[0], (20, 82), 200, canvas, missing)
        self._picture("yours", observation["canvas"], (260, 82), 200, canvas, quarter=time if self.patches else None)
        if time is not None:
            canvas.text(f"step {time} of {self.horizon}", (middle, 320), size=24, anchor="center")
        if self.by == "code":
            canvas.text("the numbers yours is decoded from; move them", (middle, 350), 22, MUTED, anchor="center")
            canvas.bars(observation["code"], (20, 365, canvas.width - 40, 105), colours=[ACCENT])
        else:
            what = "the pixels in the frame" if self.patches else "its pixels"
            canvas.text(f"make {what} lighter or darker", (middle, 365), 24, MUTED, anchor="center")

    def _told(self) -> str:
        return {"hole": "Fill the hole", "noise": "Take the noise away", "coarse": "Sharpen the digit"}[self.damage]

    def _picture(
        self,
        told: str,
        pixels: Tensor,
        corner: tuple[int, int],
        size: int,
        canvas: Canvas,
        missing: Tensor | None = None,
        quarter: int | None = None,
    ) -> None:
        """A picture with its name above; missing pixels are crossed out, the quarter to be painted is framed."""
        colour = GOOD if "original" in told else MUTED if told == "damaged" else ACCENT
        canvas.text(told, (corner[0] + size // 2, corner[1] - 14), size=22, colour=colour, anchor="center")
        image = pixels.to(torch.uint8).view(1, SIDE, SIDE)
        left, top, width, _ = canvas.image(image, (*corner, size, size), border=colour)
        cell = width // SIDE
        if missing is not None:
            for pixel in missing.nonzero().flatten().tolist():
                row, column = divmod(pixel, SIDE)
                canvas.text("?", (left + column * cell + cell // 2, top + row * cell + cell // 2), 20, ACCENT, "center")
        if quarter is not None and quarter < 4:
            row, column = divmod(quarter, 2)
            side = PATCH * cell
            canvas.outline((left + column * side, top + row * side, side, side), GOOD, 4)
