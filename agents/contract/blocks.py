"""Holds an encoder or a memory to the contract under which agents take blocks by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor, nn

from ...envs.core.tree import take, tree_map
from ...neural_blocks.findings import Fault, Report, examine
from ...neural_blocks.named_blocks import ENCODERS, MEMORIES
from ...neural_blocks.sequence.memory import Memory
from ..networks.network import make_encoder

ROWS = 5
SEEN: tuple[spaces.Space[Any], ...] = (
    spaces.Box(0, 255, (4, 84, 84), np.uint8),
    spaces.Box(0, 255, (3, 32, 32), np.uint8),
    spaces.Box(0, 255, (1, 8, 8), np.uint8),
    spaces.Box(-1, 1, (6,), np.float32),
    spaces.Discrete(7),
    spaces.MultiDiscrete([5, 5, 5, 5]),
    spaces.MultiBinary(4),
    spaces.Dict({"vector": spaces.Box(-1, 1, (6,), np.float32), "symbol": spaces.Discrete(7)}),
    spaces.Dict({"source": spaces.MultiDiscrete([5] * 6), "written": spaces.MultiDiscrete([4] * 3)}),
    spaces.Dict({"first": spaces.MultiDiscrete([5] * 6), "second": spaces.MultiDiscrete([5] * 6)}),
    spaces.Dict({"image": spaces.Box(0, 255, (3, 32, 32), np.uint8), "written": spaces.MultiDiscrete([4] * 3)}),
)
"""Observation spaces on which an encoder is tried."""
INPUTS, FEATURES, TIME = 6, 8, 7


def check_encoder(name: str) -> Report:
    """Holds an encoder's class to its contract (see `neural_blocks.perception.encoders`), on every space it serves.

    Args:
        name: a registered name or "module:Class".

    Raises:
        InvalidInput: an unknown name, or a class that is no module.
    """
    cls = ENCODERS.load(name, nn.Module)
    checks: dict[str, Callable[[], str | None]] = {"docstring": partial(_docstring, cls)}
    refused = []
    for space in SEEN:
        served = getattr(cls, "serves", None)
        if served is None or served(space):
            try:
                make_encoder(space, name)
            except Exception as error:  # an encoder may refuse a space that is not for it
                refused.append(f"{space}: {type(error).__name__}: {error}")
                continue
            checks[f"{type(space).__name__} {getattr(space, 'shape', None) or ''}".strip()] = partial(
                _encodes, name, space
            )
    if len(checks) == 1:
        checks["spaces"] = partial(_none_served, refused)
    return Report(name, tuple(examine(name, checks)))


def _none_served(refused: list[str]) -> None:
    raise Fault(f"it serves none of the spaces that are tried; {'; '.join(refused) or 'serves() says no to all'}")


def _docstring(cls: type) -> None:
    told = f"{cls.__name__} must have a docstring of its own: its first line is what lists show"
    _require(bool((cls.__dict__.get("__doc__") or "").strip()), told)


def _require(fact: bool, told: str) -> None:
    if not fact:
        raise Fault(told)


def _batch(space: Any) -> Any:
    """(N, ...) observations of a space, as an environment gives them."""
    if isinstance(space, spaces.Dict):
        return {key: _batch(part) for key, part in space.items()}
    space = copy.deepcopy(space)
    space.seed(0)
    return torch.as_tensor(np.stack([space.sample() for _ in range(ROWS)]))


def _encodes(name: str, space: spaces.Space[Any]) -> None:
    """(N, ...) to (N, output_size) float32, each row on its own, with gradients, and back from a file."""
    encoder, batch = make_encoder(space, name).eval(), _batch(space)
    features = encoder(batch)
    wanted = (ROWS, encoder.output_size)
    got = f"{features.dtype} {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
    fits = isinstance(features, Tensor) and features.dtype == torch.float32 and tuple(features.shape) == wanted
    _require(fits, f"{ROWS} observations must become torch.float32 {wanted}, (N, output_size); got {got}")
    _require(bool(features.isfinite().all()), "features must be finite")
    one = encoder(tree_map(lambda part: part[:1], batch))
    size = max(1.0, float(features.detach().abs().max()))  # what a sum's rounding is compared with
    _require(torch.allclose(one, features[:1], atol=1e-4 * size), "a row must be encoded alike alone and among others")
    _learns(encoder, features)
    again = make_encoder(space, name).eval()
    again.load_state_dict(encoder.state_dict())
    _require(torch.equal(again(batch), features), "state_dict must hold all that decides what it gives")


def _learns(module: nn.Module, output: Tensor) -> None:
    parameters = [one for one in module.named_parameters() if one[1].requires_grad]
    if parameters:
        output.square().sum().backward()
        idle = [name for name, one in parameters if one.grad is None]
        _require(not idle, f"every parameter must take part; without a gradient: {', '.join(idle[:3])}")


def check_memory(name: str) -> Report:
    """Holds a memory's class to its contract (see `neural_blocks.sequence.memory.Memory`).

    Args:
        name: a registered name or "module:Class".

    Raises:
        InvalidInput: an unknown name, or a class that is not derived from `Memory`.
    """
    cls = MEMORIES.load(name, Memory)
    checks = {key: partial(check, cls) for key, check in MEMORY_CHECKS.items()}
    return Report(name, tuple(examine(name, checks)))


def _made(cls: type[Memory]) -> tuple[Any, Tensor, Tensor]:
    """A memory, inputs (T, B, D) and starts (T, B)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block: Any = cls(INPUTS, FEATURES)
        x = torch.randn(TIME, ROWS, INPUTS)
    start = torch.zeros(TIME, ROWS, dtype=torch.bool)
    start[0], start[3, 1], start[5, 2] = True, True, True
    return block.eval(), x, start


