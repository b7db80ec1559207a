"""Fitting an encoder: gradient steps on batches of what was gathered, from where a saved state stands."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from ...neural_blocks.errors import Diverged
from ..core.agent import Report, single_precision
from ..core.randomness import UPDATE, Randomness
from ..learning import optimisers
from .gathering import Batches, Gathered
from .method import Method

HALF_SEEDS = 2**31  # from which a step's seed is drawn
REPORTS = 100  # over the whole


class Fitting:
    """A method's gradient steps.

    Args:
        method: class of the method.
        space: of one observation.
        config: of the method.
        gathered: what it learns from.
        seed: of weights and of all that is drawn.
        device: where it learns.

    Raises:
        InvalidInput: observations that the method cannot learn from.

    Attributes:
        method: the method.
        updates: gradient steps made.
        loss: their mean since the last report.
    """

    def __init__(
        self, method: type[Method], space: Any, config: Any, gathered: Gathered, seed: int, device: str = "cpu"
    ) -> None:
        self.config, self.randomness, self.updates = config, Randomness(seed, device), 0
        with torch.random.fork_rng(devices=[]), single_precision():
            torch.default_generator.manual_seed(seed)
            self.method = method(space, config).to(device)
        self.parameters = [one for one in self.method.parameters() if one.requires_grad]
        self.optimiser = optimisers.make_optimiser(self.parameters, config) if self.parameters else None
        self.batches = Batches(gathered, self.method)
        with torch.no_grad():
            self.method.prepare(self.batches.whole, gathered.start)

    def run(self) -> Iterator[Report]:
        """Steps up to the settings' number; yields the mean loss now and then.

        Raises:
            Diverged: a loss is not finite.
        """
        every = max(1, self.config.updates // REPORTS)
        self.method.train()
        losses = []
        while self.updates < self.config.updates:
            losses.append(self.update())
            self.updates += 1
            if self.updates % every == 0 or self.updates == self.config.updates:
                loss = float(torch.stack(losses).mean())
                if not math.isfinite(loss):
                    raise Diverged(self.updates, "loss", loss)
                losses = []
                yield {"updates": float(self.updates), "loss": loss}
        self.method.eval()

    def update(self) -> torch.Tensor:
        """One gradient step; returns the loss, ()."""
        config = self.config
        if self.optimiser is not None and config.scheduled:
            optimisers.set_rate(self.optimiser, config.rate(self.updates / config.updates))
        batch = self.batches.draw(config.batch_size, self.randomness)
        loss = self.method.loss(batch, self.randomness.integers(UPDATE, 1, 1, HALF_SEEDS)[0, 0])
        if self.optimiser is not None:
            self.optimiser.zero_grad()
            loss.backward()
            optimisers.prepare_gradients(self.parameters, config)
            optimisers.scale_down(self.parameters, config)
            optimisers.step(self.optimiser)
        self.method.after()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what comes next, as tensors and plain values."""
        return {
            "method": self.method.state_dict(),
            "optimiser": {} if self.optimiser is None else optimisers.saved(self.optimiser),
            "randomness": self.randomness.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on exactly where a saved one stood."""
        self.method.load_state_dict(state["method"])
        if self.optimiser is not None:
            optimisers.restore(self.optimiser, state["optimiser"])
        self.randomness.load_state_dict(state["randomness"])
        self.updates = state["updates"]
