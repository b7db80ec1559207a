"""Glimpse: its canvas and views against a plain loop over pixels, its moves and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.core.splits import split_rows
from palaestra.envs.score_table import measure
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Glimpse-v0"
UP, DOWN, LEFT, RIGHT = 10, 11, 12, 13


STRIPES = np.array([96, 48, 0, 48])[(np.arange(8)[:, None] + np.arange(8)) % 4]
CHANGES = {
    None: lambda images: images,
    "inverted": lambda images: 255 - images,
    "rotated": lambda images: np.rot90(images, axes=(1, 2)),
    "textured": lambda images: np.maximum(images, STRIPES),
}


def pictured(noise, clutter, change):
    """The canvas, the digit's cell and its label by the docstring's words, from one environment's uniforms."""
    bunch = load_digits()
    rows = split_rows(bunch.target, "train")
    digits = change(np.round(bunch.images[rows] * 255 / 16).astype(int))
    u = iter(noise.double().tolist())
    index, top, left = int(next(u) * len(rows)), int(next(u) * 7), int(next(u) * 7)
    canvas = np.tile(change(np.zeros((1, 8, 8), int))[0], (4, 4))
    for _ in range(clutter):
        source, cut_y, cut_x = int(next(u) * len(rows)), int(next(u) * 5), int(next(u) * 5)
        y, x = 4 * int(next(u) * 8), 4 * int(next(u) * 8)
        canvas[y : y + 4, x : x + 4] = digits[source][cut_y : cut_y + 4, cut_x : cut_x + 4]
    canvas[4 * top : 4 * top + 8, 4 * left : 4 * left + 8] = digits[index]
    return canvas, (top, left), bunch.target[rows][index]


def views(canvas, centre):
    """Three views of 8 x 8 cells: a cell is the mean of the canvas under it, or grey where it lies outside."""
    seen = np.full((3, 8, 8), 48)
    for level, size in enumerate((1, 2, 4)):
        for i in range(8):
            for j in range(8):
                y, x = centre[0] + (i - 4) * size, centre[1] + (j - 4) * size
                if 0 <= y < 32 and 0 <= x < 32:
                    seen[level, i, j] = canvas[y : y + size, x : x + size].sum() // size**2
    return seen


@pytest.mark.parametrize(
    ("clutter", "target"), [(0, None), (9, None), (4, "inverted"), (4, "rotated"), (4, "textured")]
)
def test_what_is_seen_after_every_move_is_the_plain_loop_over_pixels(clutter, target):
    task = make_task(ID, clutter=clutter, **({"domain": "target", "target": target} if target else {}))
    noise = torch.rand(6, task.reset_noise, generator=torch.Generator().manual_seed(0))
    state, centres = task.reset(noise), np.full((6, 2), 16)
    told = [pictured(row, clutter, CHANGES[target]) for row in noise]
    assert state.corner.tolist() == [list(corner) for _, corner, _ in told]
    assert state.label.tolist() == [label for _, _, label in told]
    ways = np.array([[-4, 0], [4, 0], [0, -4], [0, 4]])
    generator = torch.Generator().manual_seed(1)
    for _ in range(30):
        seen = task.observe(state).numpy()
        for row, (canvas, _, _) in enumerate(told):
            assert np.array_equal(seen[row], views(canvas, centres[row]))
        move = torch.randint(4, (6,), generator=generator)
        state = task.step(state, 10 + move, torch.empty(6, 0)).state
        centres = (centres + ways[move.numpy()]).clip(4, 28)


def test_an_episode_by_hand():
    """Two moves at 0.02 each, then a wrong guess; another one with the right guess at once."""
    env = BatchedEnv(make_task(ID), 1, seed=0)
    env.reset()
    wrong = (int(env.state.label) + 1) % 10
    rewards = []
    for action in (UP, LEFT, wrong):
        step = env.step([action])
        rewards.append(float(step.reward))
    assert rewards == pytest.approx([-0.02, -0.02, 0])
    assert step.terminated.item()
    assert (step.metrics["accuracy"].item(), step.metrics["looks"].item()) == (0, 3)
    step = env.step(env.state.label)
    assert (step.reward.item(), step.metrics["accuracy"].item(), step.metrics["looks"].item()) == (1, 1, 1)


