"""One builder for every agent's network: encoder by observation space, optional memory, heads."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor, nn

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput, unknown_name
from ...neural_blocks.perception.convolution import LeNet, SmallCNN
from ...neural_blocks.perception.mlp import MLP
from ...neural_blocks.perception.residual import ResidualNet
from ...neural_blocks.perception.vision_transformer import VisionTransformer
from ...neural_blocks.sequence.memory import Memory as MemoryBlock
from ...neural_blocks.sequence.recurrent import memory as make_memory

Memory = tuple[Tensor, ...]
IMAGE_ENCODERS: dict[str, Any] = {"cnn": SmallCNN, "lenet": LeNet, "residual": ResidualNet, "vit": VisionTransformer}
ENCODERS = ("auto", "flat", *IMAGE_ENCODERS)
IMAGE_FEATURES = 128


class Flat(nn.Module):
    """A Box as a float vector: (N, ...) to (N, features); uint8 is scaled from [0, 255] to [0, 1]."""

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        self.output_size = math.prod(space.shape)
        self.scale = 1 / 255 if space.dtype == "uint8" else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) to (N, features)."""
        x = x.flatten(1).float()
        return x if self.scale == 1.0 else x * self.scale


class Image(nn.Module):
    """A uint8 image through an image network, see `IMAGE_ENCODERS`: (N, C, H, W) to (N, features)."""

    def __init__(self, space: spaces.Box, kind: str) -> None:
        super().__init__()
        self.network = IMAGE_ENCODERS[kind](space.shape, output_size=IMAGE_FEATURES)
        self.output_size = IMAGE_FEATURES

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) uint8 to (N, features)."""
        return torch.relu(self.network(x.float() * (1 / 255)))


class OneHot(nn.Module):
    """A Discrete or MultiDiscrete value as one-hot vectors side by side: (N, ...) int64 to (N, features)."""

    offsets: Tensor

    def __init__(self, space: spaces.Discrete | spaces.MultiDiscrete) -> None:
        super().__init__()
        count = space.n if isinstance(space, spaces.Discrete) else space.nvec
        sizes = torch.as_tensor(count, dtype=torch.int64).reshape(-1)
        starts = torch.as_tensor(space.start, dtype=torch.int64).reshape(-1)
        self.output_size = int(sizes.sum())
        self.register_buffer("offsets", sizes.cumsum(0) - sizes - starts, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) int64 to (N, features)."""
        flat = x.reshape(len(x), -1) + self.offsets
        return torch.zeros(len(x), self.output_size, device=x.device).scatter_(1, flat, 1.0)


class Parts(nn.Module):
    """A Dict's parts, each through its own encoder, side by side: dict of (N, ...) to (N, features)."""

    def __init__(self, space: spaces.Dict, kind: str) -> None:
        super().__init__()
        parts = {name: make_encoder(part, kind) for name, part in space.items()}
        self.parts = nn.ModuleDict(parts)
        self.output_size = sum(part.output_size for part in parts.values())

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        """Dict of (N, ...) to (N, features)."""
        return torch.cat([part(x[name]) for name, part in self.parts.items()], -1)


def make_encoder(space: spaces.Space[Any], kind: str | nn.Module = "auto") -> Any:
    """The encoder of an observation space: a module from (N, ...) to (N, output_size).

    Args:
        space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of these.
        kind: for images (uint8 of three dimensions): "flat", an image network ("cnn", "lenet", "residual", "vit"), or
            "auto": "cnn" from 16 pixels a side on, "flat" below. Or a module, which is copied.

    Raises:
        InvalidInput: an unknown name, a module without `output_size`, or a space of another kind.
    """
    if isinstance(kind, nn.Module):
        if not isinstance(getattr(kind, "output_size", None), int):
            raise InvalidInput(f"encoder: a module must have an integer output_size; {type(kind).__name__} has none")
        return copy.deepcopy(kind)
    if kind not in ENCODERS:
        raise unknown_name("encoder", kind, ENCODERS)
    if isinstance(space, spaces.Dict):
        return Parts(space, kind)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return OneHot(space)
    if isinstance(space, spaces.MultiBinary):
        return Flat(spaces.Box(0, 1, space.shape))
    if isinstance(space, spaces.Box):
        image = len(space.shape) == 3 and space.dtype == "uint8"
        if kind == "auto":
            kind = "cnn" if image and min(space.shape[1:]) >= 16 else "flat"
        return Image(space, kind) if image and kind != "flat" else Flat(space)
    raise InvalidInput(f"observation space must be Box, Discrete, MultiDiscrete, MultiBinary or Dict; got {space}")


