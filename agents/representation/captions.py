"""Matching pictures with what is said of them: CLIP."""

from __future__ import annotations

import math
from typing import Any, Literal

import gymnasium.spaces as spaces
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.language.words import WordTransformer, has_words
from ...neural_blocks.perception.mlp import MLP
from ..networks.network import Parts
from ..networks.pretrained import Recipe
from .method import EncodingConfig, Method, is_image

SHARPEST = math.log(100.0)  # of the cosines' factor


class CLIPConfig(EncodingConfig):
    """Settings of matching pictures with texts.

    Attributes:
        samples: observations that are gathered; the last one of each episode is learned from.
        player: "expert" writes the texts; "random" would match pictures with noise.
        size: features of the text's encoder.
        projection: features that are compared.
        temperature: that divides the cosines at first; it is learned.
    """

    samples: int = Field(32_768, ge=2, le=10**8)
    player: Literal["expert"] = "expert"
    size: int = Field(64, ge=4, multiple_of=4, le=65_536)
    projection: int = Field(64, ge=1, le=65_536)
    temperature: float = Field(0.07, gt=0)


class CLIP(Method):
    """Finds each picture's text among those of the batch, and each text's picture (Radford et al., 2021).

    The observation is a Dict with one image and one row of words, and what an expert has written when an episode ends
    is the picture's text. Texts that are equal in a batch are none of each other's negatives. Both encoders are kept:
    the image's and the text's features side by side.
    """

    name = "clip"
    reads = "finals"
    needs = "a Dict of an image and a row of words"
    Config = CLIPConfig

    @classmethod
    def fits(cls, space: spaces.Space[Any]) -> bool:
        """A Dict of an image and a row of words, and no more."""
        if not isinstance(space, spaces.Dict) or len(space) != 2:
            return False
        kinds = [(is_image(part), has_words(part) and hasattr(part, "nvec")) for part in space.values()]
        return sorted(kinds) == [(False, True), (True, False)]

    def chosen_part(self, space: spaces.Space[Any]) -> str | None:
        """All of it."""
        if self.config.part is not None:
            raise InvalidInput(f"clip: part must be null: both are encoded; got {self.config.part!r}")
        if not self.fits(space):
            raise InvalidInput(f"clip: needs {self.needs}; the observation is {space}")
        return None

    def build(self) -> None:
        """Two encoders, two projections, and the temperature."""
        config, whole = self.config, self.seen
        assert isinstance(whole, spaces.Dict)
        names = {is_image(part): name for name, part in whole.items()}
        self.image, self.text = names[True], names[False]
        self.seen = whole[self.image]
        self.make_encoder()
        settings = {"size": config.size}
        given = {self.image: self.encoder, self.text: WordTransformer(whole[self.text], **settings)}
        parts = {self.image: self.recipe, self.text: Recipe(encoder="sentence", settings=settings)}
        self.encoder, self.seen = Parts(whole, "auto", given), whole
        self.recipe = Recipe(encoder="auto", parts=parts, method=self.name)
        both = dict(zip(self.encoder.names, self.encoder.parts, strict=True))
        self.encoders = nn.ModuleDict({"image": both[self.image], "text": both[self.text]})
        sizes: dict[str, Any] = {name: one.output_size for name, one in self.encoders.items()}
        self.projections = nn.ModuleDict({name: MLP(size, (), config.projection) for name, size in sizes.items()})
        self.log_scale = nn.Parameter(torch.tensor(-math.log(config.temperature)))

    def loss(self, batch: dict[str, Tensor], seed: Tensor) -> Tensor:
        """The mean contrast of images (N, ...) and texts (N, L), either way, nats."""
        parts = {"image": batch[self.image], "text": batch[self.text]}
        image, text = (
            F.normalize(self.projections[name](self.encoders[name](part)), dim=-1) for name, part in parts.items()
        )
        logits = self.log_scale.clamp(max=SHARPEST).exp() * image @ text.T  # (N, N)
        alike = (parts["text"][:, None] == parts["text"][None]).all(-1)
        alike = alike & ~torch.eye(len(alike), dtype=torch.bool, device=alike.device)
        logits = logits.masked_fill(alike, -torch.inf)
        own = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