def test_twelve_moves_end_the_episode_without_a_guess():
    env = BatchedEnv(make_task(ID), 1, seed=0)
    env.reset()
    for count in range(12):
        step = env.step([(DOWN, RIGHT)[count % 2]])
    assert step.truncated.item()
    assert not step.terminated.item()
    assert np.isnan(step.metrics["accuracy"].item())


def test_the_expert_walks_the_shortest_way_and_then_sees_the_whole_digit():
    """Its moves are the rows and columns between the middle and the digit, and what it names fills the finest view."""
    env = BatchedEnv(make_task(ID), 300, seed=5)
    env.reset()
    distance, label = (env.state.corner - 3).abs().sum(1), env.state.label.clone()
    assert distance.max() == 6
    images = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    known = {(image.tobytes(), int(target)) for image, target in zip(images, load_digits().target, strict=True)}
    running, moves = torch.ones(300, dtype=torch.bool), torch.zeros(300, dtype=torch.int64)
    for _ in range(7):
        action, seen = env.expert_action(), env.observation.numpy()
        named = (action < 10) & running
        assert torch.equal(action[named], label[named])
        for row in named.nonzero()[:, 0].tolist():
            assert (seen[row, 0].tobytes(), int(label[row])) in known
        running &= ~named
        moves += running
        env.step(action)
    assert not running.any()
    assert torch.equal(moves, distance)


def test_the_expert_s_return_is_one_minus_the_cost_of_its_moves():
    """A digit's row and column are uniform on 0 to 6, the fovea starts at 3: 12 / 7 moves an axis on average."""
    played = measure(ID, {"cost": 0.05}, episodes=2048)
    assert abs(played.expert - (1 - 0.05 * 24 / 7)) < 4 * played.expert_error


def test_a_random_player_s_return_is_the_one_computed():
    """Each step guesses with chance 10/14 and moves with 4/14, at most 12 times."""
    stay, expected, running = 4 / 14, 0.0, 1.0
    for _ in range(12):
        expected += running * ((1 - stay) * 0.1 - stay * 0.02)
        running *= stay
    played = measure(ID, {}, episodes=2048)
    assert abs(played.random - expected) < 4 * played.random_error


def test_weights_on_the_source_tell_the_accuracy_on_inked_digits():
    """Of N digits the r-th by ink weighs (2 r + 1) / N: who knows the upper half knows 3/4 of the inked ones."""
    bunch = load_digits()
    ink = np.round(bunch.images[split_rows(bunch.target, "train")] * 255 / 16).sum((1, 2))
    rank = torch.from_numpy(ink.argsort(kind="stable").argsort())
    for domain, known, squares in (("source", 1 / 2, 1), ("target", 3 / 4, 4 / 3)):
        env = BatchedEnv(make_task(ID, domain=domain, target="inked"), 40_000, seed=3)
        env.reset()
        place, label = rank[env.state.row], env.state.label
        metrics = env.step(torch.where(2 * place > len(ink), label, (label + 1) % 10)).metrics
        assert np.allclose(metrics["weight"], (2 * place + 1) / len(ink))
        assert abs(float(metrics["weight"].mean()) - squares) < 0.01
        assert abs(float(metrics["accuracy"].mean()) - known) < 0.01
        if domain == "source":
            assert abs(float(metrics["weighted"].mean()) - 3 / 4) < 0.02


def test_a_move_has_no_weight():
    env = BatchedEnv(make_task(ID, target="inked"), 3, seed=0)
    env.reset()
    assert env.step([UP] * 3).metrics["weighted"].isnan().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": "mixed"}, "Glimpse: domain must be one of 'source', 'target'; got 'mixed'"),
        ({"target": "x"}, "Glimpse: target must be one of 'inverted', 'rotated', 'textured', 'inked'; got 'x'"),
        ({"clutter": -1}, "Glimpse: clutter must be a whole number from 0 to 32; got -1"),
        ({"cost": 2}, "Glimpse: cost must be a number from 0 to 1; got 2"),
        ({"split": "tset"}, "Glimpse: split must be one of 'train', 'validation', 'test'; got 'tset'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InvalidInput) as caught:
        make_task(ID, **options)
    assert str(caught.value).startswith(message)
