"""An agent of somebody else's: A2C with a learning rate of its own."""

from __future__ import annotations

from pydantic import Field

from palaestra.agents import A2C, A2CConfig


class LearnerConfig(A2CConfig):
    """Settings of the learner."""

    learning_rate: float = Field(1e-2, gt=0)


class Learner(A2C):
    """Somebody else's learner."""

    name = "acme/learner"
    Config = LearnerConfig
