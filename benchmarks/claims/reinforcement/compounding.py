"""Where errors compound: behaviour cloning beside DAgger with the same number of expert labels, by horizon."""

from __future__ import annotations

from palaestra import agents
from palaestra.envs import make_batched

from ..frame import Claim, Lines

HORIZONS = (8, 16, 32, 64, 128)
AGENTS = {"behaviour_cloning": "behaviour cloning", "dagger": "DAgger"}
ROAD = "palaestra/Road-v0"
LABELS, NUM_ENVS, EPISODES = 4096, 32, 256


def cost(name: str, horizon: int, seed: int) -> float:
    """The mean offset summed over an episode, of an agent that learned from `LABELS` labels."""
    env = make_batched(ROAD, NUM_ENVS, seed=(seed + 1) * 2**24, length=horizon)
    agent = agents.make(name, env, seed=seed, rollout_steps=16, updates=50, minibatch_size=256, learning_rate=3e-3)
    list(agent.learn(env, LABELS))
    tested = make_batched(ROAD, EPISODES, length=horizon)
    return -float(agents.evaluate(agent, tested, EPISODES, seed=2**41).returns.mean())


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
