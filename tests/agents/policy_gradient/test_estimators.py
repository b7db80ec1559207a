"""Actor-critics by what their gradient is weighed with: against the formulas in plain Python."""

from dataclasses import replace

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents import A2C, PPO, A2CConfig, PPOConfig
from palaestra.agents.learning.learner import Learner
from palaestra.agents.learning.rollout import generalised_advantage
from palaestra.agents.policy_gradient.estimators import weights
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.agents.policy_gradient.test_loss import ACTION, OBSERVATION, B, T, make, make_rollout
from palaestra.tests.envs.core.tape import Tape


@pytest.mark.parametrize("estimator", ["advantage", "td_error", "td_target", "return"])
def test_weights_are_those_of_the_formulas(estimator):
    draw = torch.rand(T, B, generator=torch.Generator().manual_seed(1))
    rollout = replace(make_rollout(make(A2C, A2CConfig(hidden=(4,)))), terminated=draw < 0.3, truncated=draw > 0.5)
    rollout = replace(rollout, final_value=torch.where(rollout.truncated, rollout.final_value, 0.0))
    advantage = generalised_advantage(rollout, 0.9, 0.7)
    found = weights(estimator, rollout, advantage, 0.9)
    assert rollout.terminated.any()
    assert rollout.truncated.any()
    for t in range(T):
        for b in range(B):
            value, after = float(rollout.value[t, b]), float(rollout.value[t + 1, b])
            if rollout.terminated[t, b] or rollout.truncated[t, b]:
                after = float(rollout.final_value[t, b]) if rollout.truncated[t, b] else 0.0
            target = float(rollout.reward[t, b]) + 0.9 * after
            wanted = {
                "advantage": float(advantage[t, b]),
                "td_error": target - value,
                "td_target": target,
                "return": float(advantage[t, b]) + value,
            }
            assert float(found[t, b]) == pytest.approx(wanted[estimator], rel=1e-9)


THREE_STEPS = {  # of values 1, 2, 3 (then 5), rewards 1, 0, 2, gamma 1/2 and lambda 1/2: by how the third one ends
    "terminated": {"td_error": [1, -0.5, -1], "td_target": [2, 1.5, 2], "advantage": [0.8125, -0.75, -1]},
    "truncated": {"td_error": [1, -0.5, 1], "td_target": [2, 1.5, 4], "advantage": [0.9375, -0.25, 1]},
    "open": {"td_error": [1, -0.5, 1.5], "td_target": [2, 1.5, 4.5], "advantage": [0.96875, -0.125, 1.5]},
}


def three_steps(how):
    """Three steps of one environment; the value of the final observation is 4 where time cuts the episode off."""
    column = lambda *values: torch.tensor(values, dtype=torch.float64).unsqueeze(1)  # noqa: E731
    ends = torch.tensor([[False], [False], [True]])
    return replace(
        make_rollout(make(A2C, A2CConfig(hidden=(4,)))),
        value=column(1, 2, 3, 5),
        reward=column(1, 0, 2),
        terminated=ends if how == "terminated" else torch.zeros_like(ends),
        truncated=ends if how == "truncated" else torch.zeros_like(ends),
        final_value=column(0, 0, 4 if how == "truncated" else 0),
    )


@pytest.mark.parametrize("how", THREE_STEPS)
def test_three_steps_by_hand(how):
    rollout, expected = three_steps(how), THREE_STEPS[how]
    advantage = generalised_advantage(rollout, 0.5, 0.5)
    found = {name: weights(name, rollout, advantage, 0.5).flatten().tolist() for name in (*expected, "return")}
    values = [1, 2, 3]
    assert found == {**expected, "return": [a + v for a, v in zip(expected["advantage"], values, strict=True)]}


