"""Self-play: what a frozen opponent does, that a run resumes exactly, and where small games end by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import gymnasium.spaces as spaces
import pytest
import torch
from scipy import stats
from torch import Tensor

from palaestra import agents
from palaestra.agents import PPO, PPOConfig, SelfPlay
from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.agents.games.exploitability import exploitability
from palaestra.agents.games.opponents import FrozenPolicy, Pool
from palaestra.envs import BatchedEnv, Game, Opponent, Step, Versus, make_batched
from palaestra.neural_blocks.errors import InvalidInput


@dataclass(frozen=True)
class Nothing:
    time: Tensor


class Pennies(Game[Nothing]):
    """One step: `even` wins 2 if both show heads and 1 if both show tails, else loses 1; `odd` gets the opposite.

    By hand: each player mixes heads with chance 2/5, and the value for `even` is 1/5.
    """

    players, horizon, reset_noise = ("even", "odd"), 1, 0

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Dict({name: spaces.Discrete(1) for name in self.players})
        self.action_space = spaces.Dict({name: spaces.Discrete(2) for name in self.players})
        self.register_buffer("payoff", torch.tensor([[1.0, -1.0], [-1.0, 2.0]]))  # 1 is heads

    def reset(self, noise):
        return Nothing(torch.zeros(len(noise), dtype=torch.int64, device=noise.device))

    def step(self, state, action, noise):
        won = self.payoff[action["even"], action["odd"]]
        return Step(state, {"even": won, "odd": -won}, torch.ones_like(won, dtype=torch.bool))

    def observe(self, state):
        return {"even": state.time, "odd": state.time}

    def draw(self, state, canvas): ...


class Mixed(Opponent):
    """Shows heads with a fixed chance."""

    noise = 1

    def __init__(self, heads):
        super().__init__()
        self.heads = heads

    def forward(self, observation, noise):
        return (noise[:, 0] < self.heads).long()


def pennies(num_envs, player="even", other="odd"):
    return BatchedEnv(Versus(Pennies(), player, {other: Mixed(0.4)}), num_envs)


SMALL = {"hidden": (8,), "rollout_steps": 4, "minibatches": 4, "turn": 1, "pool": 3}


def heads(agent):
    """The chance with which an agent shows heads."""
    return float(
        agent.network.act(torch.zeros(1, dtype=torch.int64), (), torch.zeros(1).bool())[0].softmax(-1)[0, 1].detach()
    )


def test_a_frozen_policy_plays_as_its_agent_did_and_stays_so():
    env = pennies(4096)
    agent = PPO(env.observation_space, env.action_space, PPOConfig(hidden=(8,)), seed=1)
    with torch.no_grad():
        agent.network.actor.layers[-1].bias.copy_(torch.tensor([0.0, 0.8]))
    expected, copy = heads(agent), FrozenPolicy(agent)
    with torch.no_grad():
        agent.network.actor.layers[-1].bias.zero_()
    noise = torch.rand(40_000, copy.noise, generator=torch.Generator().manual_seed(0))
    share = copy(torch.zeros(40_000, dtype=torch.int64), noise).double().mean()
    assert float(share) == pytest.approx(expected, abs=4 * 0.5 / 200)
    assert not any(parameter.requires_grad for parameter in copy.parameters())


def test_a_frozen_policy_of_a_box_draws_from_its_gaussian():
    env = make_batched("palaestra/GANGame-v0", 8192, player="discriminator")
    agent = PPO(env.observation_space, env.action_space, PPOConfig(hidden=(8,)))
    with torch.no_grad():
        agent.policy.log_std.fill_(math.log(0.1))
    copy, observation = FrozenPolicy(agent), env.reset()
    mean = agent.act(observation, greedy=True)[0]
    offset = copy(observation, torch.rand(8192, copy.noise, generator=torch.Generator().manual_seed(0))) - mean
    assert stats.kstest((offset / 0.05)[:, 0].numpy(), "norm").pvalue > 0.001  # half of 0.1: the space has width 1
    assert torch.equal(copy(observation, torch.full((8192, 1), 0.5)), mean)


def test_what_cannot_be_an_opponent_is_refused():
    env = pennies(2)
    with pytest.raises(InvalidInput, match="must be without a memory; got one with 'gru'"):
        FrozenPolicy(PPO(env.observation_space, env.action_space, PPOConfig(memory="gru")))
    with pytest.raises(InvalidInput, match="action space must be Discrete, MultiBinary or Box; got MultiDiscrete"):
        FrozenPolicy(PPO(env.observation_space, spaces.MultiDiscrete([3]), PPOConfig()))
    with pytest.raises(InvalidInput, match="SelfPlayConfig: memory"):
        agents.make("self_play", env, memory="gru")
    with pytest.raises(InvalidInput, match="rival must leave 'turn' the same for both players"):
        agents.make("self_play", env, rival={"turn": 2})
    with pytest.raises(InvalidInput, match="gamma should be less than or equal to 1; got 5"):
        agents.make("self_play", env, rival={"gamma": 5})
    with pytest.raises(
        InvalidInput, match="self_play: environment must be one player's view of a game of two; got Copy"
    ):
        agents.make("self_play", make_batched("palaestra/Copy-v0", 2))


def test_a_pool_shares_the_rows_among_its_last_policies():
    env = pennies(4)
    space = env.observation_space, env.action_space

    def stubborn(side):
        agent = PPO(*space, PPOConfig(hidden=(4,)))
        with torch.no_grad():
            agent.network.actor.layers[-1].bias.copy_(torch.tensor([0.0, 100.0 if side else -100.0]))
        return FrozenPolicy(agent)

    pool = Pool(stubborn(1), 2)
    shows = lambda rows: pool(torch.zeros(rows, dtype=torch.int64), torch.full((rows, 1), 0.5)).tolist()  # noqa: E731
    assert shows(3) == [1, 1, 1]
    pool.add(stubborn(0))
    assert shows(4) == [1, 1, 0, 0]
    assert shows(1) == [1]
    pool.add(stubborn(0))
    assert shows(4) == [0, 0, 0, 0]
    other = Pool(stubborn(1), 2)
    other.restore(pool.saved())
    pool = other
    assert shows(2) == [0, 0]


def test_self_play_finds_a_saddle_point():
    """By hand: with these payoffs heads are best for `even` whatever `odd` does, and then tails are best for `odd`."""

    class Saddle(Pennies):
        def __init__(self):
            super().__init__()
            self.payoff = torch.tensor([[-1.0, 0.0], [0.5, 2.0]])

    env = BatchedEnv(Versus(Saddle(), "even", {"odd": Mixed(0.9)}), 64)
    agent = agents.make("self_play", env, seed=2, learning_rate=0.05, **(SMALL | {"minibatches": 2}))
    *_, report = agent.learn(env, 8_000)
    assert heads(agent.own) > 0.9
    assert heads(agent.rival) < 0.1
    assert report["return"] + report["rival_return"] == pytest.approx(0, abs=0.2)
    assert report["steps"] >= 8_000


def test_exploitability_is_that_of_the_payoff_table():
    """Against heads always, `even` answers heads for 2; against tails always, `odd` answers heads for 1."""
    config = PPOConfig(hidden=(8,), rollout_steps=4, minibatches=2, learning_rate=0.05)
    found = exploitability(Pennies(), {"even": Mixed(0.0), "odd": Mixed(1.0)}, config, steps=3_000, num_envs=64)
    assert found == pytest.approx({"even": 2, "odd": 1, "exploitability": 3})
    found = exploitability(Pennies(), {"even": Mixed(0.4), "odd": Mixed(0.4)}, config, steps=2_000, num_envs=64)
    assert found["exploitability"] == pytest.approx(0, abs=0.2)


def test_the_rivals_settings_are_those_of_its_learner_alone():
    agent = agents.make("self_play", pennies(2), rival={"gamma": 0.5, "hidden": [4]}, **SMALL)
    assert (agent.own.config.gamma, agent.rival.config.gamma) == (0.99, 0.5)
    widths = [learner.network.actor.layers[0].out_features for learner in (agent.own, agent.rival)]
    assert widths == [8, 4]
    assert agent.rival.config.rollout_steps == 4


@pytest.mark.parametrize("id", ["palaestra/GANGame-v0", None])
def test_a_resumed_run_equals_the_run_that_was_not_stopped(id):
    make = (lambda: make_batched(id, 6)) if id else (lambda: pennies(6))
    config = SMALL | {"anneal": True, "rival": {"learning_rate": 0.01}}
    env = make()
    agent = agents.make("self_play", env, seed=3, **config)
    whole = list(agent.learn(env, 5 * 48))
    first = agents.make("self_play", make(), seed=3, **config)
    before = list(itertools.islice(first.learn(make(), 5 * 48), 2))
    first.save("agent.pt")
    second = SelfPlay.load("agent.pt", env.observation_space, env.action_space)
    second.save("again.pt")  # before it knows which game it is for
    second = agents.make("self_play", make(), seed=8, **config)
    second.restore(read_checkpoint("again.pt"), "again.pt")
    after = list(second.learn(make(), 5 * 48))
    assert before + after == whole
    for mine, theirs in zip(second.rival.parameters, agent.rival.parameters, strict=True):
        assert torch.equal(mine, theirs)
    assert second.steps == agent.steps == 5 * 48
