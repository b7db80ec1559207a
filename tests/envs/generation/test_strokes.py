"""Strokes: the pen's ink against distances by hand and by NumPy, the gains, and what the drawers reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Strokes-v0"


@pytest.fixture(scope="module")
def task():
    return make_task(ID)


def ink(start, end):
    """A full stroke's ink by NumPy: the nearest of 20,001 points of the line."""
    points = np.linspace(start, end, 20_001)
    rows, columns = np.mgrid[:8, :8]
    away = np.hypot(points[:, 0, None, None] - columns, points[:, 1, None, None] - rows).min(0)
    return np.clip((1.25 - away) / 0.75, 0, 1)


def test_ink_fades_with_the_distance_from_the_line(task):
    places = np.random.default_rng(0).uniform(0, 7, (6, 2, 2))
    places[0, 1] = places[0, 0]  # a dot
    start, end = torch.from_numpy(places).unbind(1)
    found = task._stroke(start, end).view(-1, 8, 8)
    np.testing.assert_allclose(found, [ink(*pair) for pair in places], atol=1e-4)


def test_a_stroke_by_hand(task):
    """From the middle 0.5 down and 2 left: the line lies at y = 4, one row above 3 and one below 5."""
    state = task.reset(torch.tensor([[0.3]]))
    assert state.pen.tolist() == [[3.5, 3.5]]
    state = task.step(state, torch.tensor([[0.0, 0.25, -1.0]]), torch.zeros(1, 0)).state
    assert not state.canvas.any()
    assert state.pen.tolist() == [[3.5, 4.0]]
    step = task.step(state, torch.tensor([[-1.0, 0.0, 0.6]]), torch.zeros(1, 0))
    canvas = step.state.canvas[0, 0].tolist()
    assert step.state.pen.tolist() == [[1.5, 4.0]]
    assert canvas[4][1:5] == [153] * 4  # 0.6 of 255; the outer two are half a pixel from the ends
    assert canvas[3][2] == canvas[5][3] == 51  # a third of it, one pixel off
    assert canvas[2] == [0] * 8
    expected = 1 - np.abs(np.array(canvas) - state.target[0, 0].numpy()).sum() / state.target.sum().item()
    assert step.state.closeness.item() == pytest.approx(expected, abs=1e-6)
    assert step.reward.item() == pytest.approx(expected, abs=1e-6)  # an empty canvas has 0
    again = task.step(step.state, torch.tensor([[1.0, 0.0, 0.3]]), torch.zeros(1, 0))
    assert torch.equal(again.state.canvas[0, 0, 4, 1:5], step.state.canvas[0, 0, 4, 1:5])  # fainter ink changes nothing
    assert task.observe(again.state)["pen"].tolist() == [pytest.approx([0, 1 / 7], abs=1e-6)]


def test_the_pen_stays_on_the_canvas(task):
    state = task.reset(torch.tensor([[0.3]]))
    for _ in range(4):
        state = task.step(state, torch.tensor([[1.0, -1.0, 0.0]]), torch.zeros(1, 0)).state
    assert state.pen.tolist() == [[7, 0]]


def returns(task, policy):
    env = BatchedEnv(task, 64, seed=9)
    env.reset()
    total, last = torch.zeros(64), None
    for _ in range(task.horizon):
        last = env.step(policy(env.state))
        total += last.reward
    assert last.terminated.all()
    return total, last.metrics["closeness"]


def highest_gain(task, state):
    """Of strokes by half pixels at six pressures the one that gains most; where none does, to the most missing ink."""
    halves, start = torch.arange(-4, 5, dtype=torch.float64) / 2, state.pen.double()
    end = (start[:, None] + torch.cartesian_prod(halves, halves)).clamp(0, 7)
    ink = 255 * task._stroke(start[:, None].expand_as(end), end)[:, None]  # (B, 1, 81, 64)
    canvas, target = (part.flatten(1).double() for part in (state.canvas, state.target))
    drawn = torch.maximum(canvas[:, None, None], (torch.linspace(0, 1, 6).double()[:, None, None] * ink).round())
    apart = (drawn - target[:, None, None]).abs().sum(3).flatten(1)  # (B, 6 * 81)
    least, best = apart.min(1)
    idle = (least >= (canvas - target).abs().sum(1))[:, None]
    pixel = (target - canvas).argmax(1)
    far = torch.stack([pixel % 8, pixel // 8], 1)
    aim = torch.where(idle, far, end[torch.arange(len(end)), best % 81])
    pressure = torch.where(idle, 0.0, (best // 81)[:, None] / 5)
    return torch.cat([(aim - start) / 2, pressure], 1).clamp(-1, 1).float()


def most_missing(state):
    """To the pixel in reach where most ink is missing, with as much pressure; where none is, to the most missing."""
    missing = (state.target.int() - state.canvas.int()).clamp(min=0).flatten(1)
    columns, rows = torch.arange(64) % 8, torch.arange(64) // 8
    ways = torch.stack([columns - state.pen[:, :1], rows - state.pen[:, 1:]], 2)  # (B, 64, 2)
    near = (ways.abs() <= 2).all(2)
    most, best = (missing * near).max(1)
    best = torch.where(most > 0, best, missing.argmax(1))
    return torch.cat([ways[torch.arange(len(ways)), best] / 2, most[:, None] / 255], 1).clamp(-1, 1)


def test_the_expert_is_a_little_above_the_highest_gain_and_far_above_the_most_missing_pixel():
    task = make_task(ID, split="validation")
    expert, closeness = returns(task, task.expert)
    torch.testing.assert_close(expert, closeness)
    greedy, _ = returns(task, lambda state: highest_gain(task, state))
    crude, _ = returns(task, most_missing)
    assert expert.mean() > greedy.mean()
    assert [round(part.mean().item(), 2) for part in (expert, greedy, crude)] == [
        pytest.approx(0.76, abs=0.02), pytest.approx(0.75, abs=0.02), pytest.approx(0.51, abs=0.04)
    ]  # fmt: skip


def test_for_a_class_the_classifier_judges():
    task = make_task(ID, goal="class")
    state = task.reset(torch.linspace(0, 0.99, 10)[:, None])
    assert state.request.tolist() == list(range(10))
    assert set(task.observe(state)) == {"canvas", "pen", "time", "request"}
    canvas = torch.zeros(10, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(
        state.closeness, task.classifier(canvas).softmax(1).diagonal().float(), atol=2e-4, rtol=0
    )
    assert returns(task, task.expert)[1].mean() > 0.6


@pytest.mark.parametrize(("options", "told"), [
    ({"goal": "image"}, "Strokes: goal must be one of 'drawing', 'class'; got 'image'"),
    ({"length": 0}, "Strokes: length must be a whole number from 1 to 1000; got 0"),
])  # fmt: skip
def test_wrong_options_are_refused(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
