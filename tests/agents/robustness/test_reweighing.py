"""Policy gradients whose steps count by group and importance: by hand, resumed and captured."""

import math

import pytest
import torch

from palaestra import agents
from palaestra.agents.robustness.groups import Reweighing, ReweighingConfig
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import check_captured

GROUPS = ("low_on_rows", "low_on_columns", "high_on_rows", "high_on_columns")
SMALL = {"hidden": (8,), "encoder": "flat", "rollout_steps": 2}
PLAIN = {
    "a2c": {"entropy_coefficient": 0.0},
    "ppo": {"epochs": 1, "minibatches": 1, "normalise_advantage": False},
    "reinforce": {"carry": 0, "baseline": None},
}
NAN = math.nan
REWARD = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])  # of one: 1, 0, 1; of two: 0, 1, 1
TOLD = {
    "one": torch.tensor([[1.0, NAN, 1.0], [0.0, NAN, NAN]]),
    "two": torch.tensor([[NAN, 0.0, NAN], [NAN, 1.0, 1.0]]),
    "odds": torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 0.5]]),
}
FIRST = torch.tensor([[True, True, True], [False, False, False]])


def reweighing(**settings):
    return Reweighing(ReweighingConfig(groups=("one", "two"), **settings))


def test_balanced_groups_count_alike_however_many_steps_are_theirs():
    weights = reweighing(invariance="balanced")
    torch.testing.assert_close(weights(REWARD, TOLD), torch.ones(2, 3))
    found = weights(REWARD, TOLD, FIRST)  # two steps of one, one of two
    torch.testing.assert_close(found[0], torch.tensor([0.75, 1.5, 0.75]))
    nobody = TOLD | {"two": torch.full((2, 3), NAN)}
    torch.testing.assert_close(weights(REWARD, nobody, FIRST)[0], torch.ones(3))


def test_a_group_with_little_reward_gains_weight_exponentially():
    weights = reweighing(invariance="group_dro", group_rate=2.0)
    share = [0.5, 0.5]
    for _ in range(2):
        risen = [share[0] * math.exp(-2 * 1.0), share[1] * math.exp(-2 * 0.0)]  # of the first row's rewards
        share = [one / sum(risen) for one in risen]
        expected = torch.tensor([share[0] * 3 / 2, share[1] * 3 / 1, share[0] * 3 / 2])
        torch.testing.assert_close(weights(REWARD, TOLD, FIRST)[0], expected)
    assert share[1] > 0.98


def test_importance_multiplies_steps_and_the_rewards_of_groups():
    alone = Reweighing(ReweighingConfig(importance="odds"))
    assert torch.equal(alone(REWARD, TOLD), TOLD["odds"])
    weights = reweighing(invariance="group_dro", group_rate=1.0, importance="odds")
    risen = [math.exp(-(2 + 1 + 0) / 3), math.exp(-(0 + 1 + 0.5) / 3)]
    share = torch.tensor(risen) / sum(risen) * 2
    expected = torch.where(TOLD["one"].isnan(), share[1], share[0]) * TOLD["odds"]
    torch.testing.assert_close(weights(REWARD, TOLD), expected)


@pytest.mark.parametrize("name", PLAIN)
def test_the_policys_loss_is_that_of_weighed_steps(name, monkeypatch):
    env = make_batched("palaestra/DigitBandit-v0", 64, seed=5, domain="mixed", target="inked")
    agent = agents.make(name, env, seed=1, **SMALL, **PLAIN[name], importance="weight")
    seen, update = [], agent.update
    monkeypatch.setattr(agent, "update", lambda *parts: seen.append((*parts, update(*parts))) or seen[-1][-1])
    next(agent.learn(env, 10**6))
    rollout, advantage, report = seen[0]
    weight = rollout.metrics["weight"]
    assert weight.std() > 0.1
    score = torch.ones_like(weight) if name == "ppo" else rollout.log_prob
    credit = rollout.reward if name == "reinforce" else advantage
    assert report["policy_loss"].item() == pytest.approx(-(score * credit * weight).mean().item(), rel=1e-4)


@pytest.mark.parametrize("name", ["ppo", "reinforce"])
def test_weights_of_groups_are_resumed_and_captured(name, monkeypatch):
    make = lambda: make_batched("palaestra/Groups-v0", 8, seed=5, agreement=0.6)  # noqa: E731
    settings = {**SMALL, "invariance": "group_dro", "groups": GROUPS, "group_rate": 0.5}
    check_resume(name, make, 64, **settings)
    weights = check_captured(monkeypatch, name, make, 64, **settings)["reweighing"]["robust.weights"]
    assert weights.std() > 0.01
    assert weights.sum().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"invariance": "irm", "groups": GROUPS}, r"invariance must be one of 'balanced', 'group_dro'; got 'irm'"),
        ({"invariance": "group_dro"}, r"groups must name two metrics or more with invariance; got \[\]"),
        ({"estimator": "q", "importance": "low"}, "a2c: estimator 'q' goes without invariance and importance"),
    ],
)
def test_what_needs_labels_or_features_is_refused(settings, message):
    with pytest.raises(InvalidInput, match=message):
        agents.make("a2c", make_batched("palaestra/Groups-v0", 2), **settings)
