"""Losses over groups and domains: by hand, without labels where none are to be seen, resumed and captured."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from palaestra import agents
from palaestra.agents.learning.learner import Learner
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.robustness.shift import coral
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

SMALL = {"hidden": (8,), "encoder": "flat", "rollout_steps": 2, "updates": 2, "minibatch_size": 8}
GROUPS = ("low_on_rows", "low_on_columns", "high_on_rows", "high_on_columns")
DOMAINS = {"groups": ("source", "target"), "unlabelled": ("target",)}


def groups():
    return make_batched("palaestra/Groups-v0", 8, seed=5, agreement=0.6)


def domains():
    return make_batched("palaestra/DigitBandit-v0", 8, seed=5, domain="mixed", target="inverted")


def loss_of(count=2, **settings):
    """An agent's invariance, in training, and rows of `count` groups: losses, groups, slopes and features."""
    env = groups() if count == 4 else domains()
    names = {"groups": GROUPS} if count == 4 else {"groups": ("source", "target")}
    agent = agents.make("behaviour_cloning", env, seed=1, **SMALL, **{**names, **settings})
    losses, group = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]), torch.tensor([0, 1, 0, 1, 1])
    features = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    slope = torch.tensor([0.5, -1.0, 1.5, 2.0, 0.0])
    return agent.invariance.train(), (losses, group, torch.ones(5), slope, features)


def test_balanced_groups_count_alike_and_those_that_are_not_there_not_at_all():
    invariance, rows = loss_of(4, invariance="balanced")
    assert invariance(*rows).item() == pytest.approx((2.5 + 26 / 3) / 2)


def test_a_group_that_is_answered_badly_gains_weight_as_in_group_dro():
    invariance, rows = loss_of(invariance="group_dro", group_rate=0.1)
    means = np.array([2.5, 26 / 3])
    weights = np.exp(0.1 * means) / np.exp(0.1 * means).sum()
    assert invariance(*rows).item() == pytest.approx(float(weights @ means), rel=1e-5)
    weights = weights * np.exp(0.1 * means)
    assert invariance(*rows).item() == pytest.approx(float(weights @ means / weights.sum()), rel=1e-5)


def test_the_penalty_of_irm_is_the_squared_gradient_of_a_scale_of_the_logits():
    """As its authors compute it: the derivative by a dummy scale, of each domain's loss, by autograd."""
    agent = agents.make(
        "behaviour_cloning",
        domains(),
        seed=1,
        **SMALL,
        groups=("source", "target"),
        invariance="irm",
        invariance_weight=3.0,
    )
    agent.network.actor = torch.nn.Linear(64, 10)
    env = domains()
    seen, start, label = env.reset(1).unsqueeze(0), torch.ones(1, 8, dtype=torch.bool), env.expert_action()[None]
    group = torch.tensor([[0, 1, 1, 0, 1, 0, 0, 1]])
    loss, _ = agent.loss(seen, start, label, (), None, None, group, torch.ones(1, 8))
    logits = agent.network(seen, (), start)[0][0].detach()
    penalties = []
    for one in (0, 1):
        scale = torch.ones((), requires_grad=True)
        own = F.cross_entropy(logits[group[0] == one] * scale, label[0][group[0] == one])
        penalties.append(torch.autograd.grad(own, scale)[0].item() ** 2)
    assert loss.item() == pytest.approx(F.cross_entropy(logits, label[0]).item() + 3 * np.mean(penalties), rel=1e-5)


def test_coral_compares_the_domains_covariances_as_numpy_has_them():
    invariance, rows = loss_of(invariance="coral", invariance_weight=2.0, unlabelled=("target",))
    features = rows[4].numpy().astype(np.float64)
    apart = np.cov(features[[0, 2]].T) - np.cov(features[[1, 3, 4]].T)
    expected = 2.5 + 2 * (apart**2).sum() / (4 * 64**2)
    assert invariance(*rows).item() == pytest.approx(expected, rel=1e-5)
    inside = torch.tensor([1.0, 0, 1, 0, 0])
    own, weighed = coral(rows[4][[0, 2]], rows[4][1:]), coral(rows[4], rows[4][1:], inside)
    torch.testing.assert_close(weighed, own)


