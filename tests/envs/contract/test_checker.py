"""The public checks find each kind of fault in somebody's task, name it, and leave a sound task alone."""

from __future__ import annotations

import random as chance
from dataclasses import dataclass, replace

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import Tensor

from palaestra.envs import Game, NoExpert, Step, Task, check
from palaestra.envs.contract.checker import CHECKS
from palaestra.neural_blocks.errors import InvalidInput


@dataclass(frozen=True)
class LaneState:
    place: Tensor  # (B,) int64
    goal: Tensor  # (B,) int64
    table: Tensor  # (B, 2) float32


class Lane(Task[LaneState]):
    """Walk along a lane to a goal that is shown.

    Observation: (2,) float32, place and goal.
    Action: Discrete(2), left or right.
    Reward: 1 on the goal.
    Episode: terminates on the goal, is truncated after 8 steps.
    """

    horizon, reset_noise, step_noise = 8, 2, 1

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Box(0, 9, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.register_buffer("moves", torch.tensor([-1, 1]))

    def reset(self, noise):
        return LaneState((noise[:, 0] * 10).long(), (noise[:, 1] * 10).long(), noise.clone())

    def step(self, state, action, noise):
        slip = (noise[:, 0] < 0.1).long()
        place = (state.place + self.moves[action] * (1 - slip)).clamp(0, 9)
        reward = (place == state.goal).float()
        return Step(replace(state, place=place), reward, reward > 0, {"distance": (place - state.goal).abs().float()})

    def observe(self, state):
        return torch.stack([state.place, state.goal], 1).float()

    def expert(self, state):
        return (state.goal > state.place).long()

    def draw(self, state, canvas):
        canvas.text(f"{int(state.place)} of {int(state.goal)}", (100, 100))


class Undocumented(Lane):
    __doc__ = None


class NoSpace(Lane):
    """No observation space."""

    def __init__(self):
        super().__init__()
        del self.observation_space


class Doubles(Lane):
    """float64 observations."""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(0, 9, (2,), np.float64)

    def observe(self, state):
        return super().observe(state).double()


class ChannelLast(Lane):
    """Images of another order."""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (8, 8, 3), np.uint8)


class NoHorizon(Lane):
    """No whole number."""

    horizon = 2.5


class Greedy(Lane):
    """Takes more noise than it declares."""

    reset_noise = 1


class Flat(Lane):
    """A reward of another shape."""

    def step(self, state, action, noise):
        step = super().step(state, action, noise)
        return replace(step, reward=step.reward[:, None])


class Whole(Lane):
    """A metric of another dtype."""

    def step(self, state, action, noise):
        step = super().step(state, action, noise)
        return replace(step, metrics={"distance": step.metrics["distance"].long()})


class Shared(Lane):
    """A state without an environment axis."""

    def reset(self, noise):
        return replace(super().reset(noise), table=torch.zeros(3))


class Outside(Lane):
    """Observations that leave their space."""

    def observe(self, state):
        return super().observe(state) * 2


class Edge(Lane):
    """The largest uniform leads outside of the space."""

    def reset(self, noise):
        place = (noise[:, 0] * 9).round().long() + (noise[:, 0] > 1 - 2e-7).long()
        return replace(super().reset(noise), place=place)


class InPlace(Lane):
    """Changes its input."""

    def step(self, state, action, noise):
        state.table.add_(1)
        return super().step(state, action, noise)


class Lucky(Lane):
    """Draws by itself."""

    def step(self, state, action, noise):
        step = super().step(state, action, noise)
        return replace(step, reward=step.reward + torch.rand(len(action)))


class Tired(Lane):
    """Keeps something between two steps."""

    count = 0

    def step(self, state, action, noise):
        self.count += 1
        step = super().step(state, action, noise)
        return replace(step, reward=step.reward + self.count)


class Social(Lane):
    """A row sees its neighbour."""

    def step(self, state, action, noise):
        step = super().step(state, action, noise)
        return replace(step, reward=step.reward + state.place.roll(1).float())


class Crowded(Lane):
    """A row depends on how many there are."""

    def step(self, state, action, noise):
        step = super().step(state, action, noise)
        return replace(step, reward=step.reward + len(action))


class Fool(Lane):
    """An expert worse than chance."""

    def expert(self, state):
        return (state.goal < state.place).long()


class Unsure(Lane):
    """An expert outside of the action space."""

    def expert(self, state):
        return super().expert(state) + 1


class Single(Lane):
    """An expert of another shape."""

    def expert(self, state):
        return super().expert(state)[:, None]


class Blank(Lane):
    """Draws nothing."""

    def draw(self, state, canvas):
        pass


class Flicker(Lane):
    """Draws something else each time."""

    def draw(self, state, canvas):
        canvas.text(str(chance.random()), (100, 100))


class Smudge(Lane):
    """Changes the state it draws."""

    def draw(self, state, canvas):
        super().draw(state, canvas)
        state.table.add_(1)


class Homebound(Lane):
    """A tensor that stays behind."""

    def __init__(self):
        super().__init__()
        self.moved = [torch.zeros(2)]


