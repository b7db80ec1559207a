"""Groups: who lies on which background, how often each group is drawn, and its metrics by hand."""

import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.classification.groups import GROUPS, INK
from palaestra.envs.classification.sources.images import load_images
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Groups-v0"


def counts(task):
    """(2, 2) images by class and background."""
    return torch.bincount(2 * task.labels + task.grounds, minlength=4).view(2, 2).tolist()


def test_backgrounds_agree_in_training_and_not_elsewhere():
    digits = load_images("digits", "train", None)[1]
    low, high = int((digits < 5).sum()), int((digits >= 5).sum())
    (a, b), (c, d) = counts(make_task(ID))
    assert (a + b, c + d) == (low, high)
    assert (a, d) == (round(0.95 * low), round(0.95 * high))
    for split in ("validation", "test"):
        (a, b), (c, d) = counts(make_task(ID, split=split))
        assert abs(a - b) <= 1
        assert abs(c - d) <= 1


def test_the_digit_lies_on_its_stripes():
    task = make_task(ID)
    images, digits, _ = load_images("digits", "train", None)
    assert sorted(task.labels.tolist()) == sorted((digits >= 5).astype(int).tolist())
    rows = task.inputs[task.grounds == 0][:, 0]
    assert (rows[:, 1::2] >= INK).all()
    columns = task.inputs[task.grounds == 1][:, 0]
    assert (columns[:, :, 1::2] >= INK).all()
    assert int((task.inputs.numpy() > INK).sum()) == int((images > INK).sum())  # brighter ink shines through


@pytest.mark.parametrize("balance", [False, True])
def test_groups_are_drawn_by_their_size_or_evenly(balance):
    task = make_task(ID, balance=balance)
    state = task.reset(torch.rand(40_000, task.reset_noise, generator=torch.Generator().manual_seed(0)))
    group = 2 * task.labels[state.index] + task.grounds[state.index]
    share = torch.bincount(group, minlength=4) / len(group)
    expected = torch.full((4,), 0.25) if balance else task.count / task.count.sum()
    torch.testing.assert_close(share, expected, atol=0.01, rtol=0)
    if balance:  # within a group all alike
        rare = state.index[group == 1] - task.first[1]
        assert len(rare.unique()) == task.count[1]


def test_a_guess_counts_for_its_group_and_the_worst_is_told():
    env = BatchedEnv(make_task(ID, split="test"), 90, seed=0)

    class Background(agents.Agent):
        """Names the background: the stripes of columns make the first row's second pixel bright."""

        name = "background"

        def build(self):
            pass

        def act(self, observation, memory=(), start=None, *, greedy=False):
            return (observation[:, 0, 0, 7] >= INK).long(), ()

    agent = Background(env.observation_space, env.action_space, agents.Agent.Config())
    found = agents.evaluate(agent, env, 1800, seed=3).metrics
    assert found["accuracy"] == pytest.approx(0.5, abs=0.05)
    assert found["low_on_rows"] > 0.95
    assert found["high_on_columns"] == 1
    assert found["worst"] == min(found[name] for name in GROUPS) == 0


def test_the_worst_is_told_only_where_every_group_was_met():
    task = make_task(ID)
    assert task.summarise({"accuracy": 1.0, "low_on_rows": 1.0}) == {"accuracy": 1.0, "low_on_rows": 1.0}
    assert np.isclose(task.summarise({name: k / 10 for k, name in enumerate(GROUPS)})["worst"], 0)


@pytest.mark.parametrize(
    "options", [{"agreement": 0.4}, {"agreement": 1, "balance": True}, {"balance": 1}, {"split": "all"}]
)
def test_what_is_not_allowed_is_refused(options):
    with pytest.raises(InvalidInput, match=f"Groups: {next(iter(options))}"):
        make_task(ID, **options)
