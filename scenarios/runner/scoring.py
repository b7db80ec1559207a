"""Scoring a trained agent by its scenario's protocol, and keeping a few of its episodes."""

from __future__ import annotations

import math
import tempfile
import warnings
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from ... import agents
from ...agents.core.agent import Agent
from ...agents.core.checkpoint import read_checkpoint
from ...agents.core.evaluation import OnEpisodes, evaluate
from ...agents.core.whole_file import write_whole
from ...envs.adapters.batched import BatchedEnv
from ...envs.checks.options import MOST_EPISODES, integer
from ...envs.core.protocol import BatchedEnvironment
from ...neural_blocks.errors import InvalidInput
from ..board import Row
from ..environments import make_environment, score
from ..recording import Recording, play_episodes, replay
from ..seeds import EVALUATION_SEED, SEED_SPAN
from ..session import Session
from ..tracking import Shown, tracker
from .folder import BEST, CHECKPOINT, FILM, RECORDING, RunFolder
from .plan import PLAN, Plan, device_here, read_plan

LONGEST, SECONDS = 3000, 20.0  # frames of a film, and how long one may last where that is not too fast
SLOWEST, FASTEST = 2.0, 30.0  # frames per second
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


def score_run(
    folder: str | Path,
    episodes: int | None = None,
    *,
    best: bool = False,
    device: str | None = None,
    track: str | None = None,
    on_episodes: OnEpisodes | None = None,
) -> Row:
    """Scores a run's last checkpoint, or its best, by its scenario's protocol.

    Args:
        folder: of the run.
        episodes: another number of episodes than the scenario's.
        best: the checkpoint that did best in the checks during training, on the validation options, instead of the
            last.
        device: where to; None for where it was trained, or what there is here.
        track: where the numbers go too, see `run`; a run of its own there, with the job type "evaluate".
        on_episodes: told now and then how many episodes have ended, and of how many.
    """
    plan = read_plan(folder)
    env = evaluation_environment(plan, device_here(plan, device))
    told = tracker(track, plan, folder, job_type="evaluate")
    try:
        agent = load_agent(folder, env, best=best)
        row = score_agent(plan, Path(folder), agent, env, episodes, float("nan"), on_episodes=on_episodes)
        numbers = {"return": row.return_mean, "deviation": row.return_std, **row.metrics}
        told.log(row.steps, numbers if row.score is None else numbers | {"score": row.score})
        told.finish({**numbers, "score": row.score, "episodes": row.episodes, "best": best})
    finally:
        told.stop()
    return row


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
    on_episodes: OnEpisodes | None = None,
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
        on_episodes: see `score_run`.

    Raises:
        InvalidInput: returns that are not finite.
    """
    scenario = plan.scenario
    count = integer("episodes", scenario.evaluation.episodes if episodes is None else episodes, 1, MOST_EPISODES)
    result = evaluate(agent, env, count, seed=EVALUATION_SEED + plan.seed * SEED_SPAN, on_episodes=on_episodes)
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


def shown_of(plan: Plan, folder: RunFolder) -> Shown:
    """What a finished run shows its tracker: the recorded episodes; a film and the checkpoint where they are wanted."""
    try:
        recording = Recording.load(folder.path / RECORDING)
    except InvalidInput:  # nothing was recorded, of which there is a warning
        return Shown()
    lengths = [len(actions) for actions in recording.episodes]
    film = folder.path / FILM
    if "film" in plan.upload:
        try:
            film_recording(plan, recording, film)
        except Exception as error:  # an environment without pictures
            warnings.warn(f"no film was made: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)
    names = (PLAN, CHECKPOINT, BEST) if "checkpoint" in plan.upload else ()
    return Shown(
        list(zip(lengths, recording.returns, strict=True)),
        film if "film" in plan.upload and film.exists() else None,
        [folder.path / name for name in names if (folder.path / name).exists()],
    )


def film_recording(plan: Plan, recording: Recording, path: Path) -> None:
    """Writes a recording's episodes as an .mp4 of at most twenty seconds or thirty frames a second."""
    from imageio import v2

    imageio: Any = v2
    scenario = plan.scenario.model_copy(update={"options": recording.options})
    env = make_environment(scenario, 1, watched=True)
    states = replay(recording, Session(env, recording.seed))
    frames = islice(((env.frames(True) if isinstance(env, BatchedEnv) else env.frames())[0] for _ in states), LONGEST)
    rate = min(max(sum(len(actions) + 1 for actions in recording.episodes) / SECONDS, SLOWEST), FASTEST)
    with (
        tempfile.NamedTemporaryFile(suffix=path.suffix) as made,
        imageio.get_writer(made.name, fps=rate, macro_block_size=2, codec="libx264") as writer,
    ):
        for frame in frames:
            writer.append_data(frame)
        writer.close()
        write_whole(path, lambda file: file.write(Path(made.name).read_bytes()))
