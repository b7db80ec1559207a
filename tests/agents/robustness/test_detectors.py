"""Passing by a score of strangeness: what is learned, where the threshold lies, how well scores rank."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score

from palaestra import agents
from palaestra.agents.core.evaluation import evaluate
from palaestra.agents.learning.learner import Learner
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.envs.core.tape import Tape

SMALL = {"hidden": (8,), "rollout_steps": 16, "minibatch_size": 64, "updates": 4, "learning_rate": 1e-2}


def images(count=16, **options):
    return make_batched("palaestra/Abstain-v0", count, seed=5, **options)


def learned(detector, steps=2_048, **settings):
    env = images()
    agent = agents.make("behaviour_cloning", env, seed=1, **SMALL, detector=detector, **settings)
    agent.train(env, steps)
    return agent


def played(agent, env, seed=3, steps=32):
    """Scores, right answers and greedy actions of some steps, by hand."""
    env.reset(seed)
    scores, labels, actions = [], [], []
    for _ in range(steps):
        _, strange = agent.detector.scored(agent.network, env.observation, env.episode_start)
        action, _ = agent.act(env.observation, greedy=True)
        scores.append(strange)
        labels.append(env.expert_action())
        actions.append(action)
        env.step(action)
    return torch.cat(scores).detach(), torch.cat(labels), torch.cat(actions)


@pytest.mark.parametrize("detector", ["max_softmax", "energy", "mahalanobis"])
def test_the_threshold_names_its_share_of_what_is_known_and_the_rank_is_scikit_learns(detector):
    agent = learned(detector, detector_share=0.9)
    env = images(split="validation")
    never = agent.act(env.reset(2), greedy=True)[0]
    assert (never < 6).all()  # without a threshold nothing is strange
    agent.settle(env, 3)
    scores, labels, actions = played(agent, env, steps=16 * 8)  # at least 2,048 answers
    known = scores[labels < 6].double()
    assert agent.detector.threshold.item() == pytest.approx(np.quantile(known, 0.9), rel=1e-4)
    assert torch.equal(actions == 6, scores > agent.detector.threshold)
    told = evaluate(agent, env, 32, seed=3).metrics
    scores, labels, _ = played(agent, env)
    expected = roc_auc_score((labels == 6).numpy(), scores.numpy())
    assert told["auroc"] == pytest.approx(expected, abs=1e-6)
    assert told["auroc"] > 0.6  # it has learned something
    assert told["coverage"] == pytest.approx(0.9, abs=0.1)


def test_networks_that_disagree_pass_by_the_information_about_which_is_right():
    agent = learned("disagreement", ensemble=3)
    env = images(split="validation")
    agent.settle(env, 3)
    scores, labels, actions = played(agent, env)
    assert torch.equal(actions == 6, scores > agent.detector.threshold)
    seen, start = env.observation, env.episode_start
    shares = agent.network.opinions(seen, start)[..., :6].softmax(-1).detach().double().numpy()  # (3, B, 6)
    wanted = entropy(shares.mean(0), axis=-1) - entropy(shares, axis=-1).mean(0)
    _, strange = agent.detector.scored(agent.network, seen, start)
    np.testing.assert_allclose(strange.detach(), wanted, atol=1e-5)
    told = evaluate(agent, env, 32, seed=3).metrics["auroc"]
    assert told == pytest.approx(roc_auc_score((labels == 6).numpy(), scores.numpy()), abs=1e-6)
    with pytest.raises(InvalidInput, match="detector 'disagreement' needs ensemble above 1"):
        agents.make("behaviour_cloning", images(), detector="disagreement")


def test_no_strange_image_is_learned_from():
    env = images()
    agent = agents.make("behaviour_cloning", env, seed=1, **SMALL, detector="energy")
    seen, label = env.reset(1).unsqueeze(0), env.expert_action()[None]
    assert 0 < (label == 6).sum() < 16
    start = torch.zeros(1, 16, dtype=torch.bool)
    other = torch.where((label == 6).view(1, 16, 1, 1, 1), 255 - seen, seen)
    losses = [agent.loss(one, start, label, ())[0].item() for one in (seen, other)]
    assert losses[0] == losses[1]
    known = label[0] < 6
    logits = agent.network(seen, (), start)[0][0, known, :6]
    assert losses[0] == pytest.approx(torch.nn.functional.cross_entropy(logits, label[0, known]).item(), rel=1e-5)


def test_a_detector_is_saved_and_a_captured_evaluation_tells_the_same(monkeypatch):
    agent = check_resume("behaviour_cloning", images, 1024, **SMALL, detector="mahalanobis")
    env = images(split="validation")
    agent.settle(env, 3)
    agent.save("detector.pt")
    other = agents.BehaviourCloning.load("detector.pt", env.observation_space, env.action_space)
    assert torch.equal(other.act(env.reset(2), greedy=True)[0], agent.act(env.reset(2), greedy=True)[0])
    told = evaluate(agent, env, 32, seed=3).metrics
    monkeypatch.setattr(Learner, "recorder", Tape)
    agent.execution = "captured"
    assert evaluate(agent, env, 32, seed=3).metrics == pytest.approx(told, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"memory": "gru"}, "memory must be None with a detector; got 'gru'"),
        ({"ensemble": 2}, "ensemble must be 1 with a detector; got 2"),
        ({"temperature_scaling": True}, "temperature_scaling must be False with a detector; got True"),
    ],
)
def test_what_a_detector_is_not_for_is_told_in_one_line(settings, told):
    with pytest.raises(InvalidInput, match=told):
        agents.make("behaviour_cloning", images(), detector="energy", **settings)
    with pytest.raises(InvalidInput, match="detector needs one Discrete action"):
        agents.make("behaviour_cloning", images(answer="score"), detector="energy")
