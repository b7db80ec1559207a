"""What every agent that learns from steps shares: how its iterations are run, the running episodes, and their state."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

from ...envs.core.protocol import BatchedEnvironment
from ..core.agent import Agent, Memory, Report
from ..networks.layer_norms import LayerNorms
from .averaging import Averaged
from .execution import Interaction, Iterations, PerShape, compiled_by, program_by
from .optimisers import set_rate, tensor_rates
from .statistics import EpisodeStatistics, Numbers, continued_statistics, restored, saved


class Learner(Agent):
    """An agent that learns in iterations: each takes steps in the environments and then changes its weights.

    Subclasses write an iteration as a function that leaves its numbers on the device, and run it by `run`.

    Attributes:
        memory: what the agent remembers where the environments to learn in stand.
        statistics: of their episodes; None before learning.
        averaged: the average of its weights that it acts with; None to act with the last ones.
        norms: of its layers, for the report; None if it is not asked for.
    """

    memory: Memory = ()
    statistics: EpisodeStatistics | None = None
    on_device: ClassVar[bool] = True
    averaged: Averaged | None = None
    norms: LayerNorms | None = None
    _env: BatchedEnvironment | None = None
    _iterations: Iterations | None = None
    _updates: tuple[PerShape, ...] = ()

    def whole(self, env: BatchedEnvironment) -> int:
        """How many environments it learns in: those of all processes."""
        return self.processes.count(env.num_envs)

    def enter(self, env: BatchedEnvironment, steps: int) -> bool:
        """Goes on learning in these environments as they stand; those that were never reset are.

        Args:
            env: the environments.
            steps: that it is to have taken then in all.

        Returns:
            Whether they are others than before, or other in number: what the agent remembers of them is void.
        """
        self.attach(env, steps)
        before, self.statistics = self.statistics, continued_statistics(self.statistics, env, self.processes)
        if env is not self._env:
            self._env, self._iterations = env, None
            self.prepare(env)
        return self.statistics is not before

    def prepare(self, env: BatchedEnvironment) -> None:
        """Makes what acts in these environments; called once for each, and again by `renew`."""

    def renew(self) -> None:
        """Compiles and captures anew, as the rules of the environments have changed (other opponents, say)."""
        self._iterations = None
        if self._env is not None:
            self.prepare(self._env)

    def interaction(self, env: BatchedEnvironment, choose: Callable[..., Any]) -> Interaction:
        """Acting in environments, run as the agent is; see `Interaction`."""
        return Interaction(env, choose, None if self.execution == "eager" else self.compiled_step)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of trees of tensors, run as the agent is: as it stands, or as a fused program for each shape."""
        if self.execution == "eager":
            return function
        return PerShape(function, compiled_by(f"{self.name}: {function.__name__}", self.backend))

    @property
    def whole_updates(self) -> bool:
        """Whether an update is one program: loss, gradient and step. On CUDA the graph around it does as much."""
        return self.execution == "compiled" and self.device.type == "cpu"

    def compiled_step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """As `compiled`, for a function of which no gradient is asked."""
        if not self.whole_updates:
            return self.compiled(function)
        made = program_by(f"{self.name}: {function.__name__}", self.backend, self.changing, native=True)
        return PerShape(function, made)

    def updating(self, update: Callable[..., Any], rated: Callable[[], Iterable[Optimizer]]) -> Callable[..., Any]:
        """A function that changes weights in place, run as the agent is: as it stands, or as a program for each shape.

        Args:
            update: takes and returns trees of tensors; it steps by `optimisers.step`.
            rated: gives the optimisers that it steps.
        """
        if not self.whole_updates:
            return update
        by = program_by(f"{self.name}: update", self.backend, self.changing)

        def make(function: Callable[..., Any]) -> Callable[..., Any]:
            for optimiser in rated():
                tensor_rates(optimiser)
            return by(function)

        made = PerShape(update, make)
        self._updates = (*self._updates, made)
        return made

    def forget_updates(self) -> None:
        """Has updates compiled anew, as tensors that they use were replaced."""
        for update in self._updates:
            update.forget()

    def loss_within(self, loss: Callable[..., Any]) -> Callable[..., Any]:
        """A loss that `updating` functions take the gradient of: as it stands where they are programs themselves."""
        return loss if self.whole_updates else self.compiled(loss)

    def run(self, iteration: Callable[..., Numbers], *kind: Hashable) -> Numbers:
        """``iteration(*kind)``, run as the agent is: as it stands, or captured once for each kind and replayed."""
        if self.execution != "captured" or not hasattr(self._env, "advance"):
            return iteration(*kind)
        if self._iterations is None:  # what an iteration makes but once, such as the room of a replay, it makes now
            self.randomness.ahead = False
            self._iterations = Iterations(self, self._env, self.name, type(self).recorder)
            return iteration(*kind)
        return self._iterations.run(iteration, *kind)

    def average(self, *modules: nn.Module) -> None:
        """Acts, from now on, with an average of these modules' weights, if the settings say so."""
        if self.config.averaging is not None:
            self.averaged = Averaged(modules, self.config)

    def watch(self, **modules: nn.Module) -> None:
        """Reports the norms of these modules' layers, if the settings say so."""
        if self.config.report_norms:
            self.norms = LayerNorms(modules)

    def measure(self, parameters: Iterable[Tensor]) -> None:
        """To be called when the gradients that these parameters are about to follow are there."""
        if self.norms is not None:
            self.norms.measure(parameters)

    def acting(self) -> AbstractContextManager[None]:
        """Within, networks have the weights that the agent acts with where it does not learn."""
        return nullcontext() if self.averaged is None else self.averaged.acting()

    def on_schedule(self, optimisers: Sequence[Optimizer], progress: float) -> None:
        """Sets what changes over a run, of which that share is over, at the beginning of an iteration."""
        if self.config.scheduled:
            for optimiser in optimisers:
                set_rate(optimiser, self.config.rate(progress))
        if self.averaged is not None:
            self.averaged.begun.fill_(float(progress >= self.config.average_from))

    def report(self, numbers: Numbers) -> Report:
        """What `learn` yields of an iteration. Raises `Diverged` for a loss that is no number."""
        assert self.statistics is not None
        if self.norms is not None:
            sums, metrics, losses = numbers
            numbers = sums, metrics, losses | self.norms.numbers()
        return self.statistics.report(self.steps, numbers)

    @property
    def moving(self) -> Any:
        """A tree of tensors that an iteration replaces by others: memory and running episodes."""
        assert self.statistics is not None
        return tuple(self.memory), self.statistics.running

    @moving.setter
    def moving(self, tree: Any) -> None:
        assert self.statistics is not None
        self.memory, self.statistics.running = tree

    def changing(self) -> list[Tensor]:
        """Tensors that an iteration changes in place: the randomness's counters, averaged weights, and norms."""
        averaged = () if self.averaged is None else (*self.averaged.parameters(), *self.averaged.buffers())
        return [*self.randomness.counters, *averaged, *([] if self.norms is None else [self.norms.gradients])]

    def state_dict(self) -> dict[str, Any]:
        """Running and recent episodes, and averaged weights, beside the base's counters."""
        state = super().state_dict() | {"episodes": None if self.statistics is None else saved(self.statistics)}
        return state if self.averaged is None else state | {"averaged": self.averaged.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.statistics = self._env = self._iterations = None
        self.forget_updates()  # optimisers have other tensors now
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        if state["episodes"] is not None:
            self.statistics = restored(state["episodes"], self.device, self.processes)


@contextmanager
def training(*modules: nn.Module) -> Iterator[None]:
    """Within, modules are in training mode (dropout drops, batch normalisation learns); after it in evaluation mode."""
    for module in modules:
        module.train()
    try:
        yield
    finally:
        for module in modules:
            module.eval()
