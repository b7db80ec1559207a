"""REINFORCE (Williams, 1992; Sutton et al., 2000), feed-forward or recurrent, with a choice of credit and baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ..core.agent import Report
from ..learning.losses import value_error
from ..learning.rollout import Rollout, generalised_advantage, sequences
from .actor_critic import ActorCriticAgent, ActorCriticConfig


class REINFORCEConfig(ActorCriticConfig):
    """Settings of REINFORCE beside those of every actor-critic.

    Attributes:
        rollout_steps: T.
        carry: earlier rollouts that are kept, so that an episode which crosses the edge of one counts when it has
            ended: one of up to `carry` T steps always does.
        gamma: discount, from the episode's start on.
        gae_lambda: 1; no return is bootstrapped.
        credit: what an action is praised for: the whole "return" of its episode, or the "reward_to_go" from it on.
        baseline: what the credit is compared with: None for 0, the "constant" mean credit of the rollout before, or the
            "state" value that the network predicts.
    """

    learning_rate: float = Field(3e-3, gt=0)
    rollout_steps: int = Field(128, ge=1)
    carry: int = Field(1, ge=0, le=64)
    gamma: float = Field(1.0, ge=0, le=1)
    gae_lambda: float = Field(1.0, ge=1, le=1)
    credit: Literal["return", "reward_to_go"] = "reward_to_go"
    baseline: Literal["constant", "state"] | None = "state"


class REINFORCE(ActorCriticAgent):
    """Monte-Carlo policy gradient: one step on the whole episodes that ended in each rollout.

    An episode counts once, all of it, in the rollout in which it ends; the others are masked. What of it lies in
    earlier rollouts was done by policies a few steps older. Episodes too long for `carry` and `rollout_steps` never
    count: were they the good ones, a policy would learn from its failures alone. The report's `counted` is the number
    of steps that count as a share of a rollout's; at 0 nothing is learned and one of the two must grow.

    An episode that time cuts off ends there, as one that terminates does. Where all episodes are of one length, every
    choice of credit and baseline has the same expected gradient, that of the discounted return over the length: so a
    reward-to-go at time t weighs gamma^t, and no baseline knows the rollout it is used on.
    """

    name = "reinforce"
    Config = REINFORCEConfig
    for_learning = ("earlier",)

    def build(self) -> None:
        """Beside the actor-critic's parts, the constant baseline: a scalar, 0 before the first rollout."""
        super().build()
        self.run_loss = self.compiled(self.loss)
        self.mean_credit = torch.zeros((), device=self.device)
        self.earlier: tuple[Rollout, ...] = ()

    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """One gradient step on the episodes that ended; `advantage`, which is bootstrapped, is not used."""
        rollout, ended_before = self._with_earlier(rollout)
        credit, weight, counted = self.credit(rollout)
        counted = counted & ~ended_before
        weight = self.weighed(weight, rollout, counted)
        total = torch.stack([counted.sum(dtype=credit.dtype), (credit * counted).sum()])
        self.processes.add([total])
        count, credits = total.unbind()
        rows, attacked = self.rows(*sequences((rollout.observation, rollout.start), self.chunk)), None
        if self.adversary is not None:
            advantage = self._advantage(rollout, credit, weight)
            observation, attacked = self.learned_from(rollout.observation, rollout.start, rollout.action, advantage)
            rollout = replace(rollout, observation=observation)
        loss, numbers = self.run_loss(rollout, credit, weight, counted, count, attacked, rows)
        norm = self.minimise(loss, *numbers.values())
        self.mean_credit.copy_(torch.where(count > 0, credits / count.clamp(min=1), self.mean_credit))
        share = count / (advantage.numel() * self.processes.size)
        return numbers | {"gradient_norm": norm, "counted": share}

    def _with_earlier(self, rollout: Rollout) -> tuple[Rollout, Tensor]:
        """The rollout after those before it, and which steps' episodes ended in those, (T, B) bool of all of them."""
        if not self.earlier and self.config.carry:
            self.earlier = (tree_map(torch.zeros_like, rollout),) * self.config.carry  # where nothing began
        *before, last = self.earlier = (*self.earlier, rollout)[-self.config.carry - 1 :]
        self.earlier = self.earlier[1:]
        whole: Rollout = tree_map(lambda *parts: torch.cat(parts), *before, last)
        value = torch.cat([*(one.value[:-1] for one in before), last.value])
        steps, ended = len(last.reward), whole.done.clone()
        ended[-steps:] = False
        return replace(whole, value=value), ended.flip(0).cumsum(0).flip(0) > 0

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; see `ActorCriticAgent.learn`."""
        if self.earlier and self.earlier[0].reward.shape[1] != env.num_envs:
            self.earlier = ()
        return super().learn(env, steps)

    @property
    def moving(self) -> Any:
        """The earlier rollouts beside the actor-critic's tree."""
        return super().moving, self.earlier

    @moving.setter
    def moving(self, tree: Any) -> None:
        base, self.earlier = tree
        ActorCriticAgent.moving.__set__(self, base)  # type: ignore[attr-defined]

    def credit(self, rollout: Rollout) -> tuple[Tensor, Tensor, Tensor]:
        """Each step's credit, the weight of its advantage, and whether it lies in a whole episode: (T, B) each."""
        nothing = torch.zeros_like(rollout.value)
        rewards_alone = replace(rollout, value=nothing, final_value=nothing[:-1])
        to_go = generalised_advantage(rewards_alone, self.config.gamma, 1.0)  # (T, B)
        time = torch.arange(len(to_go), device=self.device).unsqueeze(1)  # (T, 1)
        first = torch.where(rollout.start, time, 0).cummax(0).values  # (T, B) when the step's episode began
        begun = rollout.start.cumsum(0) > 0
        ends = rollout.done.flip(0).cumsum(0).flip(0) > 0
        if self.config.credit == "return":
            return to_go.gather(0, first), torch.ones_like(to_go), begun & ends
        return to_go, self.config.gamma ** (time - first).to(to_go.dtype), begun & ends

    def _advantage(self, rollout: Rollout, credit: Tensor, weight: Tensor) -> Tensor:
        """(T, B) what each action is praised for, less the baseline."""
        baselines = {None: torch.zeros_like(credit), "constant": self.mean_credit, "state": rollout.value[:-1]}
        return weight * (credit - baselines[self.config.baseline])

    def loss(
        self,
        rollout: Rollout,
        credit: Tensor,
        weight: Tensor,
        counted: Tensor,
        count: Tensor,
        attacked: Observation | None = None,
        rows: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss whose gradient is minus the policy's, with the value's and the entropy; and its parts.

        Args:
            rollout: T steps of B environments.
            credit: (T, B) of each action.
            weight: (T, B) of each advantage.
            counted: (T, B) bool, the steps that the means are taken over.
            count: () how many they are, in all processes.
            attacked: (T, B, ...) to be answered as the observations are; None for nothing.
            rows: of the sequences, those that the members of an ensemble learn from; None for all.
        """
        config = self.config
        times = 1 if rows is None else len(rows) / credit.numel()  # that each is learned from
        share = counted.to(credit.dtype) / (times * count.clamp(min=1))  # (T, B), sums to 1
        steps = (
            rollout.observation,
            rollout.start,
            rollout.action,
            self._advantage(rollout, credit, weight),
            credit,
            share,
            attacked,
        )
        batch: tuple[Any, ...] = self.spread(rows, sequences(steps, self.chunk))  # each (L, N, ...)
        observation, start, action, advantage, target, share, attacked = batch
        memory = tuple(part.flatten(0, 1) for part in rollout.memory)
        parameters, value, _ = self.network(observation, memory, start)
        policy_loss = -(share * self.policy.log_prob(parameters, action) * advantage).sum()
        entropy = (share * self.policy.entropy(parameters)).sum()
        loss = policy_loss - self.entropy_weight * entropy
        if (unlike := self.unlike(parameters, attacked, start)) is not None:
            loss = loss + (share * unlike).sum()
        numbers = {"policy_loss": policy_loss.detach(), "entropy": entropy.detach()}
        if config.baseline == "state":
            value_loss = (share * value_error(config.value_error, value, target)).sum()
            loss = loss + config.value_coefficient * value_loss
            numbers["value_loss"] = value_loss.detach()
        return loss, numbers

    def changing(self) -> list[Tensor]:
        """The constant baseline beside the actor-critic's tensors."""
        return [*super().changing(), self.mean_credit]

    def state_dict(self) -> dict[str, Any]:
        """The constant baseline and the earlier rollouts beside the actor-critic's state."""
        earlier = [self.processes.gather(tree_map(torch.clone, vars(rollout)), 1) for rollout in self.earlier]
        return super().state_dict() | {"mean_credit": self.mean_credit.clone(), "earlier": earlier}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.mean_credit.copy_(state["mean_credit"])
        self.earlier = tuple(
            Rollout(**self.processes.own(tree_map(lambda part: part.to(self.device), rollout), 1))
            for rollout in state.get("earlier", ())
        )
