"""Actions that an observation's mask does not allow are never taken, by any agent with a policy."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import Tensor

from palaestra import agents
from palaestra.agents.learning.exploration import any_allowed
from palaestra.agents.networks.heads import distribution
from palaestra.agents.networks.masking import allowed, is_masked
from palaestra.envs import BatchedEnv, Step, Task
from palaestra.neural_blocks.errors import InvalidInput


@dataclass(frozen=True)
class Doors:
    open: Tensor
    time: Tensor


class Gates(Task[Doors]):
    """Of four doors (or of four and three) some are open, drawn anew at each step; the last open one pays."""

    horizon = 5

    def __init__(self, nvec=(4,)):
        super().__init__()
        self.nvec = nvec
        self.reset_noise = self.step_noise = sum(nvec)
        self.observation_space = spaces.Dict(
            {"action_mask": spaces.MultiBinary(sum(nvec)), "time": spaces.Box(0, 1, (1,), np.float32)}
        )
        self.action_space = spaces.Discrete(4) if len(nvec) == 1 else spaces.MultiDiscrete(nvec)

    def doors(self, noise):
        return torch.cat([self._some(part) for part in noise.split(self.nvec, -1)], -1)

    def _some(self, noise):
        return ((noise > 0.6) | (noise == noise.max(-1, keepdim=True).values)).to(torch.int8)

    def reset(self, noise):
        return Doors(self.doors(noise), torch.zeros(len(noise), dtype=torch.int64))

    def step(self, state, action, noise):
        each, last, shut = action.view(len(action), -1), [], []
        for choice, doors in zip(each.unbind(-1), state.open.split(self.nvec, -1), strict=True):
            places = torch.arange(doors.shape[-1]) * doors
            last.append(choice == places.max(-1).values)
            shut.append(doors.gather(1, choice[:, None])[:, 0] == 0)
        reward = torch.stack(last).all(0).float()
        metrics = {"shut": torch.stack(shut).any(0).float()}
        following = Doors(self.doors(noise), state.time + 1)
        return Step(following, reward, torch.zeros_like(reward, dtype=torch.bool), metrics)

    def observe(self, state):
        return {"action_mask": state.open, "time": (state.time / self.horizon).float()[:, None]}

    def expert(self, state):
        parts = [(torch.arange(d.shape[-1]) * d).max(-1).values for d in state.open.split(self.nvec, -1)]
        return parts[0] if len(parts) == 1 else torch.stack(parts, -1)

    def draw(self, state, canvas): ...


QUICK = {"warmup_steps": 200, "batch_size": 32, "updates": 2}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dueling": True, "exploration": "boltzmann"},
        {"memory": "gru", "sequence_length": 5, "rollout_steps": 5},
        {"priority_exponent": 0.6, "n_step": 2, "double": False},
    ],
)
def test_deep_q_learning_neither_takes_nor_values_what_is_not_allowed(settings):
    env = BatchedEnv(Gates(), 32, seed=0)
    agent = agents.make("dqn", env, seed=0, hidden=(16,), **QUICK, **settings)
    for report in agent.learn(env, 3_000):
        assert report.get("shut", 0) == 0
        assert np.isfinite(list(report.values())).all()
    test = BatchedEnv(Gates(), 32, seed=10**6)
    for greedy in (True, False):
        assert agents.evaluate(agent, test, 64, seed=3, greedy=greedy).metrics["shut"] == 0


def test_random_actions_are_uniform_among_those_that_are_allowed():
    values = torch.tensor([3.0, -torch.inf, 0.0, -torch.inf, -5.0]).expand(30_000, -1)
    drawn = any_allowed(values, torch.rand(30_000, generator=torch.Generator().manual_seed(0)))
    shares = drawn.bincount(minlength=5) / 30_000
    assert shares.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 0, 1 / 3], abs=0.012)


@pytest.mark.parametrize("nvec", [(4,), (4, 3)])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ppo", {"rollout_steps": 8, "minibatches": 2, "learning_rate": 1e-2}),
        ("ppo", {"rollout_steps": 8, "minibatches": 2, "learning_rate": 1e-2, "memory": "gru", "target_kl": 0.1}),
        ("reinforce", {"rollout_steps": 10}),
        ("dagger", {"rollout_steps": 8, "updates": 8, "label_smoothing": 0.1}),
    ],
)
def test_no_agent_takes_an_action_that_is_not_allowed_and_all_learn_on(name, settings, nvec):
    env = BatchedEnv(Gates(nvec), 32, seed=0)
    agent = agents.make(name, env, seed=0, **settings)
    for report in agent.learn(env, 1_000):
        assert np.isfinite(list(report.values())).all()
        if name != "dagger":  # whose expert acts at first
            assert report["shut"] == 0
    test = BatchedEnv(Gates(nvec), 32, seed=10**6)
    for greedy in (True, False):
        result = agents.evaluate(agent, test, 64, seed=3, greedy=greedy)
        assert result.metrics["shut"] == 0


def test_a_mask_that_allows_nothing_is_left_aside_and_others_forbid():
    logits = torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
    mask = {"action_mask": torch.tensor([[0, 1, 0], [0, 0, 0]], dtype=torch.int8)}
    wanted = torch.tensor([[-torch.inf, 0.2, -torch.inf], [0.1, 0.2, 0.3]])
    torch.testing.assert_close(allowed(logits, mask), wanted)


def test_smoothed_labels_spread_over_what_is_allowed():
    policy, masked = distribution(spaces.Discrete(4)), torch.tensor([0.3, -torch.inf, 1.0, -torch.inf])
    torch.testing.assert_close(policy.mean_log_prob(masked), masked[[0, 2]].log_softmax(-1).mean())


def test_what_is_a_mask_and_what_is_none():
    part = spaces.MultiBinary(3)
    seen = spaces.Dict({"action_mask": part, "x": spaces.Box(0, 1, (2,))})
    assert is_masked(seen, spaces.Discrete(3))
    assert is_masked(seen, spaces.MultiDiscrete([1, 2]))
    assert not is_masked(part, spaces.Discrete(3))
    assert not is_masked(seen, spaces.Box(-1, 1, (3,)))
    with pytest.raises(InvalidInput, match="action_mask must have an entry for each of 5 values of the action; got 3"):
        is_masked(seen, spaces.Discrete(5))
