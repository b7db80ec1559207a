"""Evade: its limits, its reward, what it shows, and its expert beside projected gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import chisquare

from palaestra.envs import make_task
from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.frozen.classifiers import classifier
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.robustness.adversarial import input_gradient, pgd

ID = "palaestra/Evade-v0"
NO_NOISE = torch.empty(0)


def every_digit(task):
    """The first state of an episode with each of the task's digits."""
    count = len(task.labels)
    return task.reset(((torch.arange(count) + 0.5) / count)[:, None])


def pixels(state):
    return state.image.flatten(1).float() / 255


def log_probabilities(kind, perturbed):
    """The victim's, by SciPy: (B, 64) float32 to (B, 10) float64."""
    logits = classifier(kind).double()(perturbed.double().view(-1, 1, 8, 8))
    return log_softmax(logits.numpy(), axis=1)


def margins(scores, labels):
    """How far the right class is above the best other, row by row."""
    return np.array([row[label] - np.delete(row, label).max() for row, label in zip(scores, labels, strict=True)])


@pytest.mark.parametrize(("split", "victim"), [("train", "robust"), ("test", "plain")])
def test_only_digits_of_the_split_that_the_victim_names_rightly_are_drawn(split, victim):
    images, labels, _ = load_images("digits", split)
    right = classifier(victim)(torch.from_numpy(images).float() / 255).argmax(1).numpy() == labels
    assert (~right).sum() > 0
    state = every_digit(make_task(ID, split=split, victim=victim))
    assert np.array_equal(state.image.numpy(), images[right])
    assert np.array_equal(state.label.numpy(), labels[right])


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.15), ("linf", 0.4), ("l2", 0.75), ("l2", 2.0), ("l1", 4)])
def test_what_is_made_of_a_digit_stays_in_the_ball_and_among_valid_pixels(norm, epsilon):
    task = make_task(ID, norm=norm, epsilon=epsilon, queries=4)
    state = every_digit(task)
    order = {"linf": float("inf"), "l2": 2, "l1": 1}[norm]
    generator = torch.Generator().manual_seed(0)
    drift = torch.rand(len(state.label), 64, generator=generator) * 2 - 1
    farthest = 0.0
    for _ in range(4):
        before = state.perturbed
        state = task.step(state, drift, NO_NOISE).state
        assert bool(((state.perturbed >= 0) & (state.perturbed <= 1)).all())
        change = torch.linalg.vector_norm(state.perturbed - pixels(state), ord=order, dim=1)
        assert float(change.max()) <= epsilon + 1e-6
        farthest = max(farthest, float(torch.linalg.vector_norm(state.perturbed - before, ord=order, dim=1).max()))
    assert farthest <= 2.5 * epsilon / 4 + 1e-6  # one step's length
    assert float(change.max()) > 0.9 * epsilon  # the ball's edge can be reached


@pytest.mark.parametrize("victim", ["plain", "robust"])
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.15), ("l2", 0.75)])
def test_the_expert_fools_as_many_as_projected_gradient(victim, norm, epsilon):
    task = make_task(ID, victim=victim, norm=norm, split="test", queries=12)
    state = every_digit(task)
    start, fooled = pixels(state), torch.zeros(len(state.label), dtype=torch.bool)
    for _ in range(task.horizon):
        step = task.step(state, task.expert(state), NO_NOISE)
        state, fooled = step.state, fooled | step.terminated
    images = start.double().view(-1, 1, 8, 8)
    network = classifier(victim).double()
    attacked = pgd(network, images, state.label, epsilon, step_size=2.5 * epsilon / 12, steps=12, norm=norm)
    reached = network(attacked).argmax(1) != state.label
    assert float(fooled.float().mean()) >= float(reached.float().mean()) - 0.005
    assert 0.05 < float(reached.float().mean()) < 0.99
    near = (state.perturbed - attacked.flatten(1)).abs().amax(1) < 1e-4  # the paths are the same, up to rounding
    assert float(near.float().mean()) > 0.95


