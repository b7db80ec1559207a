"""Floor 3: agents, one file per algorithm. Classes are imported when they are first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..envs.protocol import BatchedEnvironment
    from .a2c import A2C, A2CConfig
    from .agent import Agent
    from .bandit import UCB1, EpsilonGreedy, EpsilonGreedyConfig, Greedy, Thompson, UCB1Config
    from .behaviour_cloning import BehaviourCloning
    from .dagger import DAgger, DAggerConfig
    from .demonstrations import Demonstration
    from .dqn import DQN, DQNConfig
    from .evaluation import Evaluation, evaluate
    from .expert import Expert
    from .gail import GAIL, GAILConfig
    from .gittins import Gittins, GittinsConfig
    from .imitation import ImitationConfig
    from .maml import MAML, MAMLConfig
    from .metric_learning import Matching, MetricLearnerConfig, ProtoNet
    from .ppo import PPO, PPOConfig
    from .q_table import QTable, QTableConfig, td_evaluation
    from .random import Random
    from .reinforce import REINFORCE, REINFORCEConfig
    from .rl2 import RL2, RL2Config
    from .sac import SAC, SACConfig
    from .sb3 import SB3A2C, SB3DDPG, SB3DQN, SB3PPO, SB3SAC, SB3TD3
    from .self_play import SelfPlay, SelfPlayConfig
    from .tabular_planning import OptimisticPlanning, OptimisticPlanningConfig, PosteriorSampling, TabularPlannerConfig

_HOME = {
    "A2C": "a2c",
    "A2CConfig": "a2c",
    "Agent": "agent",
    "BehaviourCloning": "behaviour_cloning",
    "DAgger": "dagger",
    "DAggerConfig": "dagger",
    "DQN": "dqn",
    "DQNConfig": "dqn",
    "Demonstration": "demonstrations",
    "EpsilonGreedy": "bandit",
    "EpsilonGreedyConfig": "bandit",
    "Evaluation": "evaluation",
    "Expert": "expert",
    "GAIL": "gail",
    "GAILConfig": "gail",
    "Gittins": "gittins",
    "GittinsConfig": "gittins",
    "Greedy": "bandit",
    "ImitationConfig": "imitation",
    "MAML": "maml",
    "MAMLConfig": "maml",
    "Matching": "metric_learning",
    "MetricLearnerConfig": "metric_learning",
    "OptimisticPlanning": "tabular_planning",
    "OptimisticPlanningConfig": "tabular_planning",
    "PPO": "ppo",
    "PPOConfig": "ppo",
    "PosteriorSampling": "tabular_planning",
    "ProtoNet": "metric_learning",
    "QTable": "q_table",
    "QTableConfig": "q_table",
    "REINFORCE": "reinforce",
    "REINFORCEConfig": "reinforce",
    "RL2": "rl2",
    "RL2Config": "rl2",
    "Random": "random",
    "SAC": "sac",
    "SACConfig": "sac",
    "SelfPlay": "self_play",
    "SelfPlayConfig": "self_play",
    "SB3A2C": "sb3",
    "SB3DDPG": "sb3",
    "SB3DQN": "sb3",
    "SB3PPO": "sb3",
    "SB3SAC": "sb3",
    "SB3TD3": "sb3",
    "TabularPlannerConfig": "tabular_planning",
    "Thompson": "bandit",
    "UCB1": "bandit",
    "UCB1Config": "bandit",
    "evaluate": "evaluation",
    "td_evaluation": "q_table",
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
