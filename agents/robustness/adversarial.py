"""Adversarial training: an agent learns from images that were changed so that it answers them wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.robustness.adversarial import pgd, random_in_ball, trades_attack
from ..core.config import AgentConfig
from ..core.randomness import UPDATE
from .images import ImageRows

REACH = 2.5  # the attack's steps together could go so many times as far as it may (Madry et al., 2018)


class AdversarialConfig(AgentConfig):
    """Settings of adversarial training, for one Discrete action, no memory, and images or a row of numbers to be seen.

    Attributes:
        adversarial_epsilon: how far an attack moves each value of an image before it is learned from, as a share of
            its range, 0.1 say; of a row without bounds in its own unit; 0 learns from what is seen as it is.
        adversarial_steps: of the attack, projected gradient from a random place; 1 is the fast gradient sign (Wong et
            al., 2020).
        adversarial_beta: 0 learns from attacked images alone (Madry et al., 2018); above, from those that are not, and
            to answer the attacked ones likewise, which weighs so much (TRADES, Zhang et al., 2019: 6).
    """

    adversarial_epsilon: float = Field(0.0, ge=0, le=1)
    adversarial_steps: int = Field(7, ge=1, le=1000)
    adversarial_beta: float = Field(0.0, ge=0)


class AdversarialTraining:
    """Makes the images that an agent learns from; what it draws comes from the agent's counted randomness.

    The attack sees the agent's present network in evaluation mode and moves every value of an image by at most
    `adversarial_epsilon` of its range, in steps of 2.5 times as much in all.

    Args:
        agent: whose network has been made.

    Raises:
        InvalidInput: an agent whose action, observation or memory is not for it.
    """

    def __init__(self, agent: Any) -> None:
        name, space = agent.name, agent.action_space
        if not isinstance(space, spaces.Discrete):
            raise InvalidInput(f"{name}: adversarial_epsilon must be 0 where an action is no one class; got {space}")
        if agent.config.memory is not None or getattr(agent.network, "masked", False):
            raise InvalidInput(f"{name}: adversarial_epsilon must be 0 with a memory or an action mask")
        self.agent, self.images = agent, ImageRows(name, agent.observation_space)
        self.beta: float = agent.config.adversarial_beta
        self._found = agent.loss_within(self.attack)  # it is part of an update

    def learned_from(
        self, observation: Observation, start: Tensor, label: Tensor, wrong: Tensor | None = None
    ) -> tuple[Observation, Observation | None]:
        """What stands in the loss for observations (L, N, ...), and what is to be answered likewise.

        Without `adversarial_beta` that is the attacked observations, and None; with it, the observations themselves,
        and the attacked ones.

        Args:
            observation: (L, N, ...).
            start: (L, N) bool.
            label: (L, N) int64 raw actions.
            wrong: (L, N) bool, where the label is what should not be answered; None for nowhere.
        """
        network = self.agent.network
        seed = self.agent.randomness.integers(UPDATE, 1, 1, 2**31)[0, 0]
        wrong = torch.zeros_like(start) if wrong is None else wrong
        network.eval()
        try:
            found = self._found(observation, start, label, wrong, seed)
        finally:
            network.train()
        return (observation, found) if self.beta else (found, None)

    @torch.no_grad()
    def attack(self, observation: Observation, start: Tensor, label: Tensor, wrong: Tensor, seed: Tensor) -> Any:
        """Observations (L, N, ...) whose images, float32, the network answers as wrongly as the attack can make it."""
        config, flat = self.agent.config, tree_map(lambda part: part.flatten(0, 1), observation)
        x, epsilon = self.images.rows(flat), config.adversarial_epsilon
        model = answering(self.agent.network, self.images, flat, start.flatten())
        settings: dict[str, Any] = {
            "step_size": REACH * epsilon / config.adversarial_steps,
            "steps": config.adversarial_steps,
            "bounds": self.images.bounds,
        }
        if self.beta:
            found = trades_attack(model, x, epsilon, seed=seed, **settings)
        else:
            begin = random_in_ball(x, epsilon, seed=seed)
            found = pgd(model, x, label.flatten(), epsilon, targeted=wrong.flatten(), start=begin, **settings)
        attacked: Any = self.images.replaced(flat, found)
        return tree_map(lambda part: part.view(*start.shape, *part.shape[1:]), attacked)

    def divergence(self, logits: Tensor, attacked: Observation, start: Tensor) -> Tensor:
        """(L, N) by how much the answers to attacked observations differ from these (L, N, K), by KL, in nats."""
        own, other = logits.log_softmax(-1), self.agent.network(attacked, (), start)[0].log_softmax(-1)
        return (own.exp() * (own - other)).sum(-1)


def answering(network: Any, images: ImageRows, observation: Observation, start: Tensor) -> Callable[[Tensor], Tensor]:
    """What an attack asks: from images (N, D), in place of those of observations (N, ...), to logits (N, K)."""

    def answer(rows: Tensor) -> Tensor:
        logits: Tensor = network.act(images.replaced(observation, rows), (), start)[0]
        return logits

    return answer
