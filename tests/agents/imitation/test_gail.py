"""GAIL: the discriminator's loss and gradient by hand, what is learned from and what is not, and that it imitates."""

import math

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents.learning.rollout import Collector, generalised_advantage
from palaestra.envs import make_batched
from palaestra.envs.core.task import NoExpert
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.imitation.test_imitation import BOXES, SPACES, by_sign
from palaestra.tests.agents.policy_gradient.test_loss import differences


def showing(expert, env, steps):
    """What a callable from environments to actions does in `steps` steps."""
    seen = []
    env.reset()
    for _ in range(steps):
        action = expert(env)
        seen.append((env.observation, env.episode_start, action))
        env.step(action)
    return agents.Demonstration(*(torch.stack(parts) for parts in zip(*seen, strict=True)))


class SideBySide(torch.nn.Module):
    """Observations and one-hot actions as float64; the encoders make float32."""

    def forward(self, pairs):
        return torch.cat([pairs["observation"], torch.nn.functional.one_hot(pairs["action"], 3)], 1)


def test_the_discriminator_s_loss_and_gradient_are_those_of_the_paper():
    config = agents.GAILConfig(discriminator_hidden=(4,))
    agent = agents.GAIL(spaces.Box(-3, 3, (2,), np.float32), spaces.Discrete(3), config)
    agent.discriminator.double()[0] = SideBySide()
    parameters = list(agent.discriminator.parameters())
    generator = torch.Generator().manual_seed(7)
    for parameter in parameters:
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    expert, learner = (
        {
            "observation": torch.randn(count, 2, generator=generator, dtype=torch.float64),
            "action": torch.randint(3, (count,), generator=generator),
        }
        for count in (4, 6)
    )

    def probability(pairs, n):
        """Of being the expert's: inputs from [0, 1] scaled to [-1, 1], a layer with SiLU, a logistic unit."""
        (weight, bias), (last, offset) = zip(*[iter(parameter.tolist() for parameter in parameters)] * 2, strict=True)
        x = [*pairs["observation"][n].tolist(), *(float(pairs["action"][n] == k) for k in range(3))]
        sums = [
            sum(w * (2 * v - 1) for w, v in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)
        ]
        hidden = [h / (1 + math.exp(-h)) for h in sums]
        return 1 / (1 + math.exp(-sum(w * h for w, h in zip(last[0], hidden, strict=True)) - offset[0]))

    def reference():
        """Minus equation 17 of Ho and Ermon (2016), in which D stands for the learner's share."""
        right = sum(math.log(probability(expert, n)) for n in range(4)) / 4
        return -right - sum(math.log(1 - probability(learner, n)) for n in range(6)) / 6

    loss = agent.discriminator_loss(expert, learner)
    assert loss.item() == pytest.approx(reference(), rel=1e-10)
    for mine, plain in zip(torch.autograd.grad(loss, parameters), differences(reference, parameters), strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("reward", ["logit", "positive", "negative"])
def test_the_policy_learns_from_the_discriminator_s_reward_alone(reward, acting, monkeypatch):
    env = acting(8, spaces.Discrete(2))
    still = {"discriminator_updates": 1, "discriminator_learning_rate": 1e-30}
    agent = agents.make("gail", env, rollout_steps=4, reward=reward, **still)
    list(agent.learn(env, 8 * 128 + 32))
    rollout, _ = Collector(env, agent.network, agent.policy).collect(
        (), torch.rand(4, env.num_envs, agent.policy.noise)
    )
    seen = []
    monkeypatch.setattr(agents.PPO, "update", lambda self, rollout, advantage: seen.append((rollout, advantage)) or {})
    report = agent.update(rollout, torch.full((4, 8), torch.nan))
    judged, advantage = seen[0]
    pairs = {"observation": rollout.observation.flatten(0, 1), "action": rollout.action.flatten()}
    share = torch.sigmoid(agent.discriminator(pairs)).view(4, 8)
    paid = {"positive": -(1 - share).log(), "negative": share.log(), "logit": share.log() - (1 - share).log()}
    torch.testing.assert_close(judged.reward, paid[reward], rtol=1e-5, atol=1e-5)
    assert float(report["imitation_reward"]) == pytest.approx(float(judged.reward.mean()))
    torch.testing.assert_close(advantage, generalised_advantage(judged, 0.99, 0.95))


@pytest.mark.parametrize("space", (SPACES + BOXES)[::2])
def test_every_action_space_is_imitated_on(space, acting):
    env = acting(32, space)
    agent = agents.make("gail", env, rollout_steps=8, learning_rate=3e-3, gamma=0)
    agent.demonstration = showing(by_sign, acting(32, space), 8)
    reports = list(agent.learn(env, 20_000))
    learned = agent.act(env.observation, greedy=True)[0].float()
    torch.testing.assert_close(learned, by_sign(env).float(), atol=0.4, rtol=0)
    assert all(report["steps"] == 256 * (k + 1) for k, report in enumerate(reports))
    names = {"return", "length", "episodes", "policy_loss", "value_loss", "entropy", "discriminator_loss"}
    assert names <= set(reports[0])


def test_a_dict_observation_is_imitated_on(acting):
    seen = spaces.Dict({"sign": spaces.Box(0, 1, (1,)), "copy": spaces.Discrete(2)})
    env = acting(32, spaces.Discrete(2), seen)
    agent = agents.make("gail", env, rollout_steps=8, learning_rate=3e-3, gamma=0)
    list(agent.learn(env, 10_000))
    agent.save("agent.pt")
    again = agents.GAIL.load("agent.pt", env.observation_space, env.action_space)
    assert torch.equal(again.demonstration.observation["sign"], agent.demonstration.observation["sign"])
    assert agents.evaluate(again, env, 100, seed=9).returns.mean() == 1.0


def test_the_task_s_expert_is_recorded_once_and_its_steps_count(acting):
    env = acting(4, spaces.Discrete(2))
    agent = agents.make("gail", env, rollout_steps=8, demonstration_steps=10)
    first = next(agent.learn(env, 10_000))
    assert first["steps"] == 4 * 10 + 4 * 8
    shown = agent.demonstration
    assert shown.label.shape == (10, 4)
    assert torch.equal(shown.label, shown.observation[..., 0].long())
    assert next(agent.learn(env, 10_000))["steps"] == 4 * 10 + 2 * 4 * 8
    assert agent.demonstration is shown


def test_without_an_expert_or_a_demonstration_it_says_so(uneven):
    env = uneven(4)
    with pytest.raises(NoExpert):
        next(agents.make("gail", env).learn(env, 100))


def test_it_imitates_an_expert_on_irises_that_it_never_saw_against_the_environment_s_reward():
    following = lambda env: (env.expert_action() + 1) % 3  # noqa: E731, never the right species
    env = make_batched("palaestra/TabularBandit-v0", 64)
    agent = agents.make("gail", env, rollout_steps=16, minibatches=4, learning_rate=3e-3, gamma=0, hidden=(32,))
    agent.demonstration = showing(following, env, 8)
    list(agent.learn(env, 40_000))
    test = make_batched("palaestra/TabularBandit-v0", 50, split="test")
    named = agent.act(test.reset(9), greedy=True)[0]
    assert (named == following(test)).float().mean() > 0.85
    assert agents.evaluate(agent, test, 500, seed=9).returns.mean() < 0.1


@pytest.mark.parametrize("memory", [None, "gru", "transformer"])
def test_a_resumed_run_equals_the_run_that_was_not_stopped(memory):
    make_env = lambda: make_batched("palaestra/RepeatPrevious-v0", 5, symbols=2, delay=1, length=8)  # noqa: E731
    check_resume("gail", make_env, 5 * 20 + 5 * 12 * 4, memory=memory, memory_size=8, rollout_steps=12, hidden=(8,),
                 sequence_length=4, minibatches=3, epochs=2, demonstration_steps=20, discriminator_hidden=(8,),
                 discriminator_batch=30)  # fmt: skip


@pytest.mark.parametrize("setting", ["demonstration_steps", "discriminator_updates", "discriminator_batch"])
def test_a_wrong_setting_is_refused_by_name(setting):
    with pytest.raises(InvalidInput, match=f"GAILConfig: {setting} .*got 0"):
        agents.GAILConfig(**{setting: 0})
