"""Runs of several seeds side by side: one network with an axis of seeds over its weights, one batch of environments.

Row i S + s of the batch is row i of seed s: what is by environment is computed for all seeds at once, networks and
losses by `torch.func.vmap` over the weights. Each seed keeps its own agent, with its weights, optimiser, counters and
running episodes, and learns what it would learn alone, but for rounding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.tracing import branch_free
from ...envs.core.tree import leaves, tree_map
from ..core.agent import Agent, Report
from ..core.processes import Processes
from .optimisers import prepare_gradients
from .statistics import Numbers, continued_statistics


def side_by_side(trees: Sequence[Any], axis: int = 0) -> Any:
    """One tree of S of the same shapes: rows i along the axis become rows i S to i S + S - 1."""
    return tree_map(lambda *parts: torch.stack(parts, axis + 1).flatten(axis, axis + 1), *trees)


def of_seed(tree: Any, place: int, count: int, axis: int = 0) -> Any:
    """The rows of one of `count` seeds along an axis, in memory of their own."""
    return tree_map(lambda part: part.unflatten(axis, (-1, count)).select(axis + 1, place).clone(), tree)


class Stack:
    """The parameters and buffers of S modules of one shape, each as one tensor (S, ...).

    Args:
        modules: of which the first lends its shape: in a call it holds the weights of all.

    Attributes:
        parameters: (S, ...) each, those that are learned.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.count, self.modules = len(modules), modules
        self._places = list(_places(modules[0]))
        own = [[home[name] for home, name in _places(module)] for module in modules]
        self._own, self.tensors = own, [torch.stack([one.detach() for one in each]) for each in zip(*own, strict=True)]
        self.learned = [one.requires_grad for one in own[0]]
        self.tensors = [one.requires_grad_(wanted) for one, wanted in zip(self.tensors, self.learned, strict=True)]
        self.parameters = [one for one in self.tensors if one.requires_grad]

    def each(self, function: Callable[..., Any], axes: Sequence[int], out: int) -> Callable[..., Any]:
        """A function that calls the first module, as one of all S: rows of arguments lie side by side along the axes.

        Args:
            function: of trees of tensors.
            axes: of each argument, that of its rows; an argument may be None.
            out: the axis at which the results have the seeds.
        """

        def one(weights: list[Tensor], *arguments: Any) -> Any:
            before = [home[name] for home, name in self._places]
            for (home, name), weight in zip(self._places, weights, strict=True):
                home[name] = weight
            try:
                return function(*arguments)
            finally:
                for (home, name), weight in zip(self._places, before, strict=True):
                    home[name] = weight

        def call(*arguments: Any) -> Any:
            apart, dims = [], []
            for argument, axis in zip(arguments, axes, strict=True):
                apart.append(tree_map(lambda part, axis=axis: part.unflatten(axis, (-1, self.count)), argument))
                dims.append(axis + 1 if leaves(argument) else None)
            with branch_free():
                return torch.func.vmap(one, in_dims=(0, *dims), out_dims=out)(self.tensors, *apart)

        return call

    @torch.no_grad()
    def hand_out(self) -> None:
        """Gives every module its own weights."""
        for place, own in enumerate(self._own):
            for tensor, whole in zip(own, self.tensors, strict=True):
                tensor.copy_(whole[place])


def _places(module: nn.Module) -> Iterator[tuple[dict[str, Any], str]]:
    for part in module.modules():
        for home in (part._parameters, part._buffers):
            yield from ((home, name) for name, tensor in home.items() if tensor is not None)


class _Network:
    """S networks as the collector of rollouts uses one: rows of all seeds side by side."""

    normaliser = None

    def __init__(self, stack: Stack) -> None:
        self._first: Any = stack.modules[0]
        self._act = stack.each(lambda *seen: self._first.act(*seen), (0, 0, 0), 1)

    def act(self, observation: Any, memory: Any, start: Tensor) -> Any:
        return tree_map(lambda part: part.flatten(0, 1), tuple(self._act(observation, memory, start)))

    def initial_memory(self, rows: int) -> Any:
        return self._first.initial_memory(rows)

    def train(self) -> None:
        self._first.train()

    def eval(self) -> None:
        self._first.eval()


