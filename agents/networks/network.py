"""One builder for every agent's network: encoder by observation space, optional memory, heads."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor, nn

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.block_settings import Configured, require_settings
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.layers.dropout import counted_dropout
from ...neural_blocks.named_blocks import ENCODERS
from ...neural_blocks.perception.augmentation import Augmentation
from ...neural_blocks.perception.encoders import Flat
from ...neural_blocks.perception.mlp import MLP
from ...neural_blocks.sequence.memory import Memory as MemoryBlock
from ...neural_blocks.sequence.recurrent import memory as make_memory
from .masking import allowed
from .normalisation import ObservationNormaliser
from .pretrained import EncoderFile, Held, Recipe, shown_space

Memory = tuple[Tensor, ...]
DECIDED = ("space", "shape", "output_size")  # of an encoder's arguments


class OneHot(nn.Module):
    """A Discrete or MultiDiscrete value as one-hot vectors side by side: (N, ...) int64 to (N, features)."""

    offsets: Tensor
    one: Tensor

    def __init__(self, space: spaces.Discrete | spaces.MultiDiscrete) -> None:
        super().__init__()
        count = space.n if isinstance(space, spaces.Discrete) else space.nvec
        sizes = torch.as_tensor(count, dtype=torch.int64).reshape(-1)
        starts = torch.as_tensor(space.start, dtype=torch.int64).reshape(-1)
        self.output_size = int(sizes.sum())
        self.register_buffer("offsets", sizes.cumsum(0) - sizes - starts, persistent=False)
        self.register_buffer("one", torch.ones(()), persistent=False)  # of the network's dtype

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) int64 to (N, features)."""
        flat = x.reshape(len(x), -1) + self.offsets
        return self.one.new_zeros(len(x), self.output_size).scatter(1, flat, 1.0)


class Parts(nn.Module):
    """A Dict's parts, each through its own encoder, side by side: dict of (N, ...) to (N, features).

    Args:
        space: of the parts.
        kind: of each part's encoder, see `make_encoder`.
        given: encoders of parts that have one of their own; they are copied.
        depth: see `make_encoder`.
    """

    def __init__(
        self,
        space: spaces.Dict,
        kind: str | Configured,
        given: Mapping[str, nn.Module] = MappingProxyType({}),
        depth: int | None = None,
    ) -> None:
        super().__init__()
        self.names = list(space)  # of any kind; a module's name must not be empty, dotted or taken
        parts = [
            make_encoder(part, given[name]) if name in given else make_encoder(part, kind, depth)
            for name, part in space.items()
        ]
        self.parts = nn.ModuleList(parts)
        self.output_size = sum(part.output_size for part in parts)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        """Dict of (N, ...) to (N, features)."""
        return torch.cat([part(x[name]) for name, part in zip(self.names, self.parts, strict=True)], -1)


def make_encoder(
    space: spaces.Space[Any],
    kind: str | nn.Module | EncoderFile | Configured = "auto",
    depth: int | None = None,
    freeze: bool = False,
) -> Any:
    """The encoder of an observation space: a module from (N, ...) to (N, output_size).

    Args:
        space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of these.
        kind: a name of `named_blocks.ENCODERS` or "module:Class", see `perception.encoders`. Those of the suite are for
            images, see `perception.images`: "cnn", "strided", "nature", "lenet", "alexnet", "vgg", "inception",
            "residual", "residual_bottleneck", "densenet", "vit"; "auto" is "nature" from 64 pixels a side on, "cnn"
            from 16 on, else "flat".
            Or a module, which is copied; its dropout draws from counters, as all that agents draw. Or a fitted encoder
            in a file; of a Dict it reads those entries that are such as it was fitted on, "auto" the others.
        depth: of "vgg", "inception", "residual", "residual_bottleneck", "densenet" and "vit", which say what it counts;
            None for their own.
        freeze: its weights are not learned, and it stays in evaluation mode; of a Dict those from the file.

    Raises:
        InvalidInput: an unknown name, an encoder without `output_size`, a depth for one that has none to choose, a
            space of another kind, or a file of an encoder that reads another space.
    """
    if depth is not None and not has_depth(kind):
        deep = ", ".join(filter(has_depth, ENCODERS))
        raise InvalidInput(f"encoder_depth: encoder must be one of {deep}; got {kind!r:.80}")
    if isinstance(kind, EncoderFile):
        return _from_file(space, kind, freeze)
    if freeze:
        return Held(make_encoder(space, kind, depth), frozen=True)
    if isinstance(kind, nn.Module):
        return counted_dropout(copy.deepcopy(_with_size(kind)))
    name, settings = (kind.name, kind.settings) if isinstance(kind, Configured) else (kind, {})
    cls = ENCODERS.load(name, nn.Module)
    require_settings("encoder_block", cls, settings, DECIDED)
    serves = getattr(cls, "serves", None)
    if serves is None:
        return counted_dropout(_with_size(cls(space, **settings)))
    if isinstance(space, spaces.Dict):
        return Parts(space, kind, depth=depth)
    if serves(space):
        return counted_dropout(_with_size(cls(space, **settings) if depth is None else cls(space, depth, **settings)))
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return OneHot(space)
    if isinstance(space, spaces.MultiBinary):
        return Flat(spaces.Box(0, 1, space.shape))
    if isinstance(space, spaces.Box):
        return Flat(space)
    raise InvalidInput(f"observation space must be Box, Discrete, MultiDiscrete, MultiBinary or Dict; got {space}")


