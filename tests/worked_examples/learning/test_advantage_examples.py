"""Worked by hand: generalised advantages of one environment, gamma 0.5 and lambda 0.5."""

import torch

from palaestra.agents.learning.rollout import Rollout, generalised_advantage


def advantages(terminated, truncated, final_value):
    """Rewards 1, 2, 3, 4; values 2, 4, 2, 8 and 6 after the last step."""
    column = lambda values, dtype=torch.float64: torch.tensor(values, dtype=dtype)[:, None]  # noqa: E731
    none = torch.zeros(4, 1)
    rollout = Rollout(
        observation=none,
        start=none,
        action=none,
        log_prob=none,
        value=column([2, 4, 2, 8, 6]),
        reward=column([1, 2, 3, 4]),
        terminated=column(terminated, torch.bool),
        truncated=column(truncated, torch.bool),
        final_value=column(final_value),
        memory=(),
        metrics={},
    )
    return generalised_advantage(rollout, 0.5, 0.5)[:, 0].tolist()


def test_an_episode_without_an_end():
    # errors: 1 + 4/2 - 2 = 1, 2 + 2/2 - 4 = -1, 3 + 8/2 - 2 = 5, 4 + 6/2 - 8 = -1
    # backwards, a quarter of the later one added: -1, 5 - 0.25 = 4.75, -1 + 1.1875 = 0.1875, 1 + 0.046875
    assert advantages([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]) == [1.046875, 0.1875, 4.75, -1]


def test_an_episode_that_terminates_at_its_second_step():
    # the second error has nothing after it: 2 - 4 = -2; the first: 1 + 0.25 * -2
    assert advantages([0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]) == [0.5, -2, 4.75, -1]


def test_an_episode_that_is_cut_off_at_its_second_step():
    # the final observation is worth 10: 2 + 10/2 - 4 = 3; the first: 1 + 0.25 * 3
    assert advantages([0, 0, 0, 0], [0, 1, 0, 0], [0, 10, 0, 0]) == [1.75, 3, 4.75, -1]
