"""What every agent with one network for its policy shares: making it, acting, and its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.robustness.calibration import TemperatureScaling
from ..core.agent import Memory
from ..core.processes import Processes
from ..core.randomness import ACT
from ..core.thought import Thought
from ..networks.beam import next_word, require_writing
from ..networks.heads import distribution
from ..networks.masking import is_masked
from ..networks.network import Actor, ActorCritic
from ..networks.whole.per_action import PerActionActor, PerActionActorCritic
from ..networks.whole.per_pixel import PixelActor, PixelActorCritic, PixelwiseActor, PixelwiseActorCritic
from ..networks.whole.pointing import PointerActor, PointerActorCritic
from ..robustness.adversarial import AdversarialTraining
from ..robustness.answers import Answers, require_classes
from ..robustness.ensemble import Committee, committee, cyclic_rate
from ..robustness.temperature import fit_temperature
from . import optimisers
from .learner import Learner
from .optimisers import set_rate

WHOLE: dict[tuple[str, bool], Any] = {  # by the setting, and by whether there is a value
    ("unet", False): PixelActor,
    ("unet", True): PixelActorCritic,
    ("pixelwise", False): PixelwiseActor,
    ("pixelwise", True): PixelwiseActorCritic,
    ("pointer", False): PointerActor,
    ("pointer", True): PointerActorCritic,
    ("per_action", False): PerActionActor,
    ("per_action", True): PerActionActorCritic,
}


class PolicyAgent(Learner):
    """An agent whose network gives the parameters of a distribution over actions. Subclasses say how it learns.

    Attributes:
        network: an `Actor` or `ActorCritic`, or one of `per_pixel`, `per_action` or `pointing` in its place; in
            training mode while it learns from what was collected, else not.
        policy: the action space's distribution.
        parameters: of both, those that are learned.
        optimiser: of the parameters; subclasses make it.
        chunk: L, steps of the sequences that are learned from; 1 without a memory.
        memory: the network's, where the environments to learn in stand.
        adversary: makes the images that it learns from; None where they are learned from as they are.
        answers: what evaluations note of it; None for nothing.
        scaling: what its logits are divided by when it acts; None for nothing.
    """

    network: Any
    optimiser: torch.optim.Optimizer
    adversary: AdversarialTraining | None = None
    answers: Answers | None = None
    scaling: TemperatureScaling | None = None

    def make_network(self, kind: type[Actor] | type[ActorCritic]) -> None:
        """Network and distribution, and what stands beside them before learning."""
        policy = distribution(self.action_space, self.config.head, self.config.components, self.config.noise_features)
        if hasattr(policy, "log_std"):
            torch.nn.init.constant_(policy.log_std, self.config.initial_log_std)
        if self.config.beam > 1:
            require_writing(self.name, self.observation_space, self.action_space)
        if self.config.network != "perceptron":
            whole = WHOLE[self.config.network, issubclass(kind, ActorCritic)]
            network: Any = whole(self.observation_space, self.action_space, self.config.hidden)
        else:
            masked = is_masked(self.observation_space, self.action_space)
            if masked and self.config.head != "gaussian":
                head = self.config.head
                raise InvalidInput(f"{self.name}: head must be 'gaussian' where actions are masked; got {head!r}")
            count = getattr(self.config, "ensemble", 1)
            given = {"masked": masked, "latent": getattr(policy, "latent", 0), **self.config.trunk()}
            each = [kind(self.observation_space, policy.size, **given) for _ in range(count)]
            network = each[0] if count == 1 else committee(self, each)
        self.network = network.to(self.device).eval()
        self.policy = policy.to(self.device)
        both = [*self.network.parameters(), *self.policy.parameters()]
        self.parameters = [parameter for parameter in both if parameter.requires_grad]
        self.average(self.network, self.policy)
        self.watch(network=self.network, policy=self.policy)
        self.chunk: int = self.config.chunk
        if getattr(self.config, "adversarial_epsilon", 0):
            self.adversary = AdversarialTraining(self)
        if any(getattr(self.config, name, None) for name in ("robust_attack", "reliability_bins")):
            self.answers = Answers(self)
        if getattr(self.config, "temperature_scaling", False):
            require_classes(self)
            self.scaling = TemperatureScaling().to(self.device).requires_grad_(False)
        self.memory: Memory = ()

    def join(self, processes: Processes) -> None:
        """Learns together with the same agent in other processes; see `Agent.join`."""
        alone_only: dict[str, Any] = {"adversarial_epsilon": 0, "ensemble": 1, "invariance": None}
        for name, alone in alone_only.items():
            if processes.size > 1 and getattr(self.config, name, alone) != alone:
                raise InvalidInput(f"{self.name}: {name} must be {alone} in several processes")
        super().join(processes)

    def on_schedule(self, optimisers: Sequence[torch.optim.Optimizer], progress: float) -> None:
        """Beside the base's, takes snapshots of an ensemble of such."""
        super().on_schedule(optimisers, progress)
        if isinstance(self.network, Committee) and self.network.kind == "snapshot":
            self.network.snap(progress)
            for optimiser in optimisers:
                set_rate(optimiser, cyclic_rate(self.config, progress))

    def make_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of the parameters; a policy's own, such as its deviation, are not held small."""
        return optimisers.make_optimiser(self.parameters, self.config, self.policy.parameters())

    def initial_memory(self, num_envs: int) -> Memory:
        """Zeros."""
        return self.network.initial_memory(num_envs)

    @torch.no_grad()
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Actions (B, ...) from the policy; see `Agent.act`."""
        memory, start = self._going_on(observation, memory, start)
        with self.acting():
            return self._act(observation, memory, start, greedy)

    def _act(self, observation: Observation, memory: Memory, start: Tensor, greedy: bool) -> tuple[Tensor, Memory]:
        if greedy and self.config.beam > 1:
            logits = lambda seen: self.network.act(seen, (), torch.zeros_like(seen["written"][:, 0]).bool())[0]  # noqa: E731
            config, seen = self.config, cast("dict[str, Tensor]", observation)
            return next_word(logits, seen, config.beam, config.beam_normalisation, config.beam_bonus), memory
        parameters, *_, memory = self.parameters_of(observation, memory, start)
        raw = self.policy.mode(parameters) if greedy else self.policy.sample(parameters, self.noise(len(parameters)))
        return self.policy.to_env(raw), memory

    @torch.no_grad()
    def think(self, observation: Observation, memory: Memory = (), start: Tensor | None = None) -> Thought:
        """The probabilities of the actions where they are few, and the value where the network has one."""
        memory, start = self._going_on(observation, memory, start)
        with self.acting():
            parameters, *value, _ = self.parameters_of(observation, memory, start)
        shares = {spaces.Discrete: torch.softmax, spaces.MultiBinary: lambda logits, _: torch.sigmoid(logits)}
        share = shares.get(type(self.action_space))
        few = share is not None and parameters.ndim == 2
        return Thought(share(parameters, -1) if share and few else None, None, value[0] if value else None)

    def parameters_of(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """What `network.act` gives, with the parameters (B, P) that it acts with where it does not learn."""
        parameters, *further = self.network.act(observation, memory, start)
        return (parameters if self.scaling is None else self.scaling(parameters), *further)

    def aside(self) -> Answers | None:
        """How robust and how sure its answers are, as far as the settings say so."""
        return self.answers

    def settle(self, env: BatchedEnvironment, seed: int = 0) -> None:
        """Fits the temperature, if the settings say so, to at least 1,024 answers in environments with an expert."""
        if self.scaling is not None:
            fit_temperature(self, env, seed)

    def spread(self, rows: Tensor | None, tree: Any) -> Any:
        """Trees of (L, N, ...) with the rows that each member of an ensemble learns from; without rows as they are."""
        return tree if rows is None else tree_map(lambda part: part.index_select(1, rows), tree)

    def rows(self, observation: Observation, start: Tensor, label: Tensor | None = None) -> Tensor | None:
        """Which rows of (1, N, ...) an ensemble learns from, see `Committee.rows`; None without one."""
        return self.network.rows(observation, start, label) if isinstance(self.network, Committee) else None

    def noise(self, num_envs: int) -> Tensor:
        """Uniforms for one action of each environment, (B, noise)."""
        return self.randomness.uniform(ACT, num_envs, self.policy.noise)

    def minimise(self, loss: Tensor, *numbers: Tensor, going: Callable[[], Tensor] | None = None) -> Tensor:
        """One step of the optimiser; returns the gradient's norm before it was scaled down.

        With several processes the gradient is the sum of theirs, and so is, from then on, each of the numbers. `going`
        says then, () bool, whether the step is taken; None for yes.
        """
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        self.processes.add([*(one.grad for one in self.parameters if one.grad is not None), *numbers])
        optimisers.prepare_gradients(self.parameters, self.config, self.policy.parameters())
        self.measure(self.parameters)
        norm = optimisers.scale_down(self.parameters, self.config)
        if going is None:
            optimisers.step(self.optimiser)
        else:
            optimisers.step_where(going(), self.optimiser)
        if self.averaged is not None:
            self.averaged.update()
        return norm

    def changing(self) -> list[Tensor]:
        """Weights, buffers and optimiser beside the base's tensors."""
        modules = (self.network, self.policy)
        weights = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        return [*super().changing(), *weights, *optimisers.tensors(self.optimiser)]

    def state_dict(self) -> dict[str, Any]:
        """Network, optimiser and memory beside the base's state."""
        scaling = {} if self.scaling is None else {"scaling": self.scaling.state_dict()}
        return (
            super().state_dict()
            | scaling
            | {
                "network": self.network.state_dict(),
                "policy": self.policy.state_dict(),
                "optimiser": optimisers.saved(self.optimiser),
                "memory": [self.processes.gather(part) for part in self.memory],
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.network.load_state_dict(state["network"])
        self.policy.load_state_dict(state["policy"])
        if self.scaling is not None:
            self.scaling.load_state_dict(state["scaling"])
        optimisers.restore(self.optimiser, state["optimiser"])
        self.memory = tuple(self.processes.own(part.to(self.device)) for part in state["memory"])
