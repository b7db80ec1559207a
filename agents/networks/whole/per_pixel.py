"""Per-pixel policies: one network from the image observed to the policy's parameters at each of its pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ....envs.core.task import Observation
from ....neural_blocks.errors import InvalidInput
from ....neural_blocks.perception.images import brightest, image_layout
from ....neural_blocks.perception.mlp import MLP
from ....neural_blocks.perception.pixelwise import Pixelwise
from ....neural_blocks.perception.unet import UNet
from .actor import WholeActor, WholeActorCritic

VALUE_FEATURES = 8  # of each pixel, whose means the value is read from


class PixelActor(WholeActor):
    """A U-Net (Ronneberger et al., 2015) for the policy's parameters, with the calls of `network.Actor`.

    Args:
        observation_space: an image, see `image_layout`.
        action_space: with an entry for each of its pixels: MultiDiscrete (H, W) of equal counts, or MultiBinary or Box
            (H, W) or (C, H, W).
        widths: filters of the U-Net's levels, the finest first.
        features: further channels out.

    Raises:
        InvalidInput: other spaces, or an image that the levels cannot halve.
    """

    kind: ClassVar[str] = "unet"
    made_by: ClassVar[type[UNet] | type[Pixelwise]] = UNet
    scale: Tensor

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        widths: Sequence[int],
        features: int = 0,
    ) -> None:
        super().__init__()
        layout = image_layout(observation_space)
        if layout is None:
            told = f"{type(observation_space).__name__} {observation_space.shape or ''}".strip()
            raise InvalidInput(f"network: {self.kind!r} needs one image as the observation; got {told}")
        channels, *sides = layout.shape
        self.layout = layout
        self.each = _parameters_of_a_pixel(self.kind, action_space, sides)
        self.last = isinstance(action_space, spaces.MultiDiscrete)  # a pixel's parameters stand side by side
        factor = 2 ** (len(widths) - 1) if self.kind == "unet" else 1
        if not widths or any(side % factor for side in sides):
            allowed = f"so few levels that {sides[0]} x {sides[1]} pixels can be halved from each to the next"
            allowed = "a layer at least" if self.kind == "pixelwise" else allowed
            raise InvalidInput(f"network: {self.kind!r} needs hidden to name {allowed}; got {tuple(widths)}")
        self.painter = self.made_by(channels, self.each + features, widths)
        with torch.no_grad():  # an even policy to begin with, as a perceptron's small last weights make it
            self.painter.output.weight[: self.each] *= 0.01
            self.painter.output.bias[: self.each] = 0.0  # type: ignore[index]
        self.register_buffer("scale", torch.tensor(1 / brightest(observation_space)), persistent=False)

    def maps(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Images (N, ...) to policy parameters (N, P) and the further channels (N, features, H, W)."""
        assert isinstance(observation, Tensor)
        image = self.layout(observation).to(self.scale.dtype) * self.scale
        own, further = self.painter(image).tensor_split([self.each], 1)
        return (own.movedim(1, -1) if self.last else own).flatten(1), further


class PixelActorCritic(WholeActorCritic, PixelActor):
    """A U-Net for the policy's parameters and for what the value is read from, with the calls of `ActorCritic`."""

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], widths: Sequence[int]
    ) -> None:
        super().__init__(observation_space, action_space, widths, VALUE_FEATURES)
        self.critic = MLP(VALUE_FEATURES, (64,), 1, activation="relu", initialisation="orthogonal", output_gain=1.0)

    def value(self, further: Tensor) -> Tensor:
        """Values (N,) of the further channels."""
        return self.critic(further.mean((2, 3))).squeeze(-1)


class PixelwiseActor(PixelActor):
    """The same by a `Pixelwise`, which sees no more than the patch around each pixel; widths of its hidden layers."""

    kind, made_by = "pixelwise", Pixelwise


class PixelwiseActorCritic(PixelActorCritic):
    """A `Pixelwise` for the policy's parameters and for what the value is read from."""

    kind, made_by = "pixelwise", Pixelwise


def _parameters_of_a_pixel(kind: str, space: spaces.Space[Any], sides: list[int]) -> int:
    """How many parameters a policy over `space` has for each pixel. Raises `InvalidInput` where none fits."""
    shape = list(space.shape or ())
    if isinstance(space, spaces.MultiDiscrete) and shape == sides and (space.nvec == space.nvec.flat[0]).all():
        return int(space.nvec.flat[0])
    if isinstance(space, spaces.MultiBinary | spaces.Box) and len(shape) in (2, 3) and shape[-2:] == sides:
        return math.prod(shape[:-2])
    told = f"{type(space).__name__} {tuple(shape) or ''}".strip()
    raise InvalidInput(f"network: {kind!r} needs an action of one entry per pixel, {sides[0]} x {sides[1]}; got {told}")
