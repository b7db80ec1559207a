"""FewShot: its glyphs against a plain loop, its two alphabets, its expert's formula and its trials."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.classification.sources.glyphs import DRAWING_NOISE, PROGRAM_NOISE, draw_glyphs, draw_programs
from palaestra.envs.score_table import measure
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/FewShot-v0"
STRIPES = np.array([96, 48, 0, 48])[(np.arange(16)[:, None] + np.arange(16)) % 4]


def uniforms(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def drawing(program, noise):
    """A glyph by the docstring's words, one point of ink at a time."""
    normal = stats.norm.ppf(np.clip(noise, 1e-6, 1 - 1e-6))
    points = (program * 1.4 / 7 - 0.7 + 0.06 * normal[:18]).reshape(3, 3, 2)
    angle, zoom = 2 * math.atan(0.075 * normal[18]), 1 + 0.08 * normal[19]
    page = np.zeros((16, 16))
    for a, b, c in points:
        for t in np.linspace(0, 1, 12):
            x, y = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
            column = 7.5 + 7.5 * zoom * (math.cos(angle) * x - math.sin(angle) * y) + 0.64 * normal[20]
            row = 7.5 + 7.5 * zoom * (math.sin(angle) * x + math.cos(angle) * y) + 0.64 * normal[21]
            column, row = np.clip([column, row], 0, 14.999)
            for i in (int(row), int(row) + 1):
                for j in (int(column), int(column) + 1):
                    page[i, j] += 255 * (1 - abs(row - i)) * (1 - abs(column - j))
    return page.clip(max=255)


def test_a_drawing_is_the_plain_loop_over_its_ink():
    programs, noise = draw_programs(uniforms(20, PROGRAM_NOISE), "train"), uniforms(20, DRAWING_NOISE, seed=1)
    for drawn, program, row in zip(draw_glyphs(programs, noise), programs, noise.double(), strict=True):
        expected = drawing(program.numpy(), row.numpy())
        assert np.abs(drawn[0].numpy() - expected).max() < 12  # each drop of ink is rounded down: at most 1 a drop


@pytest.mark.parametrize(("split", "sums"), [("train", [0]), ("validation", [2]), ("test", [1, 3])])
def test_an_alphabet_s_programs_are_spread_evenly_and_known_by_their_sums(split, sums):
    programs = draw_programs(uniforms(20_000, PROGRAM_NOISE), split)
    assert (programs.sum(1) % 4).unique().tolist() == sums
    for coordinate in programs.T:
        assert stats.chisquare(torch.bincount(coordinate, minlength=8)).pvalue > 1e-4


def test_drawings_of_a_class_are_alike_and_classes_differ():
    """The nearest of 5 classes by one drawing of each is right far more often than one in five, yet not always."""
    programs = draw_programs(uniforms(2000, 5, PROGRAM_NOISE), "train")
    shown = draw_glyphs(programs.flatten(0, 1), uniforms(10_000, DRAWING_NOISE, seed=1)).float().view(2000, 5, -1)
    asked = draw_glyphs(programs[:, 0], uniforms(2000, DRAWING_NOISE, seed=2)).float().view(2000, 1, -1)
    accuracy = float(((shown - asked).square().sum(-1).argmin(1) == 0).float().mean())
    assert 0.6 < accuracy < 0.97


def test_every_class_comes_equally_often_in_every_order():
    task = make_task(ID, ways=2, shots=1)
    env = BatchedEnv(task, 6000, seed=0)
    env.reset()
    order = env.state.order
    assert (order.sum(1) == 2).all()
    codes = torch.bincount((order * torch.tensor([8, 4, 2, 1])).sum(1), minlength=16)
    assert stats.chisquare(codes[codes > 0]).pvalue > 1e-3
    assert int((codes > 0).sum()) == 6  # four choose two


