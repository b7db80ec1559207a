"""A trained policy as a program of PyTorch's own, for use where this suite is not installed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...envs.core.task import Observation
from ...envs.core.tracing import branch_free
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from .agent import Agent, Memory
from .described_spaces import tensors_of
from .whole_file import write_whole

FORMATS = ("pt2", "onnx")
DETAILS = "palaestra.json"  # among the files within the .pt2


class Acting(nn.Module):
    """What an agent does without chance: ``(observation, memory, start)`` to ``(action, memory)``, tensors throughout.

    Args:
        agent: whose networks it keeps as parts of its own.
    """

    agent: Any

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        for name, part in vars(agent).items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
        self.__dict__["agent"] = agent  # no part of the module

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """Observations (B, ...), the memory, and (B,) bool where episodes start, to greedy actions and the memory."""
        action, memory = self.agent.act(observation, memory, start, greedy=True)
        return action, tuple(memory)


def export(agent: Agent, path: str | Path, kind: str = "pt2") -> None:
    """Writes what an agent does without chance as one program, for any number of environments.

    Its inputs are observations (B, ...) as environments of this suite give them, the memory, a tuple of tensors
    (B, ...), zeros at first, and (B,) bool where episodes start; it gives actions of the action space, and the memory.
    A .pt2 is read by ``torch.export.load(path).module()``; its file "palaestra.json" tells the agent and the spaces.

    Args:
        agent: a policy of networks.
        path: the file; it is replaced whole.
        kind: "pt2", or "onnx", which needs the package onnxscript.

    Raises:
        InvalidInput: another kind, a missing package, or an agent whose choice is no computation of tensors alone.
    """
    if kind not in FORMATS:
        raise InvalidInput(f"export: kind must be one of {', '.join(FORMATS)}; got {kind!r:.80}")
    parts = [part for part in vars(agent).values() if isinstance(part, nn.Module)]
    if not parts or not agent.on_device:
        raise InvalidInput(f"{agent.name}: only what networks of this suite decide can be exported")
    inputs = _example(agent)
    rows = torch.export.Dim("rows")
    shapes = tree_map(lambda part: {0: rows}, inputs)
    try:
        with torch.no_grad(), branch_free():
            program = torch.export.export(Acting(agent), inputs, dynamic_shapes=shapes, strict=True)
    except Exception as error:  # whatever the tracer raises
        told = " ".join(str(error).split())[:160]
        raise InvalidInput(f"{agent.name}: cannot be exported ({told})") from error
    content = _onnx(program, len(inputs[1])) if kind == "onnx" else _pt2(program, agent)
    write_whole(path, lambda file: file.write(content))


def _example(agent: Agent) -> tuple[Any, Memory, Tensor]:
    """Inputs of two environments: one would be taken for a number that never changes."""
    one = tensors_of(agent.observation_space, agent.observation_space.sample())
    observation = tree_map(lambda part: torch.cat([part, part]).to(agent.device), one)
    memory = tree_map(lambda part: part.clone(), tuple(agent.initial_memory(2)))
    return observation, memory, torch.ones(2, dtype=torch.bool, device=agent.device)


def _pt2(program: Any, agent: Agent) -> bytes:
    details = {
        "agent": agent.name,
        "observation_space": str(agent.observation_space),
        "action_space": str(agent.action_space),
        "memory": [list(part.shape[1:]) for part in agent.initial_memory(1)],
    }
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={DETAILS: json.dumps(details)})
    return file.getvalue()


def _onnx(program: Any, memories: int) -> bytes:
    names = ["action", *(f"next_memory_{place}" for place in range(memories))]
    try:
        model = torch.onnx.export(program, dynamo=True, verbose=False, output_names=names)
        assert model is not None
        return model.model_proto.SerializeToString()
    except ImportError as error:
        raise InvalidInput(f"export: kind 'onnx' needs pip install onnxscript onnx ({error})") from error
    except Exception as error:  # whatever the translator raises
        told = " ".join(str(error).split())[:160]
        raise InvalidInput(f"export: cannot be translated to ONNX ({told}); kind 'pt2' does without") from error
