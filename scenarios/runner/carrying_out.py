"""Carrying a run out: everything is made before anything is written; then it trains, is scored, and gets its row."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import agents
from ...agents.core.agent import Agent
from ...agents.core.checkpoint import read_checkpoint, write_checkpoint
from ...agents.core.processes import ALONE, Processes, share
from ...agents.core.transfer import take_over, weights_of
from ...agents.networks.pretrained import digest
from ...envs.adapters.batched import BatchedEnv
from ...envs.core.protocol import BatchedEnvironment
from ...neural_blocks.errors import InvalidInput
from ..board import Leaderboard, Row
from ..board.rows import as_json, read
from ..catalogue import Scenario
from ..datasets.reading import Dataset, load_demonstrations
from ..environments import make_environment
from ..recording import Recording, check_for_training, demonstrate
from ..seeds import SEED_SPAN
from ..tracking import ROW, tracker
from . import checks
from .adapting import keep_adaptation
from .folder import CHECKPOINT, DATASET, DEMONSTRATIONS, INIT, RECORDING, Beside, RunFolder, resolved
from .hardware import hardware
from .interruption import Asked, Stopped
from .plan import Plan, device_here, execution_on, make_plan, read_plan, wanted_checks
from .scoring import evaluation_environment, keep_recording, load_agent, score_agent, shown_of
from .training import Learn, OnReport, Training

ROOT = Path("runs")


@dataclass
class Prepared:
    """What a run needs, made before anything is written.

    Attributes:
        agent: to be trained.
        env: the environments it learns in; None for an agent that does not learn.
        check_env: those it is looked at in meanwhile.
        evaluation_env: those it is scored in.
        shown: steps of the recording that it imitates.
    """

    agent: Agent
    env: BatchedEnvironment | None
    check_env: BatchedEnvironment | None
    evaluation_env: BatchedEnvironment
    shown: int | None


def run(
    scenario: str | Path | Scenario,
    agent: str | None = None,
    seed: int = 0,
    *,
    steps: int | None = None,
    settings: dict[str, Any] | None = None,
    device: str = "auto",
    execution: str = "auto",
    root: str | Path = ROOT,
    track: str | None = None,
    upload: Sequence[str] = (),
    demonstrations: str | Path | None = None,
    init: str | Path | None = None,
    label: str | None = None,
    on_report: OnReport | None = None,
    checkpoint_seconds: float = 10.0,
    processes: Processes = ALONE,
    early_stopping: dict[str, Any] | None = None,
) -> Row:
    """Trains an agent on a scenario, scores it, and adds the run to the leaderboard in `root`.

    Args:
        scenario: a name of the catalogue, a path to a YAML file, or a `Scenario`.
        agent: name of the agent; None for the one that should solve the scenario.
        seed: of weights, actions and environments.
        steps: environment steps of training; None for the scenario's.
        settings: changes to the agent's configuration, over the scenario's own.
        device: "auto" (CUDA if there is one), "cpu", "cuda", ...
        execution: how it learns: "eager", "compiled", "captured" (on CUDA), or "auto", captured on CUDA and else eager.
        root: the folder of all runs.
        track: "wandb" to log to Weights & Biases as well, "tensorboard" to write TensorBoard's event files.
        upload: what Weights & Biases is given beside numbers: "film", "checkpoint".
        demonstrations: a recording for an agent that imitates, or "minari:ID", instead of the environment's own expert.
        init: the folder of a run, or its checkpoint, with whose weights the agent begins, as far as they fit.
        label: what its standing on the leaderboard is called; None for a name made of what differs from the scenario's
            own settings.
        on_report: called after every iteration with the steps taken, the steps in all, and the agent's report.
        checkpoint_seconds: time between two checkpoints, at most; 0 for one after every iteration.
        processes: those that train it together, see `agents.core.processes.join`; each of them makes this call.
        early_stopping: when training ends before its steps are taken: `patience`, `target` and `checks`, see
            `early.EarlyStopping`; None for never.

    Returns:
        The run's row of the leaderboard.

    Raises:
        InvalidInput: an unknown or impossible scenario, agent, setting, option or device; nothing is written then.
        Diverged: learning has left the numbers; there is no row, and the last good checkpoint is kept.
        Stopped: Ctrl-C or SIGTERM; what was learned is saved.
        OSError: the run folder or the leaderboard cannot be written.
    """
    recording = None if demonstrations is None else load_demonstrations(demonstrations)
    before = None if init is None else checkpoint_of(init)
    plan = make_plan(
        scenario, agent, seed, steps=steps, settings=settings, device=device, track=track, label=label,
        demonstrations=None if recording is None else _content(recording),
        init=None if before is None else digest(before),
        execution="eager" if execution == "auto" and processes.size > 1 else execution,
        upload=upload, stopping=early_stopping,
    )  # fmt: skip
    plan = plan.model_copy(update={"run_id": processes.same(plan.run_id)})
    Leaderboard(Path(root) / "leaderboard.sqlite").check()
    prepared = prepare(plan, recording, processes, before)
    if not processes.leads:
        return _result(
            carry_out(plan, Beside(plan.folder(Path(root)), plan), prepared, None, checkpoint_seconds, processes)
        )
    return _result(
        begin(plan, Path(root), prepared, recording, on_report, checkpoint_seconds, processes, before=before)
    )


def begin(
    plan: Plan,
    root: Path,
    prepared: Prepared,
    recording: Recording | Dataset | None,
    on_report: OnReport | None,
    checkpoint_seconds: float,
    processes: Processes = ALONE,
    learn: Learn | None = None,
    asked: Asked | None = None,
    before: Path | None = None,
) -> Generator[bool, None, Row]:
    """Makes a run's folder and carries the run out in it, see `carry_out`; one in which nothing was trained is left."""
    place = plan.folder(root)
    place.mkdir(parents=True)
    folder = RunFolder(place, plan)
    try:
        with folder:
            if recording is not None:
                recording.save(place / (DATASET if isinstance(recording, Dataset) else DEMONSTRATIONS))
            if before is not None:
                write_checkpoint(place / INIT, weights_of(read_checkpoint(before)))
            plan.write(place)
            return (
                yield from carry_out(
                    plan, folder, prepared, on_report, checkpoint_seconds, processes, learn=learn, asked=asked
                )
            )
    except Exception:
        if place.exists() and folder.is_empty():
            folder.discard()
        raise


