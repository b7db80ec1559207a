"""What the tests of several processes have each process do: learn with every agent, with a stop in the middle."""

import copy
import sys
from pathlib import Path

import torch

from palaestra import agents, envs
from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.agents.core.processes import ALONE, Processes, join

ENVIRONMENTS, ITERATIONS, SEED = 8, 4, 3
SMALL = {"hidden": (8,), "learning_rate": 0.01}
CASES = {
    "ppo": {"rollout_steps": 8, "minibatches": 3, "epochs": 2, "normalise_observation": True, "normalise_reward": True},
    "ppo gru": {"rollout_steps": 4, "minibatches": 4, "epochs": 2, "memory": "gru", "memory_size": 4},
    "a2c": {"rollout_steps": 4, "anneal": True},
    "reinforce": {"rollout_steps": 8, "baseline": "constant"},
    "dqn": {"rollout_steps": 4, "warmup_steps": 32, "batch_size": 32, "updates": 2, "n_step": 2, "capacity": 128},
}


def make(case: str, processes: Processes):
    """The agent of a case, and its process's environments."""
    own = ENVIRONMENTS // processes.size
    id, options = ("PointGoal", {}) if case == "ppo" else ("RepeatPrevious", {"length": 5, "delay": 1})
    seed = 100 + processes.rank * own
    env = envs.make_batched(f"palaestra/{id}-v0", own, seed=seed, **options)
    agent = agents.make(case.split()[0], env, seed=SEED, **SMALL, **CASES[case])
    agent.join(processes)
    return agent, env


def learned(case: str, processes: Processes = ALONE, stop: bool = False) -> dict:
    """Reports, and the agent's state before and after several iterations; with a stop after half of them."""
    agent, env = make(case, processes)
    steps = ITERATIONS * ENVIRONMENTS * agent.config.rollout_steps * (2 if case == "dqn" else 1)
    before, reports = copy.deepcopy(agent.state_dict()), []
    for report in agent.learn(env, steps):
        reports.append(report)
        if stop and agent.steps == steps // 2:
            agent.save(f"{case}.pt")
            break
    if stop:
        processes.agree(True)  # that the leader has written it
        state, (agent, env) = env.state_dict(), make(case, processes)
        agent.restore(read_checkpoint(f"{case}.pt"), f"{case}.pt")
        env.load_state_dict(state)
        reports += agent.learn(env, steps)
    return {"reports": reports, "before": before, "after": agent.state_dict()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    together = join("cpu")
    found = {case: learned(case, together, stop=True) for case in CASES}
    torch.save(found, Path(sys.argv[1]) / f"{together.rank}.pt")
