"""The player's view: a picture of the observation, whatever else the state holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from palaestra.envs import BatchedEnv, Canvas, Game, make_game, make_task
from palaestra.envs.core.actions import random_action
from palaestra.envs.core.tree import leaves, take, tree_map
from palaestra.envs.registry import ids, task_class
from palaestra.envs.sequence.copy import Copy

BATCH = 3


def picture(task, state, spectator):
    """The frame of one environment's state."""
    canvas = Canvas(spectator=spectator)
    task.draw(state, canvas)
    return canvas.frame()


def walked(task, steps, batch=BATCH, seed=0):
    """The states of a batch after so many random steps, or fewer where an episode has ended."""
    env = BatchedEnv(task, batch, seed=seed, autoreset=AutoresetMode.DISABLED)
    env.reset()
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        if bool(env.ended.any()):
            break
        env.step(random_action(task.action_space, batch, generator))
    return env.state


def observed(task, state):
    """One environment's observation as bytes, which are equal for equal observations."""
    batch = tree_map(lambda tensor: tensor[None], state)
    return b"".join(tensor.numpy().tobytes() for tensor in leaves(task.observe(batch)))


def crossed(state, other):
    """Copies of a state in which one tensor is another state's: (where it is, the copy)."""
    for field in fields(state):
        own, foreign = getattr(state, field.name), getattr(other, field.name)
        if is_dataclass(own):
            for name, copy in crossed(own, foreign):
                yield f"{field.name}.{name}", replace(state, **{field.name: copy})
        elif isinstance(own, Tensor) and not (torch.equal(own, foreign)):
            yield field.name, replace(state, **{field.name: foreign})
        elif isinstance(own, tuple):
            for k in range(len(own)):
                yield f"{field.name}[{k}]", replace(state, **{field.name: (*own[:k], foreign[k], *own[k + 1 :])})


def test_the_players_picture_is_that_of_the_observation(case, task):
    for steps in (0, 4):
        states = walked(task, steps, batch=1)
        canvas = Canvas(spectator=False)
        task.draw_seen(take(task.observe(states), 0), canvas)
        assert np.array_equal(picture(task, take(states, 0), spectator=False), canvas.frame())


def test_states_of_equal_observation_give_equal_player_pictures(case, task):
    """Every tensor of a state is exchanged for two others'; where nothing of it shows, nothing may be drawn."""
    hidden = Counter()
    states = [take(walked(task, steps), row) for steps in (0, 1, 4) for row in range(BATCH)]
    for turn, state in enumerate((states[0], states[-1])):
        own, drawn = observed(task, state), picture(task, state, spectator=False)
        for other in states[1:-1]:
            for name, copy in crossed(state, other):
                if hidden[turn, name] < 2 and observed(task, copy) == own:
                    hidden[turn, name] += 1
                    assert np.array_equal(picture(task, copy, spectator=False), drawn), name
    assert hidden, "no tensor of the state is hidden from the observation: the test tried nothing"


@pytest.mark.parametrize("id", ids())
def test_other_seeds_of_equal_observation_give_equal_player_pictures(id):
    task, found = make_task(id), {}
    for steps in (0, 1, 2):
        states = walked(task, steps, batch=24, seed=100)
        for row in range(24):
            state = take(states, row)
            found.setdefault(observed(task, state), []).append(state)
    for same in found.values():
        pictures = [picture(task, state, spectator=False) for state in same[:3]] if len(same) > 1 else [None]
        assert all(np.array_equal(pictures[0], one) for one in pictures[1:])


# Where a spectator is shown what is hidden: the words that stand beside it are not the player's.
HIDING = ["BernoulliBandit", "TabularMDP", "PointGoal", "Sinusoid", "Recall", "RepeatPrevious", "Copy", "NextSymbol"]
HIDING += ["Glimpse", "FewShot", "Calibrate", "LatentSearch", "Denoise", "Evade", "AttackDefend", "GANGame"]
HIDING += ["PixelCanvas", "LIFNeuron", "HodgkinHuxley", "Translate"]
HIDING += ["Text", "Cloze", "SentencePair", "Caption", "Summarize", "WordContext"]
HIDING += ["Localize", "Detect", "Segment"]
HIDING += [
    "Adding",
    "Brackets",
    "PatternCompletion",
    "Road",
    "Fork",
    "Code",
    "SpikingNetwork",
    "PolicyAttack",
    "Defend",
]


@pytest.mark.parametrize("name", HIDING)
def test_a_spectator_sees_more(name):
    task = make_task(f"palaestra/{name}-v0")
    state = take(walked(task, 3), 0)
    apart = np.abs(picture(task, state, True).astype(int) - picture(task, state, False).astype(int)).mean()
    assert apart > 1


@pytest.mark.parametrize("id", [id for id in ids() if issubclass(task_class(id), Game)])
def test_each_player_of_a_game_sees_its_own_part(id):
    game = make_game(id)
    noise = torch.rand(2, game.reset_noise, generator=torch.Generator().manual_seed(0))
    seen = game.observe(game.reset(noise))
    frames = []
    for player in game.players:
        canvas = Canvas(spectator=False)
        game.draw_player(player, take(seen[player], 0), canvas)
        frames.append(canvas.frame())
    assert np.abs(frames[0].astype(int) - frames[1].astype(int)).mean() > 1


def test_an_environment_without_a_picture_of_its_own_shows_its_observation(walk):
    state = take(walk.reset(torch.rand(1, 2)), 0)
    seen, blank = Canvas(spectator=False), Canvas()
    walk.draw_seen(walk.observe_one(state), seen)
    assert not np.array_equal(seen.frame(), blank.frame())


class Careless(Copy):
    """A task of somebody who draws the same for everybody."""

    def draw(self, state, canvas):
        canvas.text(str(state.symbols.tolist()), (20, 20))


def test_a_player_sees_the_observation_alone_also_of_a_task_that_draws_the_same_for_all():
    env = BatchedEnv(Careless(), 2, seed=0)
    env.reset()
    env.task.draw_seen(env.observation[1], seen := Canvas(spectator=False))
    assert np.array_equal(env.frames(spectator=False)[1], seen.frame())
    assert not np.array_equal(env.frames()[1], seen.frame())