class Trunk(nn.Module):
    """What stands before every head: the encoder and the memory, if there is one; and how heads are made.

    Args:
        observation_space: what is encoded.
        encoder: see `make_encoder`.
        memory: None, the name of a memory block, or one, which is copied.
        memory_size: features of a named block.
        memory_layers: named blocks on top of each other.
        memory_span: steps that a named block remembers from the start; None for its own number.
        hidden: widths of each head's hidden layers.
        activation: of each head.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        *,
        encoder: str | nn.Module = "auto",
        memory: str | MemoryBlock | None = None,
        memory_size: int = 64,
        memory_layers: int = 1,
        memory_span: int | None = None,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.encoder = make_encoder(observation_space, encoder)
        features = int(self.encoder.output_size)
        if isinstance(memory, str):
            memory = make_memory(memory, features, memory_size, memory_layers, memory_span)
        elif memory is not None and memory.input_size != features:
            raise InvalidInput(f"memory: input_size must be the encoder's {features}; got {memory.input_size}")
        self.memory = copy.deepcopy(memory)
        self.output_size = features if memory is None else memory.output_size
        self.hidden, self.activation = hidden, activation

    def head(self, size: int, output_gain: float = 1.0) -> MLP:
        """A perceptron from the trunk's features to that many outputs."""
        return MLP(self.output_size, self.hidden, size, activation=self.activation, output_gain=output_gain)

    def initial_memory(self, batch: int) -> Memory:
        """The memory of B fresh episodes; empty without a memory block."""
        return () if self.memory is None else self.memory.initial_memory(batch)

    def features(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """What the heads see: observations (T, B, ...), memory before them, starts (T, B), to (T, B, F) and memory."""
        lead = start.shape
        flat = tree_map(lambda part: part.flatten(0, 1), observation)
        encoded = self.encoder(flat).view(*lead, -1)  # (T, B, F)
        return (encoded, memory) if self.memory is None else self.memory(encoded, memory, start)


class Actor(Trunk):
    """Trunk and one perceptron for the policy's parameters: for learners that need no value.

    Args:
        observation_space: what is encoded.
        policy_size: the policy's parameters.
        settings: of `Trunk`.
    """

    def __init__(self, observation_space: spaces.Space[Any], policy_size: int, **settings: Any) -> None:
        super().__init__(observation_space, **settings)
        self.actor = self.head(policy_size, output_gain=0.01)

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """Policy parameters (T, B, P) and the memory after the last step."""
        features, memory = self.features(observation, memory, start)
        return self.actor(features), memory

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """One step: observations (B, ...), memory, starts (B,), to parameters (B, P) and memory."""
        one = tree_map(lambda part: part.unsqueeze(0), observation)
        parameters, memory = self(one, memory, start.unsqueeze(0))
        return parameters[0], memory


class ActorCritic(Trunk):
    """Trunk, and two perceptrons: one for the policy's parameters, one for the value. Arguments as of `Actor`."""

    def __init__(self, observation_space: spaces.Space[Any], policy_size: int, **settings: Any) -> None:
        super().__init__(observation_space, **settings)
        self.actor = self.head(policy_size, output_gain=0.01)
        self.critic = self.head(1)

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Tensor, Memory]:
        """Policy parameters (T, B, P), values (T, B) and the memory after the last step."""
        features, memory = self.features(observation, memory, start)
        return self.actor(features), self.critic(features).squeeze(-1), memory

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Tensor, Memory]:
        """One step: observations (B, ...), memory, starts (B,), to parameters (B, P), values (B,) and memory."""
        one = tree_map(lambda part: part.unsqueeze(0), observation)
        parameters, value, memory = self(one, memory, start.unsqueeze(0))
        return parameters[0], value[0], memory
