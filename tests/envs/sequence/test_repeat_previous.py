"""RepeatPrevious by hand."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from palaestra.envs import BatchedEnv, make_task

ID = "palaestra/RepeatPrevious-v0"


def test_an_episode_computed_by_hand():
    """Symbols 2 0 3 1 1 2 with delay 2 over 5 steps: asked are the third, fourth and fifth step, for 2, 0 and 3."""
    task = make_task(ID, symbols=4, delay=2, length=5)
    symbols = [2, 0, 3, 1, 1, 2]
    noise = [torch.tensor([[symbol / 4 + 0.1]]) for symbol in symbols]
    state = task.reset(noise[0])
    answers = [3, 1, 2, 1, 3]
    rewards = [0, 0, 1 / 3, -1 / 3, 1 / 3]
    experts = [0, 0, 2, 0, 3]
    for t in range(5):
        assert task.observe(state).tolist() == [symbols[t]]
        assert task.expert(state).tolist() == [experts[t]]
        step = task.step(state, torch.tensor([answers[t]]), noise[t + 1])
        assert step.reward.tolist() == pytest.approx([rewards[t]])
        assert step.terminated.tolist() == [t == 4]
        accuracy = float(step.metrics["accuracy"])
        assert accuracy != accuracy if t < 2 else accuracy == (rewards[t] > 0)  # NaN while nothing is asked
        state = step.state
    assert task.observe(state).tolist() == [2]


@pytest.mark.parametrize(("symbols", "delay", "length"), [(2, 1, 2), (4, 4, 52), (26, 64, 100)])
def test_the_expert_earns_one_and_random_answers_two_over_symbols_less_one(symbols, delay, length):
    from palaestra.envs.score_table import measure

    played = measure(ID, {"symbols": symbols, "delay": delay, "length": length}, episodes=512)
    assert played.expert == pytest.approx(1, abs=1e-5)
    assert abs(played.random - (2 / symbols - 1)) < 4 * played.random_error


def test_always_the_wrong_answer_earns_minus_one():
    env = BatchedEnv(make_task(ID), 6, seed=0)
    env.reset()
    total = torch.zeros(6)
    for _ in range(52):
        step = env.step((env.expert_action() + 1) % 4)
        total += step.reward
    assert bool(step.terminated.all())
    assert not bool(step.truncated.any())
    assert total.tolist() == pytest.approx([-1] * 6)


def test_symbols_are_uniform_and_independent_of_the_past():
    env = BatchedEnv(make_task(ID, length=200), 100, seed=3)
    seen = [env.reset()]
    for _ in range(199):
        seen.append(env.step(torch.zeros(100, dtype=torch.int64)).observation)
    symbols = torch.stack(seen)  # (T, B)
    assert stats.chisquare(torch.bincount(symbols.flatten())).pvalue > 0.01
    for lag in (1, 4):
        pairs = torch.bincount((symbols[:-lag] * 4 + symbols[lag:]).flatten(), minlength=16)
        assert stats.chisquare(pairs).pvalue > 0.01
