"""Code: its payoff by hand, its best code against an exhaustive search, its partners."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from palaestra.envs import BatchedEnv, make_game, make_task
from palaestra.envs.adversarial.codebook import best_groups, decoder, encoder
from palaestra.neural_blocks.errors import InvalidInput

CODE = "palaestra/Code-v0"


def test_both_are_paid_for_what_was_sent_a_step_before():
    game = make_game(CODE, rounds=2)
    plus, cross = torch.tensor([[0, 1, 0, 1, 1, 1, 0, 1, 0]] * 2), torch.tensor([[1, 0, 1, 0, 1, 0, 1, 0, 1]] * 2)
    state = game.reset(torch.tensor([[0.1], [0.1]]))  # the first of five
    assert torch.equal(game.observe(state)["sender"], 2.0 * plus - 1)
    assert not game.observe(state)["receiver"].any()
    noise, code = torch.tensor([[0.3], [0.3]]), torch.tensor([[1, 0, 1], [0, 0, 1]])
    first = game.step(state, {"sender": code, "receiver": plus}, noise)
    assert first.reward["sender"].tolist() == [0, 0]  # nothing had been sent
    assert first.metrics["right"].isnan().all()
    assert game.observe(first.state)["receiver"].tolist() == [[1, -1, 1], [-1, -1, 1]]
    second = game.step(first.state, {"sender": code, "receiver": torch.stack([plus[0], cross[0]])}, noise)
    assert second.reward["sender"].tolist() == pytest.approx([0.5, (1 - 8) / 9 / 2])  # they share the middle alone
    assert second.reward["receiver"].tolist() == second.reward["sender"].tolist()
    assert second.metrics["right"].tolist() == pytest.approx([1, 1 / 9])
    assert second.metrics["exact"].tolist() == [1, 0]
    assert not second.terminated.any()
    third = game.step(second.state, {"sender": code, "receiver": cross}, noise)
    assert third.reward["sender"].tolist() == [0.5, 0.5]
    assert third.terminated.all()


def wrong_bits(patterns, groups):
    """Wrong bits of all patterns, if those of a group are rebuilt as their majority."""
    codes = int(groups.max()) + 1
    bits = max(1, (codes - 1).bit_length())
    return int((decoder(patterns, groups, bits)[groups] != patterns).sum())


@pytest.mark.parametrize(("seed", "codes"), [(0, 2), (1, 2), (2, 3), (3, 3)])
def test_no_other_grouping_loses_fewer_bits(seed, codes):
    patterns = torch.randint(2, (5, 7), generator=torch.Generator().manual_seed(seed))
    least = min(wrong_bits(patterns, torch.tensor(groups)) for groups in product(range(codes), repeat=5))
    assert wrong_bits(patterns, best_groups(patterns, codes)) == least > 0


def test_patterns_that_share_a_code_are_rebuilt_as_their_majority():
    patterns = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 1, 0], [0, 1, 1, 1]])
    groups = torch.tensor([2, 2, 2, 1])
    assert encoder(groups, 2).tolist() == [[0, 1], [0, 1], [0, 1], [1, 0]]
    expected = [[1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]]  # codes 0 and 3 are nobody's: all, a tie is 1
    assert decoder(patterns, groups, 2).tolist() == expected


@pytest.mark.parametrize("player", ["sender", "receiver"])
@pytest.mark.parametrize("opponent", ["codebook", "mirrored"])
def test_the_expert_finds_either_partners_code(player, opponent):
    env = BatchedEnv(make_task(CODE, player=player, opponent=opponent), 64)
    env.reset()
    exact = torch.stack([env.step(env.expert_action()).metrics["exact"] for _ in range(9)])
    assert torch.equal(exact[1:], torch.ones(8, 64))


def test_one_bit_for_five_pictures_returns_what_the_best_two_groups_do():
    game = make_game(CODE, bits=1)
    patterns = (game.patterns > 0).long()
    least = min(wrong_bits(patterns, torch.tensor(groups)) for groups in product(range(2), repeat=5))
    env = BatchedEnv(make_task(CODE, bits=1), 2048)
    env.reset()
    total = sum(env.step(env.expert_action()).reward for _ in range(9))
    assert float(total.mean()) == pytest.approx(1 - 2 * least / 45, abs=0.01)


def test_random_patterns_are_different_and_always_the_same_ones():
    first, second = (make_game(CODE, patterns="random", count=200, length=8, bits=8).patterns for _ in range(2))
    assert torch.equal(first, second)
    assert len(first.unique(dim=0)) == 200


@pytest.mark.parametrize("options", [{"patterns": "givn"}, {"count": 6}, {"length": 8}, {"bits": 0}, {"rounds": 0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(InvalidInput, match=f"Code: {next(iter(options))} must be"):
        make_game(CODE, **options)
    with pytest.raises(InvalidInput, match="Code: count must be a whole number from 1 to 10; got 11"):
        make_game(CODE, patterns="random", count=11)


def test_a_sender_sees_a_pattern_with_wrong_bits_and_is_paid_for_the_right_ones():
    game = make_game(CODE, flipped=2, rounds=2)
    noise = torch.rand(64, game.reset_noise, generator=torch.Generator().manual_seed(0))
    state = game.reset(noise)
    seen, truth = game.observe(state)["sender"], game.patterns[state.index]
    assert ((seen != truth).sum(1) == 2).all()
    turned = noise[:, 1:].argsort(1)[:, :2].sort(1).values  # where the two smallest uniforms are
    assert torch.equal((seen != truth).nonzero()[:, 1].view(64, 2), turned)
    step = game.step(state, game.expert(state), noise)
    paid = game.step(step.state, {**game.expert(step.state), "receiver": (truth > 0).to(torch.int8)}, noise)
    assert paid.reward["sender"].tolist() == [0.5] * 64


def test_one_wrong_bit_is_put_right_and_gaussian_noise_as_often_as_the_nearest_pattern_says():
    env = BatchedEnv(make_task(CODE, flipped=1), 256)
    env.reset(3)
    assert all((env.step(env.expert_action()).metrics["exact"].nan_to_num(1) == 1).all() for _ in range(9))
    task = make_task(CODE, noise=1.2, player="sender")
    env = BatchedEnv(task, 2000)
    seen = env.reset(3)
    nearest = torch.cdist(seen, task.game.patterns).argmin(1)
    assert (seen - task.game.patterns[env.state.index]).std().item() == pytest.approx(1.2, abs=0.02)
    assert torch.equal(env.expert_action(), (task.game.encode[nearest] > 0).to(torch.int8))


@pytest.mark.parametrize("options", [{"flipped": 10}, {"flipped": -1}, {"noise": -0.1}])
def test_damage_outside_its_limits_is_refused(options):
    with pytest.raises(InvalidInput, match=f"Code: {next(iter(options))} must be"):
        make_game(CODE, **options)
