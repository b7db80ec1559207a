"""Encoders that were fitted before: how their files are written and read, and how an agent holds one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import gymnasium.spaces as spaces
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from ...neural_blocks.errors import InvalidInput, invalid_config
from ...neural_blocks.registry import refuse_imports
from ..core.checkpoint import fingerprint, read_checkpoint, write_checkpoint

KIND = "encoder"  # what a checkpoint says that it is, in the place of an agent's name
ENDING = ".pt"


class Recipe(BaseModel):
    """How a fitted encoder is made anew, so that its weights have a place.

    Attributes:
        encoder: its name, or "module:Class"; see `network.make_encoder`.
        depth: see there too.
        settings: with which its class is called beside the space, where these are not its own.
        parts: of a Dict's entries that have recipes of their own, these.
        space: what it reads, as `shown_space` tells it; "" in a part.
        method: that fitted it.
        digest: of its file; "" where it is not written yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(min_length=1)
    depth: Annotated[int | None, Field(ge=1, le=64)] = None
    settings: dict[str, int | list[int]] = {}
    parts: dict[str, Recipe] = {}
    space: str = ""
    method: str = ""
    digest: str = ""


@dataclass(frozen=True, repr=False)
class EncoderFile:
    """A fitted encoder as the settings name it: a file, and what it holds.

    Attributes:
        path: of the file.
        recipe: of the encoder.
    """

    path: str
    recipe: Recipe

    def weights(self) -> dict[str, Tensor] | None:
        """The encoder's weights; None where the file is gone or was written anew since."""
        if not os.path.exists(self.path) or digest(self.path) != self.recipe.digest:
            return None
        weights: dict[str, Tensor] = read_checkpoint(self.path)["state"]
        return weights

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return repr(self.path)


def is_file(encoder: object) -> bool:
    """Whether a setting names an encoder's file and no encoder."""
    return isinstance(encoder, str | os.PathLike) and str(encoder).endswith(ENDING)


def shown_space(space: spaces.Space[Any]) -> str:
    """A space in one line that is the same for equal spaces only; without a colon, which stands for code to import."""
    return fingerprint(space).replace(":", " =")


def write_encoder(path: str | Path, encoder: nn.Module, recipe: Recipe, space: spaces.Space[Any]) -> None:
    """Writes an encoder's file: tensors and plain values, with their checksum.

    Args:
        path: of the file.
        encoder: that the recipe makes.
        recipe: of the encoder; its space and digest are filled in.
        space: what it reads.

    Raises:
        OSError: the file cannot be written.
    """
    config = recipe.model_copy(update={"space": shown_space(space), "digest": ""}).model_dump(mode="json")
    state = {name: tensor.detach().cpu() for name, tensor in encoder.state_dict().items()}
    content: dict[str, Any] = {"agent": KIND, "config": config, "spaces": {}, "state": state, "extra": {}}
    write_checkpoint(path, content)


def read_recipe(path: str) -> Recipe:
    """What an encoder's file holds.

    Raises:
        InvalidInput: the file is missing, damaged, or another one; or it names code to import, see `refuse_imports`.
    """
    content = read_checkpoint(path)
    if content["agent"] != KIND:
        raise InvalidInput(
            f"{path}: must be an encoder's file, as 'palaestra pretrain' writes it; got a checkpoint of "
            f"{content['agent']!r}"
        )
    try:
        recipe = Recipe(**content["config"])
    except ValidationError as error:
        raise invalid_config(f"{path}: not a readable encoder", error, Recipe.model_fields) from None
    refuse_imports(recipe.model_dump(), path)
    return recipe.model_copy(update={"digest": digest(path)})


def digest(path: str | Path) -> str:
    """Sixteen hexadecimal digits of a file's SHA-256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


class Held(nn.Module):
    """An encoder that an agent holds as it is, or begins from: (N, ...) to (N, output_size).

    Args:
        network: the encoder.
        frozen: its weights are not learned, and it stays in evaluation mode.
        absent: why its weights are not there; they are once a state was loaded.
    """

    def __init__(self, network: Any, *, frozen: bool, absent: str | None = None) -> None:
        super().__init__()
        self.network, self.frozen, self.absent = network, frozen, absent
        self.output_size = int(network.output_size)
        if frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; a frozen encoder knows the latter alone."""
        return super().train(mode and not self.frozen)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self.absent = None

    def forward(self, x: Any) -> Tensor:
        """(N, ...) to (N, features). Raises `InvalidInput` where the weights were never there."""
        if self.absent is not None:
            raise InvalidInput(self.absent)
        return self.network(x)
