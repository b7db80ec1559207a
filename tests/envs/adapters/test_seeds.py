"""Seeds that nobody chose: each batch draws its own, says which, and is the same again with it."""

import pytest
import torch

from palaestra.envs import GymnasiumBridge, make_batched, make_sb3

DIGITS = "palaestra/DigitBandit-v0"
MAKERS = {
    "batched": lambda **seed: make_batched(DIGITS, 6, **seed),
    "sb3": lambda **seed: make_sb3(DIGITS, 6, **seed).batch,
    "bridge": lambda **seed: GymnasiumBridge("CartPole-v1", 6, **seed),
}


@pytest.mark.fresh_seeds
@pytest.mark.parametrize("maker", MAKERS)
def test_unseeded_batches_differ_and_say_how_to_play_them_again(maker):
    first, second = MAKERS[maker](), MAKERS[maker]()
    assert first.seed != second.seed
    episodes = [first.reset() for _ in range(3)]
    assert not torch.equal(episodes[0], second.reset())
    again = MAKERS[maker](seed=first.seed)
    assert all(torch.equal(again.reset(), episode) for episode in episodes)
    assert torch.equal(second.reset(first.seed), episodes[0])
    assert second.seed == first.seed


@pytest.mark.fresh_seeds
@pytest.mark.parametrize("maker", MAKERS)
def test_a_seed_that_was_chosen_stays(maker):
    first, second = MAKERS[maker](seed=0), MAKERS[maker](seed=0)
    assert first.seed == second.seed == 0
    assert torch.equal(first.reset(), second.reset())


def test_seeds_a_row_are_told_too_and_a_loaded_state_has_none():
    env = make_batched(DIGITS, 3, seed=1)
    env.reset(torch.tensor([5, 9, 5]))
    assert env.seed.tolist() == [5, 9, 5]
    env.load_state_dict(env.state_dict())
    assert env.seed is None
