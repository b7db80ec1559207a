"""The shipped weights: written once by `python -m palaestra.envs.frozen`, read wherever a network is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from ...neural_blocks.errors import InvalidInput

Network = TypeVar("Network", bound=nn.Module)
FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Recipe:
    """How a shipped network is made.

    Attributes:
        build: the untrained network.
        train: trains it in place on the embedded digits outside the test split; fixed seed, one thread.
    """

    build: Callable[[], nn.Module]
    train: Callable[[nn.Module], None]


def save(name: str, network: nn.Module) -> Path:
    """Writes a network's weights, floating-point ones as float16 (half the size), and returns the file."""
    halves = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    path = FOLDER / f"{name}.pt"
    torch.save(halves, path)
    return path


def load(name: str, network: Network) -> Network:
    """Fills a network with its shipped weights and returns it frozen: evaluation mode, no gradients to its weights.

    Raises:
        InvalidInput: the file is missing, damaged, or made for another architecture.
    """
    path = FOLDER / f"{name}.pt"
    try:
        network.load_state_dict(torch.load(path, weights_only=True))
    except Exception as error:  # a damaged file raises whatever the layer that met it does
        raise InvalidInput(
            f"the shipped network {name!r} could not be read from {path} ({' '.join(str(error).split())}); "
            f"`python -m palaestra.envs.frozen {name}` makes it again"
        ) from error
    return network.float().eval().requires_grad_(False)
