"""PPO and A2C: loss and gradient against the same formulas in plain Python, one update against plain Adam."""

import copy
import math

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra.agents import A2C, PPO, A2CConfig, PPOConfig
from palaestra.agents.learning.rollout import Rollout

OBSERVATION, ACTION = spaces.Box(-3, 3, (3,), np.float32), spaces.Discrete(3)
T, B = 6, 3


def make(cls, config):
    """An agent in float64 whose weights are large enough to matter."""
    agent = cls(OBSERVATION, ACTION, config)
    agent.network.double().encoder = torch.nn.Identity()  # the encoders make float32
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in agent.parameters:
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.7)
    agent.optimiser = agent.make_optimiser()  # whose moments are float64 too
    return agent


def make_rollout(agent, ratios=(1.0,)):
    """A fixed rollout whose actions were taken with probabilities 1 / ratio times today's."""
    generator = torch.Generator().manual_seed(3)
    normal = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    observation = normal(T, B, 3)
    action = torch.randint(3, (T, B), generator=generator)
    start = torch.rand(T, B, generator=generator) < 0.3
    with torch.no_grad():
        logits, _, _ = agent.network(observation, (), start)
        factor = torch.tensor(ratios, dtype=torch.float64).repeat(T * B)[: T * B].view(T, B)
        log_prob = agent.policy.log_prob(logits, action) - factor.log()
    none = torch.zeros(T, B, dtype=torch.bool)
    value = normal(T + 1, B)
    return Rollout(observation, start, action, log_prob, value, normal(T, B), none, none, normal(T, B), (), {})


def perceptron(x, layers):
    """A perceptron with tanh between its layers, on lists of floats."""
    for depth, (weight, bias) in enumerate(layers):
        x = [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)]
        if depth < len(layers) - 1:
            x = [math.tanh(v) for v in x]
    return x


def layers_of(parameters):
    """(weight, bias) lists of the actor, then of the critic: one hidden layer each."""
    lists = [parameter.tolist() for parameter in parameters]
    pairs = list(zip(lists[::2], lists[1::2], strict=True))
    return pairs[:2], pairs[2:]


def reference_parts(parameters, rollout, advantage):
    """For each step of the batch: log-probability now, the value's squared error, the entropy, in plain Python."""
    actor, critic = layers_of(parameters)
    target = (advantage + rollout.value[:-1]).tolist()
    for t in range(T):
        for b in range(B):
            x = rollout.observation[t, b].tolist()
            logits = perceptron(x, actor)
            total = sum(math.exp(logit) for logit in logits)
            probabilities = [math.exp(logit) / total for logit in logits]
            (value,) = perceptron(x, critic)
            entropy = -sum(p * math.log(p) for p in probabilities)
            yield t, b, math.log(probabilities[int(rollout.action[t, b])]), (value - target[t][b]) ** 2, entropy


def reference_ppo(parameters, rollout, advantage, config):
    """Schulman et al. (2017), equations 7 and 9, and the means of its parts."""
    flat = advantage.flatten().tolist()
    mean = sum(flat) / len(flat)
    deviation = math.sqrt(sum((a - mean) ** 2 for a in flat) / (len(flat) - 1))
    policy = value = entropy = kl = clipped_steps = clipped_up = clipped_down = 0.0
    for t, b, log_prob, error, own_entropy in reference_parts(parameters, rollout, advantage):
        a = (float(advantage[t, b]) - mean) / (deviation + 1e-8)
        log_ratio = log_prob - float(rollout.log_prob[t, b])
        ratio = math.exp(log_ratio)
        clipped = min(max(ratio, 1 - config.clip), 1 + config.clip)
        policy -= min(ratio * a, clipped * a)
        clipped_up += ratio > 1 + config.clip and a > 0
        clipped_down += ratio < 1 - config.clip and a < 0
        clipped_steps += abs(ratio - 1) > config.clip
        kl += ratio - 1 - log_ratio
        value += 0.5 * error
        entropy += own_entropy
    n = T * B
    loss = policy / n + config.value_coefficient * value / n - config.entropy_coefficient * entropy / n
    assert clipped_up
    assert clipped_down
    return loss, [policy / n, value / n, entropy / n, kl / n, clipped_steps / n]


def reference_a2c(parameters, rollout, advantage, config):
    """Mnih et al. (2016), section 4: policy gradient, value error and entropy; their sum, and their means."""
    policy = value = entropy = 0.0
    for t, b, log_prob, error, own_entropy in reference_parts(parameters, rollout, advantage):
        policy -= log_prob * float(advantage[t, b]) / (T * B)
        value += 0.5 * error / (T * B)
        entropy += own_entropy / (T * B)
    return policy + config.value_coefficient * value - config.entropy_coefficient * entropy, [policy, value, entropy]


