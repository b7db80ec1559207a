"""The base of every agent's configuration: frozen, and strict about names and values."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ...envs.checks.options import MOST
from ...neural_blocks.errors import InvalidInput, invalid_config, shown


class AgentConfig(BaseModel):
    """Settings of an agent. A wrong key or value fails before anything runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        """The defaults with these values changed.

        Raises:
            InvalidInput: an unknown key (with the nearest right one) or a value that is not allowed.
        """
        for name, value in values.items():
            self._check_number(name, value)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise invalid_config(type(self).__name__, error, type(self).model_fields) from None

    def _check_number(self, name: str, value: Any) -> None:
        """Refuses true and false for a number, and whole numbers that nothing needs."""
        field = type(self).model_fields.get(name)
        if field is None:
            return
        parts = value if isinstance(value, tuple | list) else [value]
        if any(isinstance(part, bool) for part in parts) and "bool" not in str(field.annotation):
            raise InvalidInput(f"{type(self).__name__}: {name} takes neither true nor false; got {shown(value)}")
        bounded = any(getattr(one, "le", None) is not None for one in field.metadata)
        whole = [part for part in parts if isinstance(part, int | float) and "int" in str(field.annotation)]
        if not bounded and any(part > MOST for part in whole):
            raise InvalidInput(f"{type(self).__name__}: {name} should be at most {MOST:,}; got {shown(value)}")
