"""Scripted attackers: their steps against the attacks that they are made of."""

from __future__ import annotations

import pytest
import torch
from sklearn.decomposition import PCA

from palaestra import agents
from palaestra.agents import evaluate
from palaestra.agents.core.randomness import ACT
from palaestra.envs import make_batched
from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.frozen.classifiers import classifier
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.robustness.adversarial import fgsm, input_gradient

EVADE = "palaestra/Evade-v0"
NAMES = ("fgsm", "finite_differences", "grouped_differences", "pgd", "principal_differences", "transfer")


def first_step(name, **options):
    """An agent's first actions, the images (B, 1, 8, 8) in [0, 1] and their classes."""
    env = make_batched(EVADE, 32, seed=0, **options)
    agent = agents.make(name, env)
    seen = env.reset()
    return agent.act(seen)[0], seen["image"].double() / 255, seen["answer"]


def fooled(name, **options):
    env = make_batched(EVADE, 128, **options)
    return evaluate(agents.make(name, env), env, 128, seed=3).metrics["fooled"]


def test_projected_gradient_fools_exactly_as_many_as_the_environments_expert():
    for options in ({}, {"norm": "l2"}, {"norm": "l1"}, {"goal": "class", "epsilon": 0.3}, {"victim": "robust"}):
        assert fooled("pgd", **options) == pytest.approx(fooled("expert", **options), abs=1e-6)


def test_the_fast_gradient_ends_where_one_long_step_does():
    env = make_batched(EVADE, 64, seed=2, victim="robust")
    agent = agents.make("fgsm", env)
    seen, memory = env.reset(), ()
    images, labels = seen["image"].double() / 255, seen["answer"]
    left = torch.ones(64, dtype=torch.bool)
    for _ in range(9):
        action, memory = agent.act(seen, memory)
        step = env.step(action)
        seen, left = step.observation, left & ~step.done
    expected = fgsm(classifier("robust").double(), images, labels, 0.15)
    found = images + 0.15 * seen["perturbation"].view_as(images)
    assert int(left.sum()) > 40
    assert float((found - expected)[left].abs().max()) < 1e-6


def test_differences_follow_the_gradient_and_groups_its_mean():
    action, images, labels = first_step("finite_differences")
    exact = input_gradient(classifier("plain").double(), images, labels).flatten(1)
    assert float((action == exact.sign()).float().mean()) > 0.98
    env = make_batched(EVADE, 32, seed=0)
    agent = agents.make("grouped_differences", env, groups=8, delta=1e-4)
    groups = agent.groups(64)
    assert groups.sum(1).tolist() == [8] * 8
    assert groups.sum(0).tolist() == [1] * 64
    mean = (exact @ groups.double().t() / 8) @ groups.double()
    assert float((agent.act(env.reset())[0] == mean.sign()).float().mean()) > 0.98


def test_principal_differences_follow_the_gradient_s_share_in_the_digits_components():
    env = make_batched(EVADE, 32, seed=0)
    agent = agents.make("principal_differences", env, components=10, delta=1e-4)
    digits = load_images("digits", "train")[0].reshape(-1, 64) / 255
    found = torch.from_numpy(PCA(10, svd_solver="full").fit(digits).components_)
    torch.testing.assert_close(agent.components.T @ agent.components, found.T @ found, atol=1e-8, rtol=0)
    seen = env.reset()
    exact = input_gradient(classifier("plain").double(), seen["image"].double() / 255, seen["answer"]).flatten(1)
    wanted = exact @ found.T @ found
    told = wanted.abs() > 1e-6 * wanted.abs().amax(1, keepdim=True)  # some pixels are black in all digits
    assert float((agent.act(seen)[0] == wanted.sign())[told].float().mean()) > 0.98


def test_gradients_of_several_looks_are_the_mean_through_the_sensor():
    env = make_batched(EVADE, 16, seed=0, sensor=0.3)
    agent, plain = agents.make("pgd", env, looks=8), agents.make("pgd", env)
    seen = env.reset()
    pixels, labels = seen["image"].double() / 255, seen["answer"]
    mean = agent.gradient(env.task.victim, pixels, labels)
    again = agents.make("pgd", env, looks=8)
    noise = again.randomness.uniform(ACT, 16, 8 * 64).view(16, 8, 64)
    each = [input_gradient(env.task.victim, env.task.sensed(pixels, noise)[:, look], labels) for look in range(8)]
    torch.testing.assert_close(mean, torch.stack(each).mean(0))
    assert not torch.equal(mean.sign(), plain.gradient(env.task.victim, pixels, labels).sign())


def test_transfer_follows_the_surrogate():
    action, images, labels = first_step("transfer")
    assert torch.equal(
        action, input_gradient(classifier("ensemble").double(), images, labels).flatten(1).sign().float()
    )


def test_more_knowledge_fools_more():
    share = {name: fooled(name) for name in (*NAMES, "random")}
    assert share["pgd"] >= share["fgsm"] > share["random"] + 0.3
    assert share["finite_differences"] > share["grouped_differences"] > share["random"] + 0.2
    assert share["transfer"] > share["random"] + 0.2


def test_dual_ascent_walks_to_the_smallest_change():
    options = {"norm": "l2", "epsilon": 1.5, "reward": "smallest"}
    env = make_batched(EVADE, 64, seed=1, **options)
    sizes = {
        name: evaluate(agents.make(name, env), make_batched(EVADE, 64, **options), 64, seed=3).metrics["size"]
        for name in ("dual_ascent", "pgd")
    }
    assert sizes["dual_ascent"] < 0.8 * sizes["pgd"]
    assert fooled("dual_ascent", **options) > 0.95
    assert fooled("dual_ascent", norm="l2", epsilon=3.0, goal="class") > 0.9


def test_who_attacks_nothing_is_refused():
    env = make_batched(EVADE, 2)
    agent = agents.agent_class("pgd")(env.observation_space, env.action_space)
    with pytest.raises(InvalidInput, match=r"pgd: attach\(env\) must be called before act"):
        agent.act(env.reset())
    with pytest.raises(InvalidInput, match="transfer: surrogate must be one of 'plain'"):
        agents.make("transfer", env, surrogate="plan")


def test_groups_are_saved(tmp_path):
    env = make_batched(EVADE, 4)
    agent = agents.make("grouped_differences", env, seed=3)
    agent.save(tmp_path / "agent.pt")
    assert torch.equal(agents.load(tmp_path / "agent.pt").order, agent.order)
