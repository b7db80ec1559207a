"""Holds a task to the contract: `palaestra.envs.check(task)` and `palaestra check module:Class`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from ...neural_blocks.findings import Finding, Report, examine
from ..core.actions import action_dtype, bounds
from ..core.game import Game, Versus
from ..core.task import Task
from ..core.tree import leaves
from ..registry import make_game, make_task, task_class
from . import behaviour, shapes

CHECKS: dict[str, Callable[[Task[Any]], str | None]] = {
    "docstring": shapes.check_docstring,
    "spaces": shapes.check_spaces,
    "sizes": shapes.check_sizes,
    "first steps": shapes.check_first_steps,
    "observations": shapes.check_observations,
    "purity": behaviour.check_purity,
    "rows": behaviour.check_rows,
    "replay": behaviour.check_replay,
    "resume": behaviour.check_resume,
    "expert": behaviour.check_expert,
    "pictures": behaviour.check_pictures,
    "device": behaviour.check_device,
    "gymnasium": behaviour.check_gymnasium,
}  # fmt: skip
BASIC = ("docstring", "spaces", "sizes", "first steps")


def check(task: Task[Any] | str, **options: Any) -> Report:
    """Holds a task to the contract that every environment of the suite keeps.

    Args:
        task: a task, a game (then each of its players is checked), an id or "module:Class".
        options: of an id or "module:Class".

    Returns:
        A report: print it, iterate over its findings, or ask whether it `passed`.

    Raises:
        InvalidInput: an unknown id or option, or a task that cannot be made.
    """
    subject = task if isinstance(task, str) else task.name
    if isinstance(task, str):
        game = issubclass(task_class(task), Game) and not {"player", "opponent"} & set(options)
        task = make_game(task, **options) if game else make_task(task, **options)
    if not isinstance(task, Game):
        return Report(subject, tuple(_findings(task)))
    found = [finding for player in task.players for finding in _findings(_as_task(task, player), f"{player}: ")]
    return Report(subject, tuple(found))


def _findings(task: Task[Any], prefix: str = "") -> list[Finding]:
    """Of a task; what rests on its spaces and its first steps is not asked where those fail."""
    first = examine(task.name, {name: partial(CHECKS[name], task) for name in BASIC}, prefix)
    if not all(finding.passed for finding in first):
        return first
    rest = {name: partial(function, task) for name, function in CHECKS.items() if name not in BASIC}
    return first + examine(task.name, rest, prefix)


def _as_task(game: Game[Any], player: str) -> Versus[Any]:
    """One player's task, the others by their default opponents, or by their lowest action where there are none."""

    def opponent(other: str) -> Any:
        scripted = game.opponents(other)
        if scripted:
            return next(iter(scripted.values()))()
        space = game.action_space[other]
        low = torch.as_tensor(np.nan_to_num(bounds(space)[0], neginf=0)).to(action_dtype(space))
        return lambda seen: low.expand(len(leaves(seen)[0]), *low.shape).to(leaves(seen)[0].device)

    return Versus(game, player, {other: opponent(other) for other in game.players if other != player})
