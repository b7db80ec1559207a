"""Worked by hand: a softmax policy, its log-probability and its entropy."""

import gymnasium.spaces as spaces
import pytest
import torch

from palaestra.agents.networks.heads import distribution

# exp(0.6) = 1.8221, exp(3.4) = 29.9641, exp(-1.2) = 0.3012, exp(0.05) = 1.0513; their sum is 33.1388.
LOGITS = torch.tensor([0.6, 3.4, -1.2, 0.05])
PROBABILITIES = [0.06, 0.90, 0.009, 0.031]


def test_softmax_of_four_logits():
    policy = distribution(spaces.Discrete(4))
    for action, expected in enumerate(PROBABILITIES):
        found = policy.log_prob(LOGITS, torch.tensor(action)).exp().item()
        assert found == pytest.approx(expected, abs=0.006)
    # ln(29.9641 / 33.1388) = -0.1007
    assert policy.log_prob(LOGITS, torch.tensor(1)).item() == pytest.approx(-0.1007, abs=1e-4)
    assert policy.mode(LOGITS).item() == 1


def test_entropy_of_the_same_policy():
    # p ln p: 0.05498 * -2.9007, 0.90420 * -0.1007, 0.00909 * -4.7007, 0.03172 * -3.4507; they sum to -0.4027.
    assert distribution(spaces.Discrete(4)).entropy(LOGITS).item() == pytest.approx(0.4027, abs=2e-4)


def test_two_even_bits_hold_two_bits_of_entropy():
    policy, logits = distribution(spaces.MultiBinary(2)), torch.zeros(2)
    assert policy.entropy(logits).item() == pytest.approx(2 * 0.693147, abs=1e-5)
    assert policy.log_prob(logits, torch.tensor([1.0, 0.0])).exp().item() == pytest.approx(0.25)


def test_a_standard_normal_at_one_deviation():
    policy = distribution(spaces.Box(-5, 5, (1,)))
    policy.log_std.data.zero_()
    assert policy.log_prob(torch.zeros(1), torch.ones(1)).exp().item() == pytest.approx(0.24197, abs=1e-5)