def _sizes(cls: type[Memory]) -> None:
    """The attributes that networks read, and the shapes of what comes out."""
    block, x, start = _made(cls)
    _require(block.input_size == INPUTS, f"input_size must be {INPUTS}, as asked; got {block.input_size}")
    _require(isinstance(block.output_size, int), f"output_size must be a whole number; got {block.output_size!r}")
    memory = block.initial_memory(ROWS)
    _require(isinstance(memory, tuple), f"initial_memory must be a tuple of tensors; got {type(memory).__name__}")
    wanted, found = [(ROWS, *shape) for shape in block.shapes], [tuple(part.shape) for part in memory]
    _require(
        found == wanted, f"initial_memory({ROWS}) must have the shapes (B, *shape) of `shapes`, {wanted}; got {found}"
    )
    output, after = block(x, memory, start)
    size = (TIME, ROWS, block.output_size)
    _require(tuple(output.shape) == size, f"outputs must be (T, B, output_size), {size}; got {tuple(output.shape)}")
    found = [tuple(part.shape) for part in after]
    _require(found == wanted, f"the memory after a sequence must have the shapes before it, {wanted}; got {found}")


def _forms(cls: type[Memory]) -> None:
    """Step by step gives what the whole sequence gives."""
    block, x, start = _made(cls)
    whole, after = block(x, block.initial_memory(ROWS), start)
    memory, outputs = block.initial_memory(ROWS), []
    for time in range(TIME):
        output, memory = block.step(x[time], memory, start[time])
        outputs.append(output)
    _require(torch.allclose(torch.stack(outputs), whole, atol=1e-4), "step by step must give what a sequence gives")
    same = all(torch.allclose(one, other, atol=1e-4) for one, other in zip(memory, after, strict=True))
    _require(same, "the memory after steps must be that after the sequence")


def _starts(cls: type[Memory]) -> None:
    """Where an episode starts, nothing from before it is left, not even NaN."""
    block, x, start = _made(cls)
    whole, _ = block(x, block.initial_memory(ROWS), start)
    fresh, _ = block(x[3:], block.initial_memory(ROWS), start[3:])
    told = "where start is true the memory must be wiped: use torch.where, so that NaN goes too"
    _require(torch.allclose(whole[3:, 1], fresh[:, 1], atol=1e-4), told)
    clean = block.initial_memory(ROWS)
    spoiled = tuple(torch.full_like(part, torch.nan) if part.is_floating_point() else part for part in clean)
    wiped, _ = block(x[:1], spoiled, torch.ones(1, ROWS, dtype=torch.bool))
    _require(torch.allclose(wiped, whole[:1], atol=1e-4), told)


def _rows(cls: type[Memory]) -> None:
    """Rows do not see each other."""
    block, x, start = _made(cls)
    whole, _ = block(x, block.initial_memory(ROWS), start)
    alone, _ = block(x[:, 1:2], block.initial_memory(1), start[:, 1:2])
    _require(torch.allclose(whole[:, 1:2], alone, atol=1e-4), "a row must give the same alone and among others")


def _remembers(cls: type[Memory]) -> None:
    """What was seen decides what comes later; gradients reach every parameter; and it comes back from a file."""
    block, x, start = _made(cls)
    whole, _ = block(x, block.initial_memory(ROWS), start)
    other, _ = block(torch.cat([x[:1] + 1, x[1:]]), block.initial_memory(ROWS), start)
    _require(not torch.equal(whole[1:3, 0], other[1:3, 0]), "what was seen must matter to the steps after it")
    _learns(block, whole)
    again: Any = cls(INPUTS, FEATURES)
    again.load_state_dict(block.state_dict())
    same = torch.equal(again.eval()(x, again.initial_memory(ROWS), start)[0], whole)
    _require(same, "state_dict must hold all that decides what it gives")
    taken = take(block.initial_memory(ROWS), torch.tensor([2, 0]))
    _require(all(len(part) == 2 for part in taken), "the first axis of each part of the memory must be the environment")


MEMORY_CHECKS: dict[str, Callable[[type[Memory]], str | None]] = {
    "docstring": _docstring,
    "sizes": _sizes,
    "step and sequence": _forms,
    "starts": _starts,
    "rows": _rows,
    "remembering": _remembers,
}
