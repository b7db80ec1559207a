"""A checkpoint knows when it is damaged, whom it is for, and never follows a link; what was killed is swept."""

import math
import os
import random
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import nn

from palaestra import agents
from palaestra.agents.core.checkpoint import fingerprint, not_finite, read_checkpoint, write_checkpoint
from palaestra.agents.core.described_spaces import describe, space_of
from palaestra.agents.core.whole_file import sweep, write_text
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import Diverged, InvalidInput


@pytest.fixture
def saved(uneven):
    """An agent that is saved in agent.pt."""
    agent = agents.make("ppo", uneven(3), hidden=(8,), rollout_steps=5)
    list(agent.learn(uneven(3), 15))
    agent.save("agent.pt")
    return agent


def load(agent):
    return type(agent).load("agent.pt", agent.observation_space, agent.action_space)


def test_every_single_bit_flip_is_found(saved):
    content = Path("agent.pt").read_bytes()
    draw = random.Random(0)
    places = [*range(len(content) - 100, len(content)), *draw.sample(range(len(content)), 200)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        Path("agent.pt").write_bytes(damaged)
        with pytest.raises(InvalidInput, match=r"not a readable checkpoint: .* delete this one to start again"):
            read_checkpoint("agent.pt")


def test_the_checksum_is_that_of_the_archive_before_it(saved):
    content = Path("agent.pt").read_bytes()
    assert zipfile.ZipFile("agent.pt").comment == content[-71:]
    assert content[-71:] == b"sha256:" + sha256(content[:-71]).hexdigest().encode()
    assert torch.load("agent.pt", weights_only=True)["agent"] == "ppo"  # PyTorch alone reads it too


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(saved, value):
    content = read_checkpoint("agent.pt")
    name = next(iter(content["state"]["network"]))
    content["state"]["network"][name].view(-1)[0] = value
    write_checkpoint("agent.pt", content)
    with pytest.raises(InvalidInput, match=rf"finite weights; network\.{name} is {value}"):
        load(saved)


def test_tensors_of_another_dtype_are_refused(saved):
    content = read_checkpoint("agent.pt")
    name = next(iter(content["state"]["network"]))
    content["state"]["network"][name] = content["state"]["network"][name].double()
    write_checkpoint("agent.pt", content)
    with pytest.raises(InvalidInput, match=rf"state\.network\.{name} must be torch\.float32; got torch\.float64"):
        load(saved)


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("ppo", "TabularBandit"), ("dqn", "TabularBandit"), ("sac", "PointGoal"), ("maml", "Sinusoid"),
        ("self_play", "GANGame"), ("protonet", "FewShot"), ("gail", "TabularBandit"), ("sb3:PPO", "TabularBandit"),
    ],
)  # fmt: skip
def test_a_weight_that_is_nan_is_found_wherever_an_agent_keeps_it(name, environment):
    agent = agents.make(name, make_batched(f"palaestra/{environment}-v0", 2))
    assert not_finite(agent) is None
    owner = {"sb3:PPO": "model", "self_play": "own"}.get(name)
    owner = getattr(agent, owner) if owner else agent
    module = [value for value in vars(owner).values() if isinstance(value, nn.Module) and list(value.parameters())][-1]
    with torch.no_grad():
        list(module.parameters())[-1].view(-1)[-1] = math.nan
    assert math.isnan(not_finite(agent)[1])


def box(changed=None, size=2000):
    high = np.ones(size, np.float32)
    if changed is not None:
        high[changed] = 2
    return spaces.Box(-high, high)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (box(), box(1000)),  # a place that NumPy leaves out of the text
        (spaces.Dict({"image": box(), "place": box()}), spaces.Dict({"image": box(), "place": box(999)})),
        (spaces.Dict({f"sensor-{k}": spaces.Discrete(2) for k in range(40)}),
         spaces.Dict({f"sensor-{k}": spaces.Discrete(2 + (k == 39)) for k in range(40)})),
        (spaces.MultiDiscrete(np.full(300, 4)), spaces.MultiDiscrete(np.append(np.full(299, 4), 5))),
        (spaces.Box(0, 1, (2,), np.float32), spaces.Box(0, 1, (2,), np.float64)),
    ],
)  # fmt: skip
def test_spaces_that_differ_in_one_place_only_are_told_apart(one, other):
    assert one != other
    assert fingerprint(one) != fingerprint(other)
    assert len(fingerprint(one)) < 200
    assert fingerprint(one) == fingerprint(type(one)(one.spaces) if isinstance(one, spaces.Dict) else one)


@pytest.mark.parametrize(
    "space",
    [
        spaces.MultiBinary(3),
        spaces.MultiBinary([3]),
        spaces.MultiBinary([2, 3]),
        spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[0, 1], [2, 3]]),
        spaces.Discrete(4, start=-1),
        spaces.Box(-1, 1, (2, 2), np.float32),
        spaces.Box(np.array([0, -np.inf]), np.array([np.inf, 1]), dtype=np.float64),
        spaces.Dict({"b": spaces.Discrete(2), "a": spaces.MultiBinary(2)}),
    ],
    ids=str,
)
def test_a_described_space_comes_back_as_the_same(space):
    again = space_of(describe(space))
    assert again == space
    assert fingerprint(again) == fingerprint(space)


def test_equal_boxes_with_zeros_of_either_sign_are_one():
    one, other = spaces.Box(0.0, 1.0, (2,)), spaces.Box(np.float32([-0.0, 0.0]), np.float32([1, 1]))
    assert one == other
    assert fingerprint(one) == fingerprint(other)


def test_a_link_in_the_place_of_a_checkpoint_is_replaced_and_not_followed(saved):
    Path("precious.txt").write_text("mine")
    Path("agent.pt").unlink()
    Path("agent.pt").symlink_to("precious.txt")
    Path(f"agent.pt.{os.getpid()}.partial").symlink_to("precious.txt")
    saved.save("agent.pt")
    assert Path("precious.txt").read_text() == "mine"
    assert not Path("agent.pt").is_symlink()
    assert load(saved).steps == saved.steps


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, alive = f"{gone.pid}.partial", f"{os.getppid()}.partial"
    for name in ("agent.pt", "other.txt"):
        for process in (dead, alive):
            Path(f"{name}.{process}").touch()
    write_text("agent.pt", "whole")
    assert not Path(f"agent.pt.{dead}").exists()
    assert all(Path(f"{name}.{alive}").exists() for name in ("agent.pt", "other.txt"))
    assert Path(f"other.txt.{dead}").exists()
    sweep(Path())
    assert not Path(f"other.txt.{dead}").exists()
    assert Path(f"other.txt.{alive}").exists()


def test_diverged_tells_the_iteration_the_name_and_the_value():
    error = Diverged(3, "policy_loss", torch.tensor(math.nan))
    assert str(error) == "learning diverged at iteration 3: policy_loss is nan"
    assert isinstance(error, InvalidInput)
