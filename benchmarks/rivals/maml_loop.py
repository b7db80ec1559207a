"""MAML's update, vectorised over tasks by this suite, beside a plain loop over the same tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from palaestra import agents
from palaestra.agents.meta.inner_loss import Lesson
from palaestra.envs import make_batched

TASKS, INNER_RATE = 25, 0.01  # with two hidden layers of 40 ReLUs and ten points: Finn et al. (2017), sine waves


def task_loss(weights: list[Tensor], lesson: Lesson) -> Tensor:
    """The loss of one task on a block (S, ...): squared error where the wave's value is shown."""
    first, first_bias, second, second_bias, last, last_bias = weights
    hidden = torch.relu(lesson.inputs @ first.T + first_bias)
    output = torch.relu(hidden @ second.T + second_bias) @ last.T + last_bias  # (S, 1)
    return (lesson.weight * (output - lesson.target).square().squeeze(-1)).mean()


def loop_loss(weights: list[Tensor], lessons: Lesson) -> Tensor:
    """The mean loss on the second of two blocks (N, 2, S, ...) after a step on the first, one task after another."""
    losses = []
    for task in zip(*lessons, strict=True):
        support, query = (Lesson(*(part[block] for part in task)) for block in range(2))
        slopes = torch.autograd.grad(task_loss(weights, support), weights, create_graph=True)
        adapted = [weight - INNER_RATE * slope for weight, slope in zip(weights, slopes, strict=True)]
        losses.append(task_loss(adapted, query))
    return torch.stack(losses).mean()


def rate(loss: Callable[[], Tensor], optimiser: torch.optim.Optimizer, seconds: float) -> float:
    """Steps of the optimiser per second."""

    def update() -> None:
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()

    update()
    started, count = time.process_time(), 0
    while time.process_time() - started < seconds:
        update()
        count += 1
    return count / (time.process_time() - started)


def maml_rates(seconds: float) -> tuple[float, float]:
    """Meta-iterations per second of this suite's MAML and of the loop, on the same points of the same waves.

    The points are drawn beforehand, eleven an episode, because the last one's value is not shown.

    Raises:
        ValueError: the two gradients differ by more than 1e-4 of their size.
    """
    env = make_batched("palaestra/Sinusoid-v0", TASKS, points=11)
    agent: Any = agents.make("maml", env, inner_rate=INNER_RATE, tasks=TASKS, support_steps=11, rollout_steps=22)
    env.reset(0)
    lessons = agent.collect(env)[0]
    weights = [*agent.network.parameters()]
    ours, plain = lambda: agent.loss(*lessons), lambda: loop_loss(weights, lessons)
    for found, wanted in zip(torch.autograd.grad(ours(), weights), torch.autograd.grad(plain(), weights), strict=True):
        if float((found - wanted).norm()) > 1e-4 * float(wanted.norm()):
            raise ValueError(f"MAML: gradients must agree; got {found} and {wanted}")
    return rate(ours, agent.optimiser, seconds), rate(plain, torch.optim.Adam(weights, lr=1e-3, fused=True), seconds)