@pytest.mark.parametrize("knowledge", ["scores", "label"])
def test_the_reward_is_the_margin_taken_away_and_half_of_all_for_fooling(knowledge):
    task = make_task(ID, knowledge=knowledge)
    state = every_digit(task)
    first = state
    first_margin = margins(log_probabilities("plain", state.perturbed), state.label.tolist())
    total, running = np.zeros(len(first_margin)), np.ones(len(first_margin), dtype=bool)
    generator = torch.Generator().manual_seed(3)
    for time in range(task.horizon):
        noisy = (task.expert(state) + 2 * torch.randn(state.perturbed.shape, generator=generator)).clamp(-1, 1)
        step = task.step(state, noisy, NO_NOISE)
        state = step.state
        total += running * step.reward.numpy()
        left = margins(log_probabilities("plain", state.perturbed), state.label.tolist())
        assert np.array_equal(step.terminated.numpy(), left < 0)
        counted = ~step.metrics["fooled"].isnan().numpy()
        assert np.array_equal(counted, (left < 0) | (time == task.horizon - 1))
        assert np.array_equal(step.metrics["fooled"].numpy()[counted], (left < 0)[counted])
        ended = running & (left < 0)
        np.testing.assert_allclose(total[ended], 1, atol=1e-4)
        running &= left >= 0
    assert 0.1 < running.mean() < 0.9
    taken = 0.5 * (1 - left / first_margin) if knowledge == "scores" else 0 * left
    np.testing.assert_allclose(total[running], taken[running], atol=1e-4)
    assert torch.equal(state.image, first.image)


def test_each_kind_of_knowledge_shows_what_it_says():
    known = {"label": [], "scores": ["scores"], "gradient": ["gradient", "scores"]}
    for knowledge, more in known.items():
        task = make_task(ID, knowledge=knowledge, norm="l2", epsilon=2.0, victim="robust")
        state = every_digit(task)
        for _ in range(2):
            state = task.step(state, task.expert(state), NO_NOISE).state
        seen = task.observe(state)
        assert sorted(seen) == sorted(["image", "perturbation", "answer", *more])
        assert torch.equal(seen["image"], every_digit(task).image)
        np.testing.assert_allclose(pixels(state) + 2.0 * seen["perturbation"], state.perturbed, atol=1e-6)
        scores = log_probabilities("robust", state.perturbed)
        assert np.array_equal(seen["answer"].numpy(), scores.argmax(1))
        assert 0 < float((seen["answer"] != state.label).float().mean()) < 1
    np.testing.assert_allclose(seen["scores"], scores, atol=1e-5)
    gradient = input_gradient(classifier("robust"), state.perturbed.view(-1, 1, 8, 8), state.label).flatten(1)
    np.testing.assert_allclose(seen["gradient"], gradient / gradient.norm(dim=1, keepdim=True), atol=2e-3)


def test_a_goal_is_another_class_and_each_as_likely():
    task = make_task(ID, goal="class")
    noise = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0))
    state = task.reset(noise)
    assert torch.equal(task.observe(state)["goal"], state.goal)
    apart = (state.goal - state.label) % 10
    assert chisquare(apart.bincount(minlength=10)[1:].numpy()).pvalue > 0.001
    assert not (apart == 0).any()


@pytest.mark.parametrize("victim", ["trades", "ensemble"])
def test_who_reaches_the_goal_is_paid_one_and_projected_gradient_does_as_often(victim):
    task = make_task(ID, goal="class", victim=victim, epsilon=0.3)
    noise = torch.rand(300, 2, generator=torch.Generator().manual_seed(1))
    first = state = task.reset(noise)
    reached, total = torch.zeros(300, dtype=torch.bool), torch.zeros(300)
    for _ in range(task.horizon):
        step = task.step(state, task.expert(state), NO_NOISE)
        total += step.reward * ~reached
        said = log_probabilities(victim, step.state.perturbed).argmax(1)
        assert np.array_equal(step.terminated.numpy(), said == state.goal.numpy())
        state, reached = step.state, reached | step.terminated
    np.testing.assert_allclose(total[reached], 1, atol=1e-4)
    network = classifier(victim).double()
    images = pixels(first).double().view(-1, 1, 8, 8)
    attacked = pgd(network, images, first.goal, 0.3, step_size=0.075, steps=10, targeted=True)
    share = float((network(attacked).argmax(1) == first.goal).float().mean())
    assert 0.1 < share <= float(reached.float().mean()) + 0.01


