"""Ranking where not everybody ran everything: two at a time, on the scenarios that both have.

Source: the order that the comparisons are taken in, and leaving out those that would close a circle, are ranked pairs
(Tideman, 1987, "Independence of clones as a criterion for voting rules").
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from itertools import combinations
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Scores = Mapping[str, list[float]]


def rank_by_common(scores: Mapping[Key, Scores], middle: Callable[[list[list[float]]], float]) -> list[Key]:
    """The keys from best to worst.

    Of two, the better is the one with the higher middle on the scenarios that both ran. First come the comparisons in
    which the better one ran all that the other did, which never contradict each other: nobody ranks above one who did
    as much or more and did it better. Then the rest, those over more scenarios and with a wider margin first, each
    unless it contradicts what is settled. Where nothing is settled, the given order stands.

    Args:
        scores: of each key, the scores of its runs by scenario; in the order that decides where nothing else does.
        middle: of several scenarios' scores.
    """
    keys = list(scores)
    comparisons = []
    for one, other in combinations(range(len(keys)), 2):
        mine, theirs = scores[keys[one]], scores[keys[other]]
        common = [name for name in mine if name in theirs]
        if common:
            margin = middle([mine[name] for name in common]) - middle([theirs[name] for name in common])
            better, worse = (one, other) if margin >= 0 else (other, one)
            beaten = len(common) == len(scores[keys[worse]]) and margin != 0
            comparisons.append((not beaten, -len(common), -abs(margin), better, worse))
    below = [0] * len(keys)  # bit j of below[i]: j is settled to be worse than i
    for *_, better, worse in sorted(comparisons):
        if below[worse] >> better & 1:
            continue
        gained = below[worse] | 1 << worse
        for k in range(len(keys)):
            if k == better or below[k] >> better & 1:
                below[k] |= gained
    ranked, left = [], list(range(len(keys)))
    while left:
        first = next(k for k in left if not any(below[other] >> k & 1 for other in left))
        ranked.append(keys[first])
        left.remove(first)
    return ranked
