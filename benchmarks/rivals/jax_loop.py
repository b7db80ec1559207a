"""A plain JAX loop to stand beside: PPO on naming digits, one jitted iteration, as PureJaxRL's single file has it.

The task, the networks and the amount of work are those of `gpu_speed`'s first row: 8 x 8 digits as 64 numbers, a policy
and a value of two hidden layers of 64, rollouts of 16 steps, four epochs of four minibatches, Adam.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

STEPS, EPOCHS, MINIBATCHES, RATE, CLIP = 16, 4, 4, 1e-3, 0.2
SIZES = (64, 64, 64)


def network(key: Any, outputs: int, gain: float) -> list[Any]:
    """Orthogonal weights and no biases' offsets, layer by layer."""
    sizes, layers = (*SIZES, outputs), []
    for index, (before, after) in enumerate(itertools.pairwise(sizes)):
        key, own = jax.random.split(key)
        scale = gain if index == len(sizes) - 2 else 2**0.5
        layers.append((jax.nn.initializers.orthogonal(scale)(own, (before, after)), jnp.zeros(after)))
    return layers


def forward(layers: list[Any], x: Any) -> Any:
    """(N, 64) to (N, outputs)."""
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    return x @ layers[-1][0] + layers[-1][1]


def loss(parameters: Any, batch: Any) -> Any:
    """The clipped objective with the value's error and an entropy bonus."""
    image, action, old, advantage, target = batch
    logits, value = forward(parameters["actor"], image), forward(parameters["critic"], image)[:, 0]
    log_probs = jax.nn.log_softmax(logits)
    ratio = jnp.exp(jnp.take_along_axis(log_probs, action[:, None], 1)[:, 0] - old)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    policy = -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    entropy = -(jnp.exp(log_probs) * log_probs).sum(1).mean()
    return policy + 0.25 * jnp.square(value - target).mean() - 0.01 * entropy


def adam(parameters: Any, gradient: Any, state: Any) -> tuple[Any, Any]:
    """One step of Adam (Kingma and Ba, 2015)."""
    count, first, second = state
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
    scale = RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    parameters = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-5), parameters, first, second)
    return parameters, (count, first, second)


def make_iteration(images: Any, labels: Any, num_envs: int) -> Any:
    """A jitted iteration: a rollout of bandit episodes of one step, and its updates."""

    def iteration(carry: Any, _: Any) -> tuple[Any, Any]:
        parameters, state, key = carry

        def step(key: Any, _: Any) -> tuple[Any, Any]:
            key, which, act = jax.random.split(key, 3)
            index = jax.random.randint(which, (num_envs,), 0, len(labels))
            image = images[index].astype(jnp.float32) / 255
            logits, value = forward(parameters["actor"], image), forward(parameters["critic"], image)[:, 0]
            action = jax.random.categorical(act, logits)
            old = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], 1)[:, 0]
            reward = (action == labels[index]).astype(jnp.float32)
            return key, (image, action, old, reward - value, reward)

        key, rollout = jax.lax.scan(step, key, None, STEPS)
        flat = jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:]), rollout)

        def epoch(carry: Any, _: Any) -> tuple[Any, Any]:
            parameters, state, key = carry
            key, own = jax.random.split(key)
            order = jax.random.permutation(own, len(flat[1]))
            parts = jax.tree.map(lambda part: part[order].reshape(MINIBATCHES, -1, *part.shape[1:]), flat)

            def minibatch(carry: Any, batch: Any) -> tuple[Any, Any]:
                parameters, state = carry
                return adam(parameters, jax.grad(loss)(parameters, batch), state), None

            (parameters, state), _ = jax.lax.scan(minibatch, (parameters, state), parts)
            return (parameters, state, key), None

        carry, _ = jax.lax.scan(epoch, (parameters, state, key), None, EPOCHS)
        return carry, rollout[4].mean()

    return jax.jit(lambda carry: iteration(carry, None))


def ppo_rate(num_envs: int, seconds: float) -> float:
    """Environment steps a second of the whole loop."""
    digits = load_digits()
    images = jnp.asarray((digits.data * 255 / 16).astype(np.uint8))
    labels = jnp.asarray(digits.target)
    actor, critic = jax.random.split(jax.random.key(0))
    parameters = {"actor": network(actor, 10, 0.01), "critic": network(critic, 1, 1.0)}
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    carry: Any = (parameters, (jnp.zeros(()), zeros, zeros), jax.random.key(1))
    iteration = make_iteration(images, labels, num_envs)
    for _ in range(3):
        carry, reward = iteration(carry)
    reward.block_until_ready()
    started, taken = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        carry, reward = iteration(carry)
        reward.block_until_ready()
        taken += STEPS * num_envs
    return taken / (time.perf_counter() - started)
