"""Scripted attackers on a classifier: by its gradient, by differences of its scores, or by another's gradient."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import gymnasium.spaces as spaces
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from ...envs.adversarial.evade import Evade
from ...envs.checks.options import choice
from ...envs.classification.sources.images import load_images
from ...envs.core.actions import action_shape
from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import where
from ...envs.frozen.classifiers import NAMES, classifier
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.robustness.adversarial import (
    finite_difference_gradient,
    input_gradient,
    steepest_step,
    with_room,
)
from ..core.agent import Agent, Memory
from ..core.config import AgentConfig
from ..core.randomness import ACT, UPDATE


class Plan(NamedTuple):
    """What an attacker keeps of an episode.

    Attributes:
        label: (B,) int64 the digit's class, which the victim names before the first change.
        gradient: (B, 64) float64 what it found before the first step.
        begun: (B,) bool, whether the episode has begun.
    """

    label: Tensor
    gradient: Tensor
    begun: Tensor


class Attacker(Agent):
    """Steps along some gradient of the victim's error. Subclasses say which.

    It learns nothing and looks at the attached environment's victim, which it may ask more often than the environment
    counts: so it says how far an attack of its kind gets, and not how few queries that takes.
    """

    on_device: ClassVar = True
    observation_spaces: ClassVar = (spaces.Dict,)
    action_spaces: ClassVar = (spaces.Box,)
    observation_space: spaces.Dict
    task: Evade | None = None

    def attach(self, env: BatchedEnvironment, steps: int | None = None) -> None:
        """Attacks the victim of these environments from now on.

        Raises:
            InvalidInput: environments other than `Evade`.
        """
        super().attach(env, steps)
        task = getattr(env, "task", None)
        if not isinstance(task, Evade):
            raise InvalidInput(f"{self.name}: environment must be palaestra/Evade-v0; got {env.name}")
        self.task = task

    def initial_memory(self, num_envs: int) -> Memory:
        """Nothing begun."""
        label = torch.zeros(num_envs, dtype=torch.int64, device=self.device)
        gradient = torch.zeros(num_envs, *action_shape(self.action_space), dtype=torch.float64, device=self.device)
        return Plan(label, gradient, label > 0)

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """The step (B, 64) along the gradient; see `Agent.act`.

        Raises:
            InvalidInput: it is attached to no environments.
        """
        if self.task is None:
            raise InvalidInput(f"{self.name}: attach(env) must be called before act(); got no environment")
        assert isinstance(observation, dict)
        blank = self.initial_memory(len(observation["answer"]))
        plan = Plan(*((memory or blank) if start is None else where(start, blank, memory or blank)))
        label = torch.where(plan.begun, plan.label, observation["answer"])
        original = observation["image"].double() / 255  # (B, 1, 8, 8)
        pixels = original + self.task.epsilon * observation["perturbation"].double().view_as(original)
        goal = observation.get("goal", label)
        gradient = self.gradient(self.task.victim, pixels, goal).flatten(1)
        gradient = self.chosen(-gradient if self.task.targeted else gradient, plan)
        following = Plan(label, torch.where(plan.begun[:, None], plan.gradient, gradient), torch.ones_like(plan.begun))
        return self.move(gradient, pixels, original).float().clamp(-1, 1), following

    @abstractmethod
    def gradient(self, victim: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """(B, 1, 8, 8) the gradient of the victim's cross-entropy with labels (B,), or what stands in for it."""

    def chosen(self, gradient: Tensor, plan: Plan) -> Tensor:
        """The gradient (B, 64) to follow: the present one."""
        return gradient

    def move(self, gradient: Tensor, pixels: Tensor, original: Tensor) -> Tensor:
        """The action (B, 64): a whole step along the gradient (B, 64), from pixels that were the original's."""
        assert self.task is not None
        if self.task.norm == "l1":
            seen = pixels.flatten(1).round(decimals=5)  # the observation's shares of epsilon are rounded
            gradient = with_room(gradient, seen, (0.0, 1.0))
        return steepest_step(gradient, 1.0, self.task.norm)


class GradientConfig(AgentConfig):
    """Settings of attackers that know the victim's gradient.

    Attributes:
        looks: gradients, each with other noise of the victim's sensor, of which the mean is followed (Athalye et al.,
            2018); 1 follows the gradient without noise.
    """

    looks: int = Field(1, ge=1, le=1024)


