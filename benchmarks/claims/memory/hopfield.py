"""How many patterns a Hopfield network holds: random ones and letters, by the Hebbian rule and by descent."""

from __future__ import annotations

import torch
from torch import Tensor

from palaestra.neural_blocks import Hopfield

from ..frame import Claim, Lines

UNITS, LOADS, FLIPPED = 200, (0.04, 0.08, 0.11, 0.14, 0.17, 0.2, 0.3), 0.1
LETTERS = {
    "D": "####. .#..# .#..# .#..# ####.",
    "J": "##### ...#. ...#. #..#. ###..",
    "C": ".#### #.... #.... #.... .####",
    "M": "#...# ##.## #.#.# #...# #...#",
    "X": "#...# .#.#. ..#.. .#.#. #...#",
    "T": "##### ..#.. ..#.. ..#.. ..#..",
    "L": "#.... #.... #.... #.... #####",
    "O": ".###. #...# #...# #...# .###.",
}
COUNTS, DAMAGED = range(1, len(LETTERS) + 1), 2


def drawn(letter: str) -> list[float]:
    """A letter's 25 cells, row by row, of -1 and 1."""
    return [1.0 if cell == "#" else -1.0 for cell in LETTERS[letter].replace(" ", "")]


def learned(patterns: Tensor, by_descent: bool) -> Hopfield:
    """A network that holds the patterns (P, N)."""
    net = Hopfield(patterns.shape[1])
    if not by_descent:
        net.memorise(patterns)
        return net
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(300):
        optimiser.zero_grad()
        net.loss(patterns).backward()
        optimiser.step()
    return net


def overlap(net: Hopfield, patterns: Tensor, flips: Tensor) -> float:
    """The mean agreement, from -1 to 1, of what is recalled from damaged patterns (..., P, N) with the patterns."""
    damaged = torch.where(flips, -patterns, patterns)
    recalled = net(damaged.flatten(0, -2), 20, torch.arange(net.size)).view_as(damaged)
    return float((recalled * patterns).mean())


def capacity(seed: int) -> Lines:
    """Agreement by load, of random patterns."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, dict[float, float]] = {"Hebbian rule": {}, "gradient descent": {}}
    for load in LOADS:
        patterns = torch.randint(2, (round(load * UNITS), UNITS), generator=generator) * 2.0 - 1
        flips = torch.rand(patterns.shape, generator=generator) < FLIPPED
        for line in found:
            found[line][load] = overlap(learned(patterns, line == "gradient descent"), patterns, flips)
    return found


def letters(seed: int) -> Lines:
    """Share of bits that are recalled right, by the number of letters or random patterns of the same size."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(LETTERS), generator=generator).tolist()
    words = torch.tensor([drawn(list(LETTERS)[index]) for index in order])
    random = torch.randint(2, words.shape, generator=generator) * 2.0 - 1
    found: dict[str, dict[int, float]] = {}
    for count in COUNTS:
        some = torch.rand(64, count, words.shape[1], generator=generator).argsort(-1) < DAMAGED  # two cells of each
        for line, patterns in (
            ("letters, Hebbian rule", words),
            ("random, Hebbian rule", random),
            ("letters, gradient descent", words),
        ):
            net = learned(patterns[:count], "descent" in line)
            found.setdefault(line, {})[count] = (1 + overlap(net, patterns[:count], some)) / 2
    return found


CAPACITY = Claim(
    title="Hopfield networks by load",
    says="A Hopfield network of N units that learned random patterns by the Hebbian rule recalls up to about 0.138 N "
    "of them and breaks down beyond (Amit, Gutfreund and Sompolinsky, 1985); couplings found by descent hold more "
    "(MacKay, 2003, chapter 42).",
    how=f"{UNITS} units; recall, unit by unit, from patterns in which {FLIPPED:.0%} of the bits are flipped.",
    measure=capacity,
    statements=(
        (
            "below the capacity, at 0.11, the Hebbian rule recalls with an overlap of 0.95",
            lambda found: found.interval("Hebbian rule", 0.11)[1] > 0.95,
        ),
        ("above it, at 0.2, the overlap is below 0.7", lambda found: found.interval("Hebbian rule", 0.2)[2] < 0.7),
        (
            "at 0.2 couplings found by descent recall better",
            lambda found: found.above(("gradient descent", 0.2), ("Hebbian rule", 0.2)),
        ),
    ),
    value="agreement of what is recalled with the pattern, from -1 to 1",
    across="patterns per unit",
)
WORDS = Claim(
    title="Hopfield networks and letters",
    says="Letters are alike, so the Hebbian rule holds fewer of them than of random patterns; descent on each bit's "
    "probability holds them all (MacKay, 2003, chapter 42).",
    how=f"Letters of 5 x 5 cells in random order; recall from {DAMAGED} flipped cells.",
    measure=letters,
    statements=(
        (
            "of four patterns, random ones are recalled better than letters by the Hebbian rule",
            lambda found: found.above(("random, Hebbian rule", 4), ("letters, Hebbian rule", 4)),
        ),
        (
            "four letters are recalled better by descent than by the Hebbian rule",
            lambda found: found.above(("letters, gradient descent", 4), ("letters, Hebbian rule", 4)),
        ),
        (
            "of eight letters descent recalls more than 95 % of the bits",
            lambda found: found.interval("letters, gradient descent", 8)[1] > 0.95,
        ),
    ),
    value="share of bits recalled right",
    across="patterns stored",
    seeds=8,
)
