"""Denoise: correct the steps of a diffusion model so that a requested digit comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import number
from ..classification.sources.images import load_images
from ..core.splits import OUTSIDE_TEST
from ..core.task import Step, Task
from ..core.tracing import row_by_row
from ..drawing.canvas import ACCENT, BAD, GOOD, MUTED, Canvas
from ..frozen.classifiers import classifier
from ..frozen.generators import DENOISING_STEPS, diffusion
from ..frozen.likeness import likeness
from ..frozen.rounding import normal, rounded

SIDE, CLASSES = 8, 10
WAVES = 4  # cosines along each axis that a correction is made of


@dataclass(frozen=True)
class DenoiseState:
    """An image on its way out of the noise.

    Attributes:
        noisy: (B, 1, 8, 8) float32 the image, black -1 and white 1, with the noise that is left.
        clean: (B, 1, 8, 8) float32 the image that the model expects behind it; at the end, the image itself.
        variance: (B, 1, 8, 8) float32 how unsure the model is of that.
        request: (B,) int64 the class asked for.
        time: (B,) int64 steps taken.
    """

    noisy: Tensor
    clean: Tensor
    variance: Tensor
    request: Tensor
    time: Tensor


class Denoise(Task[DenoiseState]):
    """Push a diffusion model's steps so that the digit asked for comes out.

    Correct each step of a frozen diffusion model so that the image that comes out is a digit of the class asked for.

    Isolates control of a long random process by small pushes: the model draws any digit by itself, which one is decided
    early, in the noise, and judged only at the end; every episode has its own noise, so there is no data to split. The
    model was trained on scikit-learn's digits (those of `DigitBandit` outside the test split), with 10 steps from pure
    noise to an image. A step draws from its reverse distribution, a normal one for every pixel; the action moves the
    mean by a sum of the 16 slowest two-dimensional cosines, each of norm 1, times `strength` times the pixel's standard
    deviation.

    Observation: a dict. "noisy": (64,) float32, the noisy image, rows below each other; "estimate": (1, 8, 8) uint8,
        the clean image that the model expects behind it; "time": Discrete(11), steps taken; "request": Discrete(10),
        the class asked for, uniform.
    Action: Box(-1, 1, (16,)), the weight of each cosine: first the four that are constant down the columns, by their
        waves along the row. Zeros are plain sampling.
    Reward: at the end the probability that a frozen classifier (the adversarially trained one of `frozen.classifiers`)
        gives to the class asked for; 0 before.
    Episode: terminates after 10 steps.
    Metrics: accuracy, whether that probability is above one half. An evaluation adds the images' likeness to the digits
        that the model learned from, see `frozen.likeness`.
    Expert: classifier guidance: the gradient of the logarithm of that probability at the clean image expected now, its
        largest weight scaled to 1 (Dhariwal and Nichol, 2021, with the gradient's direction alone). A strong
        reference, no bound: it returns 0.95. Plain sampling and random corrections return 0.10.
    Source: Ho et al. (2020) for the process; Dhariwal and Nichol (2021) for guiding it; sampling as an episode as in
        Black et al. (2024).

    Args:
        strength: of a correction, in standard deviations of the step.

    Raises:
        InvalidInput: a strength outside its limits.
    """

    variants = ({"strength": 1.0},)

    horizon = DENOISING_STEPS
    step_noise = SIDE * SIDE
    reset_noise = SIDE * SIDE + 1
    waves: Tensor

    def __init__(self, *, strength: float = 2.0) -> None:
        super().__init__()
        self.strength = number("Denoise: strength", strength, 0, 10)
        self.diffusion, self.classifier = diffusion(), classifier("robust").double()
        self.register_buffer("waves", waves(), persistent=False)
        self.observation_space = spaces.Dict(
            {
                "noisy": spaces.Box(-np.inf, np.inf, (SIDE * SIDE,), np.float32),
                "estimate": spaces.Box(0, 255, (1, SIDE, SIDE), np.uint8),
                "time": spaces.Discrete(self.horizon + 1),
                "request": spaces.Discrete(CLASSES),
            }
        )
        self.action_space = spaces.Box(-1, 1, (WAVES * WAVES,), np.float32)

    def reset(self, noise: Tensor) -> DenoiseState:
        """Pure noise, and the class asked for."""
        noisy = rounded(normal(noise[:, 1:])).view(-1, 1, SIDE, SIDE)
        request = (noise[:, 0] * CLASSES).long()
        return self._expect(noisy, request, torch.zeros_like(request))

    def _expect(self, noisy: Tensor, request: Tensor, time: Tensor) -> DenoiseState:
        """The state of an image (B, 1, 8, 8) after so many steps."""
        step = (self.horizon - 1 - time).clamp(min=0)
        mean, variance = (rounded(part) for part in self.diffusion.clean(noisy.double(), step))
        finished = (time >= self.horizon)[:, None, None, None]
        clean = torch.where(finished, noisy, mean)
        return DenoiseState(noisy, clean, variance, request, time)

    def _confidence(self, clean: Tensor, request: Tensor) -> Tensor:
        """The classifier's probability (B,) of the class asked for, of images from -1 to 1."""
        return rounded(self._log_prob(clean.double(), request).exp())

    def _reward(self, state: DenoiseState, finished: Tensor) -> Tensor:
        """(B,) the confidence in finished images; 0 for the others, which need not be judged at all."""
        if not row_by_row(finished.device):
            return self._confidence(state.clean, state.request) * finished
        rows = finished.nonzero().squeeze(1)
        judged = self._confidence(state.clean[rows], state.request[rows])
        return state.clean.new_zeros(len(finished)).index_copy_(0, rows, judged)

    def _log_prob(self, clean: Tensor, request: Tensor) -> Tensor:
        """The classifier's log-probability (B,) of the class asked for, of images from -1 to 1."""
        return self.classifier((clean + 1) / 2).log_softmax(1).gather(1, request[:, None])[:, 0]

    def step(self, state: DenoiseState, action: Tensor, noise: Tensor) -> Step[DenoiseState]:
        """One step of the model, corrected; the last one has no noise."""
        step = self.horizon - 1 - state.time
        clean, noisy = state.clean.double(), state.noisy.double()
        mean, variance = self.diffusion.posterior(clean, noisy, step.clamp(min=0), state.variance.double())
        push = self.strength * (action.double() @ self.waves).view_as(mean)
        random = normal(noise).view_as(mean) * (step > 0)[:, None, None, None]
        noisy = rounded((mean + variance.sqrt() * (push + random)).clamp(-8, 8))
        finished = step <= 0
        noisy = torch.where(finished[:, None, None, None], noisy.clamp(-1, 1), noisy)
        following = self._expect(noisy, state.request, state.time + 1)
        reward = self._reward(following, finished)
        accuracy = (reward > 0.5).float().masked_fill(~finished, torch.nan)
        return Step(following, reward, finished, {"accuracy": accuracy})

    def observe(self, state: DenoiseState) -> dict[str, Tensor]:
        """The noisy image, the clean one expected behind it, the time and the class asked for."""
        return {
            "noisy": state.noisy.flatten(1),
            "estimate": _picture(state.clean),
            "time": state.time,
            "request": state.request,
        }

    def made(self, action: Tensor, observation: Any) -> Tensor:
        """The image behind the noise."""
        return observation["estimate"]

    def examples(self, split: str | None = None) -> tuple[Tensor, Tensor]:
        """Digits and their classes."""
        images, labels, _ = load_images("digits", split or "test")
        return torch.from_numpy(images), torch.from_numpy(labels)

    def measured(self, made: Tensor) -> dict[str, float]:
        """Its likeness to the digits that the model learned from."""
        return likeness(made, torch.from_numpy(load_images("digits", OUTSIDE_TEST)[0]))

    def expert(self, state: DenoiseState) -> Tensor:
        """The direction in which the classifier's confidence in the expected image grows fastest, (B, 16)."""
        with torch.enable_grad():
            clean = state.clean.double().requires_grad_()
            (gradient,) = torch.autograd.grad(self._log_prob(clean, state.request).sum(), clean)
        weights = gradient.flatten(1) @ self.waves.t()
        return rounded(weights / weights.abs().amax(1, keepdim=True).clamp(min=1e-12))

    def draw(self, state: DenoiseState, canvas: Canvas) -> None:
        """The noisy image beside the expected one, the class asked for and the classifier's confidence in it."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, time, request = canvas.width // 2, int(state.time), int(state.request)
        canvas.text(f"Make the noise turn into a {request}", (middle, 35), size=30, anchor="center")
        noisy = state.noisy if time == self.horizon else state.noisy / 2  # noise reaches beyond black and white
        canvas.image(_picture(noisy), (25, 95, 200, 200), border=MUTED)
        canvas.image(_picture(state.clean), (255, 95, 200, 200), border=ACCENT)
        canvas.text("noisy image", (125, 78), size=22, colour=MUTED, anchor="center")
        told = "expected result" if time < self.horizon else "result"
        canvas.text(told, (355, 78), size=22, colour=ACCENT, anchor="center")
        canvas.text(f"step {time} of {self.horizon}", (middle, 325), size=24, anchor="center")
        clean, asked = (part[None].to(self.waves.device) for part in (state.clean, state.request))
        share = float(self._confidence(clean, asked))
        canvas.text(f"how sure a classifier is that this is a {request}", (middle, 358), size=24, anchor="center")
        colour = GOOD if share > 0.5 else BAD
        canvas.outline((90, 378, 300, 30), MUTED)
        if share >= 0.01:
            canvas.fill((90, 378, 300 * share, 30), colour)
        canvas.text(f"{100 * share:.0f} %", (400, 393), size=24, anchor="midleft")
        if time == self.horizon:
            canvas.verdict(share > 0.5, (90, 420, 300, 50))
            told = f"it is a {request}" if share > 0.5 else f"it is no {request}"
            canvas.text(told, (middle, 445), size=28, anchor="center")
        else:
            canvas.text("more than half is needed at the end", (middle, 440), size=22, colour=MUTED, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The noisy image and the expected one, the class asked for and the step."""
        middle, time, request = canvas.width // 2, int(observation["time"]), int(observation["request"])
        canvas.text(f"Make the noise turn into a {request}", (middle, 40), size=30, anchor="center")
        noisy = observation["noisy"].view(1, SIDE, SIDE) / (1 if time == self.horizon else 2)
        canvas.text("noisy image", (125, 88), size=22, colour=MUTED, anchor="center")
        canvas.image(_picture(noisy), (25, 105, 200, 200), border=MUTED)
        told = "expected result" if time < self.horizon else "result"
        canvas.text(told, (355, 88), size=22, colour=ACCENT, anchor="center")
        canvas.image(observation["estimate"], (255, 105, 200, 200), border=ACCENT)
        canvas.text(f"step {time} of {self.horizon}", (middle, 345), size=26, anchor="center")
        told = "each step takes noise away; waves across it push"
        canvas.text(told, (middle, 400), size=22, colour=MUTED, anchor="center")

    def entries(self) -> list[str]:
        """Each wave by its halves down and across the image; 00 is brightness."""
        return [f"{down}{across}" for down in range(WAVES) for across in range(WAVES)]


def waves() -> Tensor:
    """(16, 64) float64 the cosines that a correction is a sum of, each of norm 1."""
    angle = math.pi / SIDE * (torch.arange(SIDE, dtype=torch.float64) + 0.5)
    wave = torch.cos(torch.arange(WAVES)[:, None] * angle)  # (WAVES, 8), the discrete cosine transform's rows
    wave = wave / wave.norm(dim=1, keepdim=True)
    return torch.einsum("ay,bx->abyx", wave, wave).reshape(-1, SIDE * SIDE)


def _picture(image: Tensor) -> Tensor:
    """Images from -1 to 1 as uint8."""
    return ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
