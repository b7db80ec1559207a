"""Trial: several episodes on one problem, checked against a plain loop."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import Tensor

from palaestra.envs import BatchedEnv, Canvas, ProblemTask, SingleEnv, Step, Trial, make_task

EPISODES = 3


@dataclass(frozen=True)
class CorridorState:
    goal: Tensor  # (B,) int64, the problem
    place: Tensor  # (B,) int64
    shade: Tensor  # (B,) float32, drawn at every beginning


class Corridor(ProblemTask[CorridorState, Tensor]):
    """Two steps; being at the hidden goal (-2 to 2) ends the episode early and pays 1, plus a random hundredth."""

    horizon, sample_noise, begin_noise, step_noise = 2, 1, 1, 1

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Dict(
            {"place": spaces.Box(-2, 2, (1,), np.float32), "shade": spaces.Box(0, 1, (1,), np.float32)}
        )
        self.action_space = spaces.Discrete(3)

    def sample(self, noise):
        return (noise[:, 0] * 5).long() - 2

    def begin(self, problem, noise):
        return CorridorState(problem, torch.zeros_like(problem), noise[:, 0])

    def step(self, state, action, noise):
        place = state.place + action - 1
        there = place == state.goal
        return Step(CorridorState(state.goal, place, state.shade), there + noise[:, 0] / 100, there)

    def observe(self, state):
        return {"place": state.place.float()[:, None], "shade": state.shade[:, None]}

    def expert(self, state):
        return 1 + (state.goal - state.place).sign()

    def draw(self, state, canvas):
        canvas.text(str(int(state.place)), (240, 240))


def test_a_trial_is_the_plain_loop_over_its_episodes():
    """Every number of a trial follows from its noise by a loop that knows nothing of tensors."""
    corridor = Corridor()
    trial = Trial(corridor, EPISODES)
    assert (trial.horizon, trial.reset_noise, trial.step_noise) == (6, 2, 2)
    generator = torch.Generator().manual_seed(0)
    batch, steps = 40, 6
    noise = torch.rand(batch, 2, generator=generator)
    state = trial.reset(noise)
    seen, rewards, ends = [trial.observe(state)], [], []
    actions = torch.randint(0, 3, (steps, batch), generator=generator)
    step_noise = torch.rand(steps, batch, 2, generator=generator)
    for action, drawn in zip(actions, step_noise, strict=True):
        step = trial.step(state, action, drawn)
        state = step.state
        seen.append(trial.observe(state))
        rewards.append(step.reward)
        ends.append(step.terminated)
    early = 0
    for row in range(batch):
        goal, place, shade = int(noise[row, 0] * 5) - 2, 0, float(noise[row, 1])
        elapsed = episode = total = last_action = last_reward = 0
        for t in range(steps + 1):
            shown = {name: tensor[row].item() for name, tensor in seen[t].items()}
            assert shown["place"] == place
            assert shown["shade"] == pytest.approx(shade)
            assert shown["previous_action"] == last_action
            assert shown["previous_reward"] == pytest.approx(last_reward)
            assert shown["episode_start"] == (elapsed == 0)
            if t == steps or episode == EPISODES:
                break
            last_action = int(actions[t, row])
            place, elapsed = place + last_action - 1, elapsed + 1
            there = place == goal
            last_reward = there + float(step_noise[t, row, 0]) / 100
            total += last_reward
            if there or elapsed == 2:
                early += there and elapsed == 1
                episode, elapsed = episode + 1, 0
                if episode < EPISODES:
                    place, shade = 0, float(step_noise[t, row, 1])
            assert rewards[t][row].item() == pytest.approx(last_reward)
            assert ends[t][row].item() == (episode == EPISODES)
        assert episode == EPISODES
    assert early > 5


def test_the_problem_is_one_through_a_trial_and_another_in_the_next():
    env = BatchedEnv(Trial(Corridor(), EPISODES), 200, seed=0)
    env.reset()
    action = torch.zeros(200, dtype=torch.int64)
    first, changed, ended = env.state.problem, torch.zeros(200, dtype=torch.bool), torch.zeros(200, dtype=torch.bool)
    for _ in range(12):
        step = env.step(action)
        ended |= step.done
        changed |= env.state.problem != first
        assert torch.equal(env.state.problem, env.state.inner.goal)
        assert not bool((changed & ~ended).any())
    assert 0.7 < float(changed.float().mean()) <= 1  # of five goals at least four in five differ from the first


def test_the_registered_bandit_keeps_its_odds_for_ten_pulls():
    task = make_task("palaestra/BernoulliBandit-v0")
    assert isinstance(task, Trial)
    assert task.horizon == 10
    env = BatchedEnv(task, 4, seed=1)
    env.reset()
    for trial in range(3):
        odds = env.state.problem.clone()
        for pull in range(10):
            assert torch.equal(env.state.problem, odds)
            step = env.step(torch.full((4,), pull % 5))
            assert step.done.tolist() == [pull == 9] * 4
        assert bool((env.state.problem != odds).all()), trial


def test_the_action_before_the_first_lies_in_its_space():
    corridor = Corridor()
    corridor.action_space = spaces.Discrete(3, start=2)
    trial = Trial(corridor, 2)
    seen = trial.observe(trial.reset(torch.rand(4, trial.reset_noise)))
    assert seen["previous_action"].tolist() == [2, 2, 2, 2]


def test_the_final_observation_shows_the_last_action_and_reward():
    env = BatchedEnv(make_task("palaestra/BernoulliBandit-v0", episodes=2), 50, seed=1)
    env.reset()
    env.step(torch.full((50,), 3))
    step = env.step(torch.full((50,), 4))
    assert bool(step.terminated.all())
    assert step.final_observation["previous_action"].tolist() == [4] * 50
    assert torch.equal(step.final_observation["previous_reward"][:, 0], step.reward)
    assert step.observation["previous_action"].tolist() == [0] * 50
    assert step.observation["previous_reward"].flatten().tolist() == [0] * 50
    assert step.observation["episode_start"].flatten().tolist() == [1] * 50


def test_one_episode_is_the_bare_task():
    assert not isinstance(make_task("palaestra/BernoulliBandit-v0", episodes=1), Trial)


def test_reset_is_sample_and_begin():
    task = make_task("palaestra/BernoulliBandit-v0", episodes=1)
    noise = torch.rand(6, task.reset_noise, generator=torch.Generator().manual_seed(0))
    assert torch.equal(task.reset(noise).odds, task.begin(task.sample(noise), noise[:, task.sample_noise :]).odds)
    trial = Trial(Corridor(), 2)
    drawn = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(trial.reset(drawn).inner.place, Corridor().reset(drawn).place)
    assert torch.equal(trial.reset(drawn).problem, Corridor().reset(drawn).goal)


def test_the_expert_and_the_name_are_the_task_s():
    trial = Trial(Corridor(), 2)
    assert trial.name == "Corridor"
    env = BatchedEnv(trial, 30, seed=0)
    env.reset()
    goals = env.state.problem.clone()
    assert torch.equal(env.expert_action(), 1 + goals.sign())


def test_the_picture_tells_the_episode_and_the_reward(monkeypatch):
    told = []
    monkeypatch.setattr(Canvas, "text", lambda self, string, *_, **__: told.append(string))
    env = SingleEnv(Trial(Corridor(), 2), "rgb_array")
    env.reset(seed=0)
    env.render()
    reward = env.step(1)[1]
    env.render()
    brought = f"{round(reward, 2):g}"
    assert told == ["0", "episode 1 of 2", "0", f"episode 1 of 2   action 1 brought {brought}   total {brought}"]
