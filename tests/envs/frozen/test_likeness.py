"""The likeness of pictures to real digits, against features taken by hand, and in evaluations of every maker."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import eigvals

from palaestra import agents
from palaestra.envs import make_batched
from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.frozen import likeness as module
from palaestra.envs.frozen.classifiers import classifier
from palaestra.envs.frozen.likeness import likeness

NAMES = {f"picture_{name}" for name in ("frechet", "inception", "precision", "recall", "density", "coverage")}


def digits(split):
    return torch.from_numpy(load_images("digits", split)[0])


def features_of(images):
    """The last hidden layer of the plain classifier, seen by a hook."""
    seen, network = [], classifier("plain").double()
    network[1].layers[-1].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    probabilities = network(images.double() / 255).softmax(1)
    return seen[0].numpy(), probabilities.numpy()


def test_the_measures_are_those_of_the_last_hidden_layer():
    made, real = digits("validation"), digits("test")
    (first, chances), (second, _) = features_of(made), features_of(real)
    one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    shared = np.sqrt(np.clip(np.real(eigvals(one @ other)), 0, None)).sum()
    covariances = np.trace(one + other) - 2 * shared
    found = likeness(made, real)
    assert set(found) == NAMES
    assert found["picture_frechet"] == pytest.approx(((first.mean(0) - second.mean(0)) ** 2).sum() + covariances, 1e-3)
    divergence = (chances * np.log(chances / chances.mean(0))).sum(1)
    assert found["picture_inception"] == pytest.approx(np.exp(divergence.mean()), 1e-6)


def test_real_digits_are_more_like_real_ones_than_noise_and_one_digit_alone_has_no_variety():
    real = digits("train")[:400]
    true = likeness(digits("test"), real)
    noise = likeness(torch.randint(0, 256, (360, 1, 8, 8), dtype=torch.uint8), real)
    same = likeness(real[:1].expand(100, -1, -1, -1), real)
    assert true["picture_frechet"] < min(noise["picture_frechet"], same["picture_frechet"]) / 3
    assert true["picture_inception"] > 8 > 1.01 > same["picture_inception"]
    assert true["picture_precision"] > 0.8 > 0.2 > noise["picture_precision"]
    assert true["picture_coverage"] > 0.8 > 0.1 > same["picture_coverage"]


def test_too_few_pictures_have_no_likeness_and_of_many_the_first_count(monkeypatch):
    monkeypatch.setattr(module, "MOST", 50)
    real, made = digits("test"), digits("validation")
    assert likeness(real[:5], real) == {}
    assert likeness(made[:60], real[:60]) == likeness(made[:50], real[:50]) != likeness(made[10:60], real[:50])


MAKERS = {
    "PixelCanvas": {},
    "LatentSearch": {"length": 2},
    "Denoise": {},
    "Strokes": {"length": 3},
    "GANGame": {"dataset": "digits", "points": 2},
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_evaluation_measures_the_last_picture_of_every_episode(name, monkeypatch):
    env = make_batched(f"palaestra/{name}-v0", 4, seed=0, **MAKERS[name])
    task, agent, gathered, lasting = env.task, agents.make("random", env), [], []
    monkeypatch.setattr(task, "measured", lambda made: {"number": float(len(gathered) or gathered.append(made) or 7)})
    whole = env.step

    def step(action):
        outcome = whole(action)
        lasting.extend(zip(outcome.done.tolist(), range(4), task.made(action, outcome.final_observation), strict=True))
        return outcome

    env.step = step
    result = agents.evaluate(agent, env, 8, seed=3)
    ended = [(row, picture) for done, row, picture in lasting if done]
    expected = [picture for wanted in range(4) for row, picture in ended if row == wanted]  # environment by environment
    assert len(expected) == 8
    assert torch.equal(gathered[0], torch.stack(expected))
    assert gathered[0].shape == (8, 1, 8, 8)
    assert gathered[0].dtype == torch.uint8
    assert result.metrics["number"] == 7


def test_the_experts_pictures_are_more_like_digits_than_random_ones():
    env = make_batched("palaestra/GANGame-v0", 10, seed=0, dataset="digits", player="discriminator")
    assert not NAMES & set(agents.evaluate(agents.make("random", env), env, 10, seed=1).metrics)
    env = make_batched("palaestra/Strokes-v0", 40, seed=0)
    expert = agents.evaluate(agents.make("expert", env), env, 40, seed=1).metrics
    random = agents.evaluate(agents.make("random", env), env, 40, seed=1).metrics
    assert set(expert) > NAMES
    assert expert["picture_frechet"] < random["picture_frechet"] / 2