def differences(function, parameters, step=1e-6):
    """The gradient by central differences."""
    gradients = []
    for parameter in parameters:
        gradient = torch.zeros_like(parameter)
        for place in np.ndindex(*parameter.shape):
            ends = []
            for move in (step, -step):
                with torch.no_grad():
                    parameter[place] += move
                    ends.append(function())
                    parameter[place] -= move
            gradient[place] = (ends[0] - ends[1]) / (2 * step)
        gradients.append(gradient)
    return gradients


ADVANTAGE = torch.randn(T, B, generator=torch.Generator().manual_seed(11), dtype=torch.float64) + 0.2
RATIOS = (0.5, 0.9, 1.0, 1.1, 1.9)


def test_ppo_loss_and_gradient_are_those_of_the_paper():
    config = PPOConfig(hidden=(4,), activation="tanh", value_coefficient=0.7, entropy_coefficient=0.05, clip=0.2)
    agent = make(PPO, config)
    rollout = make_rollout(agent, RATIOS)
    target = ADVANTAGE + rollout.value[:-1]
    loss, numbers = agent.loss(
        rollout.observation, rollout.start, rollout.action, rollout.log_prob, ADVANTAGE, target, None, ()
    )
    expected, parts = reference_ppo(agent.parameters, rollout, ADVANTAGE, config)
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    assert numbers.tolist() == pytest.approx(parts, rel=1e-7)
    found = torch.autograd.grad(loss, agent.parameters)
    wanted = differences(lambda: reference_ppo(agent.parameters, rollout, ADVANTAGE, config)[0], agent.parameters)
    for mine, reference in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-8)


def test_a2c_loss_and_gradient_are_those_of_the_paper(monkeypatch):
    config = A2CConfig(
        hidden=(4,), activation="tanh", value_coefficient=0.7, entropy_coefficient=0.05, max_grad_norm=1e9
    )
    agent = make(A2C, config)
    rollout = make_rollout(agent)
    expected, parts = reference_a2c(agent.parameters, rollout, ADVANTAGE, config)
    wanted = differences(lambda: reference_a2c(agent.parameters, rollout, ADVANTAGE, config)[0], agent.parameters)
    minimised, original = [], agent.minimise
    note = lambda loss, *numbers: minimised.append(loss.item()) or original(loss, *numbers)  # noqa: E731
    monkeypatch.setattr(agent, "minimise", note)
    report = agent.update(rollout, ADVANTAGE)
    assert minimised == [pytest.approx(expected, rel=1e-10)]
    assert [report[name].item() for name in ("policy_loss", "value_loss", "entropy")] == pytest.approx(parts, rel=1e-10)
    for parameter, reference in zip(agent.parameters, wanted, strict=True):
        torch.testing.assert_close(parameter.grad, reference, rtol=1e-5, atol=1e-8)


def test_a_ppo_update_moves_the_parameters_as_adam_does():
    config = PPOConfig(hidden=(4,), activation="tanh", epochs=3, minibatches=1, max_grad_norm=0.1, learning_rate=0.01)
    agent = make(PPO, config)
    rollout = make_rollout(agent, RATIOS)
    twin = copy.deepcopy(agent)
    plain = torch.optim.Adam(twin.parameters, lr=0.01, eps=1e-5, foreach=False, fused=False)
    steps = (rollout.observation, rollout.start, rollout.action, rollout.log_prob, ADVANTAGE)
    for _ in range(3):
        loss, _ = twin.loss(*steps, ADVANTAGE + rollout.value[:-1], None, ())
        gradients = torch.autograd.grad(loss, twin.parameters)
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
        assert norm > 0.1
        for parameter, gradient in zip(twin.parameters, gradients, strict=True):
            parameter.grad = gradient * 0.1 / (norm + 1e-6)
        plain.step()
    agent.update(rollout, ADVANTAGE)
    for mine, reference in zip(agent.parameters, twin.parameters, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-10)


def test_an_epoch_uses_every_step_once(monkeypatch):
    agent = make(PPO, PPOConfig(hidden=(4,), activation="tanh", epochs=2, minibatches=4))
    rollout = make_rollout(agent)
    seen, original = [], agent.loss

    def loss(*parts):
        seen.append(parts[4].flatten())
        return original(*parts)

    monkeypatch.setattr(agent, "run_loss", loss)
    agent.update(rollout, ADVANTAGE)
    sizes = [len(part) for part in seen]
    assert sizes == [5, 5, 4, 4] * 2
    for epoch in (seen[:4], seen[4:]):
        assert torch.equal(torch.cat(epoch).sort().values, ADVANTAGE.flatten().sort().values)
    assert not torch.equal(torch.cat(seen[:4]), torch.cat(seen[4:]))


def test_annealing_lets_the_learning_rate_fall_linearly(uneven):
    env = uneven(4)
    agent = PPO(env.observation_space, env.action_space, PPOConfig(anneal=True, rollout_steps=5, learning_rate=0.008))
    rates = [agent.optimiser.param_groups[0]["lr"] for _ in agent.learn(env, 80)]
    assert rates == pytest.approx([0.008, 0.006, 0.004, 0.002])
