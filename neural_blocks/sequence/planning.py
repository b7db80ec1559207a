"""Planning as a layer: value iteration on counted steps, of which rewards and priors are learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .visits import Counts

STATISTICS = 6  # of a pair, see `statistics`


def statistics(counts: Counts) -> Tensor:
    """What is known of each pair, (B, 6, S A): means of its rewards under priors of weight 1 and 2, and how sure.

    With n visits and R in all: R / (n + 1), R / (n + 2), 1 / (n + 1), 1 / (n + 2), 1 / √(n + 1) and log(1 + n). A mean
    of any normal prior of weight 1, or of any Beta prior of weight 2, is a weighted sum of them.
    """
    visits, rewards = counts.visits, counts.rewards
    one, two = 1 / (visits + 1), 1 / (visits + 2)
    return torch.stack([rewards * one, rewards * two, one, two, one.sqrt(), visits.log1p()], 1)


class Planning(nn.Module):
    """Value iteration in the process that was counted (Tamar et al., 2016), C times side by side.

    A channel's reward of a pair is a weighted sum of its statistics, with weights that are given; transitions are the
    counts with a prior of learned weight, the same for each next state; so is its discount.

    Args:
        states: S.
        actions: A.
        channels: C.
        rounds: K, of value iteration.

    Raises:
        InvalidInput: fewer than one channel or less than no round.
    """

    def __init__(self, states: int, actions: int, channels: int = 2, rounds: int = 4) -> None:
        super().__init__()
        if channels < 1 or rounds < 0:
            raise InvalidInput(f"Planning: channels must be at least 1, rounds 0; got {channels} and {rounds}")
        self.states, self.actions, self.channels, self.rounds = states, actions, channels, rounds
        self.discount = nn.Parameter(torch.full((channels, 1), 2.0))  # logits
        self.prior = nn.Parameter(torch.zeros(channels, 1))  # logarithm of the weight

    def forward(self, counts: Counts, known: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Values of the present state's actions after 0, ..., K rounds, and of all states after the last but one.

        Args:
            counts: of B trials.
            known: (B, J, S A) statistics.
            weights: (B, C, J) of the statistics in the reward of each channel.

        Returns:
            (B, (K + 1) C, A) and (B, C, S).
        """
        state = counts.state
        reward, own = torch.bmm(weights, known), torch.bmm(weights, self.here(known, state))
        best = self._best(reward)
        if not self.rounds:
            return own, best
        prior, discount = self.prior.exp(), self.discount.sigmoid()
        led_here = self.here(counts.led, state)  # (B, S, A)
        weight = discount / (counts.led.sum(1, keepdim=True) + self.states * prior)  # (B, C, S A)
        weight_here = discount / (led_here.sum(1, keepdim=True) + self.states * prior)  # (B, C, A)
        values = [own]
        for left in range(self.rounds, 0, -1):
            unseen = prior * best.sum(2, keepdim=True)
            values.append(torch.addcmul(own, torch.bmm(best, led_here) + unseen, weight_here))
            if left > 1:
                best = self._best(torch.addcmul(reward, torch.bmm(best, counts.led) + unseen, weight))
        return torch.cat(values, 1), best

    def here(self, pairs: Tensor, state: Tensor) -> Tensor:
        """(B, F, S A) to the present state's (B, F, A)."""
        batch, features, _ = pairs.shape
        rows = torch.arange(batch * features, device=state.device).view(batch, features)
        rows = rows * self.states + state.unsqueeze(1)  # (B, F)
        return pairs.reshape(-1, self.actions).index_select(0, rows.flatten()).view(batch, features, self.actions)

    def _best(self, pairs: Tensor) -> Tensor:
        """(B, C, S A) to the best action's (B, C, S)."""
        return pairs.unflatten(2, (self.states, self.actions)).amax(3)
