"""Choices in a chain: against a loop over all actions, and what independent choices cannot learn."""

import itertools
import math

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents.networks.distributions import DiagonalGaussian, MultiCategorical
from palaestra.agents.networks.heads import distribution
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput

MIXED = spaces.MultiDiscrete([2, 3, 2])
BITS, BOX = spaces.MultiBinary(3), spaces.Box(-1, 1, (3,), np.float32)


def chained(space):
    """A policy whose choices depend on each other."""
    torch.manual_seed(0)
    policy = distribution(space, "autoregressive")
    torch.nn.init.normal_(policy.chain.adds)
    torch.nn.init.normal_(policy.chain.reads)
    return policy, torch.randn(policy.size)


def conditional(policy, parameters, before):
    """What the next choice has for parameters, written out for one row."""
    alone, context = policy.chain.split(parameters)
    for place, value in enumerate(before):
        added = (
            policy.chain.adds[place, value] if policy.chain.adds.shape[1] > 1 else value * policy.chain.adds[place, 0]
        )
        context = context + added
    place = len(before)
    return alone[place] + policy.chain.reads[place] @ torch.tanh(context)


def test_the_probabilities_of_all_choices_are_products_of_conditionals_and_sum_to_one():
    policy, parameters = chained(MIXED)
    total = 0.0
    for action in itertools.product(range(2), range(3), range(2)):
        wanted = 0.0
        for place, value in enumerate(action):
            logits = conditional(policy, parameters, action[:place])[: MIXED.nvec[place]]
            wanted += float(logits.log_softmax(0)[value])
        found = float(policy.log_prob(parameters, torch.tensor(action)))
        assert found == pytest.approx(wanted, abs=1e-5)
        total += math.exp(found)
    assert total == pytest.approx(1, abs=1e-5)


def test_the_probabilities_of_all_bits_sum_to_one():
    policy, parameters = chained(BITS)
    actions = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    log_probs = policy.log_prob(parameters.expand(8, -1), actions)
    assert float(log_probs.exp().sum()) == pytest.approx(1, abs=1e-5)
    for action, found in zip(actions.tolist(), log_probs.tolist(), strict=True):
        chances = [torch.sigmoid(conditional(policy, parameters, action[:place])[0]).item() for place in range(3)]
        wanted = sum(math.log(p if bit else 1 - p) for p, bit in zip(chances, action, strict=True))
        assert found == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("space", [MIXED, BITS])
def test_samples_have_the_probabilities_that_are_told(space):
    policy, parameters = chained(space)
    count = 40_000
    noise = torch.rand(count, policy.noise, generator=torch.Generator().manual_seed(1))
    drawn = policy.sample(parameters.expand(count, -1), noise)
    for action in drawn.unique(dim=0):
        share = (drawn == action).all(1).double().mean().item()
        told = policy.log_prob(parameters, action).exp().item()
        assert share == pytest.approx(told, abs=4 * (told / count) ** 0.5 + 1e-4)


def test_numbers_of_a_box_follow_each_other():
    policy, parameters = chained(BOX)
    with torch.no_grad():
        policy.log_std.copy_(torch.tensor([-1.0, 0.0, -2.0]))
    noise = torch.rand(5, 3)
    raw = policy.sample(parameters.expand(5, -1), noise)
    apart = policy.log_std.exp() * torch.special.ndtri(noise)
    for row in range(5):
        for place in range(3):
            mean = conditional(policy, parameters, raw[row, :place].tolist())[0]
            torch.testing.assert_close(raw[row, place], mean + apart[row, place], atol=1e-5, rtol=1e-5)
    means = raw - apart
    wanted = torch.distributions.Normal(means, policy.log_std.exp()).log_prob(raw).sum(-1)
    torch.testing.assert_close(policy.log_prob(parameters.expand(5, -1), raw), wanted, atol=1e-4, rtol=1e-4)
    entropy = torch.distributions.Normal(0, policy.log_std.exp()).entropy().sum()
    torch.testing.assert_close(policy.entropy(parameters), entropy)


@pytest.mark.parametrize("space", [MIXED, BITS, BOX])
def test_at_first_each_choice_is_as_without_the_chain(space):
    policy, plain = distribution(space, "autoregressive"), distribution(space)
    parameters = torch.randn(6, policy.size)
    action = policy.sample(parameters, torch.rand(6, policy.noise))
    given = [policy.chain.all(parameters, torch.zeros(6, policy.chain.count, 32))]
    alone = (
        given[0].flatten(1)
        if space is not MIXED
        else torch.cat([given[0][:, k, :n] for k, n in enumerate((2, 3, 2))], 1)
    )
    torch.testing.assert_close(policy.log_prob(parameters, action), plain.log_prob(alone, action))
    torch.testing.assert_close(policy.entropy(parameters), plain.entropy(alone))
    torch.testing.assert_close(policy.mode(parameters), plain.mode(alone))


def test_two_choices_that_must_agree_are_learned_by_a_chain_alone():
    """The labels are (0, 0) and (1, 1), as often: ln 2 nats by a chain, twice as many by independent choices."""
    space = spaces.MultiDiscrete([2, 2])
    labels = torch.tensor([[0, 0], [1, 1]])
    reached = []
    for kind in ("autoregressive", "gaussian"):
        torch.manual_seed(0)
        policy = distribution(space, kind)
        parameters = torch.nn.Parameter(torch.zeros(policy.size))
        optimiser = torch.optim.Adam([parameters, *policy.parameters()], 0.05)
        for _ in range(200):
            loss = -policy.log_prob(parameters.expand(2, -1), labels).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        reached.append(loss.item())
    assert reached[0] == pytest.approx(math.log(2), abs=0.02)
    assert reached[1] == pytest.approx(2 * math.log(2), abs=0.001)


@pytest.mark.parametrize("id", ["palaestra/PointGoal-v0", "palaestra/PatternCompletion-v0"])
@pytest.mark.parametrize("name", ["ppo", "behaviour_cloning"])
def test_agents_learn_with_it_save_and_act_alike(id, name):
    env = make_batched(id, 4, seed=0)
    given = {"minibatches": 1, "rollout_steps": 2} if name == "ppo" else {"updates": 2, "minibatch_size": 8}
    agent = agents.make(name, env, head="autoregressive", hidden=(8,), **given)
    agent.train(env, 16)
    agent.save("agent.pt")
    again = agents.load("agent.pt")
    (ours, _), (theirs, _) = (one.act(env.observation, greedy=True) for one in (agent, again))
    assert torch.equal(ours, theirs)


def test_spaces_of_a_single_choice_have_no_chain():
    with pytest.raises(InvalidInput, match="head must be 'gaussian' where an action is no row of choices"):
        distribution(spaces.Discrete(3), "autoregressive")
    assert type(distribution(spaces.MultiDiscrete([2, 2]))) is MultiCategorical
    assert type(distribution(BOX)) is DiagonalGaussian
