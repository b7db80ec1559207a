"""The base of every agent's configuration: frozen, and strict about names and values."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ...neural_blocks.errors import invalid_config


class AgentConfig(BaseModel):
    """Settings of an agent. A wrong key or value fails before anything runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        """The defaults with these values changed.

        Raises:
            InvalidInput: an unknown key (with the nearest right one) or a value that is not allowed.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise invalid_config(type(self).__name__, error, type(self).model_fields) from None
