"""Per-action policies: counts of a trial, a plan in them, and one perceptron that scores every action alike."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import gymnasium.spaces as spaces
import torch
from torch import Tensor, nn

from ....envs.core.task import Observation
from ....envs.core.trial import PAST
from ....neural_blocks.errors import InvalidInput
from ....neural_blocks.layers.initialisation import initialised
from ....neural_blocks.perception.mlp import MLP
from ....neural_blocks.sequence.planning import STATISTICS, Planning, statistics
from ....neural_blocks.sequence.visits import Counts, Visits
from ..masking import MASK
from ..network import Memory, make_encoder

TIMES = 6  # features of the time
UNITS = (100.0, 10.0)  # steps of a trial and of an episode that a unit of the linear features is
CHANNELS, ROUNDS = 2, 4  # of the plan
TIE = 1e-4  # by which each of equal actions comes before the next, so that rounding does not choose


class PerActionActor(nn.Module):
    """A policy for trials in small processes, with the calls of `network.Actor`: what holds of one action holds of all.

    What was seen is counted (`Visits`), values are planned in the counts (`Planning`), with rewards that depend on the
    time and on what else is observed, and each action is scored by the same perceptron, from its own statistics and
    values and, from the second layer on, from the mean and the greatest feature of all actions (Zaheer et al., 2017).
    So actions, and states, may change places, and there are no more weights for more of them. Where the observation is
    not Discrete there is one state, and no plan.

    Args:
        observation_space: of a `Trial`; a Discrete ``observation`` is the state.
        action_space: Discrete.
        hidden: widths of the perceptrons.
        channels: of the plan.
        rounds: of the plan.

    Raises:
        InvalidInput: other spaces, masked actions, or no hidden layer.
    """

    normaliser = None
    units: Tensor
    order: Tensor

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        hidden: Sequence[int],
        channels: int = CHANNELS,
        rounds: int = ROUNDS,
    ) -> None:
        super().__init__()
        seen = dict(observation_space.spaces) if isinstance(observation_space, spaces.Dict) else {}
        if not {*PAST} <= {*seen} or MASK in seen or not isinstance(action_space, spaces.Discrete):
            told = f"{type(observation_space).__name__}{' with a mask' * (MASK in seen)} and {action_space}"
            raise InvalidInput(
                f"network: 'per_action' needs the observation of a Trial and Discrete actions; got {told}"
            )
        if not hidden:
            raise InvalidInput("network: 'per_action' needs hidden to name one width or more; got none")
        state = seen.get("observation")
        self.state = state if isinstance(state, spaces.Discrete) else None
        states, actions = 1 if self.state is None else int(self.state.n), int(action_space.n)
        self.first_action = int(action_space.start)
        known = {*PAST} if self.state is None else {*PAST, "observation"}
        further = spaces.Dict({name: part for name, part in seen.items() if name not in known})
        self.encoder = make_encoder(further) if further.spaces else None
        self.memory = Visits(states, actions)
        self.planning = Planning(states, actions, channels, rounds if states > 1 else 0)
        context = TIMES + (0 if self.encoder is None else self.encoder.output_size)
        self.weights = MLP(context, hidden[:1], channels * STATISTICS, activation="relu")
        own = STATISTICS + 1 + 2 * channels * (self.planning.rounds + 1)
        self.own = nn.ModuleList(
            initialised(nn.Linear(*sizes), "orthogonal") for sizes in itertools.pairwise([own, *hidden])
        )
        about = [context, *(2 * width for width in hidden[:-1])]
        self.about = nn.ModuleList(
            initialised(nn.Linear(size, width, bias=False), "orthogonal")
            for size, width in zip(about, hidden, strict=True)
        )
        self.score = initialised(nn.Linear(hidden[-1], 1), "orthogonal", 0.01)
        self.output_size = 2 * hidden[-1] + context + STATISTICS + channels
        self.register_buffer("order", -TIE * torch.arange(actions, dtype=torch.float32), persistent=False)
        self.register_buffer("units", torch.tensor(UNITS, dtype=torch.float32), persistent=False)

    def initial_memory(self, batch: int) -> Memory:
        """The counts of B trials of which nothing was seen."""
        return self.memory.initial_memory(batch)

    def count(self, seen: dict[str, Tensor], memory: Memory, start: Tensor) -> tuple[Counts, Memory]:
        """One step's observations (B, ...) to what was counted up to it, and the memory after it."""
        action = seen["previous_action"] - self.first_action
        state = torch.zeros_like(action) if self.state is None else seen["observation"] - int(self.state.start)
        reward, fresh = seen["previous_reward"][:, 0], seen["episode_start"][:, 0] > 0
        return self.memory(state, action, reward, fresh, memory, start)

    def read(self, seen: dict[str, Tensor], counts: Counts) -> tuple[Tensor, Tensor]:
        """Observations (N, ...) and what was counted to parameters (N, A) and a value's features (N, F)."""
        clock = counts.clock
        context = torch.cat([clock.log1p(), 1 / (1 + clock), clock / self.units], 1)
        if self.encoder is not None:
            context = torch.cat([context, self.encoder(seen)], 1)
        known = statistics(counts)  # (N, J, S A)
        weights = self.weights(context).unflatten(1, (self.planning.channels, STATISTICS))
        planned, best = self.planning(counts, known, weights)  # (N, P, A), (N, C, S)
        own = self.planning.here(known, counts.state)  # (N, J, A)
        each = [own, planned, planned - planned.amax(2, keepdim=True), counts.just.unsqueeze(1)]
        hidden, about = torch.cat(each, 1).transpose(1, 2), context  # (N, A, features), (N, features)
        for layer, of_all in zip(self.own, self.about, strict=True):
            hidden = torch.relu(layer(hidden) + of_all(about).unsqueeze(1))
            about = torch.cat([hidden.mean(1), hidden.amax(1)], 1)
        return self.score(hidden).squeeze(2) + self.order, torch.cat([about, context, known.mean(2), best.mean(2)], 1)

    def outputs(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Tensor, Memory]:
        """A sequence (T, B, ...) to parameters (T, B, A), features (T, B, F) and the memory after the last step."""
        seen, each = cast("dict[str, Tensor]", observation), []
        for time, fresh in enumerate(start.unbind()):
            counts, memory = self.count({name: part[time] for name, part in seen.items()}, memory, fresh)
            each.append(counts)
        counts = each[0] if len(each) == 1 else Counts(*map(torch.cat, zip(*each, strict=True)))
        parameters, features = self.read({name: part.flatten(0, 1) for name, part in seen.items()}, counts)
        return parameters.view(*start.shape, -1), features.view(*start.shape, -1), memory

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """Policy parameters (T, B, A) and the memory after the last step."""
        parameters, _, memory = self.outputs(observation, memory, start)
        return parameters, memory

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """One step: observations (B, ...), memory, starts (B,), to parameters (B, A) and memory."""
        seen = cast("dict[str, Tensor]", observation)
        counts, memory = self.count(seen, memory, start)
        return self.read(seen, counts)[0], memory


class PerActionActorCritic(PerActionActor):
    """A per-action policy and a value, with the calls of `network.ActorCritic`. Arguments as of `PerActionActor`."""

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], hidden: Sequence[int], **plan: int
    ) -> None:
        super().__init__(observation_space, action_space, hidden, **plan)
        self.critic = MLP(self.output_size, hidden, 1, activation="relu")

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """Policy parameters (T, B, A), values (T, B) and the memory after the last step."""
        parameters, features, memory = self.outputs(observation, memory, start)
        return parameters, self.critic(features).squeeze(-1), memory

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """One step: observations (B, ...), memory, starts (B,), to parameters (B, A), values (B,) and memory."""
        seen = cast("dict[str, Tensor]", observation)
        counts, memory = self.count(seen, memory, start)
        parameters, features = self.read(seen, counts)
        return parameters, self.critic(features).squeeze(-1), memory
