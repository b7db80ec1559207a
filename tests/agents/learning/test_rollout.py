"""Rollouts, advantages, sequences and statistics against plain Python loops."""

import math

import pytest
import torch

from palaestra.agents.learning.rollout import Collector, Rollout, generalised_advantage, sequences
from palaestra.agents.learning.statistics import EpisodeStatistics, restored, saved
from palaestra.agents.networks.heads import distribution
from palaestra.agents.networks.network import ActorCritic


class TimeValue:
    """A network that values an observation at 100 plus its first entry, and prefers no action."""

    def act(self, observation, memory, start):
        return torch.zeros(len(start), 2), 100 + observation[:, 0], memory


def make_network(env, memory=None):
    """A small network whose policy is far from uniform, and its distribution."""
    policy = distribution(env.action_space)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = ActorCritic(env.observation_space, policy.size, memory=memory, memory_size=6, hidden=(8,))
        with torch.no_grad():
            network.actor.layers[-1].weight.mul_(100)
    return network, policy


def test_generalised_advantage_is_the_explicit_double_sum():
    T, B, gamma, decay = 14, 6, 0.97, 0.9
    generator = torch.Generator().manual_seed(0)
    normal = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    kind = torch.rand(T, B, generator=generator)
    terminated, truncated = kind < 0.15, kind > 0.85
    value, reward = normal(T + 1, B), normal(T, B)
    final_value = torch.where(truncated, normal(T, B), 0.0)
    none = torch.zeros(T, B)
    rollout = Rollout(none, none, none, none, value, reward, terminated, truncated, final_value, (), {})

    def error(t, b):
        following = 0.0 if terminated[t, b] else final_value[t, b] if truncated[t, b] else value[t + 1, b]
        return float(reward[t, b] + gamma * following - value[t, b])

    expected = torch.zeros(T, B, dtype=torch.float64)
    for b in range(B):
        for t in range(T):
            for later in range(t, T):
                expected[t, b] += (gamma * decay) ** (later - t) * error(later, b)
                if terminated[later, b] or truncated[later, b]:
                    break
    assert terminated.any()
    assert truncated.any()
    torch.testing.assert_close(generalised_advantage(rollout, gamma, decay), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("end", "horizon", "expected"),
    [
        (3, 9, [3 - 100, 2 - 101, 1 - 102]),  # terminated: the three rewards, and nothing after
        (
            9,
            3,
            [3 + 103 - 100, 2 + 103 - 101, 1 + 103 - 102],
        ),  # cut off: the final observation, at time 3, is worth 103
    ],
)
def test_truncation_bootstraps_from_the_final_observation_and_termination_does_not(clock, end, horizon, expected):
    env = clock(2, end, horizon)
    env.reset()
    rollout, _ = Collector(env, TimeValue(), distribution(env.action_space)).collect((), torch.rand(5, env.num_envs, 1))
    advantage = generalised_advantage(rollout, 1.0, 1.0)
    assert advantage[:3, 0].tolist() == expected
    assert advantage[3, 1].item() == 2 + 102 - 100  # the rollout ends within the next episode, at time 2
    assert rollout.final_value[2].tolist() == ([0, 0] if end == 3 else [103, 103])


