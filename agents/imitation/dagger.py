"""DAgger, dataset aggregation (Ross, Gordon and Bagnell, 2011), feed-forward or recurrent."""

from __future__ import annotations

from pydantic import Field

from .imitation_config import ImitationConfig
from .labelled import ImitationAgent


class DAggerConfig(ImitationConfig):
    """Settings of DAgger beside those of all imitation.

    Attributes:
        beta: the expert acts in rollout i with probability beta^i, i = 0, 1, ...; at 0 in the first rollout only, which
            the paper found best.
    """

    beta: float = Field(0.0, ge=0, le=1)


class DAgger(ImitationAgent):
    """Dataset aggregation: the learner acts more and more, the expert says what it would have done instead.

    So the learner is trained on what it meets when it acts itself, and its errors do not lead it to where it was never
    told what to do.
    """

    name = "dagger"
    Config = DAggerConfig

    def expert_share(self) -> float:
        """beta^i before the i-th rollout; 1 before the first."""
        return float(self.config.beta**self.iterations)