def _from_file(space: spaces.Space[Any], file: EncoderFile, freeze: bool) -> nn.Module:
    """A fitted encoder with its weights; those that a file no longer has come from a checkpoint, or must."""
    if shown_space(space) != file.recipe.space:
        parts = space.spaces if isinstance(space, spaces.Dict) else {}
        fitting = [name for name, part in parts.items() if shown_space(part) == file.recipe.space]
        if isinstance(space, spaces.Dict) and fitting:
            return Parts(space, "auto", {name: _from_file(space[name], file, freeze) for name in fitting})
        raise InvalidInput(f"encoder {file}: reads {file.recipe.space}; the observation here is {shown_space(space)}")
    network, weights = from_recipe(space, file.recipe), file.weights()
    absent = f"encoder {file}: the file is gone or another one now, and no checkpoint has its weights"
    if weights is not None:
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise InvalidInput(
                f"encoder {file}: its weights do not fit: {' '.join(str(error).split())[:160]}"
            ) from None
    return Held(network, frozen=freeze, absent=absent if weights is None else None)


def from_recipe(space: spaces.Space[Any], recipe: Recipe) -> Any:
    """The encoder that a recipe makes, with fresh weights. Raises `InvalidInput` where it does not fit the space."""
    if recipe.parts and isinstance(space, spaces.Dict):
        return Parts(
            space, recipe.encoder, {name: from_recipe(space[name], part) for name, part in recipe.parts.items()}
        )
    if not recipe.settings:
        return make_encoder(space, recipe.encoder, recipe.depth)
    try:
        return _with_size(ENCODERS.load(recipe.encoder, nn.Module)(space, **recipe.settings))
    except TypeError as error:
        raise InvalidInput(f"encoder {recipe.encoder}: {error}") from None


def has_depth(kind: str | nn.Module | EncoderFile | Configured) -> bool:
    """Whether an encoder of that name has a depth to choose."""
    name = kind.name if isinstance(kind, Configured) else kind
    return isinstance(name, str) and bool(getattr(ENCODERS.load(name, nn.Module), "depth_setting", None))


def _with_size(module: nn.Module) -> nn.Module:
    if not isinstance(getattr(module, "output_size", None), int):
        raise InvalidInput(f"encoder: a module must have an integer output_size; {type(module).__name__} has none")
    return module


