"""Every agent by its name: one line each. Imports no torch by itself."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..neural_blocks.errors import InvalidInput
from ..neural_blocks.registry import Registry, refuse_imports

if TYPE_CHECKING:
    from ..envs.core.protocol import BatchedEnvironment
    from .core.agent import Agent

OWN = {
    "a2c": "policy_gradient.a2c:A2C",
    "behaviour_cloning": "imitation.behaviour_cloning:BehaviourCloning",
    "dagger": "imitation.dagger:DAgger",
    "dqn": "value.dqn:DQN",
    "epsilon_greedy": "classical.bandit:EpsilonGreedy",
    "expert": "classical.expert:Expert",
    "fgsm": "adversarial.attackers:FGSMAttacker",
    "dual_ascent": "adversarial.dual_ascent:DualAscent",
    "finite_differences": "adversarial.attackers:FiniteDifferences",
    "gail": "imitation.gail:GAIL",
    "generator": "generative.generator:Generator",
    "gittins": "classical.gittins:Gittins",
    "greedy": "classical.bandit:Greedy",
    "grouped_differences": "adversarial.attackers:GroupedDifferences",
    "hopfield": "classical.hopfield:HopfieldMemory",
    "iql": "offline.iql:IQL",
    "cql": "offline.cql:CQL",
    "maml": "meta.maml:MAML",
    "matching": "meta.metric_learning:Matching",
    "optimistic_planning": "classical.tabular_planning:OptimisticPlanning",
    "pgd": "adversarial.attackers:PGDAttacker",
    "principal_differences": "adversarial.attackers:PrincipalDifferences",
    "posterior_sampling": "classical.tabular_planning:PosteriorSampling",
    "ppo": "policy_gradient.ppo:PPO",
    "protonet": "meta.metric_learning:ProtoNet",
    "q_table": "value.q_table:QTable",
    "random": "classical.random:Random",
    "reinforce": "policy_gradient.reinforce:REINFORCE",
    "rl2": "meta.rl2:RL2",
    "sac": "value.sac:SAC",
    "sb3:A2C": "baselines3.agent:SB3A2C",
    "sb3:DDPG": "baselines3.agent:SB3DDPG",
    "sb3:DQN": "baselines3.agent:SB3DQN",
    "sb3:PPO": "baselines3.agent:SB3PPO",
    "sb3:SAC": "baselines3.agent:SB3SAC",
    "sb3:TD3": "baselines3.agent:SB3TD3",
    "self_play": "games.self_play:SelfPlay",
    "thompson": "classical.bandit:Thompson",
    "transfer": "adversarial.attackers:Transfer",
    "ucb1": "classical.bandit:UCB1",
    "value_table": "value.value_table:ValueTable",
}
AGENTS = Registry("agent", "palaestra.agents", OWN)
_CONFIG = re.compile(r"^class ([A-Za-z]\w*Config)\b", re.MULTILINE)


def names() -> list[str]:
    """The names of all agents, the suite's own first."""
    return AGENTS.names()


def summaries() -> dict[str, str]:
    """One line about each agent: the first of its docstring, read without importing it."""
    return {name: AGENTS.summary(name) for name in AGENTS}


def register(name: str, target: str | type) -> None:
    """Gives an agent of somebody else's a name; afterwards it is listed, made and trained like the suite's own.

    Args:
        name: with a namespace, such as "acme/learner"; equal to the class's own `name`.
        target: "module:Class", imported when it is first used, or the class; derived from `Agent`.

    Raises:
        InvalidInput: a name without a namespace or that is taken, or a malformed target.
    """
    AGENTS.register(name, target)


def agent_class(name: str) -> type[Agent]:
    """The class of an agent's name, or of "module:Class".

    Raises:
        InvalidInput: an unknown name (with the nearest right one), a module that cannot be imported, or no `Agent`.
    """
    from .core.agent import Agent

    cls = AGENTS.load(name, Agent)
    if not isinstance(getattr(cls, "name", None), str):
        raise InvalidInput(f"agent {name}: {cls.__name__} must have a class attribute `name`, such as 'acme/learner'")
    return cls


def make(name: str, env: BatchedEnvironment, *, seed: int = 0, execution: str = "auto", **config: Any) -> Agent:
    """The agent of a name, made for the environments' spaces and device.

    Args:
        name: one of `names()`, or "module:Class".
        env: the environments it is for.
        seed: of its weights and of its random choices.
        execution: how it learns: "auto", "eager", "compiled" or "captured"; see `Agent`.
        config: settings to change from the defaults.

    Raises:
        InvalidInput: an unknown name or setting (with the nearest right one), or a value that is not allowed.
    """
    from .core.sizes import require_room_for

    cls = agent_class(name)
    settings = cls.Config(**config)
    require_room_for(cls.name, settings, env)
    agent = cls(env.observation_space, env.action_space, settings, device=env.device, seed=seed, execution=execution)
    agent.attach(env)
    return agent


def load(path: str | Path, *, agent: str | None = None, device: str = "cpu", **settings: Any) -> Agent:
    """The agent in a checkpoint, with the spaces and the configuration it was saved with.

    Args:
        path: the file that `Agent.save` wrote.
        agent: its name, or "module:Class", where the file's own name is not registered.
        device: where it is to live.
        settings: of the configuration, where a checkpoint cannot hold them: blocks that were passed as modules.

    Raises:
        InvalidInput: the file is missing, damaged, or of an unknown agent, or it names code to import outside
            `allowing_imports`.
    """
    from .core.checkpoint import read_checkpoint
    from .core.described_spaces import space_of

    checkpoint = read_checkpoint(path)
    if agent is None:
        refuse_imports(checkpoint["agent"], path, (AGENTS,))
    described = checkpoint.get("described", {})
    seen, acted = (space_of(described.get(kind, {})) for kind in ("observation", "action"))
    return agent_class(agent or checkpoint["agent"]).load(path, seen, acted, device=device, **settings)


@cache
def homes() -> dict[str, str]:
    """The module, below `palaestra.agents`, of every agent's class and of every configuration beside one."""
    found: dict[str, str] = {}
    for target in OWN.values():
        module, _, name = target.partition(":")
        source = Path(__file__).parent / f"{module.replace('.', '/')}.py"
        found |= dict.fromkeys([name, *_CONFIG.findall(source.read_text(encoding="utf-8"))], module)
    return found
