"""The PettingZoo adapter, by PettingZoo's own tests and against the batch that it wraps."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, render_test, seed_test
from pettingzoo.utils import aec_to_parallel, parallel_to_aec, wrappers

from palaestra.envs import BatchedEnv, Game, make_game, make_parallel
from palaestra.envs.registry import ids, task_class
from palaestra.neural_blocks.errors import InvalidInput

GAMES = [id for id in ids() if issubclass(task_class(id), Game)]


def test_there_are_three_games():
    assert GAMES == ["palaestra/AttackDefend-v0", "palaestra/GANGame-v0", "palaestra/Code-v0"]


@pytest.mark.parametrize("id", GAMES)
def test_pettingzoo_finds_no_fault(id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(make_parallel(id), num_cycles=100)
        parallel_seed_test(lambda: make_parallel(id), num_cycles=100)


@pytest.mark.parametrize("id", GAMES)
def test_pettingzoo_s_wrappers_and_conversions_find_no_fault(id):
    for wrap in (
        wrappers.BaseParallelWrapper,
        lambda env: wrappers.MultiEpisodeParallelEnv(env, 3),
        lambda env: aec_to_parallel(wrappers.OrderEnforcingWrapper(parallel_to_aec(env))),
        lambda env: aec_to_parallel(wrappers.AssertOutOfBoundsWrapper(parallel_to_aec(env))),
    ):
        parallel_api_test(wrap(make_parallel(id)), num_cycles=30)
    seed_test(lambda: parallel_to_aec(make_parallel(id)), num_cycles=10)
    render_test(lambda render_mode: parallel_to_aec(make_parallel(id, render_mode=render_mode)))


def test_pettingzoo_s_test_of_turns_finds_no_fault():
    """In the game whose observations are arrays: that test takes no dicts of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on the names of players
        api_test(wrappers.ClipOutOfBoundsWrapper(parallel_to_aec(make_parallel("palaestra/GANGame-v0"))), 30)


@pytest.mark.parametrize("id", GAMES)
def test_it_plays_the_episodes_of_a_row_of_the_batch(id):
    game = make_game(id)
    env, batch = make_parallel(id), BatchedEnv(game, 3, seed=7)
    seen, _ = env.reset(seed=8)
    rows = batch.reset()
    for player in game.players:
        env.action_space(player).seed(1)
    for _ in range(2 * game.horizon):
        for player in game.players:
            expected = rows[player]
            parts = expected.items() if isinstance(expected, dict) else [(None, expected)]
            for name, part in parts:
                np.testing.assert_equal(seen[player] if name is None else seen[player][name], part[1].numpy())
        actions = {player: env.action_space(player).sample() for player in game.players}
        seen, rewards, terminations, truncations, infos = env.step(actions)
        step = batch.step({player: np.stack([action] * 3) for player, action in actions.items()})
        rows = step.observation
        first, second = rewards.values()
        assert first == (second if id == "palaestra/Code-v0" else -second)  # one team, or two sides
        for player in game.players:
            assert rewards[player] == float(step.reward[player][1])
            assert terminations[player] is bool(step.terminated[1])
            assert truncations[player] is bool(step.truncated[1])
            for name, value in step.metrics.items():
                assert infos[player].get(name, np.nan) == pytest.approx(float(value[1]), nan_ok=True)
        if terminations[game.players[0]]:
            assert env.agents == []
            seen, _ = env.reset()
    assert env.agents == list(game.players)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_of_a_game_that_was_drawn_goes_on_alike(again):
    env = make_parallel(GAMES[0], render_mode="rgb_array")
    env.reset(seed=2)
    env.render()
    other = again(env)
    actions = {player: env.action_space(player).sample() for player in env.agents}
    assert env.step(actions)[1:4] == other.step(actions)[1:4]
    np.testing.assert_array_equal(env.render(), other.render())


def test_misuse_is_refused():
    env = make_parallel(GAMES[1])
    with pytest.raises(InvalidInput, match=r"GANGame: the episode has ended; reset\(\) must be called"):
        env.step({})
    env.reset(seed=0)
    with pytest.raises(InvalidInput, match="action must be a dict of 'discriminator', 'generator'"):
        env.step({"generator": np.zeros(2)})
    with pytest.raises(InvalidInput, match="seed must be a whole number"):
        env.reset(seed=-1)
    with pytest.raises(InvalidInput, match=r"render_mode must be one of 'human', 'rgb_array', 'ansi'; got 'rgb'"):
        make_parallel(GAMES[1], render_mode="rgb")


def test_it_draws_and_closes():
    env = make_parallel(GAMES[0], render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    assert before.shape == (480, 480, 3)
    env.step({player: env.action_space(player).sample() for player in env.agents})
    assert not np.array_equal(env.render(), before)
    env.close()
    window = make_parallel(GAMES[0], render_mode="human")
    window.reset(seed=0)
    assert window.render() is None
    window.close()
    assert make_parallel(GAMES[0]).render() is None
