"""What every actor-critic's settings do to learning."""

from dataclasses import replace

import pytest
import torch

from palaestra import agents
from palaestra.envs import BatchedEnv


class Halved(BatchedEnv):
    """Environments that pay half of what their task says."""

    def step(self, action):
        step = super().step(action)
        return replace(step, reward=0.5 * step.reward)


@pytest.mark.parametrize("name", ["ppo", "a2c", "reinforce"])
def test_a_reward_scale_of_a_half_learns_as_from_half_the_reward(name, uneven):
    scaled, halved = uneven(4), Halved(uneven(4).task, 4)
    common = {"rollout_steps": 16, "hidden": (8,), "seed": 3}
    one = agents.make(name, scaled, reward_scale=0.5, **common)
    other = agents.make(name, halved, **common)
    told = list(one.learn(scaled, 192)), list(other.learn(halved, 192))
    for mine, theirs in zip(one.parameters, other.parameters, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert all(a["return"] == pytest.approx(2 * b["return"]) for a, b in zip(*told, strict=True))  # told as it was paid