class _Randomness:
    """The draws of S agents side by side."""

    def __init__(self, agents: Sequence[Any]) -> None:
        self._agents = agents

    def steps(self, purpose: int, steps: int, rows: int, width: int) -> Tensor:
        each = [one.randomness.steps(purpose, steps, rows // len(self._agents), width) for one in self._agents]
        return side_by_side(each, 1)

    def permutations(self, purpose: int, count: int, length: int) -> Tensor:
        """(count, length, S), an order for each seed."""
        return torch.stack([one.randomness.permutations(purpose, count, length) for one in self._agents], -1)


class _Seeds(Processes):
    """Who shares a batch: S seeds, each with its own rows."""

    def __init__(self, seeds: int) -> None:
        super().__init__()
        self.seeds = seeds

    def count(self, rows: int) -> int:
        return rows // self.seeds

    def columns(self, chosen: Tensor, num_envs: int) -> tuple[Tensor, Tensor | None]:
        """Of columns (M, S) that each seed has chosen from its own, where they lie, (M S,)."""
        return (chosen * self.seeds + torch.arange(self.seeds, device=chosen.device)).flatten(), None


class Seeds:
    """S agents of one class and configuration that learn side by side; see the module.

    Args:
        agents: each with its own seed, all after as many steps.
        env: S B environments, row i S + s of seed s, as they stand.
    """

    def __init__(self, agents: Sequence[Any], env: BatchedEnvironment) -> None:
        first = agents[0]
        self.agents, self.env, self.count = agents, env, len(agents)
        cls = type(first)
        spaces = first.observation_space, first.action_space
        self.joint: Any = cls(*spaces, first.config, device=first.device, seed=0, execution="eager")
        self.stack = Stack([one.network for one in agents])
        joint, stack = self.joint, self.stack
        joint.network, joint.parameters = _Network(stack), stack.parameters
        joint.optimiser = joint.make_optimiser()
        for place, own in enumerate(stack.parameters):
            of_each = [one.optimiser.state[one.parameters[place]] for one in agents]
            for name, value in joint.optimiser.state[own].items():
                value.copy_(of_each[0][name] if name == "step" else torch.stack([state[name] for state in of_each]))
        self._loss = first.loss
        joint.run_loss = self._run_loss
        joint.minimise, joint.report, joint.enter = self._minimise, self._report, self._enter
        joint.randomness, joint.processes = _Randomness(agents), _Seeds(self.count)
        joint.steps = first.steps
        joint.memory = side_by_side([one.memory for one in agents])
        joint.statistics = SimpleNamespace(gather=self._gather)

    def learn(self, steps: int) -> Iterator[list[Report]]:
        """Learns until each seed has taken `steps` steps; yields the reports of all, in order, after each iteration."""
        for reports in self.joint.learn(self.env, steps):
            self.hand_out()
            yield reports

    def apart(self, steps: int) -> list[Iterator[Report]]:
        """`learn` as one iterator for each seed, which are to be advanced in turn."""
        source, waiting = self.learn(steps), [deque[Report]() for _ in self.agents]

        def own(place: int) -> Iterator[Report]:
            while True:
                if not waiting[place]:
                    reports = next(source, None)
                    if reports is None:
                        return
                    for queue, report in zip(waiting, reports, strict=True):
                        queue.append(report)
                yield waiting[place].popleft()

        return [own(place) for place in range(self.count)]

    def hand_out(self) -> None:
        """Gives every agent what it has learned: to be saved, evaluated, or to go on alone."""
        self.stack.hand_out()
        joint = self.joint
        for place, agent in enumerate(self.agents):
            agent.memory = of_seed(joint.memory, place, self.count)
            for whole, own in zip(joint.parameters, agent.parameters, strict=True):
                for name, value in joint.optimiser.state[whole].items():
                    agent.optimiser.state[own][name].copy_(value if name == "step" else value[place])
            for group, own in zip(joint.optimiser.param_groups, agent.optimiser.param_groups, strict=True):
                own["lr"] = group["lr"]

    def _enter(self, env: BatchedEnvironment, steps: int) -> bool:
        self.joint.attach(env, steps)
        void = False
        for place, agent in enumerate(self.agents):
            rows = SimpleNamespace(
                started=True,
                num_envs=env.num_envs // self.count,
                device=env.device,
                episode_start=of_seed(env.episode_start, place, self.count),
            )
            before, agent.statistics = agent.statistics, continued_statistics(agent.statistics, rows)
            void = void or agent.statistics is not before
        self.joint.prepare(env)
        return void

    def _run_loss(self, *arguments: Any) -> tuple[Tensor, Any]:
        """The losses (S,), and their parts (..., S): what is a tuple is a memory, with its rows first."""
        axes = [0 if isinstance(one, tuple) else 1 for one in arguments]
        return self.stack.each(self._loss, axes, -1)(*arguments)

    def _minimise(self, loss: Tensor, *numbers: Tensor, going: None = None) -> Tensor:
        """One step of every seed's optimiser; returns the norms (S,) of their gradients before they were scaled."""
        parameters = self.joint.parameters
        for parameter in parameters:
            parameter.grad = None
        loss.sum().backward()
        config = self.joint.config
        prepare_gradients(parameters, config)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        if config.max_grad_norm is not None:
            scale = (config.max_grad_norm / (norms + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(gradients, [scale.view(-1, *[1] * (gradient.dim() - 1)) for gradient in gradients])
        self.joint.optimiser.step()
        return norms

    def _gather(self, rollout: Any, losses: dict[str, Tensor]) -> list[Numbers]:
        numbers = []
        for place, agent in enumerate(self.agents):
            own = slice(place, None, self.count)
            part = SimpleNamespace(
                reward=rollout.reward[:, own],
                done=rollout.done[:, own],
                metrics={name: value[:, own] for name, value in rollout.metrics.items()},
            )
            numbers.append(agent.statistics.gather(part, {name: value[place] for name, value in losses.items()}))
        return numbers

    def _report(self, numbers: list[Numbers]) -> list[Report]:
        reports = []
        for agent, own in zip(self.agents, numbers, strict=True):
            agent.steps = self.joint.steps
            reports.append(agent.report(own))
        return reports


def can_learn_side_by_side(agent: Agent) -> bool:
    """Whether runs of such agents can be one batch: its class says so, and it has no state beside its weights."""
    config = agent.config
    of_its_own = ("averaging", "entropy_end", "clip_end", "target_kl")
    if any(getattr(config, name, None) is not None for name in of_its_own) or bool(getattr(config, "dropout", 0)):
        return False
    if any(getattr(config, name, {}).get("dropout") for name in ("encoder_block", "memory_block")):
        return False
    if getattr(config, "normalisation", None) in ("batch", "adaptive_batch"):
        return False
    if getattr(config, "augment", ()):
        return False
    if getattr(config, "adversarial_epsilon", 0) or getattr(config, "ensemble", 1) > 1:
        return False
    if getattr(config, "estimator", None) == "q" or getattr(config, "told_apart", False):
        return False
    normalised = any(getattr(config, name, False) for name in ("normalise_observation", "normalise_reward"))
    policy = getattr(agent, "policy", None)
    learned = policy is not None and any(True for _ in policy.parameters())
    plain = not normalised and not learned and getattr(agent, "norms", None) is None
    return type(agent).side_by_side and plain and agent.execution == "eager"
