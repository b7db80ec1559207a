"""Bandit agents against hand-computed indices, published Gittins indices, and a search over all policies."""

import math
from functools import lru_cache
from itertools import pairwise

import gymnasium.spaces as spaces
import pytest
import torch
from scipy.stats import beta

from palaestra import agents
from palaestra.agents.classical.bandit import Record
from palaestra.agents.classical.dirichlet import GAMMA_NOISE, dirichlet
from palaestra.agents.classical.gittins import gittins_index
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput

NAMES = ("greedy", "epsilon_greedy", "ucb1", "thompson", "gittins")


@pytest.fixture
def bandit():
    """Makes batches of bandit trials."""
    return lambda num_envs, seed=0, **options: make_batched(
        "palaestra/BernoulliBandit-v0", num_envs, seed=seed, **options
    )


def record(pulls, wins):
    return Record(
        torch.tensor([pulls], dtype=torch.float32), torch.tensor([wins], dtype=torch.float32), torch.ones(1) > 0
    )


def play(agent, env, steps):
    """Arms (T, B) and rewards (T, B) from a fresh start, and the memory after the last action."""
    observation, memory, start = env.reset(), (), env.episode_start
    arms, rewards = [], []
    for _ in range(steps):
        arm, memory = agent.act(observation, memory, start)
        step = env.step(arm)
        observation, start = step.observation, step.done
        arms.append(arm)
        rewards.append(step.reward)
    return torch.stack(arms), torch.stack(rewards), Record(*memory)


def test_the_mean_starts_from_one_success_and_one_failure():
    assert record([0, 1, 4], [0, 1, 1]).mean.tolist() == [pytest.approx([1 / 2, 2 / 3, 2 / 6])]


def test_ucb1_is_the_mean_and_the_width_of_its_bound(bandit):
    agent = agents.make("ucb1", bandit(1, arms=3), width=0.7)
    index = agent.index(record([3, 1, 0], [1, 1, 0]))  # the fifth pull
    bound = [0.7 * math.sqrt(2 * math.log(5) / m) for m in (5, 3, 2)]
    assert index.tolist() == [pytest.approx([2 / 5 + bound[0], 2 / 3 + bound[1], 1 / 2 + bound[2]])]


def test_greedy_stays_with_what_pays_and_leaves_what_does_not(bandit):
    arms, rewards, _ = play(agents.make("greedy", bandit(50)), bandit(50, seed=3), 2)
    assert arms[0].tolist() == [0] * 50
    assert torch.equal(arms[1], (rewards[0] == 0).long())


def test_epsilon_greedy_explores_as_often_as_it_says(bandit):
    agent = agents.make("epsilon_greedy", bandit(1), epsilon=0.3)
    seen = Record(*(torch.tensor([counts]).expand(20_000, 5) for counts in ([9.0] * 5, [0.0, 0, 9, 0, 0])), None)
    share = torch.bincount(agent.index(seen).argmax(1), minlength=5) / 20_000
    assert share.tolist() == pytest.approx([0.06, 0.06, 0.76, 0.06, 0.06], abs=0.012)  # 4 standard errors


def test_thompson_pulls_an_arm_as_often_as_it_is_the_best(bandit):
    agent = agents.make("thompson", bandit(1, arms=2))
    seen = Record(*(torch.tensor([counts]).expand(20_000, 2) for counts in ([6.0, 2.0], [3.0, 2.0])), None)
    first, second = beta(4, 4), beta(3, 1)
    best = second.expect(first.cdf)
    assert agent.index(seen).argmax(1).float().mean().item() == pytest.approx(best, abs=4 * 0.5 / 20_000**0.5)


def test_dirichlet_samples_have_the_moments_of_the_distribution():
    alpha = torch.tensor([1.0, 2.0, 5.0])
    noise = torch.rand(50_000, 3, GAMMA_NOISE, generator=torch.Generator().manual_seed(0))
    sample = dirichlet(alpha.expand(50_000, 3), noise)
    mean = alpha / 8
    assert sample.sum(1).tolist() == pytest.approx([1.0] * 50_000)
    assert sample.mean(0).tolist() == pytest.approx(mean.tolist(), abs=0.003)
    assert sample.var(0).tolist() == pytest.approx((mean * (1 - mean) / 9).tolist(), rel=0.05)


def test_discounted_gittins_indices_are_the_published_ones():
    """Gittins (1989), discount 0.9: no pulls, one win of two, two of four, nine of ten."""
    table = gittins_index(90, discount=0.9)
    found = [table[90 - pulls, pulls, wins].item() for pulls, wins in ((0, 0), (2, 1), (4, 2), (10, 9))]
    assert found == pytest.approx([0.7029, 0.6346, 0.6010, 0.8695], abs=1e-4)


def test_gittins_indices_of_few_pulls_are_those_computed_by_hand():
    table = gittins_index(3)
    assert table[1, 0, 0].item() == pytest.approx(1 / 2)  # a single pull is worth the mean
    assert table[1, 2, 1].item() == pytest.approx(1 / 2)
    assert table[2, 0, 0].item() == pytest.approx(5 / 9, abs=1e-5)  # 1/2 - c + 1/2 (2/3 - c) = 0
    assert table[2, 1, 1].item() == pytest.approx(7 / 10, abs=1e-5)  # 2/3 - c + 2/3 (3/4 - c) = 0
    assert (table[3] == table[3, 0, 0] * (torch.arange(9).view(3, 3) == 0)).all()  # nothing was pulled before
    assert all(a < b for a, b in pairwise(table[[1, 2, 3], 0, 0].tolist()))  # the more is left, the more to learn


