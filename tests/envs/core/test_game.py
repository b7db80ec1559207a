"""A game of two players, and a game as one player's task: rock, paper, scissors."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from torch import Tensor, nn

from palaestra.envs import BatchedEnv, Game, NoExpert, Opponent, SingleEnv, Step, Versus, make_game, make_task
from palaestra.neural_blocks.errors import InvalidInput

ROCK, PAPER, SCISSORS = 0, 1, 2
PAYOFF = [[0, -1, 1], [1, 0, -1], [-1, 1, 0]]  # the row player's, by hand
NOTHING = 3


@dataclass(frozen=True)
class HandsState:
    left: Tensor  # (B,) int64, the last hand; NOTHING before the first
    right: Tensor
    time: Tensor


class RockPaperScissors(Game[HandsState]):
    """Three rounds; each player sees the other's last hand."""

    players, horizon = ("left", "right"), 9
    payoff: Tensor

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Dict({name: spaces.Discrete(4) for name in self.players})
        self.action_space = spaces.Dict({name: spaces.Discrete(3) for name in self.players})
        self.register_buffer("payoff", torch.tensor(PAYOFF, dtype=torch.float32))

    def reset(self, noise):
        none = torch.full((len(noise),), NOTHING, device=noise.device)
        return HandsState(none, none, torch.zeros_like(none))

    def step(self, state, action, noise):
        won = self.payoff[action["left"], action["right"]]
        following = HandsState(action["left"], action["right"], state.time + 1)
        return Step(following, {"left": won, "right": -won}, following.time >= 3, {"won": (won > 0).float()})

    def observe(self, state):
        return {"left": state.right, "right": state.left}

    def expert(self, state):
        return {}

    def draw(self, state, canvas):
        canvas.text(f"{int(state.left)} {int(state.right)}", (240, 240))


def always(hand):
    return lambda seen: torch.full_like(seen, hand)


def copycat(seen):
    """Shows what the other showed last; rock at first."""
    return torch.where(seen == NOTHING, ROCK, seen)


def test_a_game_gives_each_player_its_own_reward_and_sight():
    game = RockPaperScissors()
    state = game.reset(torch.zeros(9, 0))
    left, right = torch.arange(9) // 3, torch.arange(9) % 3
    step = game.step(state, {"left": left, "right": right}, torch.zeros(9, 0))
    assert step.reward["left"].view(3, 3).tolist() == PAYOFF
    assert (step.reward["left"] + step.reward["right"]).tolist() == [0] * 9
    seen = game.observe(step.state)
    assert torch.equal(seen["left"], right)
    assert torch.equal(seen["right"], left)


@pytest.mark.parametrize(("player", "opponent"), [("left", "right"), ("right", "left")])
def test_a_player_meets_its_opponent(player, opponent):
    task = Versus(RockPaperScissors(), player, {opponent: always(SCISSORS)})
    env = BatchedEnv(task, 3)
    assert env.reset().tolist() == [NOTHING] * 3
    step = env.step([ROCK, PAPER, SCISSORS])
    assert step.reward.tolist() == [1, -1, 0]
    assert step.observation.tolist() == [SCISSORS] * 3
    assert step.metrics["won"].shape == (3,)


def test_the_opponent_answers_to_what_it_sees_itself():
    env = BatchedEnv(Versus(RockPaperScissors(), "left", {"right": copycat}), 1)
    env.reset()
    rewards = [float(env.step([hand]).reward) for hand in (PAPER, SCISSORS, ROCK)]
    assert rewards == [1, 1, 1]  # paper beats rock, scissors the paper it copies, rock the scissors
    step = env.step([ROCK])
    assert step.reward.tolist() == [0]  # a new game, in which the copycat begins with rock


def test_a_versus_is_a_task_like_any_other():
    task = Versus(RockPaperScissors(), "right", {"left": copycat})
    assert task.name == "RockPaperScissors as right"
    assert task.observation_space == spaces.Discrete(4)
    assert task.action_space == spaces.Discrete(3)
    env = SingleEnv(task, "rgb_array")
    check_env(env, skip_render_check=True)
    env.reset(seed=0)
    assert env.render().shape == (480, 480, 3)
    with pytest.raises(NoExpert, match="RockPaperScissors as right has no expert"):
        env.expert_action()


