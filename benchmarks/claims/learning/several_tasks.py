"""One network for several tasks, told which it is at or not, beside a network for each."""

from __future__ import annotations

from typing import Any

from palaestra import agents, envs

from ..frame import Claim, Lines

ID, DELAYS, STEPS, ENVS = "palaestra/RepeatPrevious-v0", (1, 3), 400_000, 256
SETTINGS: dict[str, Any] = {
    "memory": "gru",
    "hidden": (64,),
    "rollout_steps": 52,
    "minibatches": 4,
    "learning_rate": 2e-3,
    "gamma": 0.5,
    "gae_lambda": 0.5,
}


def environment(seed: int, *delays: int, shown: bool = False) -> Any:
    """Episodes of these delays."""
    tasks = [{"delay": delay} for delay in delays]
    return envs.make_batched(ID, ENVS, seed=seed, tasks=tasks, task_shown=shown)


def trained(seed: int, steps: int, *delays: int, shown: bool = False) -> agents.Agent:
    """PPO with a GRU, trained on these delays."""
    env = environment(10_000 * seed, *delays, shown=shown)
    agent = agents.make("ppo", env, seed=seed, **SETTINGS)
    agent.train(env, steps)
    return agent


def right(agent: agents.Agent, seed: int, *delays: int, shown: bool = False) -> dict[int, float]:
    """Share of symbols named right by delay, in 512 other episodes each on average."""
    env = environment(10_000_000 + 10_000 * seed, *delays, shown=shown)
    found = agents.evaluate(agent, env, episodes=512 * len(delays)).metrics
    return {delay: found[f"accuracy_task{number}"] for number, delay in enumerate(delays)}


def measured(seed: int) -> Lines:
    """Share named right by delay, of each way to learn."""
    alone = {delay: trained(seed, STEPS // len(DELAYS), delay) for delay in DELAYS}
    return {
        "one network, told the task": right(trained(seed, STEPS, *DELAYS, shown=True), seed, *DELAYS, shown=True),
        "one network, not told": right(trained(seed, STEPS, *DELAYS), seed, *DELAYS),
        "a network for each": {delay: right(agent, seed, delay)[delay] for delay, agent in alone.items()},
        "that of delay 3": {delay: right(alone[3], seed, delay)[delay] for delay in DELAYS},
    }


CLAIM = Claim(
    title="One network for several tasks",
    says="Tasks that share a representation are learned together by one network (Caruana, 1997), which must know what "
    "is asked where the observations do not tell.",
    how=f"RepeatPrevious with {', '.join(map(str, DELAYS))} steps of delay, PPO with a GRU of 64 units: {STEPS:,} "
    "steps for one network on both, half of them for each of two; share of symbols named right "
    "(chance: 0.25).",
    measure=measured,
    statements=(
        *(
            (
                f"told the task, it names more than 0.9 after {delay}",
                lambda found, delay=delay: found.interval("one network, told the task", delay)[1] > 0.9,
            )
            for delay in DELAYS
        ),
        *(
            (
                f"not told, it names fewer after {delay}",
                lambda found, delay=delay: found.above(
                    ("one network, told the task", delay), ("one network, not told", delay)
                ),
            )
            for delay in DELAYS
        ),
        (
            "the network of delay 3 names fewer than 0.5 after 1",
            lambda found: found.interval("that of delay 3", 1)[2] < 0.5,
        ),
    ),
    value="share named right",
    across="steps of delay",
    seeds=3,
)