class Branching(Lane):
    """Waits for a value."""

    def step(self, state, action, noise):
        if bool((state.place > 3).any()):
            pass
        return super().step(state, action, noise)


class Raising(Lane):
    """Breaks down."""

    def observe(self, state):
        return {"a": 1}["b"]


FAULTS = [
    (Undocumented, "docstring", "Undocumented must have a docstring"),
    (NoSpace, "spaces", "observation_space must be set"),
    (Doubles, "spaces", "observation_space must be float32, or for images uint8 (C, H, W); got float64 (2,)"),
    (ChannelLast, "spaces", "an image is channel first"),
    (NoHorizon, "sizes", "horizon must be a whole number from 1; got 2.5"),
    (Greedy, "first steps", "raised IndexError"),
    (Flat, "first steps", "reward must be torch.float32 (5,) for 5 environments; got torch.float32 (5, 1)"),
    (Whole, "first steps", "distance must be torch.float32 (5,) for 5 environments; got torch.int64 (5,)"),
    (Shared, "first steps", "reset's state: the first axis of table must be the environment"),
    (Outside, "observations", "observation after"),
    (Edge, "observations", "observation of uniforms of 0.99999994 must lie in Box"),
    (InPlace, "purity", "step changes a state, action or noise in place"),
    (Lucky, "purity", "step must give the same for the same inputs"),
    (Tired, "purity", "step must give the same for the same inputs"),
    (Social, "rows", "step must treat every row on its own"),
    (Crowded, "replay", "of a batch must play as one environment does"),
    (Fool, "expert", "the expert must return more than random play; got 0.0"),
    (Unsure, "expert", "an expert's action in the middle of an episode must lie in Discrete(2); got int64 () 2"),
    (Single, "expert", "an expert's actions must be torch.int64 (5,); got torch.int64 (5, 1)"),
    (Blank, "pictures", "the spectator's picture of the first state is empty"),
    (Flicker, "pictures", "must be the same each time it is drawn"),
    (Smudge, "pictures", "draw must leave the state as it is"),
    (Homebound, "device", "self.moved holds a tensor that task.to(device) leaves behind"),
    (Branching, "device", "on another device rules must make tensors where the noise is"),
    (Raising, "observations", "raised KeyError: 'b' (test_checker.py, line"),
]


def test_a_sound_task_passes_every_check():
    report = check(Lane())
    assert report.passed, str(report)
    assert [finding.check for finding in report] == list(CHECKS)
    assert str(report).endswith(f"Lane: all {len(CHECKS)} checks passed")
    assert check(f"{__name__}:Lane").passed


@pytest.mark.parametrize(("cls", "name", "told"), FAULTS, ids=[cls.__name__ for cls, *_ in FAULTS])
def test_a_fault_is_found_and_named(cls, name, told):
    report = check(cls())
    assert not report.passed
    (finding,) = (one for one in report if one.check == name)
    assert not finding.passed, str(report)
    assert told in finding.told
    assert "\n" not in str(finding)
    assert f"FAIL {name}: {finding.told}" in str(report)


def test_every_check_finds_something():
    assert {name for _, name, _ in FAULTS} | {"resume", "gymnasium"} == set(CHECKS)


def test_a_task_without_an_expert_is_told_what_that_costs():
    class Lost(Lane):
        """No expert."""

        def expert(self, state):
            raise NoExpert("none")

    report = check(Lost())
    assert report.passed
    assert any("imitation and scores need one" in finding.told for finding in report)


class Push(Game[LaneState]):
    """Two push the same stone; a game without scripted players."""

    players, horizon, reset_noise, step_noise = ("left", "right"), 4, 2, 0

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Dict({"left": spaces.Discrete(3), "right": spaces.Box(-1, 1, (1,))})
        self.observation_space = spaces.Dict(dict.fromkeys(self.players, spaces.Box(0, 99, (1,))))

    def reset(self, noise):
        return LaneState((noise[:, 0] * 10).long(), (noise[:, 1] * 10).long(), noise)

    def step(self, state, action, noise):
        place = (state.place + action["left"]).clamp(0, 99)
        gain = action["left"].float() - action["right"][:, 0]
        return Step(replace(state, place=place), {"left": gain, "right": -gain}, place > 90)

    def observe(self, state):
        return dict.fromkeys(self.players, state.place[:, None].float())

    def draw(self, state, canvas):
        canvas.text(str(int(state.place)), (100, 100))


def test_a_game_is_checked_as_each_of_its_players():
    report = check(Push())
    assert report.passed, str(report)
    assert {finding.check.partition(": ")[0] for finding in report} == {"left", "right"}
    assert len(check("palaestra/GANGame-v0", player="discriminator").findings) == len(CHECKS)


def test_what_cannot_be_made_is_refused():
    with pytest.raises(InvalidInput, match="did you mean 'palaestra/Copy-v0'"):
        check("palaestra/Copi-v0")
    with pytest.raises(InvalidInput, match="option"):
        check(f"{__name__}:Lane", speed=2)