@lru_cache
def best_value(left, first, second):
    """The most that two arms with these (pulls, wins) can pay in so many pulls, over all policies."""
    if left == 0:
        return 0.0
    values = []
    for arm, other, order in ((first, second, 1), (second, first, -1)):
        mean = (arm[1] + 1) / (arm[0] + 2)
        pairs = [((arm[0] + 1, arm[1] + win), other)[::order] for win in (1, 0)]
        win, loss = (best_value(left - 1, *pair) for pair in pairs)
        values.append(mean * (1 + win) + (1 - mean) * loss)
    return max(values)


def value_of_gittins(table, left, first, second):
    """What following the index pays."""
    if left == 0:
        return 0.0
    arms = [first, second]
    k = int(table[left, second[0], second[1]] > table[left, first[0], first[1]])
    mean = (arms[k][1] + 1) / (arms[k][0] + 2)
    value = 0.0
    for win, chance in ((1, mean), (0, 1 - mean)):
        following = [*arms]
        following[k] = (arms[k][0] + 1, arms[k][1] + win)
        value += chance * (win + value_of_gittins(table, left - 1, *following))
    return value


def test_the_gittins_policy_is_within_a_thousandth_of_the_best_of_all_policies():
    table, none = gittins_index(8), (0, 0)
    best, found = best_value(8, none, none), value_of_gittins(table, 8, none, none)
    greedy = value_of_gittins(means(8), 8, none, none)
    assert best * 0.999 < found <= best + 1e-9
    assert greedy < found


def means(horizon):
    """A table of posterior means in place of indices."""
    pulls, wins = torch.arange(horizon)[:, None], torch.arange(horizon)
    return ((wins + 1) / (pulls + 2)).expand(horizon + 1, horizon, horizon)


def test_gittins_after_its_horizon_pulls_the_arm_of_the_best_mean(bandit):
    agent = agents.make("gittins", bandit(1, arms=3), horizon=4)
    seen = record([5, 1, 0], [3, 1, 0])
    assert agent.index(seen).tolist() == seen.mean.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_memory_counts_what_was_pulled_and_what_it_paid(name, bandit):
    arms, rewards, seen = play(agents.make(name, bandit(20)), bandit(20), 10)
    pulled = torch.nn.functional.one_hot(arms[:-1], 5)  # the last one shows only in the next observation
    assert torch.equal(seen.pulls, pulled.sum(0).float())
    assert torch.equal(seen.wins, (pulled * rewards[:-1, :, None]).sum(0))


@pytest.mark.parametrize("name", NAMES)
def test_the_memory_is_wiped_where_a_trial_starts(name, bandit):
    _, _, seen = play(agents.make(name, bandit(6)), bandit(6), 11)
    assert seen.pulls.sum() == seen.wins.sum() == 0
    _, _, seen = play(agents.make(name, bandit(6)), bandit(6), 13)
    assert seen.pulls.sum(1).tolist() == [2] * 6


@pytest.mark.parametrize("name", ["greedy", "ucb1", "gittins"])
def test_a_batch_plays_as_its_rows_do_one_by_one(name, bandit):
    agent = agents.make(name, bandit(7))
    arms, rewards, _ = play(agent, bandit(7, seed=40), 25)
    for row in range(7):
        alone, paid, _ = play(agent, bandit(1, seed=40 + row), 25)
        assert torch.equal(alone[:, 0], arms[:, row])
        assert torch.equal(paid[:, 0], rewards[:, row])


@pytest.mark.parametrize("name", NAMES)
def test_every_bandit_agent_beats_chance(name, bandit):
    result = agents.evaluate(agents.make(name, bandit(500)), bandit(500), 500, seed=1)
    assert result.returns.mean().item() > 5.5  # chance gives 5.0


@pytest.mark.parametrize("name", ["epsilon_greedy", "thompson"])
def test_random_choices_are_the_agents_own_and_can_be_repeated(name, bandit):
    config = {"epsilon": 0.5} if name == "epsilon_greedy" else {}
    one, same, other = (agents.make(name, bandit(30), seed=seed, **config) for seed in (1, 1, 2))
    arms = [play(agent, bandit(30), 10)[0] for agent in (one, same, other)]
    assert torch.equal(arms[0], arms[1])
    assert not torch.equal(arms[0], arms[2])


@pytest.mark.parametrize("name", [*NAMES, "posterior_sampling", "optimistic_planning"])
def test_environments_without_trials_are_refused(name, bandit):
    cls = agents.agent_class(name)
    with pytest.raises(InvalidInput, match=f"{name}: observation space must be Dict; got Box"):
        agents.make(name, bandit(1, episodes=1))
    with pytest.raises(InvalidInput, match=r"must be a trial's, with 'previous_action'.*got 'position'"):
        cls(spaces.Dict({"position": spaces.Discrete(3)}), spaces.Discrete(2))
    with pytest.raises(InvalidInput, match=f"{name}: action space must be Discrete; got Box"):
        agents.make(name, make_batched("palaestra/PointGoal-v0", 1))
