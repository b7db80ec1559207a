"""Observations and rewards normalised by running statistics."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents.networks.normalisation import ObservationNormaliser, RewardNormaliser
from palaestra.tests.agents.core.test_resume import check_resume


def test_moments_are_those_of_all_that_was_seen():
    values = torch.randn(7, 30, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0, 0.1]) + 4
    normaliser = ObservationNormaliser(spaces.Box(-np.inf, np.inf, (3,)))
    assert torch.equal(normaliser(values[0]), values[0].clamp(-10, 10))  # nothing was seen yet
    for part in values.split([1, 2, 4]):
        normaliser.update(part)
    whole = values.flatten(0, 1).double().numpy()
    expected = (values[0].numpy() - whole.mean(0)) / whole.std(0)
    np.testing.assert_allclose(normaliser(values[0]).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_images_and_numbers_stay_as_they_are():
    image, vector = spaces.Box(0, 255, (1, 2, 2), np.uint8), spaces.Box(0, 9, (2,))
    space = spaces.Dict({"image": image, "n": spaces.Discrete(3), "v": vector})
    normaliser = ObservationNormaliser(space)
    seen = {
        "image": torch.randint(256, (4, 5, 1, 2, 2), dtype=torch.uint8),
        "n": torch.randint(3, (4, 5)),
        "v": torch.rand(4, 5, 2) * 9,
    }
    normaliser.update(seen)
    one = {name: part[0] for name, part in seen.items()}
    found = normaliser(one)
    assert torch.equal(found["image"], one["image"])
    assert torch.equal(found["n"], one["n"])
    flat = seen["v"].flatten(0, 1)
    torch.testing.assert_close(found["v"], (one["v"] - flat.mean(0)) / flat.std(0, correction=0), rtol=1e-4, atol=1e-5)


def test_parts_may_stand_in_another_order_than_the_space_has():
    space = spaces.Dict({"a": spaces.Box(-9, 9, (1,)), "b": spaces.Box(-9, 9, (3,))})
    normaliser = ObservationNormaliser(space)
    seen = {"b": torch.rand(4, 5, 3), "a": torch.rand(4, 5, 1) + 5}
    normaliser.update(seen)
    flat, found = seen["b"].flatten(0, 1), normaliser({name: part[0] for name, part in seen.items()})
    torch.testing.assert_close(
        found["b"], (seen["b"][0] - flat.mean(0)) / flat.std(0, correction=0), rtol=1e-4, atol=1e-5
    )


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    generator = torch.Generator().manual_seed(1)
    reward, done = torch.randn(12, 3, generator=generator), torch.rand(12, 3, generator=generator) < 0.2
    normaliser = RewardNormaliser(0.9)
    parts = [normaliser(reward[:5], done[:5]), normaliser(reward[5:], done[5:])]
    sums, running = [], np.zeros(3)
    for now, ended in zip(reward.numpy(), done.numpy(), strict=True):
        running = running * 0.9 + now
        sums.append(running.copy())
        running[ended] = 0
    np.testing.assert_allclose(parts[0], reward[:5] / np.std(sums[:5]), rtol=1e-4)
    np.testing.assert_allclose(parts[1], reward[5:] / np.std(sums), rtol=1e-4)


@pytest.mark.parametrize("name", ["ppo", "a2c", "reinforce"])
def test_a_resumed_run_with_normalisation_equals_the_run_that_was_not_stopped(name, uneven):
    normalised = {"normalise_observation": True, "normalise_reward": True}
    check_resume(name, lambda: uneven(5), 5 * 6 * 5, rollout_steps=6, hidden=(4,), **normalised)


def test_a_saved_agent_acts_with_the_statistics_it_learned_with(uneven):
    env = uneven(4)
    agent = agents.make("ppo", env, rollout_steps=8, hidden=(4,), normalise_observation=True)
    agent.train(env, 200)
    agent.save("normalised.pt")
    again = agents.load("normalised.pt")
    observation = env.reset(3)
    assert torch.equal(again.act(observation, greedy=True)[0], agent.act(observation, greedy=True)[0])
    assert float(again.network.normaliser.moments[0].count) == agent.steps