def test_features_are_driven_to_hide_the_domain_and_the_judge_to_find_it():
    invariance, (losses, group, ones, slope, features) = loss_of(invariance="dann", invariance_weight=0.5)
    features.requires_grad_(True)
    loss = invariance(losses, group, ones, slope, features)
    logits = invariance.judge.classifier(features)
    assert loss.item() == pytest.approx(losses.mean().item() + 0.5 * F.cross_entropy(logits, group).item(), rel=1e-5)
    own = torch.autograd.grad(loss, features, retain_graph=True)[0]
    plain = torch.autograd.grad(F.cross_entropy(logits, group), features, retain_graph=True)[0]
    torch.testing.assert_close(own, -0.5 * plain)
    weight = invariance.judge.classifier.layers[0].weight
    torch.testing.assert_close(
        torch.autograd.grad(loss, weight)[0],
        0.5 * torch.autograd.grad(F.cross_entropy(invariance.judge.classifier(features), group), weight)[0],
    )


def test_no_label_of_an_unlabelled_domain_is_learned_from():
    env = domains()
    for kind in ("coral", "dann", None):
        agent = agents.make("behaviour_cloning", env, seed=1, **SMALL, **DOMAINS, invariance=kind)
        agent.network.train()
        agent.invariance.train()
        seen, start, label = env.reset(1).unsqueeze(0), torch.ones(1, 8, dtype=torch.bool), env.expert_action()[None]
        group = torch.tensor([[0, 1, 1, 0, 1, 0, 0, 1]])
        other = torch.where(group == 1, (label + 1) % 10, label)
        losses = [agent.loss(seen, start, one, (), None, None, group, torch.ones(1, 8))[0] for one in (label, other)]
        assert losses[0] == losses[1]


def test_groups_and_importance_are_those_that_the_environment_tells():
    env = make_batched("palaestra/DigitBandit-v0", 64, seed=5, domain="mixed", target="inked")
    agent = agents.make(
        "behaviour_cloning", env, **{**SMALL, "rollout_steps": 1}, groups=("source", "target"), importance="weight"
    )
    for _ in agent.learn(env, 64):
        pass
    kept = agent.aggregate.kept
    task = env.task
    env = make_batched("palaestra/DigitBandit-v0", 64, seed=5, domain="mixed", target="inked")
    env.reset()
    index = env.batch.state.index
    assert torch.equal(kept.group[:64, 0], (index >= task.count).long())
    torch.testing.assert_close(kept.importance[:64, 0], task.weights[index])
    seen, start, label, group, importance = (
        part[:64].transpose(0, 1) for part in (kept.observation, kept.start, kept.label, kept.group, kept.importance)
    )
    losses = -agent.policy.log_prob(agent.network(seen, (), start)[0], label)
    loss, _ = agent.loss(seen, start, label, (), None, None, group, importance)
    assert loss.item() == pytest.approx((losses[0] * task.weights[index]).mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("behaviour_cloning", {"invariance": "group_dro", "groups": GROUPS, "ensemble": 2}),
        ("dagger", {"invariance": "dann", **DOMAINS}),
    ],
)
def test_what_is_told_apart_is_resumed_and_captured(name, settings, monkeypatch):
    make = groups if "ensemble" in settings else domains
    check_resume(name, make, 64, **SMALL, **settings)
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured"):
        env = make()
        agent = agents.make(name, env, seed=1, **SMALL, **settings)
        if way == "captured":
            captured(agent)
        states.append((list(agent.learn(env, 48)), agent.state_dict()))
    close(states[1], states[0])


def test_an_agent_told_apart_compiles(monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    states = []
    for execution in ("eager", "compiled"):
        env = domains()
        agent = agents.make(
            "behaviour_cloning", env, seed=1, execution=execution, **SMALL, **DOMAINS, invariance="coral"
        )
        states.append((list(agent.learn(env, 32)), agent.state_dict()))
    close(states[1], states[0])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"invariance": "irm", "groups": ("source",)}, "groups must name two metrics or more with invariance"),
        ({"invariance": "coral", **DOMAINS, "unlabelled": ("source",)}, "unlabelled must be among the groups but the"),
        ({"invariance": "irm", **DOMAINS, "loss": "focal"}, "'irm' needs the loss 'cross_entropy'"),
        ({"invariance": "dann", **DOMAINS, "ensemble": 2}, "ensemble must be 1 with invariance 'dann'"),
        ({"importance": "weight", "memory": "gru"}, "are for no memory; got gru"),
    ],
)
def test_settings_that_do_not_go_together_are_told_in_one_line(settings, told):
    with pytest.raises(InvalidInput, match=told):
        agents.make("behaviour_cloning", domains(), **settings)


def test_a_metric_that_is_not_there_is_named_with_those_that_are():
    agent = agents.make("behaviour_cloning", domains(), **SMALL, importance="wieght")
    with pytest.raises(InvalidInput, match="metric must be one of 'accuracy', 'source', 'target'; got 'wieght'"):
        agent.train(domains(), 16)
