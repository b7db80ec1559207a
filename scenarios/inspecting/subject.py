"""What is looked into: an agent's network, and steps that it has played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor, nn

from ...agents.core.agent import Agent
from ...agents.core.evaluation import time_limit
from ...agents.networks.network import Memory, Trunk
from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.perception.images import ImageLayout, brightest, image_layout

MOST_STEPS = 48


class Unfit(Exception):
    """What is asked for does not fit the agent; the message says why."""


@dataclass(frozen=True)
class ImagePart:
    """The part of an observation that is an image.

    Attributes:
        name: of the part in a Dict; None for the whole observation.
        layout: of its axes.
        brightest: what its values are divided by.
    """

    name: str | None
    layout: ImageLayout
    brightest: float


@dataclass(frozen=True)
class Subject:
    """A network and T steps of B environments that its agent played, greedily.

    Attributes:
        agent: whose network it is.
        network: what turns observations into the parameters of actions, or their values.
        observation: (T, B, ...).
        start: (T, B) bool, the first observation of an episode.
        memory: before each step, T tuples of parts (B, ...).
    """

    agent: Agent
    network: Trunk
    observation: Observation
    start: Tensor
    memory: list[Memory]

    @property
    def discrete(self) -> bool:
        """Whether the network has one output for each of its actions."""
        return isinstance(self.agent.action_space, spaces.Discrete)

    def outputs(self, observation: Observation, memory: Memory, start: Tensor) -> Tensor:
        """The head's outputs (T, B, P): parameters of actions or values of actions."""
        found: Tensor = self.network(observation, memory, start)[0]
        return found

    def answers(self, outputs: Tensor) -> Tensor:
        """What is explained, (...): the best action's output; where actions are no classes, half the squared length."""
        return outputs.amax(-1) if self.discrete else outputs.square().sum(-1) / 2

    def image(self) -> ImagePart:
        """The first part of the observation that is an image. Raises `Unfit` where none is."""
        space: Any = self.agent.observation_space
        for name, part in space.items() if isinstance(space, spaces.Dict) else [(None, space)]:
            layout = image_layout(part)
            if layout is not None:
                return ImagePart(name, layout, brightest(part))
        raise Unfit("no part of its observation is a picture")

    def images(self) -> Tensor:
        """Pictures it saw at the episodes' first steps, (B, C, H, W) in [0, 1] or [-1, 1]."""
        part = self.image()
        raw = self.observation if part.name is None else self.observation[part.name]  # type: ignore[index]
        assert isinstance(raw, Tensor)
        return part.layout(raw[0]).float() / part.brightest

    def of_images(self, rows: Tensor) -> Callable[[Tensor], Tensor]:
        """The outputs (N, P) as a function of images (N, C, H, W) in the place of those of some rows' first steps.

        Args:
            rows: (N,) int64, whose other parts of the observation and whose memory stand beside the images.
        """
        part = self.image()
        if not part.layout.channel_first and len(part.layout.axes) > 3:
            raise Unfit("its pictures are stacked in a way that is not undone")
        first = tree_map(lambda one: one[:1, rows], self.observation)
        memory, start = tuple(one[rows] for one in self.memory[0]), self.start[:1, rows]
        back = tuple(part.layout.axes.index(axis) for axis in range(len(part.layout.axes)))

        def outputs(images: Tensor) -> Tensor:
            shaped = images if len(back) == 3 else images[:, 0]
            own = shaped.permute(0, *(axis + 1 for axis in back)) if len(back) == 3 else shaped
            own = (own * part.brightest).unsqueeze(0)
            seen: Any = own if part.name is None else {**first, part.name: own}  # type: ignore[dict-item]
            return self.outputs(seen, memory, start)[0]

        return outputs

    @contextmanager
    def encoded(self) -> Iterator[list[Tensor]]:
        """Inside it, gradients end at what the encoder gives, (T B, F), which is put on the list."""
        found: list[Tensor] = []

        def cut(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            found.append(output.detach().requires_grad_())
            return found[-1]

        hook = self.network.encoder.register_forward_hook(cut)
        try:
            yield found
        finally:
            hook.remove()


def play(agent: Agent, env: BatchedEnvironment, seed: int) -> Subject:
    """Plays an episode, or its first steps, in every environment.

    Raises:
        InvalidInput: the agent has no network of this suite's kind.
    """
    networks = [getattr(agent, name, None) for name in ("network", "actor")]
    network = next((one for one in networks if isinstance(one, Trunk)), None)
    if network is None:
        raise InvalidInput(f"inspect: agent {agent.name!r} has no network of encoder, memory and head to look into")
    steps = min(time_limit(env) or MOST_STEPS, MOST_STEPS)
    agent.attach(env)
    kept, starts, memories = [], [], []
    with agent.apart(seed), torch.no_grad():
        env.reset(seed)
        memory = agent.initial_memory(env.num_envs)
        for _ in range(steps):
            kept.append(env.observation)
            starts.append(env.episode_start)
            memories.append(memory)
            action, memory = agent.act(env.observation, memory, env.episode_start, greedy=True)
            env.step(action)
    observation = tree_map(lambda *parts: torch.stack(parts), *kept)
    return Subject(agent, network, observation, torch.stack(starts), memories)