@pytest.mark.parametrize("estimator", ["td_error", "td_target", "return"])
def test_ppo_clips_the_same_weights_and_its_values_follow_the_same_targets(estimator, monkeypatch):
    settings = {"hidden": (4,), "epochs": 1, "minibatches": 1, "normalise_advantage": False, "value_clip": 0.1}
    agent = make(PPO, PPOConfig(**settings, estimator=estimator))
    rollout = make_rollout(agent, (0.5, 1.0, 1.9))
    advantage = generalised_advantage(rollout, agent.config.gamma, agent.config.gae_lambda)
    credit, value = weights(estimator, rollout, advantage, agent.config.gamma), rollout.value[:-1]
    steps = (rollout.observation, rollout.start, rollout.action, rollout.log_prob)
    expected, numbers = agent.loss(*steps, credit, advantage + value, value, ())
    ratio = (agent.policy.log_prob(agent.network(rollout.observation, (), rollout.start)[0], rollout.action)).exp()
    ratio = ratio / rollout.log_prob.exp()
    clipped = torch.min(ratio * credit, ratio.clamp(0.8, 1.2) * credit).mean()
    assert numbers[0].item() == pytest.approx(-clipped.item(), rel=1e-9)
    minimised, original = [], agent.minimise
    monkeypatch.setattr(
        agent, "minimise", lambda loss, *rest, **named: minimised.append(loss.item()) or original(loss, *rest, **named)
    )
    agent.update(rollout, advantage)
    assert minimised == [pytest.approx(expected.item(), rel=1e-9)]


def test_weighed_by_q_the_critic_values_actions_and_a_state_is_worth_their_mean():
    agent = make(A2C, A2CConfig(hidden=(4,), estimator="q", entropy_coefficient=0.0, value_coefficient=0.5))
    rollout = make_rollout(agent)
    advantage = generalised_advantage(rollout, 0.9, 1.0)
    target = advantage + rollout.value[:-1]
    loss, _ = agent.loss(rollout.observation, rollout.start, rollout.action, advantage, target, ())
    logits, values, _ = agent.network.actions(rollout.observation, (), rollout.start)
    expected = 0.0
    for t in range(T):
        for b in range(B):
            chances, own = logits[t, b].softmax(-1), values[t, b]
            mean = sum(float(p) * float(q) for p, q in zip(chances, own, strict=True))
            state = agent.network(rollout.observation, (), rollout.start)[1][t, b]
            assert float(state) == pytest.approx(mean, rel=1e-9)
            q = own[rollout.action[t, b]]
            score = chances[rollout.action[t, b]].log()
            expected = expected + (-score * q.detach() + 0.5 * 0.5 * (q - target[t, b]) ** 2) / (T * B)
    assert float(loss) == pytest.approx(float(expected), rel=1e-9)
    mine, theirs = (torch.autograd.grad(one, agent.parameters, retain_graph=True) for one in (loss, expected))
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "estimator"), [("a2c", "td_target"), ("a2c", "q"), ("ppo", "return")])
def test_estimators_are_resumed_and_captured(name, estimator, uneven, monkeypatch):
    settings = {"hidden": (4,), "estimator": estimator}
    if name == "ppo":
        settings |= {"rollout_steps": 8, "epochs": 1, "minibatches": 2}
    check_resume(name, lambda: uneven(4), 128, **settings)
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured"):
        env = uneven(4)
        agent = agents.make(name, env, seed=3, **settings)
        if way == "captured":
            captured(agent)
        states.append((list(agent.learn(env, 96)), agent.state_dict()))
    close(states[1], states[0])


def test_q_is_for_one_choice():
    with pytest.raises(InvalidInput, match="a2c: estimator 'q' needs a Discrete action space"):
        A2C(OBSERVATION, spaces.Box(-1, 1, (2,), np.float32), A2CConfig(estimator="q"))
    assert A2C(OBSERVATION, ACTION, A2CConfig(estimator="q")).network.critic is not None
    with pytest.raises(InvalidInput, match=r"estimator must be one of 'advantage', .*; got 'q'"):
        agents.make("ppo", make_batched("palaestra/TabularBandit-v0", 2), estimator="q")
