"""How a generator denoises and restores: Denoise, and Restore with noise or a hole."""

from __future__ import annotations

import math
from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ...envs.generation.denoise import waves
from ...envs.generation.restore import DEVIATION, HOLE, WHITE
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.noise import Seed
from .model import Model
from .role import Role, has_keys


class Denoising(Role):
    """Denoise: pushes each step from what the denoiser expects of any digit to what it expects of the one asked for.

    That is classifier-free guidance: the difference of the two means of the step, in its standard deviations, times
    the guidance, along the waves that corrections are made of. A push that is too large is made smaller as a whole.
    """

    wants = "a denoiser: 'diffusion'"
    waves: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int, steps: int) -> None:
        super().__init__(shape, classes)
        self.steps = steps
        self.register_buffer("waves", waves().float(), persistent=False)

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A noisy picture, the step and the class asked for."""
        return has_keys(seen, "noisy", "estimate", "time", "request") and isinstance(acted, spaces.Box)

    @classmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """As many steps as the environment has."""
        return cls(seen["estimate"].shape, int(seen["request"].n), int(seen["time"].n) - 1)

    def serves(self, model: Model) -> bool:
        """Diffusion."""
        return model.denoises

    def require(self, task: Any, model: Model) -> None:
        """Noise goes on the same schedule."""
        own: Any = model.block
        theirs = getattr(getattr(task, "diffusion", None), "signal", own.signal)
        if not torch.allclose(theirs.to(own.signal), own.signal):
            raise InvalidInput(
                f"generator: schedule must be 'cosine', that of {task.name}; got {model.config.schedule!r}"
            )

    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """Weights of the waves, (B, 16)."""
        block: Any = model.block
        x = observation["noisy"].view(-1, *self.shape)
        step = (block.steps - 1 - observation["time"]).clamp(min=0)
        wanted, variance = block.clean(x, step, observation["request"])
        freely, _ = block.clean(x, step)
        mean, spread = block.posterior(wanted, x, step, variance)
        apart = (mean - block.posterior(freely, x, step)[0]) / spread.clamp(min=1e-8).sqrt()
        weights = model.config.guidance * (apart.flatten(1) @ self.waves.t())
        return weights / weights.abs().amax(1, keepdim=True).clamp(min=1)


class Restoring(Role):
    """Restore with noise: the clean picture that the denoiser expects, at the step with as much noise."""

    wants = "a denoiser: 'diffusion'"

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A noisy picture, and a change of every pixel."""
        return _mends(seen, acted) and seen["damaged"].shape == seen["canvas"].shape

    @classmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """Any digit."""
        return cls(seen["canvas"].shape, 0)

    def serves(self, model: Model) -> bool:
        """Diffusion."""
        return model.denoises

    def require(self, task: Any, model: Model) -> None:
        """What is restored is noisy."""
        damage = getattr(task, "damage", "noise")
        if damage != "noise":
            raise InvalidInput(f"generator: damage must be 'noise' for a denoiser; got {damage!r}")

    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """How much lighter each pixel gets, (B, 64)."""
        block: Any = model.block
        damaged = 2 * observation["damaged"].float() / WHITE - 1
        ratio = block.deviation / block.signal  # of noise to picture
        step = (ratio - 2 * DEVIATION / WHITE).abs().argmin().expand(len(damaged))
        clean, _ = block.clean(block.signal[step].view(-1, 1, 1, 1) * damaged, step)
        return ((clean - damaged) / 2).flatten(1).clamp(-1, 1)


class Filling(Role):
    """Restore with a hole: what the model expects of the missing pixels, given the others."""

    wants = "a model that fills gaps: 'pixelcnn', 'pixelrnn', 'pixel_transformer', 'vae', 'diffusion' or 'rbm'"

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A picture and which of its pixels are missing, and a change of every pixel."""
        return _mends(seen, acted) and seen["damaged"].shape[0] == seen["canvas"].shape[0] + 1

    @classmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """Any digit."""
        return cls(seen["canvas"].shape, 0)

    def serves(self, model: Model) -> bool:
        """Those that find what is expected of missing pixels."""
        return model.restores

    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """How much lighter each missing pixel gets, (B, 64)."""
        damaged = observation["damaged"]
        pictures, missing = damaged[:, :1].float() / WHITE, damaged[:, 1:] > 0
        expected = model.restore(pictures, missing, HOLE**2, seed)
        return (expected - pictures).masked_fill(~missing, 0).flatten(1).float().clamp(-1, 1)


def _mends(seen: Any, acted: Any) -> bool:
    """Whether these are the spaces of Restore in one step, by pixels."""
    fits = has_keys(seen, "damaged", "canvas") and len(seen.spaces) == 2 and isinstance(acted, spaces.Box)
    return fits and acted.shape == (math.prod(seen["canvas"].shape),)