def test_an_episode_by_hand():
    """The guess is judged before its label is shown, and the metrics count how often the class was shown before."""
    task = make_task(ID, ways=2, shots=1)
    order_noise = torch.tensor([0.1, 0.9, 0.2, 0.3])  # sorted: places 0, 2, 3, 1; modulo 2: classes 0, 0, 1, 1
    state = task.begin(task.sample(uniforms(1, task.sample_noise)), torch.cat([order_noise, torch.rand(22)])[None])
    assert state.order.tolist() == [[0, 0, 1, 1]]
    told = []
    for guess in (1, 0, 1, 0):
        shown = task.observe(state)
        step = task.step(state, torch.tensor([guess]), torch.rand(1, 22))
        seen = [step.metrics[name].item() for name in ("shot_0", "shot_1")]
        told.append([*shown["label"][0].tolist(), task.expert(state).item(), step.reward.item(), *seen])
        assert torch.equal(step.state.previous, shown["image"])
        state = step.state
    expected = [[0, 0, 0, 0, 0, math.nan], [1, 0, 0, 0.25, math.nan, 1], [1, 0, 1, 0.25, 1, math.nan],
                [0, 1, 1, 0, math.nan, 0]]  # fmt: skip
    np.testing.assert_equal(np.array(told), np.array(expected))
    assert step.terminated.item()


@pytest.mark.parametrize(("ways", "shots"), [(5, 4), (2, 1), (10, 1)])
def test_the_expert_s_return_is_the_formula_and_random_s_one_in_n(ways, shots):
    played = measure(ID, {"ways": ways, "shots": shots}, episodes=1024)
    harmonic = sum(1 / k for k in range(1, ways + 1))
    assert abs(played.expert - (ways * shots + harmonic) / (ways * (shots + 1))) < 4 * played.expert_error
    assert abs(played.random - 1 / ways) < 4 * played.random_error


def test_a_trial_s_second_episode_asks_for_the_same_classes_in_fresh_drawings():
    env = BatchedEnv(make_task(ID, ways=3, shots=1, episodes=2), 50, seed=0)
    first = env.reset()["image"].clone()
    programs = env.state.problem.clone()
    for _ in range(6):
        step = env.step(env.expert_action())
    assert not step.done.any()
    assert torch.equal(env.state.inner.programs, programs)
    assert (env.state.inner.seen == 0).all()
    assert (step.observation["label"] == 0).all()
    assert (step.observation["image"] != first).flatten(1).any(1).all()


@pytest.mark.parametrize(
    ("target", "change"),
    [
        ("inverted", lambda image: 255 - image),
        ("rotated", lambda image: np.rot90(image, axes=(2, 3))),
        (
            "textured",
            lambda image: np.maximum(image, np.array([96, 48, 0, 48])[np.add.outer(*[np.arange(16)] * 2) % 4]),
        ),
    ],
)
def test_another_domain_changes_every_drawing_and_no_label(target, change):
    source, other = (
        BatchedEnv(make_task(ID, ways=2, shots=1, domain=domain, target=target), 20, seed=3)
        for domain in ("source", "target")
    )
    first, second = source.reset(), other.reset()
    for _ in range(6):  # more than an episode
        assert (second["image"].numpy() == change(first["image"].numpy())).all()
        assert torch.equal(first["label"], second["label"])
        action = source.expert_action()
        assert torch.equal(action, other.expert_action())
        first, second = source.step(action).observation, other.step(action).observation


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "inked"}, "FewShot: target must be one of 'inverted', 'rotated', 'textured'; got 'inked'"),
        ({"ways": 1}, "FewShot: ways must be a whole number from 2 to 50; got 1"),
        ({"shots": 0}, "FewShot: shots must be a whole number from 1 to 50; got 0"),
        ({"split": "tets"}, "FewShot: split must be one of 'train', 'validation', 'test'; got 'tets'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InvalidInput) as caught:
        make_task(ID, **options)
    assert str(caught.value).startswith(message)
