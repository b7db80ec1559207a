"""Standings as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...envs.drawing.wording import count, duration, fixed, score
from ...neural_blocks.errors import printable
from ..board import ALL, Standing
from .terminal import table

MAIN_METRICS = 2
"""How many metrics a terminal of 80 columns has room for."""
KEPT = ("rank", "agent", "score (IQM)", "return", "seeds")
"""Columns that stay however narrow the terminal is; the others leave from the right."""


def render(standings: Sequence[Standing], columns: int | None = None) -> list[str]:
    """The standings in the given order, numbered, as lines: a title, the names of the columns, one line a standing.

    A column that no standing has anything for is left out, and so is what there is no room for; names are never cut.

    Args:
        standings: of one scenario, or of all together.
        columns: of the terminal; None for no limit.
    """
    metrics = list(dict.fromkeys(name for standing in standings for name in standing.metrics))[:MAIN_METRICS]
    cells = {
        "rank": [str(rank) for rank in range(1, len(standings) + 1)],
        "agent": [printable(s.label or s.agent) for s in standings],
        "score (IQM)": [_score(s) for s in standings],
        "return": [score(s.return_mean) for s in standings],
        **{printable(name): [score(s.metrics.get(name, math.nan)) for s in standings] for name in metrics},
        "scenarios": [f"{s.scenarios}/{s.scenarios_in_all}" if s.scenarios_in_all > 1 else "" for s in standings],
        "seeds": [str(s.seeds) for s in standings],
        "steps": [count(s.steps) for s in standings],
        "time": [duration(s.seconds) for s in standings],
    }
    shown = [name for name, column in cells.items() if any(column) or not standings]
    titles = dict.fromkeys("all scenarios" if s.scenario == ALL else printable(s.scenario) for s in standings)
    title = [", ".join(titles)] if titles else []
    if not standings:
        return ["  ".join(shown)]
    lines = [{name: cells[name][row] for name in shown} for row in range(len(standings))]
    spare = [name for name in shown if name not in KEPT]
    return title + table(lines, columns, right=[name for name in shown if name != "agent"], spare=spare)


def _score(standing: Standing) -> str:
    """The score and its interval, such as `0.962 [0.955, 0.970]`."""
    if math.isnan(standing.score):
        return ""
    interval = "" if math.isnan(standing.low) else f" [{fixed(standing.low, 3)}, {fixed(standing.high, 3)}]"
    return f"{fixed(standing.score, 3)}{interval}"