def test_a_network_as_opponent_moves_with_the_task(monkeypatch):
    class Habit(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("hand", torch.tensor([ROCK, PAPER, SCISSORS, ROCK]))

        def forward(self, seen):
            return self.hand[seen]

    task = Versus(RockPaperScissors(), "left", {"right": Habit()})
    assert {tuple(buffer.shape) for buffer in task.buffers()} == {(3, 3), (4,)}
    monkeypatch.setattr("palaestra.envs.adapters.batched.torch_device", lambda _, device: torch.device(device))
    env = BatchedEnv(task, 2, device="meta")
    env.check_action = lambda action: action
    env.reset()
    assert env.step(torch.zeros(2, dtype=torch.int64, device="meta")).reward.device.type == "meta"


@pytest.mark.parametrize(
    ("player", "opponents", "expected"),
    [
        ("middle", {"right": copycat}, "RockPaperScissors: player must be one of 'left', 'right'; got 'middle'"),
        ("lift", {"right": copycat}, "got 'lift' (did you mean 'left'?)"),
        ("left", {}, "RockPaperScissors: opponents must name every other player; got none for 'right'"),
        ("left", {"left": copycat}, "RockPaperScissors: opponent must be one of 'right'; got 'left'"),
        ("left", {"rigth": copycat}, "got 'rigth' (did you mean 'right'?)"),
    ],
)
def test_a_wrong_player_or_opponent_is_refused(player, opponents, expected):
    with pytest.raises(InvalidInput) as caught:
        Versus(RockPaperScissors(), player, opponents)
    assert str(caught.value).endswith(expected)


class Dice(Opponent):
    """Shows a random hand, and knows nothing better against it than paper."""

    noise = 2

    def forward(self, seen, noise):
        return (noise[:, 1] * 3).long()

    def best_response(self, observation):
        return torch.full_like(observation, PAPER)


def test_a_random_opponent_draws_from_the_tasks_noise_and_replays():
    task = Versus(RockPaperScissors(), "left", {"right": Dice()})
    assert task.step_noise == 2
    together = BatchedEnv(task, 64, seed=5)
    together.reset()
    alone = BatchedEnv(task, 1, seed=5 + 11)
    alone.reset()
    shown = []
    for _ in range(7):
        step = together.step(torch.zeros(64, dtype=torch.int64))
        assert torch.equal(step.final_observation[11:12], alone.step([0]).final_observation)
        shown.append(step.final_observation)
    counts = torch.stack(shown).flatten().bincount(minlength=3)
    assert (counts > 90).all()  # of 448


def test_the_noise_is_split_between_the_game_and_its_opponents_in_order():
    class Noisy(RockPaperScissors):
        step_noise = 1

        def step(self, state, action, noise):
            assert noise.tolist() == [[0.25]]
            return super().step(state, action, noise)

    task = Versus(Noisy(), "left", {"right": Dice()})
    step = task.step(task.reset(torch.zeros(1, 0)), torch.tensor([ROCK]), torch.tensor([[0.25, 0.0, 0.9]]))
    assert int(step.state.right) == SCISSORS
    assert float(step.reward) == 1


def test_the_expert_is_the_best_response_that_the_opponent_knows():
    env = BatchedEnv(Versus(RockPaperScissors(), "left", {"right": Dice()}), 3)
    env.reset()
    assert env.expert_action().tolist() == [PAPER] * 3


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_batch_plays_a_game_with_dicts_by_player(mode):
    env = BatchedEnv(RockPaperScissors(), 2, autoreset=mode)
    assert env.reset().keys() == {"left", "right"}
    for time in range(3):
        step = env.step({"left": [ROCK, PAPER], "right": [SCISSORS, PAPER]})
        assert step.reward["left"].tolist() == [1, 0]
        assert step.reward["right"].tolist() == [-1, 0]
        assert step.done.tolist() == [time == 2] * 2
    assert step.final_observation["left"].tolist() == [SCISSORS, PAPER]
    if mode is AutoresetMode.NEXT_STEP:
        step = env.step({"left": [ROCK, PAPER], "right": [SCISSORS, PAPER]})
        assert step.reward["left"].tolist() == step.reward["right"].tolist() == [0, 0]
    if mode is not AutoresetMode.DISABLED:
        assert step.observation["right"].tolist() == [NOTHING] * 2


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"left": [0, 0]}, "action must be a dict of 'left', 'right'; got ['left']"),
        ([0, 0], "action must be a dict of 'left', 'right'; got [0, 0]"),
        ({"left": [0, 0], "right": [0, 3]}, "RockPaperScissors: right: action must be from 0 to 2; got 3 in env"),
        ({"left": [0], "right": [0, 0]}, "RockPaperScissors: left: action must have shape (2,); got (1,)"),
    ],
)
def test_wrong_actions_in_a_game_are_refused(action, expected):
    env = BatchedEnv(RockPaperScissors(), 2)
    env.reset()
    with pytest.raises(InvalidInput) as caught:
        env.step(action)
    assert expected in str(caught.value)


GAN = "palaestra/GANGame-v0"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"player": "judge"}, "GANGame: player must be one of 'generator', 'discriminator'; got 'judge'"),
        ({"opponent": "true"}, "GANGame: opponent must be one of 'against-uniform', 'against-blurred'; got 'true'"),
        ({"player": "discriminator", "opponent": "tru"}, "got 'tru' (did you mean 'true'?)"),
        (
            {"plyer": "generator"},
            "GANGame: option must be one of 'dataset', 'modes', 'spread', 'points', 'split', 'payoff',",
        ),
    ],
)
def test_wrong_names_of_a_registered_games_task_are_refused(options, expected):
    with pytest.raises(InvalidInput) as caught:
        make_task(GAN, **options)
    assert expected in str(caught.value)


def test_a_registered_game_comes_whole_or_as_one_players_task():
    game = make_game(GAN, modes=4)
    assert isinstance(game, Game)
    assert game.source.modes == 4
    task = make_task(GAN, modes=4, player="discriminator")
    assert (task.player, list(task.opponents), task.game.source.modes) == ("discriminator", ["generator"], 4)
    with pytest.raises(InvalidInput, match=r"game id must be one of .*; got 'palaestra/Copy-v0'"):
        make_game("palaestra/Copy-v0")
    with pytest.raises(
        InvalidInput,
        match=r"option must be one of 'dataset', .* 'split', 'payoff', 'distances'; got 'player'",
    ):
        make_game(GAN, player="generator")
