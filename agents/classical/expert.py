"""The expert agent: the ceiling of every leaderboard that has one."""

from __future__ import annotations

from typing import ClassVar

import gymnasium.spaces as spaces
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Agent, Memory


class Expert(Agent):
    """The task's own best known action: the ceiling.

    It looks at the environments' hidden state, so it must be attached to them.
    """

    name = "expert"
    on_device: ClassVar = True
    observation_spaces: ClassVar = (spaces.Space,)
    action_spaces: ClassVar = (spaces.Space,)
    env: BatchedEnvironment | None = None

    def attach(self, env: BatchedEnvironment, steps: int | None = None) -> None:
        """Acts in these environments from now on."""
        super().attach(env, steps)
        self.env = env

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """The expert's actions (B, ...) in the attached environments' current state.

        Raises:
            InvalidInput: it is attached to no environments.
            NoExpert: the task has no expert.
        """
        if self.env is None:
            raise InvalidInput("Expert: attach(env) must be called before act(); got no environment")
        return self.env.expert_action(), memory
