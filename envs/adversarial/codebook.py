"""The best code for a few patterns: which of them share one, and what each code is rebuilt as."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def best_groups(patterns: Tensor, codes: int) -> Tensor:
    """(K,) int64: the code of each pattern, such that the fewest bits come out wrong.

    Where there are more patterns than codes it is found among all groupings, by dynamic programming over subsets:
    3^K steps.

    Args:
        patterns: (K, N) of 0 and 1, each as likely.
        codes: how many there are.
    """
    count = len(patterns)
    if count <= codes:
        return torch.arange(count)
    rows = patterns.tolist()

    @cache
    def cost(members: int) -> int:
        """Wrong bits, if the patterns of these binary digits share a code: the minority of each bit."""
        chosen = [row for k, row in enumerate(rows) if members >> k & 1]
        return sum(min(sum(bit), len(chosen) - sum(bit)) for bit in zip(*chosen, strict=True))

    @cache
    def best(members: int, left: int) -> tuple[int, tuple[int, ...]]:
        """The least cost of these patterns in so many groups, and the groups."""
        if left == 1 or not members:
            return cost(members) if members else 0, (members,)
        first = members & -members  # a group of the first pattern and any of the others
        rest = members ^ first
        found: tuple[int, tuple[int, ...]] = (len(rows) * len(rows[0]), ())
        others = rest
        while True:
            later, groups = best(members ^ first ^ others, left - 1)
            found = min(found, (cost(first | others) + later, (first | others, *groups)))
            if not others:
                return found
            others = (others - 1) & rest

    _, groups = best(2**count - 1, codes)
    return torch.tensor([next(code for code, group in enumerate(groups) if group >> k & 1) for k in range(count)])


def encoder(groups: Tensor, bits: int) -> Tensor:
    """(K, bits) of 0 and 1: the codes (K,) as binary numbers, the lowest bit first."""
    return groups[:, None] >> torch.arange(bits) & 1


def decoder(patterns: Tensor, groups: Tensor, bits: int) -> Tensor:
    """(2^bits, N) of 0 and 1: the majority of the patterns of each code, 1 in a tie; that of all where a code has none.

    Args:
        patterns: (K, N) of 0 and 1.
        groups: (K,) the code of each.
        bits: of a code.
    """
    member = torch.arange(2**bits)[:, None] == groups  # (2^bits, K)
    member = member | ~member.any(1, keepdim=True)
    return (2 * member.long() @ patterns >= member.sum(1, keepdim=True)).long()
