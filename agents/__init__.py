"""Floor 3: agents, one file per algorithm. Classes are imported when they are first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..envs.protocol import BatchedEnvironment
    from .a2c import A2C, A2CConfig
    from .agent import Agent
    from .evaluation import Evaluation, evaluate
    from .expert import Expert
    from .ppo import PPO, PPOConfig
    from .random import Random

_HOME = {
    "A2C": "a2c",
    "A2CConfig": "a2c",
    "Agent": "agent",
    "Evaluation": "evaluation",
    "Expert": "expert",
    "PPO": "ppo",
    "PPOConfig": "ppo",
    "Random": "random",
    "evaluate": "evaluation",
}
_AGENTS = {
    "a2c": ("A2C", "Advantage actor-critic: one policy-gradient step on each short rollout."),
    "expert": ("Expert", "The environment's own best known action: the ceiling."),
    "ppo": ("PPO", "Proximal policy optimisation, feed-forward or with a memory."),
    "random": ("Random", "Uniformly random actions: the floor."),
}

__all__ = [
    "A2C", "PPO", "A2CConfig", "Agent", "Evaluation", "Expert", "PPOConfig", "Random",
    "agent_class", "evaluate", "make", "names", "summaries",
]  # fmt: skip


def names() -> list[str]:
    """The names of all agents."""
    return list(_AGENTS)


def summaries() -> dict[str, str]:
    """One line about each agent."""
    return {name: summary for name, (_, summary) in _AGENTS.items()}


def agent_class(name: str) -> "type[Agent]":
    """The class of an agent's name. Raises `InvalidInput` with the nearest right name."""
    if name not in _AGENTS:
        from ..neural_blocks.errors import unknown_name

        raise unknown_name("agent", name, names())
    return __getattr__(_AGENTS[name][0])


def make(name: str, env: "BatchedEnvironment", *, seed: int = 0, **config: Any) -> "Agent":
    """The agent of a name, made for the environments' spaces and device.

    Args:
        name: one of `names()`.
        env: the environments it is for.
        seed: of its weights and of its random choices.
        config: settings to change from the defaults.

    Raises:
        InvalidInput: an unknown name or setting (with the nearest right one), or a value that is not allowed.
    """
    cls = agent_class(name)
    agent = cls(env.observation_space, env.action_space, cls.Config(**config), device=env.device, seed=seed)
    agent.attach(env)
    return agent


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
