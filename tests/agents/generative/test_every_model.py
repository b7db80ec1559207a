"""Every generative model learns alike in one go, resumed, as a graph and compiled."""

import copy
import math
from itertools import islice

import pytest
import torch

from palaestra import agents, envs
from palaestra.agents.learning.learner import Learner
from palaestra.tests.agents.core.test_resume import differ
from palaestra.tests.agents.generative.test_generator import FORGER, TINY
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

LOOKING = {"pixelcnn", "pixelrnn", "pixel_transformer", "vq_vae"}  # by one_hot, which asks a CPU for the values


def playing(model, execution="eager", **block):
    """A generator that plays where it can, and its environments; captured by the stand-in for a graph on the CPU."""
    id, options = ("Unpaired", {"by": "pixels"}) if model == "cycle_gan" else ("GANGame", FORGER)
    env = envs.make_batched(f"palaestra/{id}-v0", 2, seed=3, **options)
    settings = {"model": model, "block": TINY[model] | block, "updates": 1, "minibatch_size": 4}
    way = "eager" if execution == "captured" else execution
    agent = agents.make("generator", env, seed=3, execution=way, **settings)
    if execution == "captured":
        captured(agent)
    return agent, env


@pytest.mark.parametrize(
    ("model", "block"),
    [
        *((model, {}) for model in TINY),
        ("cycle_gan", {"noise": 0.2}),
        ("gan", {"categories": 3, "constraint": "penalty"}),
        ("gan", {"architecture": "convolutional", "channels": 2, "loss": "wasserstein", "constraint": "clip"}),
        ("pixelrnn", {"along": "diagonal", "mixture": 2}),
    ],
)
def test_every_model_learns_alike_in_one_go_as_a_graph_and_resumed(model, block, monkeypatch):
    monkeypatch.setattr(Learner, "recorder", Tape)
    whole, env = playing(model, **block)
    reports = list(whole.learn(env, 6))
    assert all(math.isfinite(value) for report in reports for value in report.values())
    if model not in LOOKING and "categories" not in block:
        graph, other = playing(model, "captured", **block)
        close(list(graph.learn(other, 6)), reports)
        close(graph.state_dict(), whole.state_dict())
    first, halfway = playing(model, **block)
    before = list(islice(first.learn(halfway, 6), 1))
    second, further = playing(model, **block)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    further.load_state_dict(copy.deepcopy(halfway.state_dict()))
    assert before + list(second.learn(further, 6)) == reports
    assert differ(second.state_dict(), whole.state_dict()) == []


@pytest.mark.parametrize(
    ("model", "block"),
    [("gan", {"constraint": "penalty", "critic_steps": 1}), ("gan", {"constraint": "spectral"}), ("rbm", {})],
)
def test_updates_as_one_program_are_those_that_run_as_they_stand(model, block, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")  # traced as for the compiler, and run as it was traced
    states = []
    for execution in ("eager", "compiled"):
        agent, env = playing(model, execution, **block)
        agent.train(env, 4)
        states.append(agent.model.state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-5)
