"""BernoulliBandit: arms with unknown odds, to be tried within a trial."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import ProblemTask, Step
from ..drawing.canvas import ACCENT, GOOD, MUTED, Canvas
from ..drawing.choices import Choice, numbered


@dataclass(frozen=True)
class BernoulliBanditState:
    """The odds and the last pull.

    Attributes:
        odds: (B, K) float32 each arm's chance of paying.
        arm: (B,) int64 the arm pulled, -1 before the pull.
        paid: (B,) float32 what it paid.
    """

    odds: Tensor
    arm: Tensor
    paid: Tensor


class BernoulliBandit(ProblemTask[BernoulliBanditState, Tensor]):
    """Find the best of several arms within a few pulls.

    A multi-armed bandit: each arm pays 1 with a chance of its own, 0 otherwise; the chances are uniform on [0, 1].

    Isolates exploration against exploitation. One pull is one episode; a problem is one set of chances. The registered
    environment is a `Trial` of several episodes on the same problem, whose observation carries the last arm and
    what it paid; with ``episodes=1`` the task is a single pull and nothing can be learned.

    Observation: (1,) float32, always 0: there is nothing to see but one's own past, which `Trial` adds.
    Action: Discrete(arms), the arm to pull.
    Reward: 1 or 0.
    Episode: terminates after one pull.
    Metrics: best_arm, whether the arm with the best chance was pulled.
    Expert: pulls the best arm, which it sees in the state: arms / (arms + 1) a pull, an upper bound that no agent
        without that sight reaches. A random arm pays 0.5. Over 10 pulls of 5 arms: 8.33 and 5.0; the Gittins index
        reaches 6.6.
    Source: Duan et al. (2016), section 3.1.

    Args:
        arms: how many arms there are.
    """

    trial_episodes = 10
    variants = ({"episodes": 1}, {"arms": 10}, {"episodes": 100})

    horizon = 1
    begin_noise = 0
    step_noise = 1

    def __init__(self, *, arms: int = 5) -> None:
        super().__init__()
        self.sample_noise = integer("BernoulliBandit: arms", arms, 2, 1000)
        self.observation_space = spaces.Box(0, 1, (1,), np.float32)
        self.action_space = spaces.Discrete(arms)

    def sample(self, noise: Tensor) -> Tensor:
        """The arms' chances, (B, K)."""
        return noise

    def begin(self, problem: Tensor, noise: Tensor) -> BernoulliBanditState:
        """Before the pull."""
        paid = problem.new_zeros(len(problem))
        return BernoulliBanditState(problem, torch.full_like(paid, -1, dtype=torch.int64), paid)

    def step(self, state: BernoulliBanditState, action: Tensor, noise: Tensor) -> Step[BernoulliBanditState]:
        """Pulls the arm."""
        chance = state.odds.gather(1, action[:, None])[:, 0]
        paid = (noise[:, 0] < chance).float()
        best = (chance == state.odds.amax(1)).float()
        following = BernoulliBanditState(state.odds, action, paid)
        return Step(following, paid, torch.ones_like(paid, dtype=torch.bool), {"best_arm": best})

    def observe(self, state: BernoulliBanditState) -> Tensor:
        """Nothing, (B, 1)."""
        return torch.zeros_like(state.paid)[:, None]

    def expert(self, state: BernoulliBanditState) -> Tensor:
        """The best arm."""
        return state.odds.argmax(1)

    def draw(self, state: BernoulliBanditState, canvas: Canvas) -> None:
        """Each arm's chance as a bar, the arm just pulled framed, and what it paid."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        arms, arm = len(state.odds), int(state.arm)
        colours = [MUTED] * arms
        if arm >= 0:
            colours[arm] = GOOD if float(state.paid) else ACCENT
        middle = canvas.width // 2
        canvas.text("Chance of each arm (hidden from the player)", (middle, 60), size=24, anchor="center")
        labels = [str(k) for k in range(arms)] if arms <= 20 else None
        area, pulled = (30, 90, canvas.width - 60, 290), arm if arm >= 0 else None
        canvas.bars(state.odds, area, labels=labels, colours=colours, highlight=pulled, maximum=1.0)
        told = "Pull an arm" if arm < 0 else f"arm {arm} paid {int(state.paid)}"
        canvas.text(told, (middle, 425), size=34, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The arms; there is nothing to see but their numbers."""
        middle, arms = canvas.width // 2, self.sample_noise
        canvas.text("Pull an arm: each pays 1 with a chance of its own", (middle, 90), size=26, anchor="center")
        canvas.text("The chances are hidden and stay", (middle, 130), size=22, colour=MUTED, anchor="center")
        names = [str(arm) for arm in range(arms)] if arms <= 100 else ["0", "1", "...", str(arms - 1)]
        canvas.cards(names, (30, 170, canvas.width - 60, 220))

    def choices(self) -> list[Choice]:
        """A number for each arm."""
        return numbered([f"arm {arm}" for arm in range(self.sample_noise)])
