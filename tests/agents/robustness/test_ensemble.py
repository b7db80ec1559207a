"""Ensembles of networks: how members answer together, what each learns from, and that they are resumed and captured."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import poisson

from palaestra import agents
from palaestra.agents.learning.learner import Learner
from palaestra.agents.learning.optimisers import tensor_rates
from palaestra.agents.robustness.bags import boosted, drawn_evenly, poisson_weights
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

SMALL = {"hidden": (8,), "encoder": "flat", "rollout_steps": 2}
SETTINGS = {
    "behaviour_cloning": {"updates": 2, "minibatch_size": 8},
    "ppo": {"epochs": 2, "minibatches": 1},
    "a2c": {},
    "reinforce": {},
}


def digits(count=4):
    return make_batched("palaestra/DigitBandit-v0", count, seed=5)


def made(name="behaviour_cloning", env=None, **settings):
    env = digits() if env is None else env
    return agents.make(name, env, seed=1, **{**SMALL, **SETTINGS[name], "ensemble": 3, **settings}), env


def loud(agent):
    """Makes the members differ."""
    for member in agent.network.members:
        for parameter in member.actor.parameters():
            parameter.data.mul_(50)
    return agent


def each_of(agent, seen):
    start = torch.zeros(1, len(seen), dtype=torch.bool)
    return torch.stack([one(seen.unsqueeze(0), (), start)[0][0].softmax(-1) for one in agent.network.members])


def test_the_mean_is_of_probabilities_and_a_vote_counts_choices():
    seen = digits(64).reset(1)
    agent, _ = made()
    each = each_of(loud(agent), seen)
    torch.testing.assert_close(agent.think(seen).probabilities, each.mean(0))
    agent, _ = made(ensemble_answer="vote")
    each = each_of(loud(agent), seen)
    votes = np.array([np.bincount(column, minlength=10) for column in each.argmax(-1).T.numpy()])
    clear = (votes == votes.max(1, keepdims=True)).sum(1) == 1
    assert 0 < clear.sum() < 64
    chosen = agent.act(seen, greedy=True)[0].numpy()
    assert (chosen[clear] == votes.argmax(1)[clear]).all()
    tied = np.where(votes == votes.max(1, keepdims=True), each.mean(0).detach().numpy(), 0)
    assert (chosen == tied.argmax(1)).all()


def test_members_learn_as_they_would_alone():
    """The gradient of the ensemble's loss is a third of that of each member's own."""
    agent, env = made(max_grad_norm=None)
    seen, start, label = env.reset(1).unsqueeze(0), torch.ones(1, 4, dtype=torch.bool), torch.tensor([[3, 1, 4, 1]])
    rows = agent.rows(seen, start, label)
    assert rows.tolist() == [0, 1, 2, 3] * 3
    agent.network.train()
    agent.loss(*agent.spread(rows, (seen, start, label)), ())[0].backward()
    for member in agent.network.members:
        logits = member(seen, (), start)[0][0]
        own = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, label[0]), member.actor.layers[0].weight)[0]
        torch.testing.assert_close(member.actor.layers[0].weight.grad, own / 3)


def test_heads_share_one_encoder_and_whole_networks_share_nothing():
    env = digits()
    counts = {}
    for kind in ("whole", "heads"):
        agent = agents.make("ppo", env, encoder="cnn", hidden=(4,), ensemble=3, ensemble_kind=kind)
        counts[kind] = sum(one.numel() for one in agent.parameters)
        encoder = sum(one.numel() for one in agent.network.members[0].encoder.parameters())
        seen = env.reset(1)
        calls = []
        agent.network.members[0].encoder.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        agent.act(seen)
        assert len(calls) == 1
    assert counts["whole"] - counts["heads"] == 2 * encoder > 0


def test_a_bag_holds_what_is_seen_as_often_as_a_bootstrap_would_wherever_it_stands():
    task = digits().task
    seen = task.inputs.unsqueeze(0)  # 1,257 images
    seed = torch.tensor(7)
    weights = poisson_weights(seen, seed, 4)
    for k in range(5):
        assert (weights == k).float().mean().item() == pytest.approx(poisson.pmf(k, 1), abs=0.02)
    correlation = np.corrcoef(weights.numpy())
    assert np.abs(correlation - np.eye(4)).max() < 0.1
    order = torch.randperm(seen.shape[1], generator=torch.Generator().manual_seed(0))
    assert torch.equal(poisson_weights(seen[:, order], seed, 4), weights[:, order])
    assert torch.equal(poisson_weights(seen[:, :5].float(), seed, 4), poisson_weights(seen[:, :5].float(), seed, 4))
    assert not torch.equal(poisson_weights(seen, seed + 1, 4), weights)


def test_rows_are_drawn_as_often_as_their_weights_say():
    weights = torch.tensor([[1.0, 0.0, 2.0, 1.0], [0.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 0.0]])
    assert drawn_evenly(weights).tolist() == [[0, 2, 2, 3], [3, 3, 3, 3], [0, 1, 2, 3]]


def test_boosting_weighs_rows_so_that_each_member_is_right_on_half_of_the_weight():
    """By hand: of four rows one is wrong, which then has the weight of the three others together."""
    right = torch.tensor([[True, True, True, False], [True, False, True, True]])
    weights, hits, misses = boosted(right, torch.tensor([0.75, 0.5]), torch.tensor([0.25, 0.5]))
    torch.testing.assert_close(weights, torch.tensor([[1.0] * 4, [2 / 3, 2 / 3, 2 / 3, 2.0]]))
    assert (weights[1] * right[0]).sum().item() == pytest.approx(2)
    torch.testing.assert_close(hits, torch.tensor([0.75, (2 / 3 + 2 / 3 + 2) / 4]))
    torch.testing.assert_close(misses, torch.tensor([0.25, 2 / 3 / 4]))


def test_members_of_a_boosted_ensemble_count_by_their_errors():
    agent, env = made(ensemble_kind="boosting")
    agent.network.right.copy_(torch.tensor([0.9, 0.5, 0.1]))
    agent.network.wrong.copy_(torch.tensor([0.1, 0.5, 0.9]))
    seen, start, label = env.reset(1).unsqueeze(0), torch.ones(1, 4, dtype=torch.bool), env.expert_action()[None]
    agent.network.train()
    assert agent.rows(seen, start, label)[:4].tolist() == [0, 1, 2, 3]
    right, wrong = agent.network.right, agent.network.wrong
    wanted = torch.log(right / wrong) + math.log(9)  # of ten classes; SAMME
    torch.testing.assert_close(agent.network.share, wanted.clamp(min=1e-6) / wanted.clamp(min=1e-6).sum())
    assert right[0] != 0.9


def test_snapshots_are_the_network_at_the_ends_of_cycles():
    agent, env = made(ensemble_kind="snapshot", learning_rate=0.1)
    rates, weights, share = [], [], []
    for _ in agent.learn(env, 12 * 8):
        rates.append(float(agent.optimiser.param_groups[0]["lr"]))
        weights.append([one.actor.layers[0].weight.detach().clone() for one in agent.network.members])
        share.append(agent.network.share.tolist())
    cycle = [0.1 * (1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]
    assert rates == pytest.approx(cycle * 3)
    assert share[3] == [1, 0, 0]
    assert share[4] == pytest.approx([0.5, 0.5, 0])
    assert share[8] == pytest.approx([1 / 3] * 3)
    assert torch.equal(weights[11][1], weights[3][0])
    assert torch.equal(weights[11][2], weights[7][0])
    assert not torch.equal(weights[11][0], weights[7][0])


ATTACK = {"adversarial_epsilon": 0.1, "adversarial_steps": 1, "adversarial_beta": 6.0}


@pytest.mark.parametrize(
    ("name", "kind", "way", "further"),
    [
        ("behaviour_cloning", "boosting", "captured", {"ensemble_answer": "vote"}),
        ("behaviour_cloning", "snapshot", "captured", {"adversarial_epsilon": 0.1, "adversarial_steps": 2}),
        ("ppo", "bagging", "compiled", {"epochs": 1, **ATTACK}),
        ("a2c", "heads", "captured", {"augment": ("shift",)}),
        ("reinforce", "bagging", "captured", {"averaging": "ema"}),
    ],
)
def test_ensembles_are_resumed_and_captured_or_compiled(name, kind, way, further, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    monkeypatch.setattr(Learner, "recorder", Tape)
    settings = {**SMALL, **SETTINGS[name], **further, "ensemble": 2, "ensemble_kind": kind}
    if way == "captured":
        check_resume(name, digits, 32, **({"anneal": False} if kind == "snapshot" else {}), **settings)
    states = []
    for execution in ("eager", "compiled" if way == "compiled" else "eager"):
        env = digits()
        agent = loud(agents.make(name, env, seed=1, execution=execution, **settings))
        if kind == "snapshot":
            tensor_rates(agent.optimiser)  # as on CUDA: a graph reads the rate anew
        if way == "captured" and states:
            captured(agent)
        states.append((list(agent.learn(env, 24)), agent.state_dict()))
    close(states[1], states[0])


@pytest.mark.parametrize(
    ("name", "task", "settings", "told"),
    [
        ("ppo", "Localize", {}, "ensemble must be 1 where an action is no one class; got 2"),
        ("ppo", "Recall", {"memory": "gru"}, "ensemble must be 1 with a memory; got 2"),
        ("a2c", "DigitBandit", {"ensemble_kind": "boosting"}, "which needs labels"),
        ("ppo", "DigitBandit", {"ensemble_kind": "snapshot", "anneal": True}, "schedule must be 'constant'"),
        ("behaviour_cloning", "DigitBandit", {"mix": "mixup"}, "mix must be null with ensemble; got 'mixup'"),
    ],
)
def test_what_can_be_no_ensemble_is_told_in_one_line(name, task, settings, told):
    with pytest.raises(InvalidInput, match=told):
        agents.make(name, make_batched(f"palaestra/{task}-v0", 2), ensemble=2, **settings)
