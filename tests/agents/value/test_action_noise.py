"""Noise on SAC's actions, against Stable-Baselines3's."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise

from palaestra import agents
from palaestra.agents import SAC, SACConfig
from palaestra.agents.learning.learner import Learner
from palaestra.agents.value.action_noise import ActionNoiseConfig
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

SETTINGS = {"action_noise": "ornstein_uhlenbeck", "noise_deviation": 0.3}
SMALL = {"hidden": (4,), "warmup_steps": 8, "batch_size": 8, "rollout_steps": 2}
BOX = spaces.Box(-1, 1, (2,), np.float32)


def test_a_drifting_noise_is_that_of_stable_baselines(monkeypatch):
    noise = torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = iter(torch.special.ndtri(noise).numpy())
    monkeypatch.setattr(np.random, "normal", lambda size: next(drawn))
    theirs = OrnsteinUhlenbeckActionNoise(np.zeros(2), np.full(2, 0.3), theta=0.15, dt=1e-2)
    config, mine = ActionNoiseConfig(**SETTINGS), torch.zeros(1, 2, dtype=torch.float64)
    for row in noise:
        mine = config.drifted(mine, row.unsqueeze(0))
        np.testing.assert_allclose(mine[0].numpy(), theirs(), rtol=1e-5)


def test_noise_is_added_within_the_box_and_starts_at_zero_with_an_episode():
    agent = SAC(BOX, BOX, SACConfig(hidden=(4,), action_noise="ornstein_uhlenbeck", noise_deviation=10))
    plain = SAC(BOX, BOX, SACConfig(hidden=(4,)))
    observation, start = torch.zeros(500, 2), torch.arange(500) % 2 == 0
    noise = torch.rand(500, 4, generator=torch.Generator().manual_seed(0))
    action, (after,) = agent.choose(observation, (torch.full((500, 2), 0.7),), start, noise)
    own = plain.choose(observation, (), start, noise[:, :2])[0]
    drawn = torch.special.ndtri(noise[:, 2:].double()).float()
    wanted = torch.where(start.unsqueeze(1), 0.0, 0.7 * (1 - 0.0015)) + drawn  # 10 times the root of 0.01
    torch.testing.assert_close(after, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(action, (own + wanted).clamp(-1, 1), rtol=1e-4, atol=1e-4)
    assert action.abs().max() == 1
    assert torch.equal(agent.choose(observation, (), start, None)[0], plain.choose(observation, (), start, None)[0])


@pytest.mark.parametrize("kind", ["gaussian", "ornstein_uhlenbeck"])
def test_noise_is_resumed_and_captured(kind, acting, monkeypatch):
    make = lambda: acting(4, BOX)  # noqa: E731
    check_resume("sac", make, 48, **SMALL, action_noise=kind)
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured"):
        env = make()
        agent = agents.make("sac", env, seed=3, **SMALL, action_noise=kind)
        if way == "captured":
            captured(agent)
        states.append((list(agent.learn(env, 48)), agent.state_dict()))
    close(states[1], states[0])