def resume(
    folder: str | Path,
    *,
    steps: int | None = None,
    device: str | None = None,
    on_report: OnReport | None = None,
    checkpoint_seconds: float = 10.0,
    processes: Processes = ALONE,
) -> Row:
    """Carries a run that was stopped to its end; the result is that of the run that was not.

    A finished run is left as it is. With a larger budget it goes on from where it ended, and its result is replaced
    when it gets there.

    Args:
        folder: of the run.
        steps: a larger budget; None for the run's own.
        device: None for the one it was trained on, or what there is here.
        on_report: see `run`.
        checkpoint_seconds: see `run`.
        processes: see `run`; they may be more or fewer than before.

    Raises:
        InvalidInput: not a run folder, one that another process works in, or a damaged checkpoint.
        Diverged, Stopped, OSError: see `run`.
    """
    plan = read_plan(folder)
    with (RunFolder if processes.leads else Beside)(resolved(folder, plan), plan) as place:
        if steps is not None and steps != plan.steps:
            plan = plan.extended(steps)
        elif (row := place.result(plan)) is not None:
            return _complete(plan, place, row, device) if processes.leads else row
        place.board.check()
        here = device_here(plan, device)
        plan = plan.model_copy(update={"device": here, "hardware": hardware(here)})
        if processes.size > 1:
            plan = plan.model_copy(update={"execution": "eager"})
        begun = (place.path / CHECKPOINT).exists() or not (place.path / INIT).exists()
        prepared = prepare(plan, _imitated(place.path), processes, None if begun else place.path / INIT)
        if processes.leads:
            plan.write(place.path)
        return _result(carry_out(plan, place, prepared, on_report, checkpoint_seconds, processes))


def _result(work: Generator[bool, None, Row]) -> Row:
    """What comes of a run that is carried out in one go."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            row: Row = end.value
            return row


def checkpoint_of(run: str | Path) -> Path:
    """The checkpoint of a run's folder, or the file itself. Raises `InvalidInput` where there is none."""
    path = Path(run)
    found = path / CHECKPOINT if path.is_dir() else path
    if not found.is_file():
        raise InvalidInput(f"init must be the folder of a run, or a checkpoint; got {str(run)!r}")
    return found


