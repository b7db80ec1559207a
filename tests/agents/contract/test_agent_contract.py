"""The public checks of agents and blocks: the suite's own keep them, and each kind of fault is found."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palaestra import agents
from palaestra.agents.contract.agent import CHECKS
from palaestra.neural_blocks import CellMemory
from palaestra.neural_blocks.named_blocks import ENCODERS, MEMORIES

HOME = "palaestra/BernoulliBandit-v0"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("random", {}),
        ("greedy", {}),
        ("ppo", {"rollout_steps": 8, "hidden": (8,), "memory": "gru", "memory_size": 4}),
        ("q_table", {"rollout_steps": 4}),
    ],
)
def test_an_agent_of_the_suite_keeps_the_contract(name, settings):
    report = agents.check(name, **settings)
    assert report.passed, str(report)
    assert [finding.check for finding in report] == list(CHECKS)


class Undocumented(agents.Random):
    name = "acme/undocumented"


class Wide(agents.Random):
    """Actions of another shape."""

    name = "acme/wide"

    def act(self, observation, memory=(), start=None, *, greedy=False):
        action, memory = super().act(observation, memory, start, greedy=greedy)
        return action[:, None], memory


class Outside(agents.Random):
    """Actions outside of their space."""

    name = "acme/outside"

    def act(self, observation, memory=(), start=None, *, greedy=False):
        action, memory = super().act(observation, memory, start, greedy=greedy)
        return action + 100, memory


class Global(agents.Random):
    """Draws from PyTorch's own generator."""

    name = "acme/global"

    def act(self, observation, memory=(), start=None, *, greedy=False):
        action, memory = super().act(observation, memory, start, greedy=greedy)
        return torch.randint(5, action.shape), memory


class Counting(agents.Random):
    """Learns a number."""

    name = "acme/counting"
    reported = 1.0

    def build(self):
        self.known = 0

    def learn(self, env, steps):
        while self.steps < steps:
            self.steps += env.num_envs
            self.known += 1
            yield {"steps": self.steps, "known": self.known * self.reported}

    def state_dict(self):
        return super().state_dict() | {"known": self.known}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.known = state["known"]


class Infinite(Counting):
    """Reports what is no number."""

    name = "acme/infinite"
    reported = float("nan")


class Forgetful(Counting):
    """Saves not all."""

    name = "acme/forgetful"

    def state_dict(self):
        return agents.Random.state_dict(self)

    def load_state_dict(self, state):
        agents.Random.load_state_dict(self, state)


class Restless(Counting):
    """Learns while it is evaluated."""

    name = "acme/restless"

    def act(self, observation, memory=(), start=None, *, greedy=False):
        self.known += 1
        return super().act(observation, memory, start, greedy=greedy)


@pytest.mark.parametrize(
    ("cls", "name", "told"),
    [
        (Undocumented, "docstring", "must have a docstring"),
        (Wide, "actions", "act must give torch.int64 (4,) for 4 environments; got torch.int64 (4, 1)"),
        (Outside, "actions", "an action must lie in Discrete(5)"),
        (Global, "seeds", "draw from self.randomness, not from torch or NumPy"),
        (Infinite, "learning", "a report must hold finite numbers"),
        (Forgetful, "resume", "its reports differ: state_dict lacks something"),
        (Restless, "evaluation", "evaluation must leave the agent as it was; changed: [\"state['known']\"]"),
    ],
)
def test_a_fault_of_an_agent_is_found_and_named(cls, name, told):
    report = agents.check(f"{__name__}:{cls.__name__}", HOME)
    (finding,) = (one for one in report if one.check == name)
    assert not finding.passed, str(report)
    assert told in finding.told


def test_a_sound_agent_of_somebody_elses_passes():
    report = agents.check(f"{__name__}:Counting", HOME)
    assert report.passed, str(report)


@pytest.mark.parametrize("name", [*ENCODERS, *MEMORIES])
def test_every_named_block_keeps_the_contract(name):
    report = agents.check(name)
    assert report.passed, str(report)


class Average(CellMemory):
    """A running sum."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.output_size, self.shapes = input_size, hidden_size, [(hidden_size,)]
        self.layer = nn.Linear(input_size, hidden_size)

    def initial_memory(self, batch):
        return (torch.zeros(batch, self.output_size),)

    def cell(self, x, memory):
        following = memory[0] + torch.tanh(self.layer(x))
        return following, (following,)


class Endless(Average):
    """Is never wiped."""

    def forward(self, x, memory, start=None):
        return super().forward(x, memory, None)


class Mixed(Average):
    """Rows see each other."""

    def cell(self, x, memory):
        output, memory = super().cell(x, memory)
        return output + output.mean(0), memory


class Amnesia(Average):
    """Remembers nothing."""

    def cell(self, x, memory):
        return torch.tanh(self.layer(x)), memory


class Oversized(Average):
    """Says another size."""

    def initial_memory(self, batch):
        return (torch.zeros(batch, 1),)


class Sizeless(nn.Module):
    """Without an output_size."""

    def __init__(self, space):
        super().__init__()


class Lopsided(nn.Module):
    """Gives another size than it says."""

    output_size = 3

    def __init__(self, space):
        super().__init__()

    @staticmethod
    def serves(space):
        return hasattr(space, "low")

    def forward(self, x):
        return x.flatten(1).float()


@pytest.mark.parametrize(
    ("cls", "name", "told"),
    [
        (Endless, "starts", "where start is true the memory must be wiped"),
        (Mixed, "rows", "a row must give the same alone and among others"),
        (Amnesia, "remembering", "what was seen must matter to the steps after it"),
        (Oversized, "sizes", "initial_memory(5) must have the shapes (B, *shape) of `shapes`"),
        (Sizeless, "spaces", "must have an integer output_size"),
        (Lopsided, "Box (6,)", "5 observations must become torch.float32 (5, 3), (N, output_size); got"),
    ],
)
def test_a_fault_of_a_block_is_found_and_named(cls, name, told):
    report = agents.check(f"{__name__}:{cls.__name__}")
    (finding,) = (one for one in report if one.check == name)
    assert not finding.passed, str(report)
    assert told in finding.told


def test_a_sound_memory_of_somebody_elses_passes():
    report = agents.check(f"{__name__}:Average")
    assert report.passed, str(report)
