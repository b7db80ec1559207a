"""Unpaired by hand, and its maps against plain loops."""

from __future__ import annotations

import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.adversarial.restyle import restyled
from palaestra.envs.classification.sources.images import load_images

ID = "palaestra/Unpaired-v0"


def by_loops(picture, slant, weight, negative):
    """A picture, lists of 8 x 8 whole greys, written anew pixel by pixel."""

    def at(cells, row, column):
        return cells[min(max(row, 0), 7)][min(max(column, 0), 7)]

    moved = [[at(picture, r, c - round(2 * slant * (1 - r / 3.5))) for c in range(8)] for r in range(8)]
    result = []
    for r in range(8):
        for c in range(8):
            around = [at(moved, r + a, c + b) for a, b in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))]
            other, share = max(around) if weight > 0 else min(around), round(64 * abs(weight))
            x = ((64 - share) * moved[r][c] + share * other + 32) // 64
            share = max(round(64 * negative), 0)
            result.append(((64 - share) * x + share * (255 - x) + 32) // 64)
    return result


@pytest.mark.parametrize("how", [(0.5, 0.5, 1.0), (-1.0, -0.4, 0.3), (0.8, 0.0, -1.0), (0.0, -1.0, 0.0)])
def test_a_picture_is_written_anew_as_by_plain_loops(how):
    pictures = torch.randint(0, 256, (5, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    found = restyled(pictures, torch.tensor([how]).expand(5, -1))
    assert found.flatten(1).tolist() == [by_loops(picture.tolist(), *how) for picture in pictures]


def test_no_change_is_no_change():
    pictures = torch.randint(0, 256, (5, 8, 8), dtype=torch.uint8)
    assert torch.equal(restyled(pictures, torch.tensor([[0.0, 0.0, -0.5]]).expand(5, -1)), pictures)


def test_no_digit_is_in_two_roles():
    train = torch.from_numpy(load_images("digits", "train")[0])[:, 0]
    for split, count in (("train", 629), ("validation", 180), ("test", 360)):
        task = make_task(ID, split=split)
        shown = {tuple(row) for row in task.sources.flatten(1).tolist()}
        known = {tuple(row) for row in task.known[1].flatten(1).tolist()}
        assert len(task.sources) == count
        assert not shown & known
        assert known <= {tuple(row) for row in train.flatten(1).tolist()}


@pytest.mark.parametrize("by", ["map", "pixels"])
def test_rewards_by_plain_distances(by):
    task = make_task(ID, by=by)
    state = task.reset(torch.rand(6, 3, generator=torch.Generator().manual_seed(1)))
    source, like = state.source.double() / 255, lambda apart: 1 / (1 + apart / 2)
    styled, plain = (known.double() / 255 for known in task.known)
    actions = 2 * [torch.rand(6, *task.action_space.shape, generator=torch.Generator().manual_seed(2))]
    first = task.step(state, actions[0], torch.empty(6, 0))
    second = task.step(first.state, actions[1], torch.empty(6, 0))
    there, back = (step.state.picture.double() / 255 for step in (first, second))
    liked = like(torch.cdist(there.flatten(1), styled.flatten(1)).square().amin(1))
    torch.testing.assert_close(first.reward.double(), 0.2 * liked, rtol=0, atol=1e-5)
    near = like(torch.cdist(back.flatten(1), plain.flatten(1)).square().amin(1))
    cycle = like((back - source).square().sum((1, 2)))
    torch.testing.assert_close(second.reward.double(), liked * (0.2 * near + 0.6 * cycle), rtol=0, atol=1e-5)
    true = torch.tensor([by_loops(one.tolist(), 0.5, 0.5, 1.0) for one in state.source]).view(6, 8, 8) / 255
    apart = (there - true).square().mean((1, 2)).sqrt()
    torch.testing.assert_close(first.metrics["apart"].double(), apart, rtol=0, atol=1e-5)
    torch.testing.assert_close(second.metrics["cycle"].double(), cycle, rtol=0, atol=1e-5)
    assert first.metrics["cycle"].isnan().all()
    assert [bool(step.terminated.all()) for step in (first, second)] == [False, True]


def played(by, policy):
    """Mean return of a policy from a state, and the metrics of its steps."""
    env = BatchedEnv(make_task(ID, by=by), 300, seed=0)
    env.reset()
    steps = [env.step(policy(env)) for _ in range(2)]
    return sum(step.reward.mean().item() for step in steps), steps


def test_every_factor_of_the_judge_is_exact_in_eleven_bits():
    task = make_task(ID)
    for factors in (task.judge, task.places):
        assert torch.equal(factors, factors.round())
        assert factors.abs().max() <= 2**11
    lengths = task.known.flatten(2).double().square().sum(2)
    assert torch.equal(2**11 * task.judge[:, 64].double() + task.judge[:, 65], lengths)


def test_the_expert_translates_truly_and_earns_more_than_what_only_the_critic_or_the_cycle_likes():
    earned = {}
    for by in ("map", "pixels"):
        earned[by], steps = played(by, lambda env: env.expert_action())
        assert steps[0].metrics["apart"].max() < 1e-6
    same, _ = played("map", lambda env: torch.tensor([[0.0, 0.0, 0.0]]).expand(300, -1))

    def collapsed(env):
        return env.task.known[env.state.time[0].item()][7].flatten().float().expand(300, -1) / 255

    one, steps = played("pixels", collapsed)
    assert steps[0].metrics["apart"].mean() > 0.2
    assert earned["map"] > same + 0.3
    assert earned["pixels"] > one + 0.1


def test_what_is_seen_is_the_picture_and_an_example_of_the_other_way_to_write():
    task = make_task(ID)
    state = task.reset(torch.rand(4, 3, generator=torch.Generator().manual_seed(3)))
    for stage in range(2):
        seen = task.observe(state)
        assert seen["stage"].tolist() == [stage] * 4
        assert torch.equal(seen["picture"][:, 0], state.picture)
        assert torch.equal(seen["example"][:, 0], task.known[stage][state.example[:, stage]])
        state = task.step(state, task.expert(state), torch.empty(4, 0)).state