class PGDAttacker(Attacker):
    """Projected gradient: the victim's own gradient in every step (Madry et al., 2018)."""

    name = "pgd"
    Config: ClassVar[type[AgentConfig]] = GradientConfig

    def gradient(self, victim: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """The victim's."""
        looks = self.config.looks
        if looks == 1 or self.task is None:
            return input_gradient(victim, pixels, labels)
        noise = self.randomness.uniform(ACT, len(pixels), looks * pixels[0].numel())
        seen = self.task.sensed(pixels, noise.view(len(pixels), looks, -1)).flatten(0, 1)  # (B looks, 1, 8, 8)
        return input_gradient(victim, seen, labels.repeat_interleave(looks)).unflatten(0, (-1, looks)).mean(1)


class FGSMAttacker(PGDAttacker):
    """The fast gradient: all steps along the gradient at the unchanged digit (Goodfellow et al., 2015)."""

    name = "fgsm"

    def chosen(self, gradient: Tensor, plan: Plan) -> Tensor:
        """The first one."""
        return torch.where(plan.begun[:, None], plan.gradient, gradient)


class DifferencesConfig(AgentConfig):
    """Settings of finite differences.

    Attributes:
        delta: how far pixels are moved to either side, as a share of the range from black to white.
    """

    delta: float = Field(0.01, gt=0, le=1)


class FiniteDifferences(Attacker):
    """Projected gradient from the victim's scores alone, by differences pixel by pixel.

    Bhagoji et al. (2018).
    """

    name = "finite_differences"
    Config: ClassVar[type[AgentConfig]] = DifferencesConfig

    def groups(self, size: int) -> Tensor | None:
        """Which pixels are moved together; None for each alone."""
        return None

    def gradient(self, victim: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """Central differences: 2 queries for each of the 64 pixels or groups."""
        groups = self.groups(pixels[0].numel())
        return finite_difference_gradient(victim, pixels, labels, delta=self.config.delta, groups=groups)


class GroupedConfig(DifferencesConfig):
    """Settings of grouped differences.

    Attributes:
        groups: random groups of pixels that are moved together.
    """

    groups: int = Field(16, ge=1, le=64)


class GroupedDifferences(FiniteDifferences):
    """Finite differences over random groups of pixels: fewer queries for a coarser gradient.

    Bhagoji et al. (2018).
    """

    name = "grouped_differences"
    Config = GroupedConfig

    def build(self) -> None:
        """The groups, drawn once."""
        size = math.prod(action_shape(self.action_space))
        self.order = self.randomness.permutations(UPDATE, 1, size)[0]  # (64,)

    def groups(self, size: int) -> Tensor:
        """(G, 64) bool."""
        return self.order % self.config.groups == torch.arange(self.config.groups, device=self.device)[:, None]

    def state_dict(self) -> dict[str, Any]:
        """The groups beside the base's counters."""
        return super().state_dict() | {"order": self.order}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over the groups."""
        super().load_state_dict(state)
        self.order = state["order"]


class ComponentsConfig(DifferencesConfig):
    """Settings of differences along principal components.

    Attributes:
        components: of the training digits, the largest first.
    """

    components: int = Field(16, ge=1, le=64)


class PrincipalDifferences(FiniteDifferences):
    """Finite differences along principal components of digits: two queries for each of a few.

    Bhagoji et al. (2018). The components are those of the training digits, which the attacker is taken to have.
    """

    name = "principal_differences"
    Config = ComponentsConfig

    def build(self) -> None:
        """The components, (G, 64) float64."""
        images, _, _ = load_images("digits", "train")
        digits = torch.from_numpy(images).flatten(1).double() / 255
        found = torch.linalg.svd(digits - digits.mean(0), full_matrices=False)[2]
        self.components = found[: self.config.components].to(self.device)

    def gradient(self, victim: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """Central differences: 2 queries for each component."""
        settings = {"delta": self.config.delta, "components": self.components}
        return finite_difference_gradient(victim, pixels, labels, **settings)


class TransferConfig(AgentConfig):
    """Settings of the attack by a surrogate.

    Attributes:
        surrogate: the shipped classifier whose gradient is followed; see `frozen.classifiers.classifier`.
    """

    surrogate: str = "ensemble"

    @field_validator("surrogate")
    @classmethod
    def _known(cls, surrogate: str) -> str:
        return choice("transfer: surrogate", surrogate, NAMES)


class Transfer(Attacker):
    """Projected gradient on a surrogate of the victim, which is asked nothing (Papernot et al., 2016)."""

    name = "transfer"
    Config = TransferConfig

    def build(self) -> None:
        """The surrogate."""
        self.surrogate = classifier(self.config.surrogate).double().to(self.device)

    def gradient(self, victim: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """The surrogate's."""
        return input_gradient(self.surrogate, pixels, labels)
