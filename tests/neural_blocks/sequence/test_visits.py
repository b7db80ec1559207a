"""Counts against a plain loop over each trial, and planning in them against value iteration written out."""

import pytest
import torch

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.sequence.planning import STATISTICS, Planning, statistics
from palaestra.neural_blocks.sequence.visits import Visits

T, B, S, A = 30, 4, 3, 2


def steps():
    """States (T, B), the actions and rewards before them, starts of episodes and of trials."""
    generator = torch.Generator().manual_seed(3)
    state = torch.randint(S, (T, B), generator=generator)
    action = torch.randint(A, (T, B), generator=generator)
    reward = torch.randn(T, B, generator=generator)
    start = torch.rand(T, B, generator=generator) < 0.1
    start[0] = True
    fresh = start | (torch.rand(T, B, generator=generator) < 0.2)
    return state, action, reward, fresh, start


def counted(block, memory, sequence):
    each = []
    for row in zip(*sequence, strict=True):
        state, action, reward, fresh, start = row
        counts, memory = block(state, action, reward, fresh, memory, start)
        each.append(counts)
    return each, memory


def test_counts_are_those_of_a_plain_loop():
    block, sequence = Visits(S, A), steps()
    each, _ = counted(block, tuple(part + 7 for part in block.initial_memory(B)), sequence)  # what was there is wiped
    for row in range(B):
        for time in range(T):
            state, action, reward, fresh, start = (part[:, row] for part in sequence)
            begin = max(t for t in range(time + 1) if start[t])
            led, visits, rewards = torch.zeros(S, S, A), torch.zeros(S, A), torch.zeros(S, A)
            for t in range(begin + 1, time + 1):
                pair = int(state[t - 1]), int(action[t])
                visits[pair] += 1
                rewards[pair] += reward[t]
                if not fresh[t]:
                    led[(int(state[t]), *pair)] += 1
            episode = max(t for t in range(time + 1) if fresh[t])
            found = each[time]
            assert torch.equal(found.led[row].view(S, S, A), led)
            assert torch.equal(found.visits[row].view(S, A), visits)
            torch.testing.assert_close(found.rewards[row].view(S, A), rewards, atol=1e-5, rtol=0)
            assert found.clock[row].tolist() == [time - begin, time - episode]
            just = torch.zeros(A)
            if time > begin and state[time - 1] == state[time]:
                just[action[time]] = 1
            assert torch.equal(found.just[row], just)


def test_a_reward_that_is_not_a_number_spoils_its_own_pair_and_is_wiped_with_the_trial():
    block, (state, action, reward, fresh, start) = Visits(S, A), steps()
    reward[5, 0], start[1:6, 0], start[10, 0], fresh[10, 0] = torch.nan, False, True, True
    each, _ = counted(block, block.initial_memory(B), (state, action, reward, fresh, start))
    assert each[5].rewards[0].isnan().sum() == 1
    assert all(not one.rewards[1:].isnan().any() for one in each)
    assert all(not one.rewards[0].isnan().any() for one in each[10:])


def test_statistics_hold_posterior_means():
    """A normal prior N(m, 1) with noise of variance 1: (R + m) / (n + 1); a Beta(1, 1) prior: (R + 1) / (n + 2)."""
    block = Visits(S, A)
    each, _ = counted(block, block.initial_memory(B), steps())
    counts = each[-1]
    known = statistics(counts)
    assert known.shape == (B, STATISTICS, S * A)
    torch.testing.assert_close(known[:, 0] + 0.5 * known[:, 2], (counts.rewards + 0.5) / (counts.visits + 1))
    torch.testing.assert_close(known[:, 1] + known[:, 3], (counts.rewards + 1) / (counts.visits + 2))


def test_planning_is_value_iteration_in_the_posterior_mean():
    torch.manual_seed(0)
    block, plan = Visits(S, A), Planning(S, A, channels=2, rounds=3)
    torch.nn.init.normal_(plan.prior)
    torch.nn.init.normal_(plan.discount)
    each, _ = counted(block, block.initial_memory(B), steps())
    counts, weights = each[-1], torch.randn(B, 2, STATISTICS)
    found, best = plan(counts, statistics(counts), weights)
    prior, discount = plan.prior.exp(), plan.discount.sigmoid()
    for row in range(B):
        for channel in range(2):
            reward = (weights[row, channel] @ statistics(counts)[row]).view(S, A)
            led = counts.led[row].view(S, S, A)
            chance = (led + prior[channel]) / (led.sum(0) + S * prior[channel])  # (S next, S, A)
            value, before, wanted = reward, reward, [reward]
            for _ in range(3):
                before = value
                value = reward + discount[channel] * torch.einsum("nsa,n->sa", chance, value.amax(1))
                wanted.append(value)
            state = int(counts.state[row])
            torch.testing.assert_close(found[row].view(4, 2, A)[:, channel], torch.stack(wanted)[:, state])
            torch.testing.assert_close(best[row, channel], before.amax(1))


def test_without_a_round_values_are_rewards():
    block, plan = Visits(1, 4), Planning(1, 4, channels=1, rounds=0)
    counts, _ = block(*torch.zeros(3, 2).long(), torch.ones(2).bool(), block.initial_memory(2), torch.ones(2).bool())
    found, _ = plan(counts, statistics(counts), torch.ones(2, 1, STATISTICS))
    torch.testing.assert_close(found, torch.full((2, 1, 4), 1 + 0.5 + 1.0))  # 1 / 1, 1 / 2 and 1 / √1 without a visit


def test_bad_numbers_are_named():
    with pytest.raises(InvalidInput, match="Visits: states and actions must be at least 1; got 0 and 2"):
        Visits(0, 2)
    with pytest.raises(InvalidInput, match="Planning: channels must be at least 1, rounds 0; got 1 and -1"):
        Planning(3, 2, 1, -1)
