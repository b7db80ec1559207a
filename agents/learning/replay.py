"""Replay: a ring of the last steps of B environments, on their device, and the batches that are drawn from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import leaves, tree_map
from ..core.agent import Memory
from ..core.processes import ALONE, Processes
from ..core.randomness import REPLAY, Randomness


@dataclass(frozen=True)
class Transition:
    """One step of B environments.

    Attributes:
        observation: (B, ...) what was acted on.
        start: (B,) bool, it was the first observation of an episode.
        action: (B, ...) the raw action.
        reward: (B,).
        terminated: (B,) bool.
        truncated: (B,) bool.
        next_observation: (B, ...) what the step led to, before any reset.
    """

    observation: Observation
    start: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    next_observation: Observation


@dataclass(frozen=True)
class Batch:
    """N sequences of T steps with what a one-step or n-step target needs; single steps have T = 1.

    The target of step (t, i) is ``reward + discount * value``, the value being that of
    ``next_observation[last[t, i], i]``.

    Attributes:
        observation: (T, N, ...).
        start: (T, N) bool, the first observation of an episode.
        action: (T, N, ...).
        reward: (T, N) the discounted sum of up to n rewards.
        discount: (T, N) the discount of what follows them; 0 where the task terminated.
        next_observation: (T, N, ...) what each step led to; where T = 1, what the last of the n steps led to.
        last: (T, N) int64, where in the sequence the sum ends.
        memory: before the first step, each part (N, ...).
        weight: (N,) of each sequence in a mean over the batches of all processes; None where there is one.
        importance: (N,) what each error counts where transitions are drawn unevenly; None where they are not.
        chosen: (N,) int64 where the drawn transitions lie, for `PrioritisedReplay.rank`; None elsewhere.
    """

    observation: Observation
    start: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Observation
    last: Tensor
    memory: Memory
    weight: Tensor | None = None
    importance: Tensor | None = None
    chosen: Tensor | None = None


def n_step(reward: Tensor, ended: Tensor, gamma: float, steps: int) -> tuple[Tensor, Tensor]:
    """The discounted sum of up to n rewards from each step on, within its episode and within the sequence.

    Args:
        reward: (T, N).
        ended: (T, N) bool, the episode ended with the step.
        gamma: discount.
        steps: n.

    Returns:
        The sums (T, N), and the index of the last reward in each, (T, N) int64.
    """
    length = len(reward)
    time = torch.arange(length, device=reward.device).unsqueeze(1).expand(reward.shape)  # (T, N)
    total, last, going = reward, time, ~ended
    for ahead in range(1, min(steps, length)):
        step = time + ahead
        going = going & (step < length)
        step = step.clamp(max=length - 1)
        total = total + gamma**ahead * reward.gather(0, step) * going
        last = torch.where(going, step, last)
        going = going & ~ended.gather(0, step)
    return total, last


class Replay:
    """The last L steps of B environments. Every write is one step of all of them.

    Where it stands is counted on the device, so that writing and drawing can be captured in a graph.

    Args:
        capacity: transitions to keep, over the environments of all processes; L is a multiple of `chunk`, but not 0.
        num_envs: B.
        device: where everything lives.
        chunk: steps of the sequences that `sequences` draws; the memory before each of them is kept.
        processes: those that learn together. Each keeps the steps of its own B environments. All draw the same from
            what all of them keep, so together they draw what one process would, and each gets what lies in its own.

    Attributes:
        written: () int64 steps ever written.
    """

    def __init__(
        self, capacity: int, num_envs: int, device: torch.device, chunk: int = 1, processes: Processes = ALONE
    ) -> None:
        self.num_envs, self.device, self.chunk, self.processes = num_envs, device, chunk, processes
        self.whole = num_envs * processes.size
        self.length = max(1, capacity // (self.whole * chunk)) * chunk  # L
        self.written = torch.zeros((), dtype=torch.int64, device=device)
        self._steps: Any = None  # a Transition of (L, B, ...)
        self._memories: Memory = ()  # (L / chunk, B, ...)

    def __len__(self) -> int:
        """Transitions kept now."""
        return int(self._kept()) * self.num_envs

    def _kept(self) -> Tensor:
        """() int64, steps kept now."""
        return self.written.clamp(max=self.length)

    def write(self, transition: Transition, memory: Memory = ()) -> None:
        """Adds one step of all environments, and the agent's memory before it; the oldest step makes room."""
        if self._steps is None:
            self._steps = tree_map(lambda new: new.new_zeros(self.length, *new.shape), transition)
            self._memories = tuple(part.new_zeros(self.length // self.chunk, *part.shape) for part in memory)
        slot = (self.written % self.length).reshape(1)
        for kept, new in zip(leaves(self._steps), leaves(transition), strict=True):
            kept.index_copy_(0, slot, new.unsqueeze(0))
        begins, place = slot % self.chunk == 0, slot // self.chunk  # whether a sequence begins with this step
        for kept, new in zip(self._memories, memory, strict=True):
            now = torch.where(begins, new, kept.index_select(0, place)[0])
            kept.index_copy_(0, place, now.unsqueeze(0))
        self.written += 1

    @property
    def tensors(self) -> list[Tensor]:
        """All that writing changes in place."""
        return [self.written, *([] if self._steps is None else leaves(self._steps)), *self._memories]

    def interrupt(self, start: Tensor) -> None:
        """Says where (B,) the episodes of the last step do not go on: somebody has reset those environments."""
        if len(self):
            slot = (int(self.written) - 1) % self.length
            self._steps.truncated[slot] |= start & ~self._steps.terminated[slot]

    def _rows(self, tree: Any, slot: Tensor, env: Tensor) -> Any:
        """The transitions at slots (...) and environments (...), which broadcast."""
        flat = slot * self.num_envs + env
        return tree_map(lambda kept: kept.flatten(0, 1)[flat], tree)

    def sample(self, size: int, gamma: float, steps: int, randomness: Randomness) -> Batch:
        """Single transitions, uniformly and with replacement, each with the n steps from it on.

        The newest steps are summed over fewer than n.

        Args:
            size: N.
            gamma: discount.
            steps: n.
            randomness: of the choice.

        Returns:
            A batch with T = 1 and no memory.
        """
        drawn = randomness.integers(REPLAY, 1, size, self._kept() * self.whole)[0]
        drawn, weight = self.processes.columns(drawn, self.num_envs)
        return self.batch(drawn, gamma, steps, weight)

    def batch(self, drawn: Tensor, gamma: float, steps: int, weight: Tensor | None) -> Batch:
        """Single transitions (N,), each told by its age in steps from the oldest, times B, plus its environment."""
        kept = self._kept()
        oldest = self.written - kept
        age, env = drawn // self.num_envs, drawn % self.num_envs  # (N,), (N,)
        time = age + torch.arange(steps, device=self.device).unsqueeze(1)  # (n, N), counted from the oldest
        newest = time >= kept - 1
        slot = (torch.minimum(time, kept - 1) + oldest) % self.length
        stored = self._steps
        reward, terminated, truncated = self._rows((stored.reward, stored.terminated, stored.truncated), slot, env)
        total, last = n_step(reward, terminated | truncated | newest, gamma, steps)
        first, final = slot[:1], slot.gather(0, last[:1])  # (1, N)
        observation, start, action = self._rows((stored.observation, stored.start, stored.action), first, env)
        following = self._rows(stored.next_observation, final, env)
        discount = gamma ** (last[:1] + 1).to(total.dtype) * ~terminated.gather(0, last[:1])
        none = torch.zeros_like(last[:1])
        return Batch(observation, start, action, total[:1], discount, following, none, (), weight)

    def sequences(self, size: int, gamma: float, steps: int, randomness: Randomness) -> Batch:
        """Whole sequences of `chunk` steps, uniformly and with replacement, with the memory before each.

        Only complete ones: `written` must be a multiple of `chunk`.

        Args:
            size: N.
            gamma: discount.
            steps: n; a sum ends with its sequence.
            randomness: of the choice.
        """
        whole = self._kept() // self.chunk * self.whole
        chosen = randomness.integers(REPLAY, 1, size, whole)[0]
        chosen, weight = self.processes.columns(chosen, self.num_envs)
        part, env = chosen // self.num_envs, chosen % self.num_envs  # (N,), (N,)
        slot = part * self.chunk + torch.arange(self.chunk, device=self.device).unsqueeze(1)  # (T, N)
        drawn = self._rows(self._steps, slot, env)
        total, last = n_step(drawn.reward, drawn.terminated | drawn.truncated, gamma, steps)
        taken = last - torch.arange(self.chunk, device=self.device).unsqueeze(1) + 1  # (T, N) rewards in each sum
        discount = gamma ** taken.to(total.dtype) * ~drawn.terminated.gather(0, last)
        memory = self._rows(self._memories, part, env)
        return Batch(
            drawn.observation, drawn.start, drawn.action, total, discount, drawn.next_observation, last, memory, weight
        )

    def state_dict(self) -> dict[str, Any]:
        """The filled part of the ring, and where it stands.

        Within an episode what a step led to is what the next one acted on: it is kept where an episode ended, and for
        the newest step.
        """
        state = {"num_envs": self.whole, "written": self.written.clone(), "steps": None, "memories": []}
        kept = int(self._kept())
        if self._steps is None:
            return state
        steps = self.processes.gather(tree_map(lambda tensor: tensor[:kept].clone(), vars(self._steps)), 1)
        final = self._final(steps["terminated"] | steps["truncated"])
        steps["next_observation"] = tree_map(lambda part: part[final], steps["next_observation"])
        memories = [self.processes.gather(part[: kept // self.chunk].clone(), 1) for part in self._memories]
        return state | {"steps": steps, "memories": memories}

    def _final(self, done: Tensor) -> Tensor:
        """(K, B) bool of the kept steps: no kept step acts on what this one led to."""
        final = done.clone()
        final[(int(self.written) - 1) % self.length] = True
        return final

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved ring of the same capacity and number of environments stood."""
        self.written.copy_(state["written"])
        if state["steps"] is None:
            self._steps, self._memories = None, ()
            return

        def fill(length: int) -> Any:
            def whole(kept: Tensor) -> Tensor:
                ring = kept.new_zeros(length, *kept.shape[1:], device=self.device)
                ring[: len(kept)] = kept
                return ring

            return whole

        steps = dict(state["steps"])
        final = self._final((steps["terminated"] | steps["truncated"]).to(self.device))
        following: Any = tree_map(lambda part: part.to(self.device).roll(-1, 0), steps["observation"])
        for whole_part, ends in zip(leaves(following), leaves(steps["next_observation"]), strict=True):
            whole_part[final] = ends.to(self.device)
        steps["next_observation"] = following
        self._steps = Transition(**tree_map(fill(self.length), self.processes.own(steps, 1)))
        memories = (self.processes.own(part, 1) for part in state["memories"])
        self._memories = tuple(map(fill(self.length // self.chunk), memories))
