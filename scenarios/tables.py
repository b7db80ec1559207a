"""Standings as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..neural_blocks.errors import printable
from .board import Standing

if TYPE_CHECKING:
    from rich.table import Table

MAIN_METRICS = 2
"""How many metrics a terminal of 80 columns has room for."""


def render(standings: Sequence[Standing]) -> Table:
    """The standings in the given order, numbered; a column that no standing has anything for is left out."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    metrics = list(dict.fromkeys(name for standing in standings for name in standing.metrics))[:MAIN_METRICS]
    columns = {
        "rank": [str(rank) for rank in range(1, len(standings) + 1)],
        "agent": [printable(s.label or s.agent) for s in standings],
        "score (IQM)": [_score(s) for s in standings],
        "return": [_number(s.return_mean) for s in standings],
        **{metric: [_number(s.metrics.get(metric, math.nan)) for s in standings] for metric in metrics},
        "scenarios": [f"{s.scenarios}/{s.scenarios_in_all}" if s.scenarios_in_all > 1 else "" for s in standings],
        "seeds": [str(s.seeds) for s in standings],
        "steps": [_count(s.steps) for s in standings],
        "time": [_duration(s.seconds) for s in standings],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells) or not standings}
    title = ", ".join(dict.fromkeys("all scenarios" if s.scenario == "all" else s.scenario for s in standings))
    table = Table(title=Text(title) if title else None, box=box.SIMPLE_HEAD, padding=0)
    for name in shown:
        if name == "agent":  # the one column that gives way in a narrow terminal
            table.add_column(Text(name), overflow="fold", min_width=6)
        else:
            table.add_column(Text(name), justify="right", no_wrap=True)
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*map(Text, cells))
    return table


def _score(standing: Standing) -> str:
    """The score and its interval, such as `0.962 [0.955, 0.970]`."""
    interval = "" if math.isnan(standing.low) else f" [{standing.low:.3f}, {standing.high:.3f}]"
    return "" if math.isnan(standing.score) else f"{standing.score:.3f}{interval}"


def _number(value: float) -> str:
    """Three decimals for a small number, fewer for a large one."""
    if math.isnan(value):
        return ""
    decimals = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{value:,.{decimals}f}"


def _count(number: int) -> str:
    """Such as `800`, `400k` or `1.25M`."""
    if number < 1000:
        return str(number)
    return f"{number / 1000:.4g}k" if number < 999_950 else f"{number / 1e6:,.4g}M"


def _duration(seconds: float) -> str:
    """Such as `4.2s`, `3m05s` or `2h10m`."""
    if math.isnan(seconds):
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s" if seconds >= 10 else f"{seconds:.1f}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}h{minutes % 60:02d}m"
