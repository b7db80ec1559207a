"""RL² by its memory: what is earned of a bandit whose levers are drawn anew for every trial."""

from __future__ import annotations

from typing import Any

from palaestra import agents
from palaestra.envs import make_batched

from ..frame import Claim, Lines, Measured

ID = "palaestra/BernoulliBandit-v0"
OPTIONS: dict[str, Any] = {"arms": 2, "episodes": 6}
ENVS, STEPS, TRIALS = 128, 60_000, 8192
SETTINGS: dict[str, Any] = {
    "hidden": (32,), "rollout_steps": 12, "minibatches": 4, "epochs": 4, "learning_rate": 5e-3, "anneal": True,
    "gamma": 0.95, "gae_lambda": 0.8, "entropy_coefficient": 0.01,
}  # fmt: skip
MEMORIES = {"elman": "Elman", "gru": "GRU", "lstm": "LSTM", "attention": "attention", "snail": "SNAIL"}
NONE, COUNTS, GITTINS = "none", "counts", "Gittins index"


def earned(agent: agents.Agent) -> float:
    """The mean total reward of fresh trials."""
    env = make_batched(ID, 1024, **OPTIONS)
    return float(agents.evaluate(agent, env, TRIALS, seed=2**41).returns.mean())


def measure(seed: int) -> Lines:
    """Total reward of a trial by memory, and that of the Gittins index."""
    ways: dict[str, tuple[str, dict[str, Any]]] = {NONE: ("ppo", {"memory": None})}
    ways |= {
        line: (
            "rl2",
            {"memory": name, "memory_size": 32, "memory_span": None if name == "elman" else OPTIONS["episodes"]},
        )
        for name, line in MEMORIES.items()
    }
    ways[COUNTS] = ("rl2", {"memory": None, "network": "per_action", "hidden": (32, 32)})
    found = {}
    for line, (name, changed) in ways.items():
        env = make_batched(ID, ENVS, seed=(seed + 1) * 2**24, **OPTIONS)
        agent = agents.make(name, env, seed=seed, **{**SETTINGS, **changed})
        list(agent.learn(env, STEPS))
        found[line] = earned(agent)
    env = make_batched(ID, ENVS, **OPTIONS)
    found[GITTINS] = earned(agents.make("gittins", env, horizon=OPTIONS["episodes"]))
    return {"earned": found}


def memories_above_none(found: Measured) -> bool:
    """Whether every learned memory earns more than none."""
    return all(found.above(("earned", line), ("earned", NONE)) for line in MEMORIES.values())


def counts_above_memories(found: Measured) -> bool:
    """Whether counts earn more than every learned memory."""
    return all(found.above(("earned", COUNTS), ("earned", line)) for line in MEMORIES.values())


CLAIM = Claim(
    title="RL² and its memories",
    says="An agent that keeps its memory through a trial learns a learning algorithm of its own, near to the Gittins "
    "index on bandits (Duan et al., 2016; Wang et al., 2016); gates keep more than a simple recurrent network, and "
    "attention with convolutions adapts faster than an LSTM (SNAIL, Mishra et al., 2018).",
    how=f"{OPTIONS['arms']} levers, {OPTIONS['episodes']} pulls, PPO of {STEPS:,} pulls each with the same settings: "
    "memories of 32 units, those with a span made for that of a trial, exact counts with a perceptron for every lever, "
    "and no memory, to which the last pull and what it paid are shown all the same; mean of "
    f"{TRIALS:,} fresh trials, the same for all.",
    measure=measure,
    statements=(
        ("every learned memory earns more than none", memories_above_none),
        ("a GRU earns more than an Elman network", lambda found: found.above(("earned", "GRU"), ("earned", "Elman"))),
        ("SNAIL earns more than an LSTM", lambda found: found.above(("earned", "SNAIL"), ("earned", "LSTM"))),
        ("counts earn more than every learned memory", counts_above_memories),
        (
            "counts earn 98 % of what the Gittins index does",
            lambda found: found.above(("earned", COUNTS), ("earned", GITTINS), -0.02 * found.mean("earned", GITTINS)),
        ),
    ),
    value="total reward of a trial",
    seeds=3,
)
