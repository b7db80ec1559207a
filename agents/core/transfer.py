"""Transfer: an agent begins with the weights of another one, as far as they fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ...neural_blocks.errors import InvalidInput
from .agent import Agent

OWN = ("seed", "counter")  # of what is drawn at random, which stays the agent's own


@dataclass(frozen=True)
class Transfer:
    """What an agent has of another one.

    Attributes:
        taken: weights that it took over, by their names.
        new: those that stay as they were made, with what they would have to be: another shape, or nothing.
    """

    taken: list[str]
    new: dict[str, str]

    def __str__(self) -> str:
        told = f"{len(self.taken)} of {len(self.taken) + len(self.new)} weights taken over"
        names = [f"{name} ({why})" for name, why in self.new.items()]
        return told if not names else f"{told}; new: {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}"


def weights_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint without what only its own run needs: optimiser, replay, counters and the environments' state."""
    kept = {key: part for key, part in checkpoint["state"].items() if _is_weights(part)}
    return checkpoint | {"state": kept, "extra": {}}


def take_over(agent: Agent, checkpoint: dict[str, Any], path: object) -> Transfer:
    """Gives an agent's networks the weights of those that stand in the same place in a checkpoint and have their shape.

    What does not fit, such as heads for other actions, stays as it was made. So does all beside the networks.

    Args:
        agent: that has not learned yet.
        checkpoint: that `read_checkpoint` returned.
        path: of the checkpoint, for messages.

    Raises:
        InvalidInput: nothing fits.
    """
    taken: list[str] = []
    new: dict[str, str] = {}
    for key, module in _networks(agent):
        given, own = checkpoint["state"].get(key, {}), module.state_dict()
        for name, tensor in own.items():
            other = given.get(name) if isinstance(given, dict) else None
            if name.rpartition(".")[2] in OWN:
                continue
            if isinstance(other, Tensor) and other.shape == tensor.shape and other.dtype == tensor.dtype:
                own[name] = other
                taken.append(f"{key}.{name}")
            else:
                shape = f"{_shape(tensor)}, not {_shape(other)}" if isinstance(other, Tensor) else "not there"
                new[f"{key}.{name}"] = shape
        module.load_state_dict(own)
    if not taken:
        raise InvalidInput(f"{path}: no weights of {checkpoint['agent']!r} there fit those of {agent.name!r} here")
    return Transfer(taken, new)


def _networks(agent: Agent) -> Iterator[tuple[str, nn.Module]]:
    """The networks that an agent's state holds, by their names there."""
    for key in agent.state_dict():
        if isinstance(module := getattr(agent, key, None), nn.Module):
            yield key, module


def _is_weights(part: object) -> bool:
    return isinstance(part, dict) and len(part) > 0 and all(isinstance(one, Tensor) for one in part.values())


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one"
