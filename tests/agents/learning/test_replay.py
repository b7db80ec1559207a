"""Replay and n-step sums against a plain deque and explicit sums."""

import collections

import pytest
import torch

from palaestra.agents.core.randomness import Randomness
from palaestra.agents.learning.replay import Replay, Transition, n_step

CPU = torch.device("cpu")


def stream(steps, num_envs, seed=0):
    """Transitions whose observations are dicts that name their step and environment, with episodes of random length."""
    generator = torch.Generator().manual_seed(seed)
    env = torch.arange(num_envs)
    start = torch.ones(num_envs, dtype=torch.bool)
    for time in range(steps):
        kind = torch.rand(num_envs, generator=generator)
        seen = {"time": torch.full((num_envs,), time), "env": env}
        then = {"time": torch.full((num_envs,), time + 1), "env": env}
        reward = torch.rand(num_envs, generator=generator, dtype=torch.float64)
        action = torch.randint(5, (num_envs,), generator=generator)
        yield Transition(seen, start, action, reward, kind < 0.15, kind > 0.85, then)
        start = (kind < 0.15) | (kind > 0.85)


def filled(steps, num_envs, capacity, chunk=1):
    """A ring after that many writes, and all that was written; the memory is the step's number."""
    replay, written = Replay(capacity, num_envs, CPU, chunk), []
    for time, transition in enumerate(stream(steps, num_envs)):
        replay.write(transition, (torch.full((num_envs, 2), float(time)),) if chunk > 1 else ())
        written.append(transition)
    return replay, written


def explicit(written, time, env, gamma, steps, stop):
    """The n-step sum from a step on, its discount and its last step, in plain Python; at `stop` the steps end."""
    total, factor = 0.0, 1.0
    for later in range(time, min(time + steps, stop)):
        total += factor * float(written[later].reward[env])
        factor *= gamma
        if written[later].terminated[env]:
            return total, 0.0, later
        if written[later].truncated[env]:
            break
    return total, factor, later


@pytest.mark.parametrize("steps", [3, 7, 8, 26])
def test_the_ring_keeps_what_a_deque_keeps(steps):
    num_envs, length = 3, 7
    replay, written = filled(steps, num_envs, num_envs * length + 2)
    kept = collections.deque(range(steps), maxlen=length)
    assert len(replay) == len(kept) * num_envs
    batch = replay.sample(2000, 0.9, 1, Randomness(1))
    time, env = batch.observation["time"][0].tolist(), batch.observation["env"][0].tolist()
    assert set(zip(time, env, strict=True)) == {(t, e) for t in kept for e in range(num_envs)}
    for i, (t, e) in enumerate(zip(time, env, strict=True)):
        step = written[t]
        assert batch.action[0, i] == step.action[e]
        assert batch.reward[0, i] == step.reward[e]
        assert batch.start[0, i] == step.start[e]
        assert batch.discount[0, i] == 0.9 * float(~step.terminated[e])
        assert (batch.next_observation["time"][0, i], batch.next_observation["env"][0, i]) == (t + 1, e)


@pytest.mark.parametrize("n", [2, 5])
def test_n_steps_end_with_their_episode_and_with_the_newest_step(n):
    steps, num_envs, length = 40, 3, 17
    replay, written = filled(steps, num_envs, num_envs * length)
    batch = replay.sample(1000, 0.9, n, Randomness(1))
    lengths = set()
    for i in range(1000):
        time, env = int(batch.observation["time"][0, i]), int(batch.observation["env"][0, i])
        total, factor, last = explicit(written, time, env, 0.9, n, steps)
        assert float(batch.reward[0, i]) == pytest.approx(total, rel=1e-12)
        assert float(batch.discount[0, i]) == pytest.approx(factor, rel=1e-12)
        assert batch.next_observation["time"][0, i] == last + 1
        lengths.add(last - time + 1)
    assert lengths == set(range(1, n + 1))


@pytest.mark.parametrize("steps", [8, 16, 28])
def test_sequences_are_whole_and_come_with_the_memory_before_them(steps):
    num_envs, chunk, n = 3, 4, 3
    replay, written = filled(steps, num_envs, num_envs * 13, chunk)  # 12 steps, three sequences
    batch = replay.sequences(200, 0.9, n, Randomness(1))
    first = batch.observation["time"][0]
    assert set(first.tolist()) == set(range(max(0, steps - 12), steps, chunk))
    assert torch.equal(batch.memory[0], first[:, None].expand(-1, 2).float())
    assert torch.equal(batch.observation["time"], first + torch.arange(chunk)[:, None])
    for i in range(200):
        env, begin = int(batch.observation["env"][0, i]), int(first[i])
        for t in range(chunk):
            total, factor, last = explicit(written, begin + t, env, 0.9, n, begin + chunk)
            assert float(batch.reward[t, i]) == pytest.approx(total, rel=1e-12)
            assert float(batch.discount[t, i]) == pytest.approx(factor, rel=1e-12)
            assert batch.last[t, i] == last - begin
            assert batch.start[t, i] == written[begin + t].start[env]


def test_n_step_sums_by_hand():
    reward = torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    ended = torch.tensor([[False], [True], [False], [False]])
    total, last = n_step(reward, ended, 0.5, 3)
    assert total.flatten().tolist() == [1 + 0.5 * 2, 2, 4 + 0.5 * 8, 8]
    assert last.flatten().tolist() == [1, 1, 3, 3]


def test_an_episode_that_somebody_reset_counts_as_truncated():
    replay, written = filled(1, 3, 30)
    replay.interrupt(torch.tensor([True, False, True]))
    follow = list(stream(2, 3, seed=5))[1]
    replay.write(follow)
    batch = replay.sample(500, 0.9, 2, Randomness(0))
    old = batch.observation["time"][0] == 0
    for i in old.nonzero().flatten().tolist():
        env = int(batch.observation["env"][0, i])
        ended = env != 1 or bool(written[0].terminated[env] | written[0].truncated[env])
        assert batch.next_observation["time"][0, i] == (1 if ended else 2)
        assert (batch.discount[0, i] == 0) == bool(written[0].terminated[env] or (not ended and follow.terminated[env]))


@pytest.mark.parametrize(("steps", "chunk"), [(0, 1), (5, 1), (40, 1), (8, 4), (40, 4)])
def test_a_saved_ring_goes_on_as_the_one_that_was_not(steps, chunk):
    replay, _ = filled(steps, 3, 36, chunk)
    torch.save(replay.state_dict(), "ring.pt")
    again = Replay(36, 3, CPU, chunk)
    again.load_state_dict(torch.load("ring.pt", weights_only=True))
    for ring in (replay, again):
        for time, transition in enumerate(stream(4, 3, seed=9)):
            ring.write(transition, (torch.full((3, 2), float(time)),) if chunk > 1 else ())
    draw = "sample" if chunk == 1 else "sequences"
    one, other = (getattr(ring, draw)(64, 0.9, 2, Randomness(2)) for ring in (replay, again))
    for name in ("start", "action", "reward", "discount", "last"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert torch.equal(one.next_observation["time"], other.next_observation["time"])
    for mine, theirs in zip(one.memory, other.memory, strict=True):
        assert torch.equal(mine, theirs)