class Trunk(nn.Module):
    """What stands before every head: the encoder and the memory, if there is one; and how heads are made.

    Args:
        observation_space: what is encoded.
        encoder: see `make_encoder`.
        encoder_depth: see `make_encoder`.
        freeze: see `make_encoder`.
        memory: None, the name of a memory block, or one, which is copied.
        memory_size: features of a named block.
        memory_layers: named blocks on top of each other.
        memory_span: steps that a named block remembers from the start; None for its own number.
        hidden: widths of each head's hidden layers.
        activation: of each head.
        initialisation: of each head.
        normalisation: of each head's hidden layers.
        dropout: of each head's hidden features.
        augment: ways in which images are changed in training, see `augmentation`.
        normalise: observations by their running statistics, which the learner updates.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        *,
        encoder: str | nn.Module | EncoderFile | Configured = "auto",
        encoder_depth: int | None = None,
        freeze: bool = False,
        memory: str | MemoryBlock | Configured | None = None,
        memory_size: int = 64,
        memory_layers: int = 1,
        memory_span: int | None = None,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        initialisation: str = "orthogonal",
        normalisation: str | None = None,
        dropout: float = 0.0,
        augment: Sequence[str] = (),
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.normaliser = ObservationNormaliser(observation_space) if normalise else None
        self.augmentation = Augmentation(observation_space, augment) if augment else None
        self.encoder = make_encoder(observation_space, encoder, encoder_depth, freeze)
        features = int(self.encoder.output_size)
        if isinstance(memory, str | Configured):
            chosen = memory if isinstance(memory, Configured) else Configured(memory, {})
            memory = make_memory(chosen.name, features, memory_size, memory_layers, memory_span, chosen.settings)
        elif memory is not None and memory.input_size != features:
            raise InvalidInput(f"memory: input_size must be the encoder's {features}; got {memory.input_size}")
        self.memory: Any = None if memory is None else counted_dropout(copy.deepcopy(memory))
        self.output_size = features if memory is None else memory.output_size
        self.hidden = hidden
        self.settings: dict[str, Any] = {
            "activation": activation,
            "initialisation": initialisation,
            "normalisation": normalisation,
            "dropout": dropout,
        }

    def head(self, size: int, output_gain: float = 1.0) -> MLP:
        """A perceptron from the trunk's features to that many outputs."""
        return MLP(self.output_size, self.hidden, size, output_gain=output_gain, **self.settings)

    def initial_memory(self, batch: int) -> Memory:
        """The memory of B fresh episodes; empty without a memory block."""
        return () if self.memory is None else self.memory.initial_memory(batch)

    def features(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """What the heads see: observations (T, B, ...), memory before them, starts (T, B), to (T, B, F) and memory."""
        lead = start.shape
        flat = tree_map(lambda part: part.flatten(0, 1), observation)
        flat = flat if self.normaliser is None else self.normaliser(flat)
        flat = flat if self.augmentation is None else self.augmentation(flat)
        encoded = self.encoder(flat).view(*lead, -1)  # (T, B, F)
        return (encoded, memory) if self.memory is None else self.memory(encoded, memory, start)


class Actor(Trunk):
    """Trunk and one perceptron for the policy's parameters: for learners that need no value.

    Args:
        observation_space: what is encoded.
        policy_size: the policy's parameters.
        masked: the observation tells which actions are allowed, see `masking`.
        latent: how many of the parameters, the last ones, are features within -1 and 1, by a perceptron of their own.
        settings: of `Trunk`.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        policy_size: int,
        *,
        masked: bool = False,
        latent: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(observation_space, **settings)
        self.actor, self.masked = self.head(policy_size - latent, output_gain=0.01), masked
        self.latent = self.head(latent) if latent else None

    def parameters_of(self, features: Tensor, observation: Observation) -> Tensor:
        """Policy parameters (T, B, P) from features (T, B, F) and what was observed."""
        parameters: Tensor = self.actor(features)
        if self.latent is not None:
            parameters = torch.cat([parameters, self.latent(features).tanh()], -1)
        return allowed(parameters, observation) if self.masked else parameters

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """Policy parameters (T, B, P) and the memory after the last step."""
        features, memory = self.features(observation, memory, start)
        return self.parameters_of(features, observation), memory

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """One step: observations (B, ...), memory, starts (B,), to parameters (B, P) and memory."""
        one = tree_map(lambda part: part.unsqueeze(0), observation)
        parameters, memory = self(one, memory, start.unsqueeze(0))
        return parameters[0], memory


class ActorCritic(Actor):
    """Trunk, and two perceptrons: one for the policy's parameters, one for the value. Arguments as of `Actor`."""

    def __init__(self, observation_space: spaces.Space[Any], policy_size: int, **settings: Any) -> None:
        super().__init__(observation_space, policy_size, **settings)
        self.critic = self.head(1)

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """Policy parameters (T, B, P), values (T, B) and the memory after the last step."""
        features, memory = self.features(observation, memory, start)
        return self.parameters_of(features, observation), self.critic(features).squeeze(-1), memory

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """One step: observations (B, ...), memory, starts (B,), to parameters (B, P), values (B,) and memory."""
        one = tree_map(lambda part: part.unsqueeze(0), observation)
        parameters, value, memory = self(one, memory, start.unsqueeze(0))
        return parameters[0], value[0], memory
