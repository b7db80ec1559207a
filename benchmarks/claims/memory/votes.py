"""Sums that are calculated in steps: one sampled chain of steps beside a vote of the answers of several."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from palaestra import agents, envs

from ..frame import Claim, Lines

ID, DIGITS, NOTES = "palaestra/Arithmetic-v0", 3, 4
STEPS, SUMS, VOTES = 200_000, 1024, (1, 5, 20)
SETTINGS: dict[str, Any] = {
    "hidden": (128, 128),
    "rollout_steps": 8,
    "updates": 24,
    "minibatch_size": 512,
    "learning_rate": 2e-3,
}
SYMBOLS = 12  # of an answer's place


def environment(seed: int, rows: int) -> Any:
    """Sums with room for notes."""
    return envs.make_batched(ID, rows, seed=seed, digits=DIGITS, scratch=NOTES)


def answers(agent: agents.Agent, env: Any, seed: int, greedy: bool) -> Tensor:
    """(B,) the whole answer of each row's first episode, as one number."""
    env.reset(seed)
    found = torch.full((env.num_envs,), -1)
    for _ in range(env.task.horizon):
        action, _ = agent.act(env.observation, greedy=greedy)
        step = env.step(action)
        written = step.final_observation[:, -(DIGITS + 2) : -1]  # before the last entry, whether it has begun
        number = (written * SYMBOLS ** torch.arange(DIGITS, -1, -1)).sum(1)
        found = torch.where(step.done & (found < 0), number, found)
    return found


def measured(seed: int) -> Lines:
    """Share of sums that are right by the number of samples that vote, beside the likeliest symbol at each step."""
    agent = agents.make("behaviour_cloning", environment(seed, 256), seed=seed, **SETTINGS)
    agent.train(environment(1000 * seed, 256), STEPS)
    env, asked = environment(seed, SUMS), 10_000_000 + 10_000 * seed
    env.reset(asked)
    truth = (env.state.total * SYMBOLS ** torch.arange(DIGITS, -1, -1)).sum(1)
    samples = torch.stack([answers(agent, env, asked, greedy=False) for _ in range(max(VOTES))])  # (samples, B)
    greedy = float((answers(agent, env, asked, greedy=True) == truth).float().mean())
    voted = {count: float((samples[:count].mode(0).values == truth).float().mean()) for count in VOTES}
    voted[1] = float((samples == truth).float().mean())
    return {"vote of samples": voted, "likeliest at each step": dict.fromkeys(VOTES, greedy)}


CLAIM = Claim(
    title="A vote of several chains of steps",
    says="Of several sampled chains of thought the answer that most of them reach is right more often than that of one "
    "(self-consistency, Wang et al., 2023).",
    how=f"Arithmetic with {DIGITS} digits and {NOTES} notes, cloned for {STEPS:,} labels, so that it still errs; share "
    f"of {SUMS:,} new sums whose whole answer is right, of sampled symbols throughout.",
    measure=measured,
    statements=(
        (
            "five votes are right more often than one sample",
            lambda found: found.above(("vote of samples", 5), ("vote of samples", 1)),
        ),
        (
            "twenty votes are right more often than five",
            lambda found: found.above(("vote of samples", 20), ("vote of samples", 5)),
        ),
    ),
    value="share of sums right",
    across="samples that vote",
)
