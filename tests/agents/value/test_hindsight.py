"""Hindsight on flipping bits (Andrychowicz et al., 2017): what is replayed, and how it is run and saved."""

from dataclasses import dataclass

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents.core.randomness import Randomness
from palaestra.agents.learning.learner import Learner
from palaestra.agents.learning.replay import Transition
from palaestra.agents.value.hindsight import HindsightReplay
from palaestra.envs import BatchedEnv, GymnasiumBridge, Step, Task
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

SMALL = {"hidden": (8,), "warmup_steps": 8, "batch_size": 16, "hindsight": "future"}


def goal_space(bits):
    part = spaces.Box(0, 1, (bits,), np.float32)
    return spaces.Dict({"observation": part, "achieved_goal": part, "desired_goal": part})


@dataclass(frozen=True)
class Bits:
    now: torch.Tensor
    goal: torch.Tensor


class BitFlip(Task[Bits]):
    """Each action flips a bit, or (in a Box) that of its largest entry; -1 a step until all are as wanted."""

    def __init__(self, bits=4, box=False):
        super().__init__()
        self.horizon, self.reset_noise, self.observation_space = bits, 2 * bits, goal_space(bits)
        self.action_space = spaces.Box(-1, 1, (bits,), np.float32) if box else spaces.Discrete(bits)

    def reset(self, noise):
        return Bits(*(noise > 0.5).float().chunk(2, 1))

    def step(self, state, action, noise):
        place = action if action.ndim == 1 else action.argmax(1)
        flipped = torch.arange(state.now.shape[1]) == place.unsqueeze(1)
        now = torch.where(flipped, 1 - state.now, state.now)
        return Step(Bits(now, state.goal), *self.goal_outcome(now, state.goal))

    def goal_outcome(self, achieved, desired):
        there = (achieved == desired).all(1)
        return there.float() - 1, there

    def observe(self, state):
        return {"observation": state.now, "achieved_goal": state.now, "desired_goal": state.goal}

    def draw(self, state, canvas): ...


class Foreign(gymnasium.Env):
    """The same as Gymnasium's goal environments have it; `single` takes one goal at a time."""

    observation_space, action_space = goal_space(4), spaces.Discrete(4)

    def __init__(self, single=False):
        self.single = single

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.now, self.goal, self.left = *self.np_random.integers(0, 2, (2, 4)).astype(np.float32), 4
        return self.seen(), {}

    def seen(self):
        return {"observation": self.now.copy(), "achieved_goal": self.now.copy(), "desired_goal": self.goal}

    def step(self, action):
        self.now[action], self.left = 1 - self.now[action], self.left - 1
        there = bool(self.compute_terminated(self.now, self.goal, {}))
        return self.seen(), float(there) - 1, there, self.left == 0, {}

    def compute_reward(self, achieved, desired, info):
        return self.compute_terminated(achieved, desired, info).astype(np.float32) - 1

    def compute_terminated(self, achieved, desired, info):
        if self.single:
            return np.asarray(np.array_equal(achieved, desired))
        return (achieved == desired).all(-1)


def filled(strategy, share=1.0, length=6, steps=10):
    """A ring that is written over: one environment, episodes of 3 steps, the goal achieved is the step's number."""
    replay = HindsightReplay(length, 1, torch.device("cpu"), strategy, share)
    for time in range(steps):
        seen = lambda k: {"achieved_goal": torch.tensor([[float(k)]]), "desired_goal": torch.tensor([[-1.0]])}  # noqa: E731
        never = torch.tensor([False])
        replay.write(
            Transition(
                seen(time), torch.tensor([time % 3 == 0]), torch.tensor([time]), torch.tensor([7.0]), never,
                torch.tensor([time % 3 == 2]), seen(time + 1),
            )
        )  # fmt: skip
    replay.outcome = lambda achieved, desired: (achieved[:, 0] - desired[:, 0], (achieved == desired)[:, 0])
    return replay


def test_goals_are_what_the_same_episode_achieved_from_that_step_on():
    batch = filled("future").sample(6_000, 0.9, 1, Randomness(0))
    step, goal = batch.action[0], batch.observation["desired_goal"][0, :, 0]
    assert step.unique().tolist() == [4, 5, 6, 7, 8, 9]  # of 0 to 9 the last six
    for own, goals in {4: [5, 6], 5: [6], 6: [7, 8, 9], 7: [8, 9], 8: [9], 9: [10]}.items():  # step k achieves k + 1
        found, counts = goal[step == own].unique(return_counts=True)
        assert found.tolist() == goals
        assert (counts / counts.sum()).tolist() == pytest.approx([1 / len(goals)] * len(goals), abs=0.06)
    assert torch.equal(batch.next_observation["desired_goal"], batch.observation["desired_goal"])
    assert torch.equal(batch.reward[0], step + 1 - goal)
    assert torch.equal(batch.discount[0], 0.9 * (goal != step + 1))


def test_final_goals_are_the_episodes_last_and_only_a_share_is_changed():
    batch = filled("final", 0.25).sample(8_000, 0.9, 1, Randomness(0))
    step, goal = batch.action[0], batch.observation["desired_goal"][0, :, 0]
    own = goal == -1
    assert own.float().mean().item() == pytest.approx(0.75, abs=0.02)
    last = torch.tensor([6, 6, 9, 9, 9, 10])[step - 4]
    assert torch.equal(goal[~own].long(), last[~own])
    assert (batch.reward[0][own] == 7).all()
    assert (batch.discount[0][own] == 0.9).all()


@pytest.mark.parametrize("single", [False, True])
def test_foreign_goals_are_judged_by_their_environment(single):
    env = GymnasiumBridge(Foreign, 2, seed=0, single=single)
    agent = agents.make("dqn", env, seed=0, **SMALL)
    list(agent.learn(env, 60))
    batch = agent.draw(agent.replay)
    there = (batch.next_observation["achieved_goal"] == batch.next_observation["desired_goal"]).all(-1)
    assert there.any()
    assert torch.equal(batch.reward, there.float() - 1)
    assert torch.equal(batch.discount, 0.99 * (~there).float())


CASES = [("dqn", lambda: BatchedEnv(BitFlip(), 4, seed=1)), ("sac", lambda: BatchedEnv(BitFlip(box=True), 4, seed=1))]


@pytest.mark.parametrize(("name", "make"), CASES)
def test_hindsight_is_resumed_and_run_in_every_way(name, make, monkeypatch):
    check_resume(name, make, 48, **SMALL)
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured", "compiled") if name == "dqn" else ("eager", "captured"):
        env = make()
        agent = agents.make(name, env, seed=3, execution="compiled" if way == "compiled" else "eager", **SMALL)
        if way == "captured":
            captured(agent)
        states.append((list(agent.learn(env, 48)), agent.state_dict()))
    for other in states[1:]:
        close(other, states[0])


def test_what_has_no_goals_is_refused(uneven):
    with pytest.raises(InvalidInput, match="dqn: hindsight needs observations with the parts 'achieved_goal' and"):
        agents.make("dqn", uneven(2), hindsight="final")
    with pytest.raises(InvalidInput, match="hindsight 'future' needs n_step 1; got 3"):
        agents.make("dqn", BatchedEnv(BitFlip(), 2), hindsight="future", n_step=3)
    env = GymnasiumBridge(Foreign, 2)
    agent = agents.make("dqn", env, hindsight="future", execution="compiled")
    with pytest.raises(InvalidInput, match="needs execution 'eager'; got 'compiled'"):
        next(agent.learn(env, 100))
