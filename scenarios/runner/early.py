"""Early stopping: training ends where checks on the validation options get no better, or are good enough."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ...envs.checks.options import MOST_CHECKS
from ...neural_blocks.errors import InvalidInput, invalid_config


class EarlyStopping(BaseModel):
    """When a training ends before its steps are taken (Prechelt, 1998). What counts is the mean return of a check.

    Attributes:
        patience: checks in a row of which none is better than the best one before them; None for any number.
        target: the mean return of a check that is enough; None for none.
        checks: how many there are at equal distances, if the training takes all its steps; None for ten at most, fewer
            in a short one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    patience: int | None = Field(default=None, ge=1, le=MOST_CHECKS)
    target: float | None = Field(default=None, allow_inf_nan=False)
    checks: int | None = Field(default=None, ge=1, le=MOST_CHECKS)

    @model_validator(mode="after")
    def _has_a_rule(self) -> Self:
        if self.patience is None and self.target is None:
            raise ValueError("checks need a patience or a target that they are compared with")
        return self

    def reason(self, found: float, waited: int) -> str | None:
        """Which rule ends a training, "target" or "patience"; None for neither.

        Args:
            found: mean return of the last check.
            waited: checks since the best one.
        """
        if self.target is not None and found >= self.target:
            return "target"
        return "patience" if self.patience is not None and waited >= self.patience else None

    def changes(self) -> dict[str, Any]:
        """What is set, by name."""
        return self.model_dump(mode="json", exclude_none=True)


def early_stopping(settings: dict[str, Any] | None) -> EarlyStopping | None:
    """The rules of these settings, of which those that are None do not count; None where there are none.

    Raises:
        InvalidInput: a wrong name or value.
    """
    given = {name: value for name, value in (settings or {}).items() if value is not None}
    if not given:
        return None
    if isinstance(given.get("target"), int) and not isinstance(given["target"], bool):
        given["target"] = float(given["target"])
    try:
        return EarlyStopping(**given)
    except ValidationError as error:
        raise invalid_config("early stopping", error, EarlyStopping.model_fields) from None
    except TypeError:
        raise InvalidInput(f"early stopping: names must be text; got {list(given)}") from None
