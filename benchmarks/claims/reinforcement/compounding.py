"""Where errors compound: behaviour cloning beside DAgger with the same number of expert labels, by horizon."""

from __future__ import annotations

from compounding import AGENTS, EPISODES, HORIZONS, LABELS, cost  # type: ignore[import-not-found]

from ..frame import Claim, Lines


def measure(seed: int) -> Lines:
    """Cost by horizon, of each agent."""
    return {line: {horizon: cost(name, horizon, seed) for horizon in HORIZONS} for name, line in AGENTS.items()}


CLAIM = Claim(
    title="Behaviour cloning against DAgger by horizon",
    says="Behaviour cloning sees only the states of an expert that never errs, so its own small errors add up and its "
    "cost grows faster than the horizon; DAgger is told how to come back, and its cost grows as the horizon (Ross, "
    "Gordon and Bagnell, 2011).",
    how=f"Road, {LABELS} labels each: distance from the middle summed over an episode, mean of {EPISODES} episodes.",
    measure=measure,
    statements=(
        (
            "the cost of cloning grows with an exponent above 1.2",
            lambda found: found.slope("behaviour cloning")[1] > 1.2,
        ),
        (
            "that of DAgger with one between 0.8 and 1.2",
            lambda found: found.slope("DAgger")[1] > 0.8 and found.slope("DAgger")[2] < 1.2,
        ),
        *(
            (
                f"at a horizon of {horizon} cloning costs more",
                lambda found, horizon=horizon: found.above(("behaviour cloning", horizon), ("DAgger", horizon)),
            )
            for horizon in HORIZONS[1:]
        ),
    ),
    value="cost of an episode",
    across="horizon, steps",
    logarithmic=True,
    seeds=10,
)
