"""PixelCanvas against the whole density model, and by hand."""

from __future__ import annotations

import math

import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.core.actions import random_action
from palaestra.envs.frozen.classifiers import classifier
from palaestra.envs.frozen.generators import density
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/PixelCanvas-v0"


def drawn(env, policy):
    """Pixels (B, 64), rewards (B, T), requests (B,) and the last step's metrics of an episode."""
    env.reset()
    route = env.task.visits[:-1]
    request, given, rewards = env.state.request, env.state.pixels[:, route[: 64 - env.task.horizon]], []
    actions = list(given.unbind(1))
    for _ in range(env.task.horizon):
        actions.append(policy(env))
        step = env.step(actions[-1])
        rewards.append(step.reward)
    assert bool(step.terminated.all())
    pixels = torch.empty(len(request), 64, dtype=torch.int64)
    pixels[:, route] = torch.stack(actions, 1)
    return pixels, torch.stack(rewards, 1), request, step.metrics


@pytest.mark.parametrize(
    ("asked", "steps", "order"),
    [(True, 64, "raster"), (False, 48, "raster"), (True, 64, "diagonal"), (False, 43, "diagonal")],
)
def test_rewards_are_the_log_density_that_the_whole_network_gives(asked, steps, order):
    env = BatchedEnv(make_task(ID, request=asked, order=order), 30, seed=1)
    generator = torch.Generator().manual_seed(0)
    pixels, rewards, request, metrics = drawn(env, lambda env: random_action(env.action_space, 30, generator))
    logits = density(order)(pixels.view(30, 1, 8, 8), request).flatten(2)  # (B, 2, 64)
    chance = 0.9 * logits.softmax(1) + 0.05
    expected = chance.gather(1, pixels[:, None])[:, 0, env.task.visits[-1 - steps : -1]].log()
    torch.testing.assert_close(steps * rewards.double(), expected, rtol=0, atol=1 / 8192 + 1e-9)
    torch.testing.assert_close(metrics["log_density"].double(), expected.sum(1), rtol=0, atol=0.01)
    assert expected.min() >= math.log(0.05)
    assert len(request.unique()) > 5 if asked else (request == 10).all()


def test_the_classifiers_reward_comes_with_the_last_pixel():
    env = BatchedEnv(make_task(ID, reward="classifier"), 20, seed=2)
    pixels, rewards, request, metrics = drawn(env, lambda env: env.expert_action())
    assert not rewards[:, :-1].any()
    chance = classifier("robust")(pixels.view(20, 1, 8, 8).float()).softmax(1).gather(1, request[:, None])[:, 0]
    torch.testing.assert_close(rewards[:, -1], chance, rtol=0, atol=2e-4)
    assert torch.equal(rewards[:, -1], metrics["confidence"])


@pytest.mark.parametrize("order", ["raster", "diagonal"])
def test_the_expert_takes_the_likelier_and_its_pictures_are_the_digits_asked_for(order):
    env = BatchedEnv(make_task(ID, order=order), 100, seed=3)
    pixels, _, request, metrics = drawn(env, lambda env: env.expert_action())
    logits = density(order)(pixels.view(100, 1, 8, 8), request).flatten(2)
    assert torch.equal(logits.argmax(1), pixels)
    named = classifier("plain")(pixels.view(100, 1, 8, 8).float()).argmax(1)
    assert (named == request).float().mean() > 0.9
    assert metrics["confidence"].mean() > 0.9


def test_an_empty_canvas_is_far_less_likely_than_the_experts_pictures():
    env = BatchedEnv(make_task(ID), 100, seed=4)
    expert, empty = (
        drawn(env, policy)[1].sum(1).mean()
        for policy in (lambda env: env.expert_action(), lambda env: torch.zeros(100, dtype=torch.int64))
    )
    assert 64 * (expert - empty) > 15


def test_what_is_seen_by_hand():
    task = make_task(ID)
    state = task.reset(torch.tensor([[0.75]]))
    for action in (0, 1, 1):
        state = task.step(state, torch.tensor([action]), torch.empty(1, 0)).state
    seen = task.observe(state)
    assert seen["request"].tolist() == [7]
    assert seen["position"].tolist() == [3]
    assert seen["canvas"].flatten().tolist() == [0, 255, 255] + 61 * [0]
    assert "request" not in make_task(ID, request=False).observation_space.spaces


def test_diagonals_go_from_the_upper_left_to_the_lower_right_each_from_its_upper_end():
    task = make_task(ID, order="diagonal")
    state, seen = task.reset(torch.tensor([[0.0]])), []
    for action in (1, 0, 1, 1, 0, 0):
        seen.append(task.observe(state)["position"].item())
        state = task.step(state, torch.tensor([action]), torch.empty(1, 0)).state
    assert seen == [0, 1, 8, 2, 9, 16]  # rows and columns 00, 01, 10, 02, 11, 20
    assert task.observe(state)["canvas"][0, 0].nonzero().tolist() == [[0, 0], [0, 2], [1, 0]]
    given = make_task(ID, order="diagonal", request=False).first_pixels.view(-1, 8, 8)
    outside = torch.tensor([[row + column > 5 for column in range(8)] for row in range(8)])
    assert not given[:, outside].any()
    images = torch.from_numpy(load_images("digits", "train")[0])[:, 0]
    assert torch.equal(given[:, ~outside], (images >= 128).long()[:, ~outside])


@pytest.mark.parametrize("split", ["train", "test"])
def test_without_a_request_the_upper_rows_are_those_of_a_digit_of_the_split(split):
    images, _, _ = load_images("digits", split)
    inked = torch.from_numpy(images).flatten(1)[:, :16] >= 128  # at least half
    state = make_task(ID, request=False, split=split).reset(torch.rand(500, 1))
    known = {tuple(row) for row in inked.long().tolist()}
    assert {tuple(row) for row in state.pixels[:, :16].tolist()} <= known
    assert not state.pixels[:, 16:].any()
    assert (state.time == 16).all()


@pytest.mark.parametrize("options", [{"reward": "classifier", "request": False}, {"request": 1}])
def test_an_impossible_request_is_refused(options):
    with pytest.raises(InvalidInput, match="PixelCanvas: request must be True or False"):
        make_task(ID, **options)


def test_an_unknown_reward_is_refused():
    with pytest.raises(InvalidInput, match="PixelCanvas: reward must be one of 'density', 'classifier'; got 'beauty'"):
        make_task(ID, reward="beauty")