@pytest.mark.parametrize(("norm", "order"), [("linf", np.inf), ("l2", 2), ("l1", 1)])
def test_the_return_is_the_room_left_around_the_smallest_change_that_fools(norm, order):
    task = make_task(ID, reward="smallest", norm=norm, knowledge="label", epsilon={"l1": 8.0}.get(norm, 1.0))
    state = every_digit(task)
    smallest, total = np.full(len(state.label), 1.0), torch.zeros(len(state.label))
    for _ in range(task.horizon):
        step = task.step(state, task.expert(state), NO_NOISE)
        state, total = step.state, total + step.reward
        size = np.linalg.norm((state.perturbed - pixels(state)).double().numpy(), ord=order, axis=1) / task.epsilon
        fooled = log_probabilities("plain", state.perturbed).argmax(1) != state.label.numpy()
        smallest = np.where(fooled, np.minimum(smallest, size), smallest)
        assert not step.terminated.any()
    np.testing.assert_allclose(total, 1 - smallest, atol=1e-5)
    assert float((total > 0).float().mean()) > 0.3
    np.testing.assert_allclose(step.metrics["size"][total > 0], task.epsilon * smallest[total > 0], rtol=1e-4)
    assert torch.equal(step.metrics["fooled"], (total > 0).float())


def test_the_experts_of_the_sum_move_one_pixel_at_a_time():
    task = make_task(ID, norm="l1")
    state = every_digit(task)
    for _ in range(3):
        action = task.expert(state)
        assert bool(((action != 0).sum(1) == 1).all())
        before, state = state.perturbed, task.step(state, action, NO_NOISE).state
        assert bool(((state.perturbed != before).sum(1) == 1).all())  # never one that is at its bound


def test_through_a_sensor_the_victim_is_told_by_the_mean_of_its_looks():
    task = make_task(ID, sensor=0.2)
    state = every_digit(task)
    noise = torch.rand(len(state.label), task.step_noise, generator=torch.Generator().manual_seed(0))
    assert task.step_noise == 4 * 64
    still = task.step(state, torch.zeros(len(state.label), 64), noise).state
    pixels = state.image.flatten(1).double() / 255
    shares = []
    for draws in noise.double().view(-1, 4, 64).unbind(1):
        seen = (pixels + 0.2 * torch.special.ndtri(draws.clamp(min=2.0**-25))).clamp(0, 1)
        shares.append(task.victim(seen.view(-1, 1, 8, 8)).softmax(1))
    torch.testing.assert_close(still.scores.double().exp(), torch.stack(shares).mean(0), atol=1e-5, rtol=0)
    pushed = task.step(still, task.expert(still), noise)
    assert pushed.reward.mean() > 0
    assert task.sensed(state.image.double() / 255, noise.view(-1, 4, 64)).shape == (len(state.label), 4, 1, 8, 8)


def test_the_victim_says_the_same_of_a_row_in_any_batch():
    task = make_task(ID, knowledge="gradient")
    state = every_digit(task)
    state = task.step(state, task.expert(state), NO_NOISE).state
    whole = task.observe(state)
    for rows in (slice(0, 1), slice(5, 6), slice(3, 10), slice(0, 33), slice(100, 613)):
        part = task.observe(type(state)(**{name: value[rows] for name, value in vars(state).items()}))
        for name, value in part.items():
            assert torch.equal(value, whole[name][rows])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"victim": "robsut"}, "Evade: victim must be one of 'plain', 'robust', 'trades', 'ensemble'; got 'robsut'"),
        ({"knowledge": "all"}, "Evade: knowledge must be one of 'gradient', 'scores', 'label'; got 'all'"),
        ({"norm": "l0"}, "Evade: norm must be one of 'linf', 'l2', 'l1'; got 'l0'"),
        ({"epsilon": 1.5}, "Evade: epsilon must be a number from 0.001 to 1.0; got 1.5"),
        ({"epsilon": 0}, "Evade: epsilon must be a number from 0.001 to 1.0; got 0"),
        ({"goal": "clas"}, "Evade: goal must be one of 'any', 'class'; got 'clas'"),
        ({"reward": "least"}, "Evade: reward must be one of 'margin', 'smallest'; got 'least'"),
        ({"epsilon": 9, "norm": "l2"}, "Evade: epsilon must be a number from 0.001 to 8.0; got 9"),
        ({"sensor": 2}, "Evade: sensor must be a number from 0 to 1; got 2"),
        ({"queries": 0}, "Evade: queries must be a whole number from 1 to 1000000; got 0"),
        ({"split": "tset"}, "Evade: split must be one of 'train', 'validation', 'test'; got 'tset'"),
    ],
)
def test_wrong_options_are_refused(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
