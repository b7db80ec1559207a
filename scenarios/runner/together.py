"""Runs of several seeds as one batch of networks and environments: each has its folder, its checkpoint and its row."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import torch

from ...agents.learning.side_by_side import Seeds, can_learn_side_by_side, of_seed
from ...envs.adapters.batched import BatchedEnv
from ...envs.core.protocol import BatchedEnvironment
from ..board import Leaderboard, Row
from ..catalogue import Scenario
from ..environments import make_environment
from ..seeds import SEED_SPAN
from .carrying_out import ROOT, begin, prepare
from .interruption import Stopped, stopping_between_iterations
from .plan import make_plan
from .training import OnReport


class Rows:
    """The environments of one of several seeds, as far as a run looks at them: they are saved.

    Args:
        env: those of all S seeds, row i S + s of seed s.
        place: s.
        count: S.
    """

    def __init__(self, env: BatchedEnv, place: int, count: int) -> None:
        self._env, self._place, self._count, self.started = env, place, count, True

    def state_dict(self) -> dict[str, Any]:
        """What `BatchedEnv.state_dict` is of these rows alone."""
        own: dict[str, Any] = {}
        for name, part in self._env.state_dict().items():
            found = of_seed(tuple(part) if isinstance(part, list) else part, self._place, self._count)
            own[name] = list(found) if isinstance(part, list) else found
        return own


def run_together(
    scenario: str | Path | Scenario,
    agent: str | None,
    seeds: range,
    *,
    steps: int | None = None,
    settings: dict[str, Any] | None = None,
    device: str = "auto",
    execution: str = "auto",
    root: str | Path = ROOT,
    track: str | None = None,
    upload: Sequence[str] = (),
    label: str | None = None,
    on_report: OnReport | None = None,
    checkpoint_seconds: float = 10.0,
) -> list[Row] | None:
    """Trains one agent for each seed, side by side, see `agents.learning.side_by_side`; arguments as of `run`.

    Each run is what it would be by itself, but for rounding, and goes on by itself when it was stopped.

    Args:
        on_report: told what the first seed reports.

    Returns:
        Each seed's row; None, and nothing is done, where such runs cannot be one batch.

    Raises:
        Stopped: of the first seed; all are saved.
        Diverged: one seed has; the others keep their last checkpoints.
    """
    plans = [
        make_plan(
            scenario, agent, seed, steps=steps, settings=settings, device=device, track=track, upload=upload,
            label=label,
            demonstrations=None, execution=execution,
        )
        for seed in seeds
    ]  # fmt: skip
    Leaderboard(Path(root) / "leaderboard.sqlite").check()
    prepared = [prepare(plan, None) for plan in plans]
    first, count = prepared[0], len(prepared)
    if not isinstance(first.env, BatchedEnv) or not can_learn_side_by_side(first.agent):
        return None
    env = make_environment(plans[0].scenario, count * first.env.num_envs, device=plans[0].device)
    env.reset(_row_seeds(seeds, first.env))
    batch = Seeds([one.agent for one in prepared], env)
    learning = batch.apart(plans[0].steps)
    rows: dict[int, Row] = {}
    with stopping_between_iterations() as asked:
        works = []
        for place, (plan, one) in enumerate(zip(plans, prepared, strict=True)):
            one.env = Rows(env, place, count)  # type: ignore[assignment]
            told, own = on_report if place == 0 else None, learning[place]
            learn = lambda env, steps, own=own: own  # noqa: E731
            works.append(begin(plan, Path(root), one, None, told, checkpoint_seconds, learn=learn, asked=asked))
        _in_turn(works)
    for place, work in enumerate(works):
        try:
            next(work)
        except StopIteration as end:
            rows[place] = end.value
    return [rows[place] for place in range(count)]


def _in_turn(works: list[Generator[bool, None, Row]]) -> None:
    """Carries runs on, an iteration of each in turn, until they are to be scored.

    Raises:
        Stopped: of the first of them; the others are then stopped and saved as well.
    """
    going, left = True, list(works)
    stopped: Stopped | None = None
    while going and left:
        for work in list(left):
            try:
                going = next(work) or stopped is not None
            except Stopped as error:
                stopped = stopped or error
                left.remove(work)
    if stopped is not None:
        raise stopped


def _row_seeds(seeds: range, env: BatchedEnvironment) -> torch.Tensor:
    """(B S,) int64: row i S + s begins as row i of seed s does by itself."""
    first = torch.tensor([(seed + 1) * SEED_SPAN for seed in seeds], device=env.device)
    return (first + torch.arange(env.num_envs, device=env.device).unsqueeze(1)).flatten()
