"""TabularMDP: a small Markov decision process with unknown tables, to be explored within a trial."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import ProblemTask, Step
from ..drawing.canvas import ACCENT, MUTED, PANEL, Canvas, Colour
from ..drawing.choices import Choice, numbered
from ..drawing.wording import fixed

SMALLEST = 2.0**-25  # keeps a uniform off 0, where its logarithm and its normal quantile are infinite


@dataclass(frozen=True)
class TabularMDPTables:
    """One problem.

    Attributes:
        transition: (B, S, A, S) float32 the chance of each next state.
        mean: (B, S, A) float32 the mean reward.
    """

    transition: Tensor
    mean: Tensor


@dataclass(frozen=True)
class TabularMDPState:
    """The tables, where the player is, and the last step.

    Attributes:
        tables: the problem.
        position: (B,) int64 the state of the process.
        time: (B,) int64 steps taken.
        before: (B,) int64 the state before the last step, -1 at the start.
        action: (B,) int64 the last action, -1 at the start.
        reward: (B,) float32 what it brought.
    """

    tables: TabularMDPTables
    position: Tensor
    time: Tensor
    before: Tensor
    action: Tensor
    reward: Tensor


class TabularMDP(ProblemTask[TabularMDPState, TabularMDPTables]):
    """Explore a small unknown decision process, then earn in it.

    A random Markov decision process: each state and action leads to every state with a chance of its own.

    Isolates exploration over several steps: what an action brings and where it leads must be tried out, within the
    episodes on one problem. A problem is one pair of tables: transitions are Dirichlet(1, ..., 1), mean rewards
    N(1, 1). The registered environment is a `Trial` of ten episodes on the same tables; ``episodes=1`` is a single one.

    Observation: Discrete(states), the state; an episode starts in state 0.
    Action: Discrete(actions).
    Reward: N(mean reward of the state and action, 1).
    Episode: terminates after `length` steps.
    Metrics: mean_reward, the reward without its noise.
    Expert: value iteration over the steps that are left, on the true tables: optimal for one who knows them, a bound
        that no agent without that sight reaches. Random actions return `length` an episode on average. Over the `Trial`
        of ten episodes, about 218 and 100.
    Source: Duan et al. (2016), section 3.2.

    Args:
        states: S, how many states there are.
        actions: A, how many actions.
        length: steps of an episode.
    """

    trial_episodes = 10
    variants = ({"episodes": 1}, {"states": 4, "actions": 3, "length": 5, "episodes": 4})

    step_noise = 2

    def __init__(self, *, states: int = 10, actions: int = 5, length: int = 10) -> None:
        super().__init__()
        self.states = integer("TabularMDP: states", states, 2, 100)
        self.actions = integer("TabularMDP: actions", actions, 2, 100)
        self.horizon = integer("TabularMDP: length", length, 1)
        self.sample_noise = states * actions * (states + 1)
        self.observation_space = spaces.Discrete(states)
        self.action_space = spaces.Discrete(actions)

    def sample(self, noise: Tensor) -> TabularMDPTables:
        """Exponential variates that sum to 1 are Dirichlet(1, ..., 1); a normal quantile gives the mean reward."""
        noise = noise.clamp(min=SMALLEST).view(-1, self.states, self.actions, self.states + 1)
        weight = -noise[..., 1:].log()  # (B, S, A, S)
        return TabularMDPTables(weight / weight.sum(-1, keepdim=True), 1 + torch.special.ndtri(noise[..., 0]))

    def begin(self, problem: TabularMDPTables, noise: Tensor) -> TabularMDPState:
        """In state 0."""
        zero = torch.zeros_like(problem.mean[:, 0, 0], dtype=torch.int64)
        return TabularMDPState(problem, zero, zero, zero - 1, zero - 1, zero.float())

    def step(self, state: TabularMDPState, action: Tensor, noise: Tensor) -> Step[TabularMDPState]:
        """Draws the reward and the next state."""
        rows = torch.arange(len(action), device=action.device)
        pair = (rows * self.states + state.position) * self.actions + action  # (B,) of all B S A
        mean = state.tables.mean.flatten().index_select(0, pair)
        chances = state.tables.transition.flatten(0, 2).index_select(0, pair)  # (B, S)
        passed = (chances.cumsum(1) <= noise[:, :1]).sum(1)
        reward = mean + torch.special.ndtri(noise[:, 1].clamp(min=SMALLEST))
        position, time = passed.clamp(max=self.states - 1), state.time + 1
        following = TabularMDPState(state.tables, position, time, state.position, action, reward)
        return Step(following, reward, time >= self.horizon, {"mean_reward": mean})

    def observe(self, state: TabularMDPState) -> Tensor:
        """The state of the process, (B,)."""
        return state.position

    def expert(self, state: TabularMDPState) -> Tensor:
        """The best action with the steps that are left."""
        return self._values(state).gather(1, state.position[:, None, None].expand(-1, 1, self.actions))[:, 0].argmax(1)

    def _values(self, state: TabularMDPState) -> Tensor:
        """(B, S, A) the best return expected from each state and first action in the steps that are left."""
        transition, mean = state.tables.transition.flatten(1, 2), state.tables.mean
        left, value = self.horizon - state.time, mean  # (B,), (B, S, A)
        for steps in range(2, self.horizon + 1):
            further = mean + torch.bmm(transition, value.amax(2)[:, :, None]).view_as(mean)
            value = torch.where((steps <= left)[:, None, None], further, value)
        return value

    def draw(self, state: TabularMDPState, canvas: Canvas) -> None:
        """The states as cards, beneath them the chances of the last step, and what each action pays here."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, wide, position = canvas.width // 2, canvas.width - 40, int(state.position)
        before, action, time = int(state.before), int(state.action), int(state.time)
        told = f"in state {position} at step {time} of {self.horizon}"
        canvas.text(told, (middle, 50), size=22, anchor="center")
        canvas.cards([str(k) for k in range(self.states)], (20, 75, wide, 36), highlight=position)
        if time:
            chances = state.tables.transition[before, action]
            shades = [_blend(PANEL, ACCENT, share) for share in (chances / chances.max()).tolist()]
            canvas.cards([""] * self.states, (20, 120, wide, 36), colours=shades)
            told = f"where action {action} leads from {before} (dark: likely)"
            canvas.text(told, (middle, 175), size=20, colour=MUTED, anchor="center")
            canvas.text(f"it brought {fixed(float(state.reward), 2)}", (middle, 205), 20, MUTED, "center")
        canvas.text("mean reward of each action (hidden)", (middle, 250), size=20, colour=ACCENT, anchor="center")
        labels = [str(k) for k in range(self.actions)]
        canvas.bars(state.tables.mean[position], (60, 270, canvas.width - 120, 180), labels=labels, colours=[ACCENT])

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The states as cards, the present one framed."""
        middle, position = canvas.width // 2, int(observation)
        canvas.text("Which action pays, here and where it leads?", (middle, 80), size=26, anchor="center")
        canvas.text(f"you are in state {position}", (middle, 130), size=30, anchor="center")
        names = [str(k) for k in range(self.states)]
        canvas.cards(names, (30, 170, canvas.width - 60, 160), highlight=position)
        told = "what each action does here is hidden, and stays the same"
        canvas.text(told, (middle, 380), size=22, colour=MUTED, anchor="center")

    def choices(self) -> list[Choice]:
        """A number for each action."""
        return numbered([f"action {k}" for k in range(self.actions)])


def _blend(low: Colour, high: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return red, green, blue
