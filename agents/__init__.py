"""Floor 3: agents, one file per algorithm.

    env = palaestra.envs.make_batched("palaestra/DigitBandit-v0", num_envs=64)
    agent = palaestra.agents.make("ppo", env, learning_rate=1e-3)
    for report in agent.learn(env, steps=100_000): ...
    palaestra.agents.evaluate(agent, env, episodes=1000)

`names()` and `summaries()` say what there is; each algorithm is a class (`PPO`, `DQN`, `MAML`, ...) with a
configuration (`PPOConfig`, ...); `register` adds somebody else's. Classes are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .registry import agent_class, homes, load, make, names, register, summaries

if TYPE_CHECKING:
    from .contract.checker import check
    from .core.agent import Agent
    from .core.config import AgentConfig
    from .core.evaluation import Evaluation, evaluate
    from .core.export import export
    from .imitation.demonstrations import Demonstration
    from .imitation.imitation_config import ImitationConfig
    from .value.q_table import td_evaluation

    __all__ = [
        "Agent", "AgentConfig", "Demonstration", "Evaluation", "ImitationConfig",
        "agent_class", "check", "evaluate", "export", "load", "make", "names", "register", "summaries", "td_evaluation",
    ]  # fmt: skip

_BESIDE = {  # what is public and no agent, nor its configuration in the same file
    "Agent": "core.agent",
    "AgentConfig": "core.config",
    "Demonstration": "imitation.demonstrations",
    "Evaluation": "core.evaluation",
    "ImitationConfig": "imitation.imitation_config",
    "check": "contract.checker",
    "evaluate": "core.evaluation",
    "export": "core.export",
    "td_evaluation": "value.q_table",
}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted([*_BESIDE, *homes(), "agent_class", "load", "make", "names", "register", "summaries"])
    home = _BESIDE.get(name) or (None if name.startswith("_") else homes().get(name))
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_BESIDE, *homes()})
