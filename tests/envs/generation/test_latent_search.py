"""LatentSearch against the decoder and the classifier."""

from __future__ import annotations

import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.core.actions import random_action
from palaestra.envs.frozen.classifiers import classifier
from palaestra.envs.frozen.generators import autoencoder
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/LatentSearch-v0"


def decoded(latent):
    return (autoencoder().decode(latent.double()) * 255).round()


@pytest.mark.parametrize("target", ["image", "class"])
def test_rewards_are_the_gain_of_closeness(target):
    env = BatchedEnv(make_task(ID, target=target), 40, seed=1)
    first = env.reset()
    generator, total, latent = torch.Generator().manual_seed(0), torch.zeros(40), first["latent"].clone()
    for _ in range(5):
        action = random_action(env.action_space, 40, generator)
        step = env.step(action)
        total, latent = total + step.reward, latent + action
    image = decoded(latent)
    assert torch.equal(step.observation["image"].double(), image)
    if target == "image":
        far = [
            (picture.double() - first["target"]).square().mean((1, 2, 3)).sqrt() for picture in (image, first["image"])
        ]
        expected = 1 - far[0] / far[1]
    else:
        chance = [
            classifier("robust")(picture.float() / 255).softmax(1).gather(1, first["request"][:, None])[:, 0]
            for picture in (image, first["image"])
        ]
        expected = (chance[0] - chance[1]).double()
    torch.testing.assert_close(total.double(), expected, rtol=0, atol=5e-4)


@pytest.mark.parametrize(("target", "least"), [("image", 0.9999), ("class", 0.97)])
def test_the_expert_arrives_within_an_episode(target, least):
    env = BatchedEnv(make_task(ID, target=target), 200, seed=2)
    env.reset()
    for _ in range(12):
        step = env.step(env.expert_action())
    assert bool(step.truncated.all())
    assert step.metrics["closeness"].min() >= least


def test_points_are_drawn_from_the_prior_and_targets_are_what_they_decode_to():
    task = make_task(ID)
    state = task.reset(torch.rand(4000, task.reset_noise, generator=torch.Generator().manual_seed(0)))
    for point in (state.latent, state.goal):
        assert point.mean(0).abs().max() < 4 / 4000**0.5
        assert (point.std(0) - 1).abs().max() < 4 / (2 * 4000) ** 0.5
    assert torch.equal(state.target.double(), decoded(state.goal))
    assert task.reset(torch.zeros(1, task.reset_noise)).latent.isfinite().all()


def test_the_hidden_goals_are_digits_of_their_class():
    task = make_task(ID, target="class")
    named = classifier("plain")(decoded(task.goals).float() / 255).argmax(1)
    assert named.tolist() == list(range(10))


@pytest.mark.parametrize(("option", "value"), [("length", 0), ("stride", 0)])
def test_a_number_out_of_range_is_refused(option, value):
    with pytest.raises(InvalidInput, match=f"LatentSearch: {option} must be"):
        make_task(ID, **{option: value})


def test_an_unknown_target_is_refused():
    with pytest.raises(InvalidInput, match="LatentSearch: target must be one of 'image', 'class'; got 'word'"):
        make_task(ID, target="word")
