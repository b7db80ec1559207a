"""Random numbers of an agent's own for code that draws from the global generators of PyTorch and NumPy."""
# ruff: noqa: NPY002

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class OwnRandomness:
    """States that stand in for those of the global generators while foreign code runs.

    Args:
        generator: the agent's; it stands in for PyTorch's generator of the same device.
        seed: of the state that stands in for NumPy's.
    """

    def __init__(self, generator: torch.Generator, seed: int) -> None:
        self.generator = generator
        self._numpy = np.random.RandomState(seed).get_state(legacy=False)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """In here the global generators go on where these do; after it, where they themselves did."""
        device = self.generator.device
        shared = torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
        before, numpy_before = shared.get_state(), np.random.get_state(legacy=False)
        shared.set_state(self.generator.get_state())
        np.random.set_state(self._numpy)
        try:
            yield
        finally:
            self.generator.set_state(shared.get_state())
            self._numpy = np.random.get_state(legacy=False)
            shared.set_state(before)
            np.random.set_state(numpy_before)

    def state_dict(self) -> dict[str, Any]:
        """NumPy's part as a tensor and plain values; the agent keeps its generator itself."""
        state = self._numpy["state"]
        return {**self._numpy, "state": {**state, "key": torch.from_numpy(state["key"].astype(np.int64))}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where a saved one stood."""
        inner = state["state"]
        self._numpy = {**state, "state": {**inner, "key": inner["key"].cpu().numpy().astype(np.uint32)}}
