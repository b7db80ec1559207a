"""Settings of the networks that `network.Trunk` builds, shared by every agent that has one."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, InstanceOf, field_serializer, model_validator
from pydantic.json_schema import SkipJsonSchema
from torch import nn

from ...neural_blocks.sequence.memory import Memory
from .config import AgentConfig

EncoderChoice = Literal["auto", "flat", "cnn", "lenet", "residual", "vit"] | SkipJsonSchema[InstanceOf[nn.Module]]
MemoryChoice = (
    Literal["gru", "lstm", "elman", "one_gate_gru", "fast_weights", "transformer"] | SkipJsonSchema[InstanceOf[Memory]]
)


class NetworkConfig(AgentConfig):
    """Settings of an encoder and the perceptrons after it.

    Attributes:
        encoder: of images, see `network.make_encoder`: "auto", "flat", "cnn", "lenet", "residual" or "vit"; or a module
            from whole observations (N, ...) to (N, output_size), of which every network gets a copy.
        hidden: widths of each perceptron's hidden layers.
        activation: "tanh", "relu", "silu" or "gelu".
    """

    encoder: EncoderChoice = "auto"
    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "relu", "silu", "gelu"] = "relu"

    def network(self) -> dict[str, Any]:
        """The settings as `network.Trunk` takes them."""
        return {"encoder": self.encoder, "hidden": self.hidden, "activation": self.activation}

    @field_serializer("encoder", "memory", when_used="json", check_fields=False)
    def _name_of_a_module(self, block: str | nn.Module | None) -> str | None:
        return type(block).__name__ if isinstance(block, nn.Module) else block


class MemoryConfig(NetworkConfig):
    """Settings of a network that may have a memory, and of the sequences it learns from.

    Attributes:
        memory: None, or a block of `recurrent.MEMORIES`: "gru", "lstm", "elman", "one_gate_gru", "fast_weights" or
            "transformer"; or a `Memory` that reads what the encoder gives, of which every network gets a copy.
        memory_size: the memory's features, where it is named.
        memory_layers: memory blocks on top of each other, where it is named.
        memory_span: steps that a named memory remembers from the start, see `recurrent.memory`; None for its own.
        rollout_steps: T, steps of every environment between two updates.
        sequence_length: steps an update back-propagates through; None for `rollout_steps`. Without a memory it is 1.
    """

    memory: MemoryChoice | None = None
    memory_size: int = Field(64, ge=1)
    memory_layers: int = Field(1, ge=1)
    memory_span: int | None = Field(None, ge=2)
    rollout_steps: int = Field(32, ge=1)
    sequence_length: int | None = Field(None, ge=1)

    def network(self) -> dict[str, Any]:
        """The settings as `network.Trunk` takes them."""
        names = ("memory", "memory_size", "memory_layers", "memory_span")
        return super().network() | {name: getattr(self, name) for name in names}

    @property
    def chunk(self) -> int:
        """L, steps of a sequence: 1 without a memory."""
        return 1 if self.memory is None else self.sequence_length or self.rollout_steps

    @model_validator(mode="after")
    def _whole_sequences(self) -> Self:
        if self.rollout_steps % self.chunk:
            raise ValueError(f"rollout_steps must be a multiple of sequence_length {self.chunk}")
        return self
