"""Operations on trees of tensors: a state (dataclass), an observation (tensor or dict) or a memory (tuple)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from .tracing import row_by_row

Tree = TypeVar("Tree")
FEW = 512  # rows, below which a generated program loses more by a change of dtype, a call of its own, than it gains


def tree_map(function: Callable[..., Any], first: Tree, *rest: Tree) -> Tree:
    """Applies `function` to the corresponding tensors of one or more trees of one shape; ``None`` stays ``None``."""
    node: Any = first
    if isinstance(node, Tensor):
        return function(node, *rest)
    if node is None:
        return first
    others: tuple[Any, ...] = rest
    if isinstance(node, dict):
        return {key: tree_map(function, value, *(other[key] for other in others)) for key, value in node.items()}  # type: ignore[return-value]
    if isinstance(node, tuple):
        return tuple(tree_map(function, *parts) for parts in zip(node, *others, strict=True))  # type: ignore[return-value]
    return type(node)(
        **{
            name: tree_map(function, getattr(node, name), *(getattr(other, name) for other in others))
            for name in node.__dataclass_fields__
        }
    )


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of a tree, in order."""
    found: list[Tensor] = []
    tree_map(lambda tensor: found.append(tensor) or tensor, tree)  # type: ignore[func-returns-value]
    return found


def take(tree: Tree, rows: Tensor | int) -> Tree:
    """The given rows of every tensor; an int drops the environment axis."""
    return tree_map(lambda tensor: tensor[rows], tree)


def select(table: Tensor, rows: Tensor) -> Tensor:
    """The given rows (B,) of a table (N, ...) that is contiguous; bytes move eight at a time where that pays."""
    width = table[0].numel()
    few = len(rows) < FEW and not row_by_row(rows.device)
    if table.dtype != torch.uint8 or width % 8 or few:
        return table.index_select(0, rows)
    words = table.view(-1, width).view(torch.int64).index_select(0, rows)
    return words.view(torch.uint8).view(-1, *table.shape[1:])


def put(tree: Tree, rows: Tensor, part: Tree) -> Tree:
    """A copy of `tree` in which the given rows (B' indices) are those of `part`; the original is left alone.

    A tensor that stands in the tree twice, as what is seen of a state often does, is copied once.
    """
    made: dict[tuple[int, int], Tensor] = {}

    def replaced(tensor: Tensor, new: Tensor) -> Tensor:
        pair = id(tensor), id(new)
        if pair not in made:
            if _is_words(tensor) and _is_words(new):
                copy = _words(tensor).index_copy(0, rows, _words(new)).view(tensor.dtype).view(tensor.shape)
            else:
                copy = tensor.index_copy(0, rows, new)
            made[pair] = copy
        return made[pair]

    return tree_map(replaced, tree, part)


def _is_words(rows: Tensor) -> bool:
    """Whether each row of a tensor (B, ...) lies in memory as whole numbers of eight bytes."""
    size = rows.element_size()
    filled = rows.dim() > 1 and rows.numel() > 0 and rows.is_contiguous()
    return filled and size < 8 and not rows[0].numel() * size % 8 and not rows.storage_offset() * size % 8


def _words(rows: Tensor) -> Tensor:
    """Rows (B, ...) as int64 (B, L), which move eight bytes at a time."""
    return rows.view(len(rows), -1).view(torch.int64)


def where(mask: Tensor, first: Tree, second: Tree) -> Tree:
    """Row by row, `first` where `mask` (B,) is true and `second` elsewhere."""

    def choose(a: Tensor, b: Tensor) -> Tensor:
        if a is b:  # what an episode does not change (a problem's tables) need not be copied
            return a
        return torch.where(mask.view(-1, *[1] * (a.dim() - 1)), a, b)

    return tree_map(choose, first, second)
