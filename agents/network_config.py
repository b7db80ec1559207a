"""Settings of the networks that `network.Trunk` builds, shared by every agent that has one."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from .config import AgentConfig


class NetworkConfig(AgentConfig):
    """Settings of an encoder and the perceptrons after it.

    Attributes:
        encoder: of images, see `network.encoder`: "auto", "flat", "cnn", "lenet", "residual" or "vit".
        hidden: widths of each perceptron's hidden layers.
        activation: "tanh", "relu", "silu" or "gelu".
    """

    encoder: Literal["auto", "flat", "cnn", "lenet", "residual", "vit"] = "auto"
    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "relu", "silu", "gelu"] = "relu"

    def network(self) -> dict[str, Any]:
        """The settings as `network.Trunk` takes them."""
        return {"encoder_kind": self.encoder, "hidden": self.hidden, "activation": self.activation}


class MemoryConfig(NetworkConfig):
    """Settings of a network that may have a memory, and of the sequences it learns from.

    Attributes:
        memory: None, or a block of `recurrent.MEMORIES`: "gru", "lstm", "elman", "one_gate_gru" or "transformer".
        memory_size: the memory's features.
        memory_layers: memory blocks on top of each other.
        rollout_steps: T, steps of every environment between two updates.
        sequence_length: steps an update back-propagates through; None for `rollout_steps`. Without a memory it is 1.
    """

    memory: Literal["gru", "lstm", "elman", "one_gate_gru", "transformer"] | None = None
    memory_size: int = Field(64, ge=1)
    memory_layers: int = Field(1, ge=1)
    rollout_steps: int = Field(32, ge=1)
    sequence_length: int | None = Field(None, ge=1)

    def network(self) -> dict[str, Any]:
        """The settings as `network.Trunk` takes them."""
        memory = {"memory": self.memory, "memory_size": self.memory_size, "memory_layers": self.memory_layers}
        return super().network() | memory

    @property
    def chunk(self) -> int:
        """L, steps of a sequence: 1 without a memory."""
        return 1 if self.memory is None else self.sequence_length or self.rollout_steps

    @model_validator(mode="after")
    def _whole_sequences(self) -> Self:
        if self.rollout_steps % self.chunk:
            raise ValueError(
                f"rollout_steps must be a multiple of sequence_length {self.chunk}, got {self.rollout_steps}"
            )
        return self
