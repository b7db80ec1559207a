"""A memory of exact counts: what each action in each state brought, and where it led."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .memory import State, wiped


class Counts(NamedTuple):
    """What a trial has shown before a step; a pair is a state and an action, in the order of (S, A).

    Attributes:
        led: (B, S, S A) float32 how often each pair led to each state; the state that it led to stands first.
        visits: (B, S A) float32 how often each action was taken in each state.
        rewards: (B, S A) float32 what it brought in all.
        clock: (B, 2) float32 steps taken in the trial, and in its present episode.
        state: (B,) int64 the present one.
        just: (B, A) float32, 1 for the action that was taken just before, in this same state.
    """

    led: Tensor
    visits: Tensor
    rewards: Tensor
    clock: Tensor
    state: Tensor
    just: Tensor


class Visits(nn.Module):
    """Counts the steps of trials, without decay and without a parameter: the sufficient statistics of small processes.

    An associative memory, as fast weights are, of which the keys are known: one for each state and action. What an
    episode's last step led to is not seen, so of that step the reward alone is counted.

    Args:
        states: S, how many there are; 1 where they do not matter.
        actions: A.

    Raises:
        InvalidInput: a number below 1.
    """

    zero: Tensor

    def __init__(self, states: int, actions: int) -> None:
        super().__init__()
        if min(states, actions) < 1:
            raise InvalidInput(f"Visits: states and actions must be at least 1; got {states} and {actions}")
        self.states, self.actions = states, actions
        self.register_buffer("zero", torch.zeros((), dtype=torch.float32), persistent=False)

    def initial_memory(self, batch: int) -> State:
        """The counts of B trials of which nothing was seen, see `Counts`, with the clock of the first step."""
        pairs = self.states * self.actions
        shapes = (self.states, pairs), (pairs,), (pairs,), (2,)
        last = torch.zeros(batch, dtype=torch.int64, device=self.zero.device)
        return *(self.zero.new_zeros(batch, *shape) for shape in shapes), last

    def forward(
        self, state: Tensor, action: Tensor, reward: Tensor, fresh: Tensor, memory: State, start: Tensor
    ) -> tuple[Counts, State]:
        """Counts the step before, if it was of this trial.

        Args:
            state: (B,) int64 the present one.
            action: (B,) int64 the last action, from 0 on.
            reward: (B,) float32 what it brought.
            fresh: (B,) bool, an episode starts.
            memory: after the step before.
            start: (B,) bool, a trial starts: its counts are zeros, whatever the memory holds.

        Returns:
            The counts up to this step, and the memory after it.
        """
        led, visits, rewards, clock, last = wiped(memory, start)
        taken, within = clock.unbind(1)
        clock = torch.stack([taken, within.masked_fill(fresh, 0)], 1)
        pairs, begun = self.states * self.actions, (taken > 0).to(led.dtype).unsqueeze(1)  # (B, 1)
        pair = (last * self.actions + action).unsqueeze(1)
        once = torch.zeros_like(visits).scatter(1, pair, begun)  # (B, S A)
        visits = visits + once
        rewards = torch.where(once > 0, rewards + reward.unsqueeze(1).to(rewards.dtype), rewards)
        arrived = begun.masked_fill(fresh.unsqueeze(1), 0)
        led = led.flatten(1).scatter_add(1, state.unsqueeze(1) * pairs + pair, arrived).view_as(led)
        just = once.unflatten(1, (self.states, self.actions)).sum(1) * (last == state).unsqueeze(1)
        return Counts(led, visits, rewards, clock, state, just), (led, visits, rewards, clock + 1, state)
