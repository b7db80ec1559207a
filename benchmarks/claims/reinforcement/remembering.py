"""An expert that remembers, cloned by who remembers and by who does not."""

from __future__ import annotations

from typing import Any

from palaestra import agents
from palaestra.envs import make_batched

from ..frame import Claim, Lines

STEPS, ENVS, EPISODES, FORKS = 60_000, 64, 512, 5
SETTINGS: dict[str, Any] = {
    "head": "mixture", "components": 4, "hidden": (64,), "rollout_steps": 32, "updates": 16, "minibatch_size": 512,
    "learning_rate": 3e-3, "anneal": True,
}  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {"without a memory": {}, "with a memory": {"memory": "gru", "memory_size": 32}}


def measure(seed: int) -> Lines:
    """How often a fork is passed on another side than the one before, as the expert always does, and passed at all."""
    found: dict[str, dict[str, float]] = {"on the other side": {}, "passed": {}}
    for way, changed in WAYS.items():
        env = make_batched("palaestra/Fork-v0", ENVS, seed=(seed + 1) * 2**24, forks=FORKS, remembers=True)
        agent = agents.make("behaviour_cloning", env, seed=seed, **SETTINGS, **changed)
        list(agent.learn(env, STEPS))
        tested = make_batched("palaestra/Fork-v0", EPISODES, forks=FORKS, remembers=True)
        metrics = agents.evaluate(agent, tested, EPISODES, seed=2**41).metrics
        found["on the other side"][way] = metrics["other_side"]
        found["passed"][way] = metrics["passed"]
    return found


SIDE = "on the other side"
CLAIM = Claim(
    title="Cloning an expert that remembers",
    says="What an expert does because of what it remembers cannot be told from what it sees now, so a learner without "
    "a memory cannot do as it does, however many labels it has, and one with a memory can (Ross, Gordon and "
    "Bagnell, 2011, take the expert for a function of the state).",
    how=f"Fork with an expert that passes each of {FORKS} forks on the other side than the one before; behaviour "
    f"cloning of {STEPS:,} labels by a mixture, with a GRU of 32 units and without; {EPISODES} episodes.",
    measure=measure,
    statements=(
        ("with a memory more than 0.9 are other sides", lambda found: found.interval(SIDE, "with a memory")[1] > 0.9),
        (
            "that is more than without one",
            lambda found: found.above((SIDE, "with a memory"), (SIDE, "without a memory")),
        ),
        (
            "without one as many forks are passed, within 0.1",
            lambda found: found.above(("passed", "without a memory"), ("passed", "with a memory"), -0.1),
        ),
    ),
    value="share of forks",
    seeds=3,
)
