"""Policies against torch.distributions, sampling against SciPy's chi-square, actions against their spaces."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from scipy import stats

from palaestra.agents.networks.heads import distribution
from palaestra.envs.core.actions import Odds, bounds

CHOICES = spaces.MultiDiscrete([2, 4, 3])


def reference(space, parameters, policy):
    """The same distribution by torch.distributions, its last axis summed where several choices are made together."""
    if isinstance(space, spaces.Discrete):
        return torch.distributions.Categorical(logits=parameters)
    if isinstance(space, spaces.MultiBinary):
        return torch.distributions.Independent(torch.distributions.Bernoulli(logits=parameters), 1)
    return torch.distributions.Independent(torch.distributions.Normal(parameters, policy.log_std.exp()), 1)


def uniforms(rows, width, seed):
    return torch.rand(rows, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("space", [spaces.Discrete(5), spaces.MultiBinary(3), spaces.Box(-1, 1, (3,))])
def test_log_prob_entropy_and_mode_are_those_of_torch(space):
    policy, generator = distribution(space), torch.Generator().manual_seed(0)
    if isinstance(space, spaces.Box):
        policy.log_std.data = torch.tensor([-1.0, 0.3, 0.0])
    parameters = torch.randn(4, 6, policy.size, generator=generator) * 2
    wanted = reference(space, parameters, policy)
    action = policy.sample(parameters, torch.rand(4, 6, policy.noise, generator=generator))
    torch.testing.assert_close(policy.log_prob(parameters, action), wanted.log_prob(action), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(policy.entropy(parameters), wanted.entropy(), rtol=1e-5, atol=1e-5)
    if not isinstance(space, spaces.MultiBinary):
        assert torch.equal(policy.mode(parameters), wanted.mode)
    best = wanted.log_prob(policy.mode(parameters))
    for _ in range(20):
        other = policy.sample(parameters, torch.rand(4, 6, policy.noise, generator=generator))
        assert (wanted.log_prob(other) <= best + 1e-6).all()


def test_several_choices_are_independent_categoricals():
    policy, generator = distribution(CHOICES), torch.Generator().manual_seed(0)
    logits = torch.randn(5, 7, 9, generator=generator)
    action = policy.sample(logits, torch.rand(5, 7, policy.noise, generator=generator))
    parts = [torch.distributions.Categorical(logits=part) for part in logits.split([2, 4, 3], -1)]
    log_prob = sum(part.log_prob(action[..., k]) for k, part in enumerate(parts))
    torch.testing.assert_close(policy.log_prob(logits, action), log_prob)
    torch.testing.assert_close(policy.entropy(logits), sum(part.entropy() for part in parts))
    assert torch.equal(policy.mode(logits), torch.stack([part.probs.argmax(-1) for part in parts], -1))


def frequencies(values, count):
    return np.bincount(values.numpy(), minlength=count)


def test_categorical_samples_have_their_probabilities():
    logits = torch.tensor([0.5, -1.0, 2.0, -3.0])
    sample = distribution(spaces.Discrete(4)).sample(logits.expand(40_000, 4), uniforms(40_000, 1, seed=1))
    expected = torch.softmax(logits.double(), 0).numpy() * 40_000
    assert stats.chisquare(frequencies(sample, 4), expected).pvalue > 0.001


def test_masked_actions_are_never_drawn_add_no_entropy_and_get_no_gradient():
    inf, ends = torch.inf, torch.tensor([[0.0], [1 - 2**-24]])
    masked = torch.tensor([-inf, 0.3, -inf, 1.2, -0.4, -inf], requires_grad=True)
    policy, alone = distribution(spaces.Discrete(6)), distribution(spaces.Discrete(3))
    assert policy.sample(masked.expand(2, -1), ends).tolist() == [1, 4]
    few = masked.detach()[[1, 3, 4]].requires_grad_()
    torch.testing.assert_close(policy.entropy(masked), alone.entropy(few))
    policy.entropy(masked).backward(), alone.entropy(few).backward()
    torch.testing.assert_close(masked.grad, torch.zeros(6).index_put((torch.tensor([1, 3, 4]),), few.grad))
    torch.testing.assert_close(policy.log_prob(masked, torch.tensor(3)), alone.log_prob(few, torch.tensor(1)))
    joint = distribution(spaces.MultiDiscrete([6, 6])).entropy(masked.detach().repeat(2))
    torch.testing.assert_close(joint, 2 * alone.entropy(few.detach()))


def test_the_ends_of_the_uniforms_draw_no_action_that_is_all_but_impossible():
    logits = torch.tensor([4e-18, 0.5, 0.5]).log()
    assert distribution(spaces.Discrete(3)).sample(logits, torch.tensor([0.0])).item() == 1
    many = torch.cat([torch.zeros(1000), torch.tensor([-torch.inf])])  # whose sum is rounded below 1
    assert distribution(spaces.Discrete(1001)).sample(many, torch.tensor([1 - 2**-24])).item() == 999


def test_multi_categorical_samples_have_their_joint_probabilities():
    logits = torch.tensor([0.5, -1.0, 0.0, 1.0, 0.3, -0.5, 0.2, 0.0, -1.0])
    sample = distribution(CHOICES).sample(logits.expand(40_000, 9), uniforms(40_000, 3, seed=2))
    joint = 1.0
    for part in logits.double().split([2, 4, 3]):
        joint = np.multiply.outer(joint, torch.softmax(part, 0).numpy())
    code = sample[:, 0] * 12 + sample[:, 1] * 3 + sample[:, 2]
    assert stats.chisquare(frequencies(code, 24), joint.reshape(-1) * 40_000).pvalue > 0.001


def test_bernoulli_samples_have_their_joint_probabilities():
    logits = torch.tensor([0.5, -2.0])
    sample = distribution(spaces.MultiBinary(2)).sample(logits.expand(40_000, 2), uniforms(40_000, 2, seed=3))
    on = torch.sigmoid(logits.double()).numpy()
    joint = np.multiply.outer([1 - on[0], on[0]], [1 - on[1], on[1]]).reshape(-1)
    code = (sample[:, 0] * 2 + sample[:, 1]).long()
    assert stats.chisquare(frequencies(code, 4), joint * 40_000).pvalue > 0.001


def test_gaussian_samples_are_normal():
    policy = distribution(spaces.Box(-np.inf, np.inf, (2,)))
    policy.log_std.data = torch.tensor([0.5, -1.0])
    mean = torch.tensor([2.0, -3.0])
    sample = policy.sample(mean.expand(20_000, 2), uniforms(20_000, 2, seed=4)).detach().numpy()
    for k in range(2):
        cdf = stats.norm(mean[k].item(), policy.log_std[k].exp().item()).cdf
        assert stats.kstest(sample[:, k], cdf).pvalue > 0.001


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3),
        spaces.Discrete(3, start=-4),
        spaces.MultiDiscrete([2, 5]),
        spaces.MultiDiscrete([[2, 3, 4], [5, 6, 7]]),
        spaces.MultiDiscrete([2, 3], start=[5, -1]),
        spaces.MultiBinary(4),
        spaces.MultiBinary([2, 3]),
        spaces.Box(-2, 3, (2,)),
        spaces.Box(0, 1, (2, 3)),
        spaces.Box(np.array([-1.3, 100], np.float32), np.array([0.1, 700], np.float32)),
        spaces.Box(-np.inf, np.inf, (2,)),
        spaces.Box(0, np.inf, (3,)),
        Odds(4),
    ],
)
def test_every_action_lies_in_its_space(space):
    policy, generator = distribution(space), torch.Generator().manual_seed(5)
    parameters = torch.randn(300, policy.size, generator=generator) * 3
    for raw in (policy.sample(parameters, uniforms(300, policy.noise, seed=6)), policy.mode(parameters)):
        actions = policy.to_env(raw).detach().numpy()
        assert actions.shape == (300, *space.shape)
        for action in actions:
            assert space.contains(action), action
        if not isinstance(space, spaces.Box):  # every value of every choice is reached
            low, high = bounds(space)
            assert np.array_equal(actions.min(0), np.broadcast_to(low, space.shape))
            assert np.array_equal(actions.max(0), np.broadcast_to(high, space.shape))


def test_a_bounded_box_is_the_image_of_minus_one_to_one():
    policy = distribution(spaces.Box(-2, 6, (1,)))
    raw = torch.tensor([[-1.0], [0.0], [1.0], [5.0]])
    assert policy.to_env(raw).flatten().tolist() == [-2, 2, 6, 6]


def test_the_order_of_a_two_dimensional_choice_is_the_spaces():
    policy = distribution(spaces.MultiDiscrete([[2, 3], [4, 5]]))
    logits = torch.full((1, 14), -9.0)
    logits[0, [1, 2 + 2, 5 + 3, 9 + 4]] = 9.0
    assert policy.to_env(policy.mode(logits)).tolist() == [[[1, 2], [3, 4]]]


def test_odds_are_logistic_normal():
    """The log-ratios of the probabilities to the last one are normal (Aitchison and Shen, 1980)."""
    policy = distribution(Odds(3))
    policy.log_std.data = torch.tensor([0.2, -0.5, -1.0])
    mean = torch.tensor([1.0, -1.0, 0.5])
    raw = policy.sample(mean.expand(20_000, 3), uniforms(20_000, 3, seed=8)).detach()
    odds = policy.to_env(raw)
    torch.testing.assert_close(odds.sum(1), torch.ones(20_000))
    deviation = policy.log_std.exp().detach()
    for k in range(2):
        spread = float((deviation[k] ** 2 + deviation[2] ** 2).sqrt())
        ratio = (odds[:, k] / odds[:, 2]).log().numpy()
        assert stats.kstest(ratio, stats.norm(float(mean[k] - mean[2]), spread).cdf).pvalue > 0.001
    torch.testing.assert_close(policy.log_prob(mean, raw), reference(Odds(3), mean, policy).log_prob(raw))


def test_imitation_of_odds_is_cross_entropy_and_else_the_likelihood():
    policy, generator = distribution(Odds(5)), torch.Generator().manual_seed(0)
    logits, weights = torch.randn(7, 5, generator=generator), torch.rand(7, 5, generator=generator)
    weights[0] = torch.tensor([0, 0, 3.0, 0, 0])  # certain
    shares = weights / weights.sum(1, keepdim=True)
    wanted = -torch.nn.functional.cross_entropy(logits, shares, reduction="none")
    torch.testing.assert_close(policy.agreement(logits, policy.from_env(weights)), wanted, rtol=1e-5, atol=1e-5)
    for space in (spaces.Discrete(5), spaces.MultiBinary(5), spaces.Box(-1, 1, (5,))):
        policy = distribution(space)
        raw = policy.sample(logits, uniforms(7, policy.noise, seed=1))
        assert torch.equal(policy.agreement(logits, raw), policy.log_prob(logits, raw))


def test_choices_among_equally_many_values_are_the_same_at_once_as_one_by_one():
    space = spaces.MultiDiscrete(np.full((2, 3), 4))
    policy, generator = distribution(space), torch.Generator().manual_seed(0)
    logits, noise = torch.randn(5, 24, generator=generator), torch.rand(5, 6, generator=generator)
    action = policy.sample(logits, noise)
    each = [torch.distributions.Categorical(logits=part) for part in logits.split(4, -1)]
    passed = torch.stack(
        [(noise[:, k, None] >= one.probs.cumsum(-1)[:, :-1]).sum(-1) for k, one in enumerate(each)], -1
    )
    assert torch.equal(action, passed)
    assert torch.equal(policy.mode(logits), torch.stack([one.probs.argmax(-1) for one in each], -1))
    log_prob = sum(one.log_prob(action[:, k]) for k, one in enumerate(each))
    torch.testing.assert_close(policy.log_prob(logits, action), log_prob)
    torch.testing.assert_close(policy.entropy(logits), sum(one.entropy() for one in each))
    assert policy.to_env(action).shape == (5, 2, 3)
