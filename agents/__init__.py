"""Floor 3: agents, one file per algorithm. Classes are imported when they are first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..envs.core.protocol import BatchedEnvironment
    from .baselines3.agent import SB3A2C, SB3DDPG, SB3DQN, SB3PPO, SB3SAC, SB3TD3
    from .classical.bandit import UCB1, EpsilonGreedy, EpsilonGreedyConfig, Greedy, Thompson, UCB1Config
    from .classical.expert import Expert
    from .classical.gittins import Gittins, GittinsConfig
    from .classical.random import Random
    from .classical.tabular_planning import (
        OptimisticPlanning,
        OptimisticPlanningConfig,
        PosteriorSampling,
        TabularPlannerConfig,
    )
    from .core.agent import Agent
    from .core.evaluation import Evaluation, evaluate
    from .games.self_play import SelfPlay, SelfPlayConfig
    from .imitation.behaviour_cloning import BehaviourCloning
    from .imitation.dagger import DAgger, DAggerConfig
    from .imitation.demonstrations import Demonstration
    from .imitation.gail import GAIL, GAILConfig
    from .imitation.labelled import ImitationConfig
    from .meta.maml import MAML, MAMLConfig
    from .meta.metric_learning import Matching, MetricLearnerConfig, ProtoNet
    from .meta.rl2 import RL2, RL2Config
    from .policy_gradient.a2c import A2C, A2CConfig
    from .policy_gradient.ppo import PPO, PPOConfig
    from .policy_gradient.reinforce import REINFORCE, REINFORCEConfig
    from .value.dqn import DQN, DQNConfig
    from .value.q_table import QTable, QTableConfig, td_evaluation
    from .value.sac import SAC, SACConfig

_HOME = {
    "A2C": "policy_gradient.a2c",
    "A2CConfig": "policy_gradient.a2c",
    "Agent": "core.agent",
    "BehaviourCloning": "imitation.behaviour_cloning",
    "DAgger": "imitation.dagger",
    "DAggerConfig": "imitation.dagger",
    "DQN": "value.dqn",
    "DQNConfig": "value.dqn",
    "Demonstration": "imitation.demonstrations",
    "EpsilonGreedy": "classical.bandit",
    "EpsilonGreedyConfig": "classical.bandit",
    "Evaluation": "core.evaluation",
    "Expert": "classical.expert",
    "GAIL": "imitation.gail",
    "GAILConfig": "imitation.gail",
    "Gittins": "classical.gittins",
    "GittinsConfig": "classical.gittins",
    "Greedy": "classical.bandit",
    "ImitationConfig": "imitation.labelled",
    "MAML": "meta.maml",
    "MAMLConfig": "meta.maml",
    "Matching": "meta.metric_learning",
    "MetricLearnerConfig": "meta.metric_learning",
    "OptimisticPlanning": "classical.tabular_planning",
    "OptimisticPlanningConfig": "classical.tabular_planning",
    "PPO": "policy_gradient.ppo",
    "PPOConfig": "policy_gradient.ppo",
    "PosteriorSampling": "classical.tabular_planning",
    "ProtoNet": "meta.metric_learning",
    "QTable": "value.q_table",
    "QTableConfig": "value.q_table",
    "REINFORCE": "policy_gradient.reinforce",
    "REINFORCEConfig": "policy_gradient.reinforce",
    "RL2": "meta.rl2",
    "RL2Config": "meta.rl2",
    "Random": "classical.random",
    "SAC": "value.sac",
    "SACConfig": "value.sac",
    "SelfPlay": "games.self_play",
    "SelfPlayConfig": "games.self_play",
    "SB3A2C": "baselines3.agent",
    "SB3DDPG": "baselines3.agent",
    "SB3DQN": "baselines3.agent",
    "SB3PPO": "baselines3.agent",
    "SB3SAC": "baselines3.agent",
    "SB3TD3": "baselines3.agent",
    "TabularPlannerConfig": "classical.tabular_planning",
    "Thompson": "classical.bandit",
    "UCB1": "classical.bandit",
    "UCB1Config": "classical.bandit",
    "evaluate": "core.evaluation",
    "td_evaluation": "value.q_table",
}
_AGENTS = {
    "a2c": ("A2C", "Advantage actor-critic: one policy-gradient step on each short rollout."),
    "behaviour_cloning": ("BehaviourCloning", "Behaviour cloning: does what an expert was seen to do."),
    "dagger": ("DAgger", "Dataset aggregation: the learner acts, an expert says what it would have done."),
    "dqn": ("DQN", "Deep Q-learning: double, dueling and n-step, feed-forward or with a memory."),
    "epsilon_greedy": ("EpsilonGreedy", "Bandit: a random arm now and then, else the one that paid best."),
    "expert": ("Expert", "The environment's own best known action: the ceiling."),
    "gail": ("GAIL", "Adversarial imitation: PPO is paid for what a discriminator takes for the expert's."),
    "gittins": ("Gittins", "Bandit: the arm of the highest Gittins index for the pulls that are left."),
    "greedy": ("Greedy", "Bandit: the arm that paid best so far."),
    "maml": ("MAML", "MAML: weights from which one gradient step on a trial's first episodes goes far."),
    "matching": ("Matching", "Matching network: attention over the labelled examples an episode has shown."),
    "optimistic_planning": ("OptimisticPlanning", "Small MDP: plans as if what is little known paid well."),
    "posterior_sampling": ("PosteriorSampling", "Small MDP: plans each episode in a sample of the posterior."),
    "ppo": ("PPO", "Proximal policy optimisation, feed-forward or with a memory."),
    "protonet": ("ProtoNet", "Prototypical network: the class whose mean embedding is nearest."),
    "q_table": ("QTable", "Tabular Q-learning, for a countable number of states and actions."),
    "random": ("Random", "Uniformly random actions: the floor."),
    "reinforce": ("REINFORCE", "Monte-Carlo policy gradient on whole episodes, with a choice of baseline."),
    "rl2": ("RL2", "RL²: PPO with a memory that lasts a trial and learns within it."),
    "sac": ("SAC", "Soft actor-critic: continuous actions, off-policy, with automatic temperature."),
    "sb3:A2C": ("SB3A2C", "Stable-Baselines3's advantage actor-critic."),
    "sb3:DDPG": ("SB3DDPG", "Stable-Baselines3's deep deterministic policy gradient, for continuous actions."),
    "sb3:DQN": ("SB3DQN", "Stable-Baselines3's deep Q-learning."),
    "sb3:PPO": ("SB3PPO", "Stable-Baselines3's proximal policy optimisation."),
    "sb3:SAC": ("SB3SAC", "Stable-Baselines3's soft actor-critic, for continuous actions."),
    "sb3:TD3": ("SB3TD3", "Stable-Baselines3's twin delayed DDPG, for continuous actions."),
    "self_play": ("SelfPlay", "Self-play: both players of a game learn, each against the other's past policies."),
    "thompson": ("Thompson", "Bandit: the arm that is best in a sample of the posterior."),
    "ucb1": ("UCB1", "Bandit: the arm of the highest upper confidence bound."),
}

__all__ = [
    "A2C", "DQN", "GAIL", "MAML", "PPO", "REINFORCE", "RL2", "SAC", "SB3A2C", "SB3DDPG", "SB3DQN", "SB3PPO", "SB3SAC",
    "SB3TD3", "UCB1", "A2CConfig", "Agent", "BehaviourCloning", "DAgger", "DAggerConfig", "DQNConfig", "Demonstration",
    "EpsilonGreedy", "EpsilonGreedyConfig", "Evaluation", "Expert", "GAILConfig", "Gittins", "GittinsConfig", "Greedy",
    "ImitationConfig", "MAMLConfig", "Matching", "MetricLearnerConfig", "OptimisticPlanning",
    "OptimisticPlanningConfig", "PPOConfig", "PosteriorSampling", "ProtoNet", "QTable", "QTableConfig",
    "REINFORCEConfig", "RL2Config", "Random", "SACConfig", "SelfPlay", "SelfPlayConfig", "TabularPlannerConfig",
    "Thompson", "UCB1Config", "agent_class", "evaluate", "make", "names", "summaries", "td_evaluation",
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
