"""Rows to fill a leaderboard with."""

from dataclasses import replace

from palaestra.scenarios.board import Row

EXAMPLE = Row(
    run_id="digits-ppo-0",
    scenario="digits",
    agent="ppo",
    seed=0,
    steps=400_000,
    episodes=1000,
    return_mean=0.97,
    return_std=0.17,
    score=0.96,
    metrics={"accuracy": 0.97},
    seconds=12.5,
    folder="runs/digits/ppo/0-a",
    finished_at="2025-01-31T12:00:00+00:00",
    version="0.1.0",
)


def row(agent: str, seed: int, score: float | None, scenario: str = "digits", **changes) -> Row:
    values = {"run_id": f"{scenario}-{agent}-{seed}", "return_mean": 0.1 + 0.9 * (score or 0)} | changes
    return replace(EXAMPLE, scenario=scenario, agent=agent, seed=seed, score=score, **values)
