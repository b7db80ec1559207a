"""The mixture head against torch.distributions, SciPy and sampling, and in the agents that have it."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from palaestra import agents
from palaestra.agents.networks.heads import distribution
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput

BOX = spaces.Box(-1, 1, (2,))


def mixture(space=BOX, components=3):
    policy = distribution(space, "mixture", components)
    with torch.no_grad():
        policy.log_std.copy_(torch.linspace(-2.0, 0.3, policy.log_std.numel()).view_as(policy.log_std))
    return policy


def reference(policy, parameters):
    """The same by torch.distributions, and its components' means."""
    count = policy.components
    means = parameters[..., count:].unflatten(-1, (count, -1)) + policy.centres
    each = Independent(Normal(means, policy.log_std.exp().expand_as(means)), 1)
    return MixtureSameFamily(Categorical(logits=parameters[..., :count]), each), means


def test_log_prob_is_that_of_torch():
    policy = mixture()
    assert (policy.size, policy.noise) == (9, 3)
    parameters = torch.randn(4, 5, 9)
    action = policy.sample(parameters, torch.rand(4, 5, 3))
    wanted, _ = reference(policy, parameters)
    torch.testing.assert_close(policy.log_prob(parameters, action), wanted.log_prob(action))


def test_the_mode_is_the_mean_of_the_likeliest_component():
    policy = mixture()
    parameters = torch.randn(50, 9)
    _, means = reference(policy, parameters)
    best = parameters[:, :3].argmax(1)
    assert torch.equal(policy.mode(parameters), means[torch.arange(50), best])


def test_samples_follow_the_mixture():
    policy = mixture(spaces.Box(-1, 1, (1,)), 2)
    parameters = torch.tensor([0.4, -0.3, -1.0, 2.0])
    sample = policy.sample(parameters.expand(20_000, 4), torch.rand(20_000, 2)).detach().numpy()[:, 0]
    weights = torch.softmax(parameters[:2], 0).tolist()
    means, deviations = (parameters[2:] + policy.centres[:, 0]).tolist(), policy.log_std.exp()[:, 0].tolist()

    def cdf(x):
        return sum(w * stats.norm(m, d).cdf(x) for w, m, d in zip(weights, means, deviations, strict=True))

    assert stats.kstest(sample, cdf).pvalue > 0.001


def test_the_entropy_is_exact_for_equal_and_for_distant_components_and_a_lower_bound_between():
    policy = distribution(BOX, "mixture", 3)
    logits = torch.tensor([0.2, -0.5, 1.0])
    weights = Categorical(logits=logits)
    single = float(Independent(Normal(torch.zeros(2), policy.log_std[0].detach().exp()), 1).entropy())
    apart = torch.cat([logits, 1000 * torch.arange(6.0)])
    assert float(policy.entropy(apart)) == pytest.approx(single + float(weights.entropy()), rel=1e-5)
    together = torch.cat([logits, -policy.centres.flatten()])
    assert float(policy.entropy(together)) == pytest.approx(single, rel=1e-5)
    policy = mixture()
    for scale in (0.5, 1.0, 2.0):
        parameters = scale * torch.randn(9)
        wanted, _ = reference(policy, parameters)
        measured = -wanted.log_prob(wanted.sample((20_000,)))
        assert float(policy.entropy(parameters)) < float(measured.mean()) + 0.03
        assert float(policy.entropy(parameters)) > float(measured.mean()) - 0.5


def test_components_begin_apart():
    for shape in ((1,), (2,), (3,)):
        centres = distribution(spaces.Box(-1, 1, shape), "mixture", 5).centres.detach()
        assert torch.cdist(centres, centres).add(torch.eye(5)).min() > 0.3
        assert centres.abs().max() < 1


def test_every_action_lies_in_its_space():
    for space in (BOX, spaces.Box(0, 10, (2, 3)), spaces.Box(-np.inf, np.inf, (2,))):
        policy = distribution(space, "mixture", 4)
        raw = policy.sample(3 * torch.randn(100, policy.size), torch.rand(100, policy.noise))
        for action in policy.to_env(raw).detach().numpy():
            assert space.contains(action)
        torch.testing.assert_close(policy.from_env(policy.to_env(raw / 100)), raw / 100)


@pytest.mark.parametrize("name", ["behaviour_cloning", "dagger", "ppo"])
def test_agents_learn_with_it_and_their_saved_copies_act_alike(name, tmp_path):
    env = make_batched("palaestra/Fork-v0", 8)
    agent = agents.make(name, env, head="mixture", components=3, rollout_steps=8)
    before = [parameter.clone() for parameter in agent.policy.parameters()]
    list(agent.learn(env, 128))
    assert len(before) == 2
    assert all(not torch.equal(a, b) for a, b in zip(before, agent.policy.parameters(), strict=True))
    agent.save(tmp_path / "agent.pt")
    again = type(agent).load(tmp_path / "agent.pt", env.observation_space, env.action_space)
    observation = env.reset(3)
    first, _ = agent.act(observation, greedy=True)
    assert torch.equal(first, again.act(observation, greedy=True)[0])


def test_a_mixture_of_choices_is_refused():
    env = make_batched("palaestra/Copy-v0", 2)
    with pytest.raises(InvalidInput, match="head must be 'gaussian' where actions are no plain Box; got 'mixture' and"):
        agents.make("ppo", env, head="mixture")
    with pytest.raises(InvalidInput, match="head"):
        agents.make("ppo", env, head="mixtur")


@pytest.mark.parametrize("head", ["gaussian", "mixture"])
def test_the_first_deviation_is_a_setting(head):
    env = make_batched("palaestra/PointGoal-v0", 2)
    wide, usual = (agents.make("ppo", env, head=head, **settings) for settings in ({"initial_log_std": 0.0}, {}))
    assert (wide.policy.log_std == 0).all()
    assert (usual.policy.log_std == -0.5).all()
