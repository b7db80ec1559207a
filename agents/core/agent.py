"""What an agent is: it acts, learns as a generator, and saves and resumes everything that matters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ...envs.checks.options import LARGEST_SEED, MOST_STEPS, integer, torch_device
from ...envs.core.execution import CudaGraph, Recorder, resolved
from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import leaves, tree_map
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.registry import refuse_imports
from .aside import Aside
from .checkpoint import fingerprint, not_finite, read_checkpoint, require_dtypes, write_checkpoint
from .config import AgentConfig
from .described_spaces import describe, tensors_of
from .processes import ALONE, Processes
from .randomness import Randomness
from .thought import Thought

Memory = tuple[Tensor, ...]
Report = dict[str, float]


class Agent(ABC):
    """A policy that may learn.

    Args:
        observation_space: of one environment.
        action_space: of one environment.
        config: settings; None for the defaults.
        device: where its tensors live; the environments must live there too.
        seed: of its initial weights and of every random choice it makes.
        execution: how it learns: "eager", "compiled" (its steps and losses as fused programs), "captured" (on CUDA
            only: each iteration as one graph, compiled inside), or "auto", captured on CUDA and eager elsewhere.

    Raises:
        InvalidInput: spaces that the agent does not serve.

    Attributes:
        name: what the registry and the leaderboard call it.
        observation_spaces: the kinds it can see; `Space` stands for all of them.
        action_spaces: the kinds it can act in.
        for_learning: parts of its state that only learning needs.
        in_processes: whether several processes can train it together, see `join`.
        side_by_side: whether runs of several seeds can be trained as one batch, see `learning.side_by_side`.
        on_device: whether `act` computes on the agent's device alone and asks it nothing, so that it can be captured.
        recorder: what captures.
        processes: those that train it.
        steps: environment steps learned from so far.
    """

    name: ClassVar[str]
    Config: ClassVar[type[AgentConfig]] = AgentConfig
    backend: ClassVar[str] = "inductor"  # of torch.compile
    for_learning: ClassVar[tuple[str, ...]] = ()
    in_processes: ClassVar[bool] = False
    side_by_side: ClassVar[bool] = False
    on_device: ClassVar[bool] = False
    recorder: ClassVar[Callable[[], Recorder]] = CudaGraph
    processes: Processes = ALONE
    observation_spaces: ClassVar[tuple[type[spaces.Space[Any]], ...]] = (
        spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Dict,
    )  # fmt: skip
    action_spaces: ClassVar[tuple[type[spaces.Space[Any]], ...]] = (
        spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box,
    )  # fmt: skip

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        config: AgentConfig | None = None,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
        execution: str = "auto",
    ) -> None:
        given: dict[Literal["observation", "action"], spaces.Space[Any]]
        given = {"observation": observation_space, "action": action_space}
        for kind, space in given.items():
            if not isinstance(space, getattr(self, f"{kind}_spaces")):
                raise InvalidInput(f"{self.name}: {kind} space must be {served(self, kind)}; got {_one_line(space)}")
        self.observation_space, self.action_space = observation_space, action_space
        self.config: Any = self.Config() if config is None else config
        self.device = torch_device(f"{self.name}: device", device)
        seed = integer(f"{self.name}: seed", seed, -LARGEST_SEED, LARGEST_SEED)
        self.execution = resolved(f"{self.name}: execution", execution, self.device)
        self.randomness = Randomness(seed, self.device)
        self.steps = 0
        with torch.random.fork_rng(devices=[]), single_precision():
            torch.default_generator.manual_seed(seed)  # leaves a GPU's global generator alone
            self.build()

    def build(self) -> None:  # noqa: B027
        """Makes networks and optimisers; the global random state is the agent's own while it runs."""

    def join(self, processes: Processes) -> None:
        """Learns, from its first step on, together with the same agent in other processes.

        What is learned is what one process with all their environments learns, but for rounding; its steps and its
        saved state are those of the whole. `learn`, `save` and `state_dict` are then called by all of them.

        Raises:
            InvalidInput: an agent that learns in one process only, or that is not run eagerly.
        """
        if processes.size > 1 and not self.in_processes:
            raise InvalidInput(f"{self.name}: learns in one process; got {processes.size}")
        if processes.size > 1 and self.execution != "eager":
            raise InvalidInput(
                f"{self.name}: execution must be 'eager' in several processes, whose shares of a minibatch are of "
                f"changing size; got {self.execution!r}"
            )
        self.processes = processes
        self.randomness = Randomness(self.randomness.seed, self.device, processes.rank)

    def initial_memory(self, num_envs: int) -> Memory:
        """The memory of B fresh episodes; empty for an agent without one."""
        return ()

    @property
    def acting_randomness(self) -> Randomness:
        """What `act` draws from, all that it changes beside its memory."""
        return self.randomness

    def _going_on(self, observation: Observation, memory: Memory, start: Tensor | None) -> tuple[Memory, Tensor]:
        """The memory and starts (B,) that `act` was given; where none are, a fresh memory and no start."""
        num_envs = len(leaves(observation)[0])
        if start is None:
            start = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        return memory or self.initial_memory(num_envs), start

    @abstractmethod
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Actions for B environments.

        Args:
            observation: (B, ...).
            memory: what the last call returned, or `initial_memory`.
            start: (B,) bool, where an episode starts and the memory is wiped; None for nowhere.
            greedy: the most probable action instead of a random one.

        Returns:
            Actions (B, ...) of the action space, and the memory for the next call.
        """

    def think(self, observation: Observation, memory: Memory = (), start: Tensor | None = None) -> Thought:
        """What lies behind the action that `act` would give, which takes the same; it changes nothing."""
        return Thought()

    def aside(self) -> Aside | None:
        """What evaluations are to note of it; None for nothing."""
        return None

    def settle(self, env: BatchedEnvironment, seed: int = 0) -> None:  # noqa: B027
        """Fits what is fitted on held-out episodes while the weights stay as they are, such as a temperature."""

    def predict(
        self, observation: Any, memory: Memory = (), start: bool = False, *, greedy: bool = True
    ) -> tuple[Any, Memory]:
        """The action for one observation of one environment, as NumPy has them.

        Args:
            observation: of the observation space, without a batch axis.
            memory: what the last call returned; empty at the first.
            start: an episode starts with this observation, so the memory is wiped.
            greedy: the most probable action instead of a random one.

        Returns:
            An action of the action space, and the memory for the next call.
        """
        seen = tree_map(lambda part: part.to(self.device), tensors_of(self.observation_space, observation))
        action, memory = self.act(seen, memory, torch.tensor([start], device=self.device), greedy=greedy)
        one = action[0].cpu().numpy()
        return (one[()] if isinstance(self.action_space, spaces.Discrete) else one), memory

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        It is a generator: nothing happens until it is looped over. `train` does that, for so many steps more.
        """
        return iter(())

    def train(self, env: BatchedEnvironment, steps: int) -> Report:
        """Learns for `steps` environment steps more, to the end; gives the last report, empty if nothing is learned."""
        report: Report = {}
        for report in self.learn(env, self.steps + steps):  # noqa: B007
            pass
        return report

    def attach(self, env: BatchedEnvironment, steps: int | None = None) -> None:
        """Tells the agent which environments it is about to act in, and how many steps it is to have taken then in all.

        Raises:
            InvalidInput: environments of other spaces, or on another device; steps that are no whole number.
        """
        if steps is not None:
            integer(f"{self.name}: steps", steps, 0, MOST_STEPS)
        for kind in ("observation_space", "action_space"):
            wanted, found = getattr(self, kind), getattr(env, kind)
            if found != wanted:
                raise InvalidInput(
                    f"{self.name}: {kind} must be {_one_line(wanted)}; {env.name} has {_one_line(found)}"
                )
        if env.device.type != self.device.type:
            raise InvalidInput(
                f"{self.name}: device must be {self.device.type!r}; {env.name} is on {env.device.type!r}"
            )

    def measured(self, env: BatchedEnvironment) -> dict[str, float]:
        """Further metrics of an evaluation in these environments: what the agent itself can tell of how good it is."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what the agent does next: tensors and plain values."""
        return {"steps": self.steps, "randomness": self.randomness.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        self.steps = state["steps"]
        self.randomness.load_state_dict(state["randomness"])

    @contextmanager
    def apart(self, seed: int | None = None) -> Iterator[None]:
        """Within, random choices are made apart: those after it are what they would have been without it.

        Args:
            seed: of the choices within; None for those that would have been made next.
        """
        own = self.randomness
        self.randomness = own.copy() if seed is None else Randomness(seed, self.device)
        try:
            yield
        finally:
            self.randomness = own

    def save(self, path: str | Path, *, whole: bool = True, **extra: Any) -> None:
        """Writes a checkpoint; the old file stays whole until the new one is, and links are replaced, not followed.

        Args:
            path: the file.
            whole: with what learning goes on from; else without `for_learning` (a replay, say), for acting.
            extra: further tensors and plain values to keep beside the agent (the environment's state, say).
        """
        state = self.state_dict()
        content = {
            "agent": self.name,
            "config": self.config.model_dump(mode="json"),
            "spaces": self._spaces(),
            "described": {"observation": describe(self.observation_space), "action": describe(self.action_space)},
            "state": {name: part for name, part in state.items() if whole or name not in self.for_learning},
            "extra": extra,
        }
        if self.processes.leads:
            write_checkpoint(path, content)

    def _spaces(self) -> dict[str, str]:
        return {"observation": fingerprint(self.observation_space), "action": fingerprint(self.action_space)}

    def restore(self, checkpoint: dict[str, Any], path: str | Path) -> None:
        """Takes over the state in a checkpoint that `read_checkpoint` returned.

        Raises:
            InvalidInput: the checkpoint is another agent's, or of other spaces, or of other layer sizes.
        """
        self._check_agent(checkpoint, path)
        for kind, space in self._spaces().items():
            found = checkpoint["spaces"].get(kind)
            if found != space:
                raise InvalidInput(
                    f"{path}: checkpoint of another environment: {kind} space must be {space}; got {found}"
                )
        require_dtypes(checkpoint["state"], self.state_dict(), f"{path}: checkpoint does not fit this agent")
        try:
            self.load_state_dict(checkpoint["state"])
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise InvalidInput(f"{path}: checkpoint does not fit this agent: {_one_line(error)}") from error
        if found := not_finite(self):
            raise InvalidInput(f"{path}: checkpoint must hold finite weights; {found[0]} is {found[1]}")

    @classmethod
    def _check_agent(cls, checkpoint: dict[str, Any], path: str | Path) -> None:
        if checkpoint["agent"] != cls.name:
            raise InvalidInput(f"{path}: agent must be {cls.name!r}; got {checkpoint['agent']!r}")

    @classmethod
    def load(
        cls,
        path: str | Path,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        device: torch.device | str = "cpu",
        **settings: Any,
    ) -> Self:
        """The agent of a checkpoint, with its own configuration.

        Args:
            path: the file.
            observation_space: of one environment.
            action_space: of one environment.
            device: where the agent is to live.
            settings: of the configuration, where a checkpoint cannot hold them: blocks that were passed as modules.

        Raises:
            InvalidInput: the file is missing, damaged, another agent's, or of other spaces; or its configuration names
                code to import ("module:Class") that is not among the settings given, outside `allowing_imports`.
        """
        checkpoint = read_checkpoint(path, device)
        cls._check_agent(checkpoint, path)
        refuse_imports([value for key, value in checkpoint["config"].items() if key not in settings], path)
        agent = cls(observation_space, action_space, cls.Config(**{**checkpoint["config"], **settings}), device=device)
        agent.restore(checkpoint, path)
        return agent


@contextmanager
def single_precision() -> Iterator[None]:
    """Within, tensors without a dtype of their own are float32, whatever the process has chosen."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def served(agent: Agent | type[Agent], kind: Literal["observation", "action"]) -> str:
    """The kinds of observation or action space that an agent serves, such as "Box or Discrete"; "any" for all."""
    names = ["any" if cls is spaces.Space else cls.__name__ for cls in getattr(agent, f"{kind}_spaces")]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _one_line(told: object, length: int = 160) -> str:
    text = " ".join(str(told).split())
    return text if len(text) <= length else f"{text[:length]}..."
