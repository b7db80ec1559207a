"""Estimators of the policy's gradient by their variance, and of values by their bias and variance."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from palaestra import agents
from palaestra.agents.learning.rollout import Collector, Rollout, generalised_advantage
from palaestra.envs import make_batched

from ..frame import Claim, Lines, Measured

LENGTH, EPISODES, UPDATES, LAMBDA = 16, 200, 80, 0.9
STATES, WALKS, FIRST, LAMBDAS = 9, 2000, 30, (0.0, 0.5, 0.8, 0.95, 1.0)


def gradients(rollout: Rollout, agent: agents.REINFORCE, credits: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each episode's gradient of the policy, (B, P), for each way of giving credit (T, B)."""
    parameters = list(agent.network.actor.parameters())
    given = torch.stack(list(credits.values()))  # (ways, T, B)
    assert isinstance(rollout.observation, Tensor)
    rows = []
    for row in range(given.shape[2]):
        one = slice(row, row + 1)
        outputs, *_ = agent.network(rollout.observation[:, one], (), rollout.start[:, one])
        likelihood = agent.policy.log_prob(outputs, rollout.action[:, one])[:, 0]  # (T,)
        found = torch.autograd.grad(likelihood, parameters, given[:, :, row], is_grads_batched=True)
        rows.append(torch.cat([part.flatten(1) for part in found], 1))
    return dict(zip(credits, torch.stack(rows, 1).double(), strict=True))


def variances(seed: int) -> Lines:
    """The total variance of one episode's gradient by the credit that each action is given."""
    env = make_batched("palaestra/Road-v0", 64, seed=1000 * seed, length=LENGTH)
    agent = agents.make(
        "reinforce", env, seed=seed, rollout_steps=LENGTH, learning_rate=1e-2, baseline="state", hidden=(32,)
    )
    assert isinstance(agent, agents.REINFORCE)
    agent.network.actor.requires_grad_(False)
    list(agent.learn(env, 64 * LENGTH * UPDATES))  # the value learns, the policy stays
    agent.network.actor.requires_grad_(True)
    fresh = make_batched("palaestra/Road-v0", EPISODES, seed=1000 * seed + 500, length=LENGTH)
    fresh.reset()
    noise = torch.rand(LENGTH, EPISODES, agent.policy.noise, generator=torch.Generator().manual_seed(seed))
    rollout, _ = Collector(fresh, agent.network, agent.policy).collect((), noise)
    to_go = rollout.reward.flip(0).cumsum(0).flip(0)
    value = rollout.value[:-1].detach()
    credits = {
        "whole return": to_go[:1].expand_as(to_go),
        "reward to go": to_go,
        "less its mean": to_go - to_go.mean(),
        "less the value": to_go - value,
        f"advantage, λ = {LAMBDA}": generalised_advantage(rollout, 1.0, LAMBDA),
    }
    return {"REINFORCE": {way: float(one.var(0).sum()) for way, one in gradients(rollout, agent, credits).items()}}


def walks(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random walks from the middle of a row of states until an end is left: states (T, N) and rewards (T, N).

    The right end pays 1; after the end the state is -1 and rewards are 0 (Sutton and Barto, 2018, example 6.2).
    """
    state, states, rewards = torch.full((count,), STATES // 2), [], []
    while bool((state >= 0).any()):
        step = torch.randint(2, (count,), generator=generator) * 2 - 1
        there = state + step
        paid = (state >= 0) & (there == STATES)
        states.append(state)
        rewards.append(paid.float())
        state = torch.where((state < 0) | (there < 0) | (there == STATES), -1, there)
    return torch.stack(states), torch.stack(rewards)


def lambda_returns(states: Tensor, rewards: Tensor, value: Tensor, decay: float) -> Tensor:
    """The λ-return of each walk's first state, (N,): TD(0)'s target for λ = 0, the whole return for 1."""
    following = torch.zeros(states.shape[1])
    known = torch.cat([value, torch.zeros(1)])  # state -1, past the end, is worth nothing
    for time in reversed(range(len(states))):
        after = known[states[time + 1]] if time + 1 < len(states) else torch.zeros_like(following)
        following = rewards[time] + (1 - decay) * after + decay * following
    return following


def critics(seed: int) -> Lines:
    """Bias and deviation of λ-returns with a critic that has seen few walks, by λ."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.arange(1, STATES + 1) / (STATES + 1)
    value = torch.full((STATES,), 0.0)
    states, rewards = walks(FIRST, generator)
    for walk in range(FIRST):
        for time in range(len(states)):
            state = int(states[time, walk])
            if state < 0:
                break
            after = int(states[time + 1, walk]) if time + 1 < len(states) else -1
            target = rewards[time, walk] + (value[after] if after >= 0 else 0.0)
            value[state] += 0.1 * (target - value[state])
    states, rewards = walks(WALKS, generator)
    found: dict[str, dict[float, float]] = {"size of the bias": {}, "standard deviation": {}}
    for decay in LAMBDAS:
        values = lambda_returns(states, rewards, value, decay)
        found["size of the bias"][decay] = abs(float(values.mean() - true[STATES // 2]))
        found["standard deviation"][decay] = math.sqrt(float(values.var()))
    return found


WAYS = ("whole return", "reward to go", "less its mean", "less the value", f"advantage, λ = {LAMBDA}")


def lower(before: str, after: str) -> Callable[[Measured], bool]:
    """Whether the variance of the one way lies above that of the other."""
    return lambda found: found.above(("REINFORCE", before), ("REINFORCE", after))


VARIANCE = Claim(
    title="The variance of REINFORCE's gradient by trick",
    says="Leaving out rewards of the past, then a constant baseline, then a baseline of the state lower the variance "
    "of the policy gradient without changing its mean (Williams, 1992; Greensmith et al., 2004); generalised "
    "advantages lower it further for some bias (Schulman et al., 2016).",
    how=f"Road with {LENGTH} steps, a fixed policy of 32 hidden units, a value that learned beside it; the total "
    f"variance of one episode's gradient over {EPISODES} episodes, the same for all.",
    measure=variances,
    statements=tuple((f"{after} lowers it against {before}", lower(before, after)) for before, after in pairwise(WAYS)),
    value="total variance of an episode's gradient",
    logarithmic=True,
    seeds=5,
)
CRITICS = Claim(
    title="Bias and variance of critics by λ",
    says="Targets that lean on a critic which is not right yet are biased but vary little; whole returns are unbiased "
    "and vary most; λ goes from one to the other (Kearns and Singh, 2000).",
    how=f"A random walk over {STATES} states; a critic after {FIRST} walks of TD(0) at a rate of 0.1; λ-returns of the "
    f"middle state over {WALKS} walks against its true value of 0.5.",
    measure=critics,
    statements=(
        (
            "the deviation grows from λ = 0 to 0.8",
            lambda found: found.above(("standard deviation", 0.8), ("standard deviation", 0.0)),
        ),
        ("and from 0.8 to 1", lambda found: found.above(("standard deviation", 1.0), ("standard deviation", 0.8))),
        (
            "the bias falls from λ = 0 to 1",
            lambda found: found.above(("size of the bias", 0.0), ("size of the bias", 1.0)),
        ),
        ("at λ = 1 the bias is below 0.03", lambda found: found.interval("size of the bias", 1.0)[2] < 0.03),
    ),
    value="of the target for the middle state",
    across="λ",
    seeds=8,
)
