"""Random numbers of an agent's own for code that draws from the global generators of PyTorch and NumPy."""
# ruff: noqa: NPY002

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class ForeignRandomness:
    """States that stand in for those of the global generators while foreign code runs.

    Args:
        torch_seed: of the state that stands in for PyTorch's.
        numpy_seed: of the state that stands in for NumPy's.
        device: whose generator of PyTorch is meant.
    """

    def __init__(self, torch_seed: int, numpy_seed: int, device: torch.device) -> None:
        self.device = device
        self.seed(torch_seed, numpy_seed)

    def seed(self, torch_seed: int, numpy_seed: int) -> None:
        """Starts both states anew."""
        self._torch = torch.Generator(self.device).manual_seed(torch_seed).get_state()
        self._numpy = np.random.RandomState(numpy_seed).get_state(legacy=False)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """In here the global generators go on where these states do; after it, where they themselves did."""
        device = self.device
        shared = torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
        before, numpy_before = shared.get_state(), np.random.get_state(legacy=False)
        shared.set_state(self._torch)
        np.random.set_state(self._numpy)
        try:
            yield
        finally:
            self._torch = shared.get_state()
            self._numpy = np.random.get_state(legacy=False)
            shared.set_state(before)
            np.random.set_state(numpy_before)

    def state_dict(self) -> dict[str, Any]:
        """Both states as tensors and plain values."""
        state = self._numpy["state"]
        key = torch.from_numpy(state["key"].astype(np.int64))
        return {"torch": self._torch, "numpy": {**self._numpy, "state": {**state, "key": key}}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where a saved one stood; a CPU and a GPU cannot continue each other's random numbers of PyTorch."""
        saved, inner = state["torch"].cpu(), state["numpy"]["state"]
        if saved.shape == self._torch.shape:
            self._torch = saved
        self._numpy = {**state["numpy"], "state": {**inner, "key": inner["key"].cpu().numpy().astype(np.uint32)}}
