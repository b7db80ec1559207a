"""Behaviour cloning (Pomerleau, 1989), feed-forward or recurrent: from an expert, or from recorded episodes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import Diverged, InvalidInput
from ..core.agent import Report
from ..core.randomness import ORDER
from ..learning.learner import training
from .demonstrations import Demonstration, Sequences, side_by_side
from .imitation_config import ImitationConfig
from .labelled import LOSSES, ImitationAgent


class BehaviourCloning(ImitationAgent):
    """Behaviour cloning: the expert acts and the learner is trained to do the same.

    Attributes:
        demonstration: what an expert did, on the agent's device. Unless it is set before `learn`, the expert is asked.
    """

    name = "behaviour_cloning"
    Config = ImitationConfig

    def build(self) -> None:
        """The parts of all imitation; no demonstration yet."""
        super().build()
        self.demonstration: Demonstration | None = None

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns from `steps` labels in all, each pass over a demonstration counting its own anew."""
        if self.demonstration is None:
            yield from super().learn(env, steps)
            return
        self.attach(env, steps)
        while self.steps < steps:
            self.on_schedule([self.optimiser], self.steps / steps)
            for report in self.fit(self.demonstration, 1):
                self.steps += self.demonstration.start.numel()
                yield report | {"steps": float(self.steps)}

    def expert_share(self) -> float:
        """1: only the expert acts."""
        return 1.0

    def fit(self, demonstration: Demonstration, epochs: int) -> Iterator[Report]:
        """Learns from recorded episodes instead of an expert; yields one report per pass over them.

        Every label is used once in a pass, in sequences of random order. Each pass first runs through the recording
        to give every sequence the memory that the learner has there now.

        Args:
            demonstration: what was seen and done, on the agent's device.
            epochs: passes.
        """
        if self.invariance is not None:
            raise InvalidInput(
                f"{self.name}: invariance and importance need environments; demonstrations have no metrics"
            )
        steps = len(demonstration.start)
        raw = (demonstration.observation, demonstration.start, self.policy.from_env(demonstration.label))
        whole = steps - steps % self.chunk
        parts = [tree_map(lambda part: part[:whole], raw), tree_map(lambda part: part[whole:], raw)]
        for _ in range(epochs):
            memories, after = self.memories(*parts[0][:2], self.initial_memory(parts[0][1].shape[1]))
            batches = [Sequences(*side_by_side(parts[0], self.chunk), memories)] if whole else []
            if whole < steps:  # what is left over makes shorter sequences
                batches.append(Sequences(*side_by_side(parts[1], steps - whole), after))
            losses = []
            for batch in batches:
                length, count = batch.start.shape[1], len(batch.start)
                (order,) = self.randomness.permutations(ORDER, 1, count)
                with training(*self._learning):
                    for rows in order.split(max(1, self.config.minibatch_size // length)):
                        losses.append(self.update(tree_map(lambda part, rows=rows: part[rows], batch)))
            means = dict(zip(LOSSES, torch.stack(losses).mean(0).tolist(), strict=True))
            self.iterations += 1
            for name, value in means.items():
                if not math.isfinite(value):
                    raise Diverged(self.iterations, name, value)
            yield {"steps": float(self.steps), **means}
