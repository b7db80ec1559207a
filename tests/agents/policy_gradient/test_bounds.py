"""PPO's bounds and the losses of values, against their formulas."""

import pytest
import torch
import torch.nn.functional as F

from palaestra import agents
from palaestra.agents.learning.learner import Learner
from palaestra.agents.learning.losses import value_error
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.agents.policy_gradient.test_loss import ADVANTAGE, PPO, RATIOS, PPOConfig, make, make_rollout
from palaestra.tests.envs.core.tape import Tape

SMALL = {"hidden": (4,), "rollout_steps": 4, "minibatches": 2, "epochs": 2}


def loss_of(agent, rollout):
    value = rollout.value[:-1]
    steps = (rollout.observation, rollout.start, rollout.action, rollout.log_prob, ADVANTAGE, ADVANTAGE + value, value)
    return agent.loss(*steps, ())


def test_value_errors_are_those_of_torch():
    value, target = torch.linspace(-3, 3, 13), torch.zeros(13)
    assert torch.equal(value_error("squared", value, target), F.mse_loss(value, target, reduction="none") / 2)
    assert torch.equal(value_error("huber", value, target), F.huber_loss(value, target, reduction="none"))
    assert torch.equal(value_error("absolute", value, target), F.l1_loss(value, target, reduction="none"))


@pytest.mark.parametrize("kind", ["squared", "huber", "absolute"])
def test_a_value_that_left_its_range_counts_with_the_larger_error(kind):
    agent = make(PPO, PPOConfig(hidden=(4,), value_clip=0.1, value_error=kind))
    rollout = make_rollout(agent, RATIOS)
    _, value, _ = agent.network(rollout.observation, (), rollout.start)
    old, target = rollout.value[:-1], ADVANTAGE + rollout.value[:-1]
    held = torch.max(torch.min(value, old + 0.1), old - 0.1)
    expected = torch.max(value_error(kind, value, target), value_error(kind, held, target)).mean()
    assert loss_of(agent, rollout)[1][1].item() == pytest.approx(expected.item(), rel=1e-9)


def test_clip_range_and_entropy_go_linearly_over_the_run(uneven):
    settings = {"clip": 0.4, "clip_end": 0.0001, "entropy_coefficient": 0.0, "entropy_end": 0.2}
    env = uneven(4)
    agent = agents.make("ppo", env, **settings, **SMALL)
    weights = [(float(agent.entropy_weight), float(agent.between(0.4, 0.0001))) for _ in agent.learn(env, 64)]
    assert [one for one, _ in weights] == pytest.approx([0.0, 0.05, 0.1, 0.15])
    assert [one for _, one in weights] == pytest.approx([0.4, 0.300025, 0.20005, 0.100075])


def test_half_way_the_loss_is_that_of_half_the_settings():
    scheduled = make(PPO, PPOConfig(hidden=(4,), clip=0.3, clip_end=0.1, entropy_coefficient=0.02, entropy_end=0.1))
    plain = make(PPO, PPOConfig(hidden=(4,), clip=0.2, entropy_coefficient=0.06))
    scheduled.passed.fill_(0.5)
    rollout = make_rollout(plain, RATIOS)
    (one, numbers), (other, others) = loss_of(scheduled, rollout), loss_of(plain, rollout)
    assert one.item() == pytest.approx(other.item(), rel=1e-6)
    torch.testing.assert_close(numbers, others)


def test_no_step_is_taken_once_the_policy_is_too_far_away(uneven, monkeypatch):
    env = uneven(8)
    agent = agents.make("ppo", env, target_kl=1e-3, learning_rate=0.1, entropy_coefficient=0.0, **SMALL | {"epochs": 6})
    seen, original = [], agent.run_loss

    def noted(*batch):
        loss, numbers = original(*batch)
        seen.append((numbers[3].item(), [one.detach().clone() for one in agent.parameters]))
        return loss, numbers

    monkeypatch.setattr(agent, "run_loss", noted)
    next(agent.learn(env, 10**6))
    distances, weights = zip(*seen, strict=True)
    first = next(place for place, distance in enumerate(distances) if distance > 1e-3)
    assert 0 < first < len(seen) - 1
    for place in range(len(seen) - 1):
        moved = not all(map(torch.equal, weights[place], weights[place + 1]))
        assert moved == (place < first)
    assert all(map(torch.equal, weights[-1], agent.parameters))


BOUNDS = {
    "clip_end": 0.05, "entropy_end": 0.1, "target_kl": 0.01, "value_clip": 0.2, "value_error": "huber",
    "optimiser": "rmsprop", **SMALL,
}  # fmt: skip


def test_bounds_are_resumed_and_captured(uneven, monkeypatch):
    check_resume("ppo", lambda: uneven(4), 80, **BOUNDS)
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured"):
        env = uneven(4)
        agent = agents.make("ppo", env, seed=3, **BOUNDS)
        if way == "captured":
            captured(agent)
        reports = list(agent.learn(env, 80))
        states.append((reports, agent.state_dict()))
    close(states[1], states[0])