def test_sequences_stand_side_by_side_in_the_order_of_their_memories():
    T, B, chunk = 6, 2, 3
    tensor = torch.arange(T * B * 2).view(T, B, 2)
    expected = torch.stack([tensor[c * chunk : (c + 1) * chunk, b] for c in range(T // chunk) for b in range(B)], 1)
    cut = sequences({"x": tensor, "nothing": None}, chunk)
    assert torch.equal(cut["x"], expected)
    assert cut["nothing"] is None
    memory = torch.stack([tensor[c * chunk] for c in range(T // chunk)])  # (T / chunk, B, 2), before each chunk
    assert torch.equal(memory.flatten(0, 1), cut["x"][0])


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_replaying_sequences_from_their_memories_gives_what_was_collected(memory, uneven):
    env, chunk = uneven(6), 4
    network, policy = make_network(env, memory)
    env.reset()
    generator, state = torch.Generator().manual_seed(1), network.initial_memory(6)
    for _ in range(2):  # the second rollout begins in the middle of episodes
        noise = torch.rand(12, 6, 1, generator=generator)
        rollout, state = Collector(env, network, policy).collect(state, noise, chunk)
        batch = (rollout.observation, rollout.start, rollout.action, rollout.log_prob, rollout.value[:-1])
        observation, start, action, log_prob, value = sequences(batch, chunk)
        before = tuple(part.flatten(0, 1) for part in rollout.memory)
        assert start[1:].any()
        assert before[0].abs().sum() > 0
        parameters, replayed, _ = network(observation, before, start)
        torch.testing.assert_close(policy.log_prob(parameters, action), log_prob, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(replayed, value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("memory", [None, "gru", "lstm"])
@torch.no_grad()
def test_a_rollout_holds_what_each_environment_shows_alone(memory, uneven):
    num_envs, T = 5, 24
    env = uneven(num_envs, seed=20)
    network, policy = make_network(env, memory)
    env.reset()
    noise = torch.rand(T, num_envs, 1)
    rollout, _ = Collector(env, network, policy).collect(network.initial_memory(num_envs), noise, 4)
    assert rollout.terminated.any()
    assert rollout.truncated.any()
    assert not (rollout.terminated & rollout.truncated).any()
    never = torch.tensor([False])
    for row in range(num_envs):
        alone = uneven(1, seed=20 + row)
        observation, start, state = alone.reset(), True, network.initial_memory(1)
        for t in range(T):
            if start:
                state = network.initial_memory(1)
            parameters, value, state = network.act(observation, state, never)
            action = rollout.action[t, row : row + 1]
            step = alone.step(action)
            assert torch.equal(rollout.observation[t, row], observation[0])
            assert rollout.start[t, row].item() == start
            assert rollout.reward[t, row] == step.reward[0]
            assert rollout.terminated[t, row] == step.terminated[0]
            assert rollout.truncated[t, row] == step.truncated[0]
            torch.testing.assert_close(rollout.metrics["late"][t, row], step.metrics["late"][0], equal_nan=True)
            torch.testing.assert_close(rollout.value[t, row], value[0])
            log_prob = torch.log_softmax(parameters, -1)[0, action[0]]
            torch.testing.assert_close(rollout.log_prob[t, row], log_prob)
            final = network.act(step.final_observation, state, never)[1][0]
            wanted = final if step.truncated[0] else torch.tensor(0.0)
            torch.testing.assert_close(rollout.final_value[t, row], wanted)
            observation, start = step.observation, bool(step.done[0])


def test_actions_follow_the_policys_probabilities(uneven):
    env = uneven(2000)
    network, policy = make_network(env)
    env.reset()
    rollout, _ = Collector(env, network, policy).collect((), torch.rand(1, env.num_envs, policy.noise))
    expected = torch.softmax(network.act(env.reset(0), (), env.episode_start)[0], -1)
    found = torch.nn.functional.one_hot(rollout.action[0], 3).float()
    deviation = (expected * (1 - expected)).sum(0).sqrt()
    assert ((found - expected).sum(0).abs() < 4 * deviation).all()


def test_statistics_are_those_of_a_plain_loop_over_episodes(uneven):
    env = uneven(4)
    network, policy = make_network(env)
    env.reset()
    statistics, generator = EpisodeStatistics(4, env.device), torch.Generator().manual_seed(2)
    running = [(0.0, 0)] * 4
    for _ in range(5):
        noise = torch.rand(3, env.num_envs, policy.noise, generator=generator)
        rollout, _ = Collector(env, network, policy).collect((), noise)
        (total, length, episodes), metrics, _ = statistics.gather(rollout, {})
        late = metrics["late"]
        ended = []
        for t in range(3):
            for row in range(4):
                running[row] = (running[row][0] + float(rollout.reward[t, row]), running[row][1] + 1)
                if rollout.done[t, row]:
                    ended.append(running[row])
                    running[row] = (0.0, 0)
        values = [value for value in rollout.metrics["late"].flatten().tolist() if not math.isnan(value)]
        assert float(total) == pytest.approx(sum(returned for returned, _ in ended), abs=1e-5)
        assert (int(length), int(episodes)) == (sum(steps for _, steps in ended), len(ended))
        assert float(late) == pytest.approx(sum(values) / len(values))


def test_a_return_is_of_the_last_iterations_in_which_a_hundred_episodes_ended():
    statistics, none = EpisodeStatistics(4, torch.device("cpu")), torch.zeros(3)
    told = lambda total: statistics.report(0, (torch.tensor(total), {}, {}))  # noqa: E731
    assert "return" not in told([0.0, 0.0, 0.0])
    assert told([6.0, 30.0, 3.0]) == {"steps": 0, "episodes": 3, "return": 2, "length": 10}
    assert told([0.0, 0.0, 0.0]) == {"steps": 0, "episodes": 0, "return": 2, "length": 10}  # none ended: as before
    assert told([97.0, 0.0, 97.0])["return"] == 103 / 100
    assert told([4.0, 0.0, 1.0])["return"] == 107 / 101  # without the first three it would be fewer than a hundred
    again = restored(saved(statistics), torch.device("cpu"))
    for these in (statistics, again):
        assert these.report(0, (torch.tensor([8.0, 0.0, 2.0]), {}, {}))["return"] == 109 / 100
        assert these.report(0, (none + 500, {}, {}))["return"] == 1
