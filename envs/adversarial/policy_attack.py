"""PolicyAttack: change what a policy sees, a little, so that its return falls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...neural_blocks.errors import InvalidInput, shown
from ..checks.options import number
from ..core.actions import action_dtype, bounds
from ..core.task import NoExpert, Observation, Step, Task
from ..core.tree import where
from ..drawing.canvas import ACCENT, BAD, MUTED, Canvas
from ..frozen.policies import policy
from ..frozen.rounding import rounded
from ..registry import make_task

Victim = Callable[[Any], Tensor]
CLONED = "cloned"
AHEAD = 4  # steps for which the expert tries a shift
FEW = 4  # numbers of which it tries all shifts by epsilon, one way or the other
MANY = 12  # numbers that a drawing shows as bars, each with its value


@dataclass(frozen=True)
class PolicyAttackState:
    """An attacked episode beside the same one left alone.

    Attributes:
        attacked: the wrapped task's state in which the victim acts on what it is shown.
        alone: that in which it acts on what there is to see; both have the same chances.
        over: (B, 2) bool whether the attacked episode, and the one left alone, has ended.
        returns: (B, 2) float32 what each has returned so far.
        true: (B, D) float32 the numbers there were to see at the last step; 0 before the first.
        shown: (B, D) float32 what the victim saw in their place.
        time: (B,) int64 steps taken.
    """

    attacked: Any
    alone: Any
    over: Tensor
    returns: Tensor
    true: Tensor
    shown: Tensor
    time: Tensor


class PolicyAttack(Task[PolicyAttackState]):
    """Change what a policy sees, a little, so that its return falls.

    A victim plays an environment of the suite, and the attacker shifts each number that it sees by at most `epsilon`.

    Isolates the attack on behaviour rather than on single answers: a shift matters by what the victim does with it,
    and by what follows. Every episode is also played with the same chances and no attack, which says exactly how much
    an attack has cost.

    Observation: Dict of what there is to see (``observation``, or its entries if that is a Dict), and ``intent``, what
        the victim would do about it, of its action space.
    Action: Box(-1, 1, (D,)), the shift of each of the D numbers of Box parts as a share of `epsilon`; for images of
        that share of 255, rounded. What is shown stays within the bounds of what can be seen.
    Reward: what the victim's step brings when left alone, less what it brings under attack; so the return is by how
        much the victim's falls.
    Episode: terminates when both episodes have.
    Metrics: attacked and alone, the victim's return with and without the attack, once for each episode; kept, the share
        of it that is left, over all of them.
    Expert: tries shifts on a copy of the episode for 4 steps and does what brings the victim least: of up to 4 numbers
        every one by all of epsilon either way; of more, all by the sign of the gradient, which moves the victim's
        action up or, with logits, away from its choice, or all against it. By default it leaves the victim nothing of
        its return, as do shifts that show it all smaller; uniform ones leave it 0.90.
    Source: Huang et al. (2017), attacks on policies; Zhang et al. (2020), a bounded adversary of observations that
        learns; the shipped victim steers through forks at the side on which it is.

    Args:
        environment: name or id of the victim's, with a Box to see, or a Dict with one.
        options: of that environment.
        victim: "cloned", the shipped one of `Fork` and of `DigitBandit`; or a function or module from observations
            (B, ...) to actions (B, ...), or to logits (B, K) where actions are Discrete: such as
            ``lambda seen: agent.act(seen, greedy=True)[0]``. It has no memory.
        epsilon: the largest shift of a number; for images as a share of 255.

    Raises:
        InvalidInput: an unknown environment, or one without a Box to see or without a shipped victim; an option out of
            its range.
    """

    variants = ({"environment": "DigitBandit", "epsilon": 0.15}, {"epsilon": 0.2, "options": {"forks": 1}})

    low: Tensor
    high: Tensor
    scale: Tensor
    corners: Tensor
    least: Tensor
    most: Tensor

    def __init__(
        self,
        *,
        environment: str = "Fork",
        options: Mapping[str, Any] | None = None,
        victim: str | Victim = CLONED,
        epsilon: float = 0.07,
    ) -> None:
        super().__init__()
        self.task = _task(environment, dict(options or {}))
        self.epsilon = number("PolicyAttack: epsilon", epsilon, 0.0001, 1000)
        if callable(victim):
            self.victim = victim
        elif victim == CLONED:
            self.victim = policy("PolicyAttack: environment with the victim 'cloned'", _id(environment))
        else:
            raise InvalidInput(f"PolicyAttack: victim must be 'cloned', a function or a module; got {shown(victim)}")
        self.shipped = victim == CLONED if isinstance(victim, str) else False
        self.horizon = self.task.horizon
        self.reset_noise, self.step_noise = self.task.reset_noise, self.task.step_noise
        inner = self.task.observation_space
        seen: dict[str, Any] = dict(inner.spaces) if isinstance(inner, spaces.Dict) else {"observation": inner}
        self.parts = {name: space for name, space in seen.items() if isinstance(space, spaces.Box)}
        if not self.parts:
            raise InvalidInput(f"PolicyAttack: environment must have a Box to see; {self.task.name} shows {inner}")
        if "intent" in seen:
            raise InvalidInput(f"PolicyAttack: {self.task.name} has a part 'intent' of its own")
        self.observation_space = spaces.Dict({**seen, "intent": self.task.action_space})
        boxes = list(self.parts.values())
        self.sizes = [int(np.prod(box.shape)) for box in boxes]
        for name, values in (
            ("low", [box.low for box in boxes]),
            ("high", [box.high for box in boxes]),
            ("scale", [np.full(box.shape, self.epsilon * (255 if _pixels(box) else 1)) for box in boxes]),
        ):
            flat = np.concatenate([np.asarray(part, np.float64).ravel() for part in values])
            self.register_buffer(name, torch.from_numpy(flat), persistent=False)  # (D,)
        numbers = len(self.low)
        self.action_space = spaces.Box(-1, 1, (numbers,), np.float32)
        few = [torch.tensor([1.0, -1.0], dtype=torch.float32)] * (numbers if numbers <= FEW else 0)
        corners = torch.cartesian_prod(*few).view(-1, numbers) if few else torch.zeros(0, numbers, dtype=torch.float32)
        self.register_buffer("corners", corners, persistent=False)  # (2 to the D, D), or none
        least, most = (torch.as_tensor(bound) for bound in bounds(self.task.action_space))
        self.register_buffer("least", least, persistent=False)  # of an action of the victim
        self.register_buffer("most", most, persistent=False)

    def reset(self, noise: Tensor) -> PolicyAttackState:
        """The victim's first state, twice."""
        first = self.task.reset(noise)
        returns = torch.zeros(len(noise), 2, dtype=torch.float32, device=noise.device)
        true = returns.new_zeros(len(noise), len(self.low))
        return PolicyAttackState(first, first, returns > 0, returns, true, true, returns[:, 0].long())

    def step(self, state: PolicyAttackState, action: Tensor, noise: Tensor) -> Step[PolicyAttackState]:
        """The victim acts on what it is shown; and once more on what there is to see."""
        seen = self.task.observe(state.attacked)
        true, moved = self._numbers(seen), self._shifted(seen, action)
        done = self._act(self._changed(seen, moved)), self._act(self.task.observe(state.alone))
        time, before = state.time + 1, (state.attacked, state.alone)
        steps = [self.task.step(each, one, noise) for each, one in zip(before, done, strict=True)]
        after = [where(state.over[:, k], before[k], step.state) for k, step in enumerate(steps)]
        reward = torch.stack([step.reward for step in steps], 1).masked_fill(state.over, 0.0)  # (B, 2)
        over = state.over | torch.stack([step.terminated for step in steps], 1) | (time >= self.horizon)[:, None]
        returns, ended = state.returns + reward, over.all(1)
        following = PolicyAttackState(after[0], after[1], over, returns, true.float(), moved.float(), time)
        metrics = {name: returns[:, k].masked_fill(~ended, torch.nan) for k, name in enumerate(("attacked", "alone"))}
        return Step(following, reward[:, 1] - reward[:, 0], ended, metrics)

    def summarise(self, metrics: dict[str, float]) -> dict[str, float]:
        """The means, and the share of its return that the victim keeps, if it has one to lose."""
        if metrics.get("alone", 0) <= 0 or "attacked" not in metrics:
            return metrics
        return metrics | {"kept": metrics["attacked"] / metrics["alone"]}

    def observe(self, state: PolicyAttackState) -> dict[str, Tensor]:
        """What there is to see, and what the victim would do about it."""
        seen = self.task.observe(state.attacked)
        return {**(seen if isinstance(seen, dict) else {"observation": seen}), "intent": self._act(seen)}

    def expert(self, state: PolicyAttackState) -> Tensor:
        """Of the shifts that it tries the one that costs the victim most, (B, D)."""
        batch = len(state.returns)
        if len(self.corners):
            ways = [corner.expand(batch, -1) for corner in self.corners]
        else:
            signs = self._signs(self.task.observe(state.attacked))
            ways = [signs, -signs]
        brings = torch.stack([self._brings(state, way) for way in ways])  # (C, B)
        places = torch.arange(len(ways), device=brings.device)[:, None]
        chosen = torch.where(brings == brings.amin(0), places, len(ways)).amin(0)  # the first of the least
        return torch.stack(ways, 1)[torch.arange(batch, device=chosen.device), chosen]

    def _brings(self, state: PolicyAttackState, way: Tensor) -> Tensor:
        """(B,) what the next steps bring the victim under a shift (B, D) that stays, by chances that are all a half."""
        total, over, inner = torch.zeros_like(state.returns[:, 0]), state.over[:, 0], state.attacked
        noise = total.new_full((len(total), self.step_noise), 0.5)
        for _ in range(min(AHEAD, self.horizon)):
            seen = self.task.observe(inner)
            step = self.task.step(inner, self._act(self._changed(seen, self._shifted(seen, way))), noise)
            total = total + step.reward.masked_fill(over, 0.0)
            inner, over = where(over, inner, step.state), over | step.terminated
        return total

    def _signs(self, seen: Observation) -> Tensor:
        """(B, D) float32 the sign of what each number does to the victim's action, or to the loss of its choice."""
        with torch.no_grad():
            answer = self.victim(seen)
        if not answer.is_floating_point():
            raise NoExpert(f"PolicyAttack: the victim of {self.task.name} has no gradient: it answers whole numbers")
        choice = answer.argmax(1) if isinstance(self.task.action_space, spaces.Discrete) else None

        def effect(numbers: Tensor) -> Tensor:
            answer = self.victim(self._changed(seen, numbers, exact=False))
            return answer.sum() if choice is None else F.cross_entropy(answer, choice, reduction="sum")

        with torch.no_grad():  # no second graph through the victim's parameters
            return torch.func.grad(effect)(self._numbers(seen)).sign().float()

    def _act(self, seen: Observation) -> Tensor:
        """The victim's action (B, ...), within its space."""
        with torch.no_grad():
            answer, space = self.victim(seen), self.task.action_space
        if isinstance(space, spaces.Discrete) and answer.is_floating_point():
            return (rounded(answer.double()) if self.shipped else answer).argmax(1) + int(space.start)
        answer = rounded(answer) if self.shipped else answer
        return torch.minimum(torch.maximum(answer, self.least), self.most).to(action_dtype(space))

    def _numbers(self, seen: Observation) -> Tensor:
        """(B, D) float64 what can be shifted, one part after the other."""
        parts = [seen[name] for name in self.parts] if isinstance(seen, dict) else [seen]
        return torch.cat([part.flatten(1).double() for part in parts], 1)

    def _shifted(self, seen: Observation, action: Tensor) -> Tensor:
        """(B, D) float64 the numbers after a shift, still as exact as it is."""
        moved = self._numbers(seen) + self.scale * action
        return torch.minimum(torch.maximum(moved, self.low), self.high)

    def _changed(self, seen: Observation, numbers: Tensor, exact: bool = True) -> Observation:
        """The observation with other numbers (B, D), of its dtypes; pixels stay real numbers if not `exact`."""
        changed = {}
        for (name, box), part in zip(self.parts.items(), numbers.split(self.sizes, 1), strict=True):
            part = part.unflatten(1, box.shape)
            changed[name] = part.round().to(torch.uint8) if _pixels(box) and exact else part.float()
        return {**seen, **changed} if isinstance(seen, dict) else changed["observation"]

    def draw(self, state: PolicyAttackState, canvas: Canvas) -> None:
        """What there was to see and what was shown at the last step; below, the returns with and without attack."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle = canvas.width // 2
        canvas.text(self._told(), (middle, 24), 24, anchor="center", max_width=460)
        if int(state.time) == 0:
            canvas.text("nothing has been shown yet", (middle, 190), 24, MUTED, "center")
        else:
            numbers = (state.true, "there was to see"), (state.shown, "the victim was shown")
            for k, (values, told) in enumerate(numbers):
                canvas.text(told, (130 + 220 * k, 62), 22, anchor="center")
                self._draw_numbers(values, (24 + 222 * k, 80, 210, 220), canvas, (ACCENT, BAD)[k])
        most = max(1.0, *(abs(value) for value in state.returns.tolist()))
        for k, (told, colour) in enumerate((("attacked", BAD), ("left alone", ACCENT))):
            value, y = float(state.returns[k]), 342 + 46 * k
            ended = " (over)" if bool(state.over[k]) else ""
            canvas.text(f"{told}: {value:.2f}{ended}", (24, y + 15), 22, anchor="midleft")
            canvas.outline((236, y, 220, 30), MUTED)
            canvas.fill((236, y, max(1.0, 220 * abs(value) / most), 30), colour)
        canvas.text("the victim's return so far", (24, 322), 20, MUTED, "midleft")
        canvas.text(f"step {int(state.time)} of at most {self.horizon}", (middle, 456), 20, MUTED, "center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """What there is to see, and what the victim would do about it."""
        middle = canvas.width // 2
        canvas.text(self._told(), (middle, 24), 24, anchor="center", max_width=460)
        canvas.text("what there is to see", (middle, 66), 24, anchor="center")
        numbers = self._numbers({name: observation[name][None] for name in self.parts})[0]
        self._draw_numbers(numbers, (90, 86, 300, 250), canvas, ACCENT)
        intent = observation["intent"].flatten().tolist()
        told = ", ".join(f"{value:.2f}" if isinstance(value, float) else str(value) for value in intent[:8])
        told += ", ..." if len(intent) > 8 else ""
        canvas.text("left alone, the victim would do", (middle, 378), 24, MUTED, "center")
        canvas.text(told, (middle, 412), 30, anchor="center", max_width=440)
        canvas.text(f"each number can be shifted by {self._most()}", (middle, 454), 22, MUTED, "center")

    def _told(self) -> str:
        return f"A victim plays {self.task.name}: change what it sees so that it fails"

    def _most(self) -> str:
        values = sorted({round(value, 4) for value in self.scale.tolist()})
        return " or ".join(f"{value:g}" for value in values)

    def _draw_numbers(self, values: Tensor, rect: tuple[int, int, int, int], canvas: Canvas, colour: Any) -> None:
        """Numbers (D,): as an image if that is what they are, as bars if they are few, else as a line."""
        box = next(iter(self.parts.values()))
        if len(self.parts) == 1 and _pixels(box) and len(box.shape) == 3:
            canvas.image(values.view(box.shape).round().to(torch.uint8), rect, border=MUTED)
        elif len(values) <= MANY:
            canvas.bars(values, rect, [str(k + 1) for k in range(len(values))], (colour,), maximum=2.0)
        else:
            canvas.curve(values, rect, colour)

    def entries(self) -> list[str]:
        """The numbers."""
        return [f"shift of number {k + 1}" for k in range(len(self.low))]


def _id(environment: str) -> str:
    """An environment's id of its name."""
    return environment if "/" in environment or ":" in environment else f"palaestra/{environment}-v0"


def _task(environment: Any, options: dict[str, Any]) -> Task[Any]:
    if not isinstance(environment, str):
        raise InvalidInput(f"PolicyAttack: environment must be a name or an id; got {shown(environment)}")
    return make_task(_id(environment), **options)


def _pixels(box: spaces.Box) -> bool:
    return box.dtype == np.uint8
