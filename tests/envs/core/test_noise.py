"""Uniforms by counter, checked against SplitMix64 in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from palaestra.envs.core.noise import RESET, STEP, NoiseStream, keys, uniform

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z):
    """The output function of SplitMix64 as Steele, Lea and Flood (2014) print it."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def reference(seed, purpose, counter, position, width):
    key = mix((mix((seed + GOLDEN) & WORD) + purpose * GOLDEN) & WORD)
    return (mix((key + (counter * width + position + 1) * GOLDEN) & WORD) >> 40) / 2**24


def stream(seeds, width=3, purpose=STEP):
    return NoiseStream(purpose, width, torch.as_tensor(seeds))


def test_the_reference_is_the_published_splitmix64():
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [mix((1234567 + k * GOLDEN) & WORD) for k in range(1, 6)] == published
    drawn = uniform(torch.tensor([1234567]), torch.tensor([0]), 5)[0]
    assert drawn.tolist() == [(value >> 40) / 2**24 for value in published]


@pytest.mark.parametrize("purpose", [RESET, STEP])
@pytest.mark.parametrize("width", [1, 7])
def test_uniforms_agree_with_plain_python(purpose, width):
    seeds = [0, 1, -1, 2**62, -(2**62), 123456789]
    noise = stream(seeds, width, purpose)
    for counter in range(4):
        drawn = noise.draw()
        assert drawn.dtype == torch.float32
        expected = [[reference(seed, purpose, counter, p, width) for p in range(width)] for seed in seeds]
        assert drawn.tolist() == expected


def test_uniforms_of_a_late_counter_agree_with_plain_python():
    key = keys(torch.tensor([5]), STEP)
    for counter in (10**6, 2**40):
        assert uniform(key, torch.tensor([counter]), 2)[0].tolist() == [
            reference(5, STEP, counter, p, 2) for p in (0, 1)
        ]


def test_uniforms_lie_in_the_half_open_unit_interval_and_are_uniform():
    drawn = stream(range(1000), 100).draw().double().flatten().numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert stats.kstest(drawn, "uniform").pvalue > 0.01
    counts = np.bincount((drawn * 256).astype(int), minlength=256)
    assert stats.chisquare(counts).pvalue > 0.01


def test_the_largest_uniform_stays_below_one_when_it_is_scaled_to_an_index():
    largest = torch.tensor(1 - 2.0**-24)
    sizes = torch.arange(1, 100_000)
    assert bool(((largest * sizes).long() == sizes - 1).all())


def test_neighbours_do_not_correlate():
    size = 40_000
    limit = 4 / np.sqrt(size)

    def correlation(a, b):
        return abs(np.corrcoef(a.numpy(), b.numpy())[0, 1])

    seeds = torch.arange(size)
    first, second = keys(seeds, STEP), keys(seeds + 1, STEP)
    zero = torch.zeros_like(seeds)
    drawn = uniform(first, zero, 2)
    assert correlation(drawn[:, 0], uniform(second, zero, 2)[:, 0]) < limit  # seeds
    assert correlation(drawn[:, 0], drawn[:, 1]) < limit  # positions
    assert correlation(drawn[:, 0], uniform(first, zero + 1, 2)[:, 0]) < limit  # counters
    assert correlation(drawn[:, 0], uniform(keys(seeds, RESET), zero, 2)[:, 0]) < limit  # purposes
    along = uniform(first[:1], torch.arange(size), 1)[:, 0]
    assert correlation(along[1:], along[:-1]) < limit  # one stream in time
    assert stats.kstest(along.double().numpy(), "uniform").pvalue > 0.01


def test_no_two_streams_of_neighbouring_seeds_share_a_uniform_in_step():
    noise = stream(range(512), 1)
    drawn = torch.stack([noise.draw()[:, 0] for _ in range(64)])  # (T, B)
    sequences = {tuple(column) for column in drawn.T.tolist()}
    assert len(sequences) == 512


def test_a_block_of_draws_equals_drawing_one_at_a_time():
    noise = stream(range(4), 3)
    key, counter = keys(torch.arange(4), STEP), torch.zeros(4, dtype=torch.int64)
    for k in range(100):
        assert torch.equal(noise.draw(), uniform(key, counter + k, 3))
        assert noise.counter.tolist() == [k + 1] * 4


def test_a_batch_wider_than_a_block_still_draws():
    wide = stream(range(100), 200)
    assert torch.equal(wide.draw(), uniform(keys(torch.arange(100), STEP), torch.zeros(100, dtype=torch.int64), 200))
    assert wide.draw().shape == (100, 200)


def test_a_stream_of_width_zero_counts_but_draws_nothing():
    noise = stream(range(3), 0)
    assert noise.draw().shape == (3, 0)
    assert noise.draw_rows(torch.tensor([1])).shape == (1, 0)
    assert noise.counter.tolist() == [1, 2, 1]


def test_row_i_of_a_batch_is_the_stream_of_seed_plus_i():
    batch = stream(7 + torch.arange(5))
    alone = [stream([7 + row]) for row in range(5)]
    for _ in range(10):
        assert torch.equal(batch.draw(), torch.cat([one.draw() for one in alone]))


def test_draw_rows_and_draw_where_give_each_row_what_it_would_draw_alone():
    generator = np.random.default_rng(0)
    by_rows, by_mask, alone = stream(range(6)), stream(range(6)), [stream([row]) for row in range(6)]
    for _ in range(60):
        mask = torch.as_tensor(generator.random(6) < 0.4)
        if generator.random() < 0.3:  # everybody, which is drawn in blocks
            expected = torch.cat([one.draw() for one in alone])
            assert torch.equal(by_rows.draw(), expected)
            assert torch.equal(by_mask.draw(), expected)
            continue
        rows = mask.nonzero().squeeze(1)
        expected = torch.cat([torch.empty(0, 3), *(alone[row].draw() for row in rows.tolist())])
        assert torch.equal(by_rows.draw_rows(rows), expected)
        assert torch.equal(by_mask.draw_where(mask)[mask], expected)
        assert by_rows.counter.tolist() == by_mask.counter.tolist() == [int(one.counter) for one in alone]


def test_a_restored_stream_continues():
    noise, other = stream(range(3)), stream([50, 60, 70])
    for _ in range(5):
        noise.draw()
    noise.draw_rows(torch.tensor([2]))
    other.draw()
    other.load_state_dict(noise.state_dict())
    for _ in range(5):
        assert torch.equal(noise.draw(), other.draw())


def test_a_saved_stream_does_not_move_on_with_the_one_it_was_taken_from():
    noise = stream(range(3))
    noise.draw()
    saved = noise.state_dict()
    before = {name: tensor.clone() for name, tensor in saved.items()}
    noise.draw()
    noise.draw_rows(torch.tensor([0]))
    noise.reseed(torch.tensor([9, 9, 9]))
    assert all(torch.equal(saved[name], before[name]) for name in saved)


def test_reseeding_starts_all_rows_or_the_given_ones_anew():
    noise, fresh = stream(range(4)), stream(range(100, 104))
    for _ in range(3):
        noise.draw()
    noise.reseed(torch.tensor([101, 103]), torch.tensor([1, 3]))
    expected, continued = fresh.draw(), uniform(keys(torch.arange(4), STEP), torch.full((4,), 3), 3)
    drawn = noise.draw()
    assert torch.equal(drawn[[1, 3]], expected[[1, 3]])
    assert torch.equal(drawn[[0, 2]], continued[[0, 2]])
    noise.reseed(torch.arange(100, 104))
    assert torch.equal(noise.draw(), expected)
