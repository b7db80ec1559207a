"""Detect: an episode by hand, its reward and precision, and what the expert proposes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.perception.forms import SHAPES
from palaestra.envs.perception.measures import box_iou
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Detect-v0"


def begun(batch, seed=0, **options):
    env = BatchedEnv(make_task(ID, **options), batch, seed=seed, autoreset=AutoresetMode.DISABLED)
    env.reset()
    return env


def proposing(boxes, kinds, confidence=1.0, stop=False):
    """Actions (B, 10) for boxes (B, 4) in pixels of a picture of 16 x 16."""
    scores = torch.nn.functional.one_hot(kinds.clamp(min=0), 4).float() * 2 - 1
    further = torch.tensor([[2 * confidence - 1, 1.0 if stop else -1.0]]).expand(len(boxes), -1)
    return torch.cat([boxes.float() / 8 - 1, further, scores], 1)


def first_object(state):
    """The box and the class of the first object of each picture."""
    first = (state.classes >= 0).long().argmax(1)
    rows = torch.arange(len(first))
    return state.boxes[rows, first], state.classes[rows, first]


def test_a_match_earns_by_its_confidence_and_counts_once():
    env = begun(64)
    boxes, kinds = first_object(env.state)
    objects = (env.state.classes >= 0).sum(1)
    assert set(objects.tolist()) == {1, 2, 3, 4}
    found = env.step(proposing(boxes, kinds, 0.75))
    torch.testing.assert_close(found.reward, 0.9375 / objects)  # 2 x 0.75 - 0.75^2
    again = env.step(proposing(boxes, kinds, 0.5))
    torch.testing.assert_close(again.reward, -0.25 / objects)
    wrong = env.step(proposing(boxes, (kinds + 1) % 4))
    apart = box_iou(boxes[:, None], env.state.boxes).masked_fill(env.state.classes != ((kinds + 1) % 4)[:, None], 0)
    assert (wrong.reward[apart.amax(1) < 0.5] < 0).all()
    over = env.step(proposing(boxes, kinds, stop=True))
    assert (over.reward == 0).all()
    assert over.terminated.all()
    torch.testing.assert_close(over.metrics["found"], env.state.found.sum(1) / objects)


def test_precision_at_the_end_by_hand():
    """One object, found by the second proposal; the first and surer one is of another class, which does not count."""
    env = begun(64)
    state = env.state
    boxes, kinds = first_object(state)
    alone = (state.classes >= 0).sum(1) == 1
    env.step(proposing(torch.tensor([[0, 0, 2, 2]]).expand(64, 4), kinds, 0.9))
    env.step(proposing(boxes, kinds, 0.8))
    over = env.step(proposing(boxes, (kinds + 1) % 4, stop=True))
    assert alone.sum() > 5
    torch.testing.assert_close(over.metrics["map_50"][alone], torch.full((int(alone.sum()),), 0.5))
    torch.testing.assert_close(over.metrics["map"][alone], torch.full((int(alone.sum()),), 0.5))
    env = begun(64)
    env.step(proposing(torch.tensor([[0, 0, 2, 2]]).expand(64, 4), (kinds + 1) % 4, 0.9))
    env.step(proposing(boxes, kinds, 0.8))
    over = env.step(proposing(boxes, kinds, stop=True))
    torch.testing.assert_close(over.metrics["map_50"][alone], torch.ones(int(alone.sum())))


def test_a_looser_box_passes_only_the_lower_thresholds():
    """Of a box that is a row short of h rows, the overlap is (h - 1) / h: so many of ten thresholds it reaches."""
    env = begun(64)
    state = env.state
    boxes, kinds = first_object(state)
    alone = (state.classes >= 0).sum(1) == 1
    env.step(proposing(boxes - torch.tensor([0, 0, 0, 1]), kinds))
    over = env.step(proposing(boxes, kinds, stop=True))
    overlap = (boxes[:, 3] - 1) / boxes[:, 3]
    wanted = torch.tensor([sum(share >= k / 20 - 1e-6 for k in range(10, 20)) / 10 for share in overlap.tolist()])
    torch.testing.assert_close(over.metrics["map"][alone], wanted[alone])
    assert (over.metrics["map_50"][alone] == 1).all()


def test_the_expert_finds_all_as_one_reads_and_stops():
    env = begun(128)
    objects = (env.state.classes >= 0).sum(1)
    state, total, nothing = env.state, torch.zeros(128), torch.empty(128, 0)
    done, before = torch.zeros(128, dtype=torch.bool), torch.full((128,), -1)
    for time in range(5):
        step = env.task.step(state, env.task.expert(state), nothing)
        total += step.reward * ~done
        new = step.terminated & ~done
        assert torch.equal(new, objects == time)
        assert (step.metrics["map"][new] == 1).all()
        quarter = (step.state.found & ~state.found).long().argmax(1)
        still = ~step.terminated & ~done
        assert (quarter[still] > before[still]).all()
        before, done, state = torch.where(still, quarter, before), done | step.terminated, step.state
    assert done.all()
    torch.testing.assert_close(total, torch.ones(128))


def test_what_is_seen_of_the_proposals():
    env = begun(2)
    picture = env.observation["image"][:, 0].clone()
    env.step(proposing(torch.tensor([[3, 2, 5, 4], [12, 12, 9, 9]]), torch.tensor([2, 0]), 0.25))
    seen = env.observation
    told = torch.tensor([[3 / 16, 2 / 16, 5 / 16, 4 / 16, 3 / 4, 0.25], [0.75, 0.75, 0.25, 0.25, 1 / 4, 0.25]])
    torch.testing.assert_close(seen["proposals"][:, :6], told)  # the second box is cut to the picture
    assert (seen["proposals"][:, 6:] == 0).all()
    row, column = np.mgrid[:16, :16]
    inside = (column >= 3) & (column < 8) & (row >= 2) & (row < 6)
    assert np.array_equal(seen["image"][0, 1].numpy(), inside * 153)
    assert torch.equal(seen["image"][:, 0], picture)


def test_the_sixth_proposal_ends_the_episode():
    env = begun(4)
    for count in range(6):
        step = env.step(proposing(torch.tensor([[0, 0, 1, 1]]).expand(4, 4), torch.zeros(4, dtype=torch.int64)))
        assert step.terminated.tolist() == [count == 5] * 4
    assert not step.truncated.any()
    assert (step.metrics["map_50"] == 0).all()


def test_many_pictures_together_are_ranked_by_confidence():
    """Two pictures' wrong proposals are surer than all right ones; each picture by itself knows nothing of that."""
    env = begun(64)
    boxes, kinds = first_object(env.state)
    confidence = torch.where(torch.arange(64) % 2 == 0, 1.0, 0.5)
    sure = proposing(boxes, kinds)
    sure[:, 4] = 2 * confidence - 1
    env.step(sure)
    pooled = env.task.pooled(env.state)
    assert 0 < pooled["map_50"] < 1
    assert pooled["map"] == pooled["map_50"]  # every match is exact


def test_names_of_entries_and_the_key_that_stops():
    task = make_task(ID)
    assert task.entries()[6:] == SHAPES
    (stop,) = task.choices()
    env = begun(1)
    assert env.step(torch.tensor([stop.action])).terminated.item()


@pytest.mark.parametrize(
    ("options", "told"), [({"side": 8}, "Detect: side must be a whole"), ({"colour": "red"}, "Detect: colour")]
)
def test_a_wrong_option_is_named(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
