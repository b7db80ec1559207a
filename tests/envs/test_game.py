"""A game of two players, and a game as one player's task: rock, paper, scissors."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from torch import Tensor, nn

from palaestra.envs import BatchedEnv, Game, NoExpert, SingleEnv, Step, Versus
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
    with pytest.raises(NoExpert, match="RockPaperScissors has no expert"):
        env.expert_action()


def test_a_network_as_opponent_moves_with_the_task():
    class Habit(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("hand", torch.tensor([ROCK, PAPER, SCISSORS, ROCK]))

        def forward(self, seen):
            return self.hand[seen]

    task = Versus(RockPaperScissors(), "left", {"right": Habit()})
    assert {tuple(buffer.shape) for buffer in task.buffers()} == {(3, 3), (4,)}
    env = BatchedEnv(task, 2, device="meta")
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
