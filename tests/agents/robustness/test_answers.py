"""What evaluations tell of answers: robust accuracy, reliability, and a temperature fitted on other episodes."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from palaestra import agents
from palaestra.agents.core.evaluation import evaluate
from palaestra.agents.learning.learner import Learner
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.envs.core.tape import Tape

SMALL = {"hidden": (8,), "encoder": "flat"}


def digits(count=16, **options):
    return make_batched("palaestra/DigitBandit-v0", count, seed=5, **options)


def linear(name="ppo", strength=2.0, env=None, **settings):
    """An agent whose logits are a fixed linear map of the pixels that knows something of digits, and its weights."""
    env = digits() if env is None else env
    agent = agents.make(name, env, seed=1, **SMALL, **settings)
    task = env.task
    classes = F.one_hot(task.labels, 10).float()
    means = classes.T @ (task.inputs.flatten(1).float() / 255) / classes.sum(0).unsqueeze(1)
    layer = torch.nn.Linear(64, 10)
    layer.weight.data, layer.bias.data = strength * means, -strength * means.square().sum(1) / 2
    agent.network.actor = layer
    return agent, env


def asked(env, seed, count=16):
    """The images and labels of one episode in each environment."""
    seen = env.reset(seed)
    return seen.flatten(1).double().numpy() / 255, env.expert_action().numpy()


@pytest.mark.parametrize("name", ["ppo", "behaviour_cloning"])
def test_robust_accuracy_under_the_sign_attack_of_a_linear_network_is_as_computed_by_hand(name):
    agent, env = linear(name, robust_attack="fgsm", robust_epsilon=0.1)
    result = evaluate(agent, env, 64, seed=3)
    replayed = evaluate(agent, env, 64, seed=3, aside=False)
    assert torch.equal(result.returns, replayed.returns)  # what is noted changes nothing
    assert "robust_accuracy" not in replayed.metrics
    weight, bias = (one.detach().double().numpy() for one in (agent.network.actor.weight, agent.network.actor.bias))
    env.reset(3)
    right = []
    for _ in range(4):
        x, label = env.observation.flatten(1).double().numpy() / 255, env.expert_action().numpy()
        logits = x @ weight.T + bias
        probability = np.exp(logits - logits.max(1, keepdims=True))
        probability /= probability.sum(1, keepdims=True)
        gradient = (probability - np.eye(10)[label]) @ weight
        attacked = np.clip(x + 0.1 * np.sign(gradient), 0, 1) @ weight.T + bias
        right += list((attacked.argmax(1) == label) & (logits.argmax(1) == label))
        env.step(env.expert_action())
    assert result.metrics["robust_accuracy"] == pytest.approx(np.mean(right))
    assert 0 < result.metrics["robust_accuracy"] < result.metrics["accuracy"]
    assert result.metrics["robust_epsilon"] == 0.1


def test_robust_accuracy_falls_with_the_radius_and_is_the_natural_one_at_0():
    told = []
    for epsilon in (0.0, 0.05, 0.15):
        agent, env = linear(robust_attack="pgd", robust_epsilon=epsilon, robust_steps=5)
        metrics = evaluate(agent, env, 64, seed=3).metrics
        told.append(metrics["robust_accuracy"])
        assert told[-1] <= metrics["accuracy"]
    assert told[0] == pytest.approx(metrics["accuracy"])
    assert told[0] > told[1] > told[2]


def test_reliability_agrees_with_scikit_learn():
    agent, env = linear(reliability_bins=10)
    metrics = evaluate(agent, env, 320, seed=3).metrics
    env.reset(3)
    confidence, right, probabilities, labels = [], [], [], []
    for _ in range(20):
        label = env.expert_action()
        probability = agent.think(env.observation).probabilities
        confidence += probability.amax(1).tolist()
        right += (probability.argmax(1) == label).tolist()
        probabilities.append(probability)
        labels.append(label)
        env.step(label)
    share, mean = calibration_curve(right, confidence, n_bins=10)
    filled = [place for place in range(1, 11) if f"share_{place}" in metrics]
    assert [metrics[f"right_{place}"] for place in filled] == pytest.approx(list(share), abs=1e-6)
    assert [metrics[f"confidence_{place}"] for place in filled] == pytest.approx(list(mean), abs=1e-6)
    weight = [metrics[f"share_{place}"] for place in filled]
    assert sum(weight) == pytest.approx(1)
    gaps = np.abs(share - mean)
    assert metrics["ece"] == pytest.approx(float(np.average(gaps, weights=weight)), abs=1e-6)
    assert metrics["mce"] == pytest.approx(float(gaps.max()), abs=1e-6)
    classes = list(range(10))
    expected = brier_score_loss(torch.cat(labels).numpy(), torch.cat(probabilities).numpy(), labels=classes)
    assert metrics["brier"] == pytest.approx(expected, abs=1e-5)


def test_the_temperature_is_the_best_one_on_what_was_held_out_and_is_saved():
    env = digits(64, split="validation")
    agent, _ = linear(env=env, strength=9.0, temperature_scaling=True, reliability_bins=10)
    before = evaluate(agent, env, 640, seed=9).metrics
    greedy = agent.act(env.reset(2), greedy=True)[0]
    counters = agent.randomness.state_dict()
    agent.settle(env, 4)
    assert agent.randomness.state_dict() == counters
    env.reset(4)
    logits, labels = [], []
    for _ in range(16):
        logits.append(agent.network.act(env.observation, (), env.episode_start)[0].detach().double())
        labels.append(env.expert_action())
        env.step(labels[-1])
    logits, labels = torch.cat(logits), torch.cat(labels)
    loss = lambda one: F.cross_entropy(logits / math.exp(one), labels).item()  # noqa: E731
    best = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9}).x
    assert abs(best) > 0.1
    assert agent.scaling.log_temperature.item() == pytest.approx(best, abs=1e-3)
    assert torch.equal(agent.act(env.reset(2), greedy=True)[0], greedy)
    seen = env.reset(2)
    expected = (agent.network.act(seen, (), env.episode_start)[0] / math.exp(best)).softmax(-1)
    torch.testing.assert_close(agent.think(seen).probabilities, expected, rtol=1e-3, atol=1e-4)
    assert evaluate(agent, env, 640, seed=9).metrics["ece"] < before["ece"]
    other = agents.make("ppo", env, **SMALL, temperature_scaling=True)
    other.network.actor = torch.nn.Linear(64, 10)
    other.load_state_dict(agent.state_dict())
    assert torch.equal(other.think(seen).probabilities, agent.think(seen).probabilities)


def test_answers_over_many_steps_with_a_memory_count_each_step():
    env = make_batched("palaestra/RepeatPrevious-v0", 4, seed=5, length=6)
    agent = agents.make("ppo", env, memory="gru", memory_size=4, hidden=(4,), reliability_bins=5)
    metrics = evaluate(agent, env, 8, seed=3).metrics
    share = [value for name, value in metrics.items() if name.startswith("share_")]
    assert sum(share) == pytest.approx(1)
    right = sum(metrics[f"share_{k}"] * metrics[f"right_{k}"] for k in range(1, 6) if f"share_{k}" in metrics)
    assert right == pytest.approx(right_ones(agent, env, 8), abs=1e-6)


def right_ones(agent, env, episodes):
    """The share of an agent's greedy answers that the expert would give, played by hand."""
    env.reset(3)
    memory, right = agent.initial_memory(4), []
    for _ in range(env.task.horizon * episodes // 4):
        label = env.expert_action()
        action, memory = agent.act(env.observation, memory, env.episode_start, greedy=True)
        right += (action == label).tolist()
        env.step(action)
    return np.mean(right)


def test_a_captured_evaluation_notes_the_same(monkeypatch):
    monkeypatch.setattr(Learner, "recorder", Tape)
    settings = {"robust_attack": "pgd", "robust_steps": 3, "reliability_bins": 5, "temperature_scaling": True}
    told = []
    for execution in ("eager", "captured"):
        agent, env = linear(**settings)
        agent.execution = execution
        agent.settle(env, 4)
        told.append(evaluate(agent, env, 64, seed=3).metrics)
    assert told[1] == pytest.approx(told[0], rel=1e-4)


@pytest.mark.parametrize(
    ("task", "settings", "told"),
    [
        ("NextSymbol", {"robust_attack": "fgsm"}, "an attack needs an image in the observation"),
        ("Localize", {"reliability_bins": 5}, "are for one Discrete action, the class"),
        ("RepeatPrevious", {"robust_attack": "pgd", "memory": "gru"}, "robust_attack must be null with a memory"),
    ],
)
def test_what_cannot_be_told_is_refused_in_one_line(task, settings, told):
    with pytest.raises(InvalidInput, match=told):
        agents.make("ppo", make_batched(f"palaestra/{task}-v0", 2), **settings)


def test_a_task_without_an_expert_has_no_right_answers(uneven):
    env = uneven(2)
    agent = agents.make("ppo", env, reliability_bins=5, hidden=(4,))
    with pytest.raises(InvalidInput, match="need a task with an expert"):
        evaluate(agent, env, 2)
