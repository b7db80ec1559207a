"""What makes two runs alike: the digest of a configuration, and the label that people know it by.

Nothing here imports torch, so that a leaderboard is read quickly.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from ..neural_blocks.errors import InvalidInput

WORDS = ("title", "description", "tags", "agent", "agents", "steps", "validation")
"""Of a scenario, what does not decide a run's result, or stands in the run's own settings and budget."""
TOLD: dict[str, Any] = {"report_norms": False}
"""Settings that add numbers to a run's reports and change nothing else, with the values that stand for all."""
LONGEST_LABEL = 80
DERIVED = 60  # characters of a label that nobody chose


def digest(content: Any) -> str:
    """Twelve hexadecimal digits that are the same for equal plain values only."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def configuration(
    scenario: Mapping[str, Any],
    agent: str,
    config: Mapping[str, Any],
    steps: int,
    version: str,
    *,
    demonstrations: str | None = None,
    init: str | None = None,
    budgets: list[int] | None = None,
    early_stopping: Mapping[str, Any] | None = None,
) -> str:
    """The digest of all that decides a run's result beside its seed.

    Args:
        scenario: the whole scenario, as plain values.
        agent: its name.
        config: its whole configuration, of which `TOLD` does not count.
        steps: the budget.
        version: of Palaestra; only the major one counts.
        demonstrations: digest of the recording that it imitates.
        init: digest of the weights that it begins with.
        budgets: earlier budgets of a run that was extended, whose schedules were those of a shorter one.
        early_stopping: the rules by which training may end before; they look at the validation options.
    """
    content = {
        "scenario": {key: value for key, value in scenario.items() if key not in WORDS},
        "agent": agent,
        "config": {key: TOLD.get(key, value) for key, value in config.items()},
        "steps": steps,
        "version": version.split(".")[0],
    }
    if demonstrations is not None:
        content["demonstrations"] = demonstrations
    if init is not None:
        content["init"] = init
    if budgets:
        content["budgets"] = budgets
    if early_stopping:
        content["early_stopping"] = {**early_stopping, "validation": scenario.get("validation")}
    return digest(content)


def derived_label(agent: str, changes: Mapping[str, Any]) -> str:
    """A readable name of a configuration: the agent, and what differs from the scenario's own settings.

    >>> derived_label("ppo", {"steps": 2000, "gamma": 0.5})
    'ppo steps=2k gamma=0.5'
    """
    label = agent
    for place, (key, value) in enumerate(changes.items()):
        part = f" {key}={_short(value)}"
        if len(label + part) > DERIVED:
            return f"{label} and {len(changes) - place} more #{digest(dict(changes))[:6]}"
        label += part
    return label


def checked_label(label: object) -> str:
    """A label that a person chose.

    Raises:
        InvalidInput: it is empty, too long, or has characters that are not for print.
    """
    if not isinstance(label, str) or not label.strip() or len(label) > LONGEST_LABEL or not label.isprintable():
        raise InvalidInput(f"label must be 1 to {LONGEST_LABEL} printable characters; got {label!r:.100}")
    return label.strip()


def _short(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value and value % 1000 == 0:
        thousands = value // 1000
        return f"{thousands // 1000}M" if thousands % 1000 == 0 else f"{thousands}k"
    text = json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
    return re.sub(r"\s+", "", text)