def prepare(
    plan: Plan, recording: Recording | Dataset | None, processes: Processes = ALONE, before: Path | None = None
) -> Prepared:
    """Makes agent and environments; the agent has weights of the checkpoint `before`, if there is one.

    Raises:
        InvalidInput: whatever of the plan cannot be made or does not go together.
    """
    scenario, device = plan.scenario, plan.device
    evaluation_env = evaluation_environment(plan, device)
    how = execution_on(plan, device)
    agent = agents.make(plan.agent, evaluation_env, seed=plan.seed, execution=how, **plan.config)
    agent.join(processes)
    if before is not None:
        taken = take_over(agent, read_checkpoint(before, agent.device), before)
        if processes.leads:
            print(f"palaestra: {before}: {taken}", file=sys.stderr, flush=True)
    env, check_env, shown = None, None, None
    if recording is not None:
        if not hasattr(agent, "demonstration"):
            raise InvalidInput(f"demonstrations are for an agent that imitates recordings; {agent.name!r} does not")
        shown = _show(recording, agent, scenario)
    if plan.learns:
        own, first = share(scenario.num_envs, processes), (plan.seed + 1) * SEED_SPAN
        env = make_environment(scenario, own, device=device, seed=first + processes.rank * own)
        if processes.size > 1 and not isinstance(env, BatchedEnv):
            raise InvalidInput(f"{scenario.name}: {env.name} is not of this suite, so it learns in one process")
        agent.attach(env)
        parallel = min(scenario.evaluation.num_envs, checks.MOST_EPISODES)
        check_env = make_environment(scenario, parallel, device=device, options=scenario.validation_options)
        agent.attach(check_env)
        planned = checks.planned_checks(plan.steps, check_env, wanted_checks(plan)).episodes
        if planned < parallel:
            check_env = make_environment(scenario, planned, device=device, options=scenario.validation_options)
    return Prepared(agent, env, check_env, evaluation_env, shown)


def _content(recording: Recording | Dataset) -> Any:
    """What tells demonstrations from others."""
    return recording.content() if isinstance(recording, Dataset) else recording.model_dump(mode="json")


def _imitated(folder: Path) -> Recording | Dataset | None:
    """The demonstrations that a run's folder keeps."""
    if (folder / DATASET).exists():
        return Dataset.load(folder / DATASET)
    return Recording.load(folder / DEMONSTRATIONS) if (folder / DEMONSTRATIONS).exists() else None


def _show(recording: Recording | Dataset, agent: Any, scenario: Scenario) -> int:
    """Gives an agent its demonstrations; returns their steps. Raises `InvalidInput` for what it may not see."""
    if isinstance(recording, Dataset):
        recording.check_for_training(scenario, agent)
        agent.demonstration = recording.demonstrate(agent)
        return len(recording.start)
    check_for_training(recording, scenario)
    agent.demonstration = demonstrate(recording, agent)
    return sum(map(len, recording.episodes))


def carry_out(
    plan: Plan,
    folder: RunFolder,
    prepared: Prepared,
    on_report: OnReport | None,
    checkpoint_seconds: float,
    processes: Processes = ALONE,
    *,
    learn: Learn | None = None,
    asked: Asked | None = None,
) -> Generator[bool, None, Row]:
    """Trains from the last checkpoint, or from the start, to the end; then the leader scores.

    It yields true after each iteration of learning, and false before it scores; `learn` and `asked` are `Training`'s.
    """
    agent, seconds = prepared.agent, 0.0
    if (folder.path / "wandb").is_symlink():
        raise InvalidInput(f"{folder.path / 'wandb'}: is a link, and writing never follows one")
    told = tracker(plan.track if processes.leads else None, plan, folder.path)
    try:
        if prepared.env is not None and prepared.check_env is not None:
            training = Training(
                plan, folder, agent, prepared.env, prepared.check_env, told, on_report, checkpoint_seconds, processes,
                learn=learn, asked=asked,
            )  # fmt: skip
            seconds = yield from training.run()
        else:
            agent.save(folder.path / CHECKPOINT)
        yield False
        taken = agent.steps
        if prepared.shown is not None and prepared.env is not None and not prepared.env.started:
            taken = min(taken, prepared.shown)  # nothing was played: it saw what the recording holds
        scored = None
        if processes.leads:
            scored = score_agent(plan, folder.told, agent, prepared.evaluation_env, None, seconds, taken)
        told_all = processes.same(None if scored is None or processes.size == 1 else as_json(scored))
        row = scored or read(told_all, "the leader's result")
        folder.finish(row)
        if processes.leads:
            keep_recording(plan, folder, agent)
            keep_adaptation(plan, folder, agent, prepared.evaluation_env)
            told.show(shown_of(plan, folder))
        result = {"steps": row.steps, "seconds": seconds, "return": row.return_mean, "score": row.score}
        told.finish({**row.metrics, **result, ROW: json.dumps(as_json(row))})
    except Stopped:
        raise
    except KeyboardInterrupt:
        raise Stopped(folder.told, agent.steps, plan.steps) from None
    finally:
        told.stop()
    return row


def _complete(plan: Plan, folder: RunFolder, row: Row, device: str | None) -> Row:
    """A finished run's result, which is given the row and the recording that a kill may have kept it from."""
    if not any(found.run_id == row.run_id for found in folder.board.rows()):
        folder.board.add(row)
    if not (folder.path / RECORDING).exists():
        env = evaluation_environment(plan, device_here(plan, device))
        keep_recording(plan, folder, load_agent(folder.path, env))
    return row
