"""Checks an agent, an encoder or a memory by its name or class path."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.findings import Report
from ...neural_blocks.named_blocks import ENCODERS, MEMORIES
from ...neural_blocks.registry import import_path
from ...neural_blocks.sequence.memory import Memory
from ..registry import AGENTS
from . import agent
from .blocks import check_encoder, check_memory


def check(name: str, environment: str | None = None, **settings: Any) -> Report:
    """Holds somebody's agent, encoder or memory to the contract of its kind.

    Args:
        name: a registered name, or "module:Class".
        environment: where an agent is tried, an id or "module:Class"; None for the first small one that it serves.
        settings: of an agent.

    Returns:
        A report: print it, iterate over its findings, or ask whether it `passed`.

    Raises:
        InvalidInput: an unknown name, a class of another kind, or an agent that cannot be made.
    """
    block = name in ENCODERS or name in MEMORIES
    if AGENTS.is_path(name) and not block:
        found = import_path(name, "name")
        block = isinstance(found, type) and issubclass(found, nn.Module)
        memory = block and issubclass(found, Memory)
    else:
        memory = name in MEMORIES
    if not block:
        return agent.check(name, environment, **settings)
    if settings or environment:
        raise InvalidInput(f"{name}: a block takes no settings and no environment")
    return check_memory(name) if memory else check_encoder(name)
