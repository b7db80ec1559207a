"""Scoring a trained agent by its scenario's protocol, and keeping a few of its episodes."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime
from pathlib import Path

from ... import agents
from ...agents.core.agent import Agent
from ...agents.core.checkpoint import read_checkpoint
from ...agents.core.evaluation import evaluate
from ...envs.checks.options import MOST_EPISODES, integer
from ...envs.core.protocol import BatchedEnvironment
from ...neural_blocks.errors import InvalidInput
from ..board import Row
from ..environments import make_environment, score
from ..recording import play_episodes
from ..seeds import EVALUATION_SEED, SEED_SPAN
from .folder import BEST, CHECKPOINT, RECORDING, RunFolder
from .plan import Plan, device_here, read_plan

RECORDED = 3  # evaluation episodes kept in a run folder


def load_agent(folder: str | Path, env: BatchedEnvironment, *, best: bool = False) -> Agent:
    """The trained agent of a run, for these environments and on their device: as it was at the end, or at its best.

    Raises:
        InvalidInput: not a run folder, no or a damaged checkpoint, or environments of other spaces.
    """
    plan = read_plan(folder)
    agent = agents.make(plan.agent, env, seed=plan.seed, **plan.config)
    path = Path(folder) / (BEST if best else CHECKPOINT)
    agent.restore(read_checkpoint(path, env.device), path)
    return agent


def score_run(folder: str | Path, episodes: int | None = None, *, best: bool = False, device: str | None = None) -> Row:
    """Scores a run's last checkpoint, or its best, by its scenario's protocol.

    Args:
        folder: of the run.
        episodes: another number of episodes than the scenario's.
        best: the checkpoint that did best in the checks during training, on the validation options, instead of the
            last.
        device: where to; None for where it was trained, or what there is here.
    """
    plan = read_plan(folder)
    env = evaluation_environment(plan, device_here(plan, device))
    return score_agent(plan, Path(folder), load_agent(folder, env, best=best), env, episodes, seconds=float("nan"))


def evaluation_environment(plan: Plan, device: str) -> BatchedEnvironment:
    """The environments in which a run is scored."""
    scenario = plan.scenario
    parallel = min(scenario.evaluation.num_envs, scenario.evaluation.episodes)
    env: BatchedEnvironment = make_environment(scenario, parallel, device=device, evaluation=True)
    return env


def score_agent(
    plan: Plan,
    folder: Path,
    agent: Agent,
    env: BatchedEnvironment,
    episodes: int | None,
    seconds: float,
    steps: int | None = None,
) -> Row:
    """The row of an agent, from the protocol's episodes.

    Args:
        plan: of the run.
        folder: of the run.
        agent: to be scored.
        env: the evaluation environments.
        episodes: None for the scenario's number.
        seconds: of training.
        steps: that training took; None for the agent's own count.

    Raises:
        InvalidInput: returns that are not finite.
    """
    scenario = plan.scenario
    count = integer("episodes", scenario.evaluation.episodes if episodes is None else episodes, 1, MOST_EPISODES)
    result = evaluate(agent, env, count, seed=EVALUATION_SEED + plan.seed * SEED_SPAN)
    mean = float(result.returns.mean())
    if not math.isfinite(mean):
        raise InvalidInput(f"{folder}: evaluation returns must be finite; their mean is {mean}, so there is no result")
    return Row(
        run_id=plan.run_id,
        scenario=scenario.name,
        agent=plan.agent,
        seed=plan.seed,
        steps=agent.steps if steps is None else steps,
        episodes=len(result.returns),
        return_mean=mean,
        return_std=float(result.returns.std(correction=0)),
        score=score(scenario, mean),
        metrics=result.metrics,
        seconds=seconds,
        folder=str(folder),
        finished_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        version=plan.version,
        configuration=plan.configuration,
        label=plan.label,
    )


def keep_recording(plan: Plan, folder: RunFolder, agent: Agent) -> None:
    """Keeps a few evaluation episodes of a finished run, to be watched; that it cannot is a warning."""
    try:
        env = make_environment(plan.scenario, 1, device=str(agent.device), evaluation=True, watched=True, drawn=False)
        seed = EVALUATION_SEED + plan.seed * SEED_SPAN
        played = play_episodes(plan.scenario, env, agent, seed=seed, episodes=RECORDED)
        folder.require()
        played.save(folder.path / RECORDING)
    except Exception as error:  # the result stands, whatever an environment does when it is played once more
        warnings.warn(f"no recording was kept: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)
