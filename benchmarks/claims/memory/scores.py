"""Attention by its score: content, and place alone."""

from __future__ import annotations

from typing import Any

from ..frame import Claim, Lines
from .sentences import accuracy

LENGTH, STEPS = 8, 200
SCORES = ("dot", "general", "concat", "location")


def measure(seed: int) -> Lines:
    """Share of symbols told right, by score."""
    return {"told backwards": {str(score).lower(): accuracy(score, LENGTH, seed, STEPS) for score in (None, *SCORES)}}


def helped(score: str) -> Any:
    """That more is told with a score than without."""
    return lambda found: found.above(("told backwards", score), ("told backwards", "none"))


CLAIM = Claim(
    title="Attention by its score",
    says="A decoder tells more of what was read where it attends to it, whether the score is of its own state and the "
    "source's (dot, general, concat) or, where places are all that matters, of its own state alone (location; Luong "
    "et al., 2015).",
    how=f"Sequences of {LENGTH} symbols to be told backwards: GRUs of 48 units, {STEPS} steps of Adam; share of "
    "symbols of 500 fresh sequences told right, given those before.",
    measure=measure,
    statements=tuple((f"with {score} more is told than without attention", helped(score)) for score in SCORES),
    value="share of symbols told right",
    seeds=3,
)
