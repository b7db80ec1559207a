"""The runner: scenario × agent × seed becomes a run folder and a row of the leaderboard, and a killed run goes on."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from .. import __version__, agents
from ..agents.core.agent import Agent
from ..agents.core.checkpoint import read_checkpoint
from ..agents.core.evaluation import evaluate
from ..envs.core.options import integer
from ..envs.core.protocol import BatchedEnvironment
from ..neural_blocks.errors import InvalidInput, unknown_name
from . import catalogue, strict_yaml
from .board import Leaderboard, Row
from .catalogue import Scenario
from .environments import make_environment, score
from .recording import Recording, check_for_training, demonstrate, play_episodes
from .seeds import CHECK_SEED, EVALUATION_SEED, SEED_SPAN
from .tracking import Tracker, tracker
from .trust import check_names

ROOT = Path("runs")
DEMONSTRATIONS = "demonstrations.json"  # in a run folder, what the agent imitates
RECORDED = 3  # evaluation episodes kept in a run folder
CHECKS = 10  # times that a run is looked at while it trains, to keep the best agent so far
CHECK_EPISODES = 128
OnReport = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Plan:
    """What a run is: everything that decides its result, as `run.yaml` keeps it.

    Attributes:
        run_id: unique to the run.
        scenario: the whole scenario, so that a changed catalogue does not change the run.
        agent: name of the agent.
        config: the agent's whole configuration.
        seed: of weights, actions and environments.
        steps: environment steps of training in all.
        device: where it trains.
        track: None or "wandb".
        version: of Palaestra.
    """

    run_id: str
    scenario: Scenario
    agent: str
    config: dict[str, Any]
    seed: int
    steps: int
    device: str
    track: str | None
    version: str

    def folder(self, root: Path) -> Path:
        """Where the run's files are."""
        scenario, agent = (re.sub(r"[^\w.+-]+", "-", name) for name in (self.scenario.name, self.agent))
        return root / scenario / agent / f"{self.seed}-{self.run_id}"  # "sb3:PPO": no file system minds a hyphen


def run(
    scenario: str | Path | Scenario,
    agent: str | None = None,
    seed: int = 0,
    *,
    steps: int | None = None,
    settings: dict[str, Any] | None = None,
    device: str = "auto",
    root: str | Path = ROOT,
    track: str | None = None,
    demonstrations: str | Path | None = None,
    on_report: OnReport | None = None,
    checkpoint_seconds: float = 10.0,
) -> Row:
    """Trains an agent on a scenario, scores it, and adds the run to the leaderboard in `root`.

    Args:
        scenario: a name of the catalogue, a path to a YAML file, or a `Scenario`.
        agent: name of the agent; None for the one that should solve the scenario.
        seed: of weights, actions and environments.
        steps: environment steps of training; None for the scenario's.
        settings: changes to the agent's configuration, over the scenario's own.
        device: "auto" (CUDA if there is one), "cpu", "cuda", ...
        root: the folder of all runs.
        track: "wandb" to log to Weights & Biases as well.
        demonstrations: a recording for an agent that imitates, instead of the environment's own expert.
        on_report: called after every iteration with the steps taken, the steps in all, and the agent's report.
        checkpoint_seconds: time between two checkpoints; 0 for one after every iteration.

    Returns:
        The run's row of the leaderboard.

    Raises:
        InvalidInput: an unknown or impossible scenario, agent, setting, option or device.
        OSError: the run folder cannot be written.
    """
    scenario = scenario if isinstance(scenario, Scenario) else catalogue.get(scenario)
    agent = agent or scenario.agent
    if track not in (None, "wandb"):
        raise unknown_name("tracker", track, ["wandb"])
    for name in scenario.agents:
        agents.agent_class(name)  # a misspelt agent would make its overrides silent
    config = agents.agent_class(agent).Config(**{**scenario.agents.get(agent, {}), **(settings or {})})
    plan = Plan(
        run_id=secrets.token_hex(4),
        scenario=scenario,
        agent=agent,
        config=config.model_dump(mode="json"),
        seed=integer("seed", seed, 0, 2**31 - 1),
        steps=integer("steps", scenario.steps if steps is None else steps, 0),
        device=choose_device(device),
        track=track,
        version=__version__,
    )
    env = make_environment(scenario, 1, evaluation=True)  # a wrong option fails before anything is written
    shown = None if demonstrations is None else Recording.load(demonstrations)
    if shown is not None:
        _show(shown, agents.make(agent, env, **plan.config), scenario)
    folder = plan.folder(Path(root))
    folder.mkdir(parents=True)
    if shown is not None:
        shown.save(folder / DEMONSTRATIONS)
    content = {**asdict(plan), "scenario": scenario.model_dump(mode="json")}
    _write(folder / "run.yaml", strict_yaml.dump(content))
    return _carry_out(plan, folder, on_report, checkpoint_seconds)


def resume(folder: str | Path, *, on_report: OnReport | None = None, checkpoint_seconds: float = 10.0) -> Row:
    """Carries a run that was stopped to its end; the result is that of the run that was not.

    Raises:
        InvalidInput: not a run folder, or a damaged checkpoint.
    """
    folder = Path(folder)
    return _carry_out(read_plan(folder), folder, on_report, checkpoint_seconds)


def read_plan(folder: str | Path) -> Plan:
    """What the run in a folder is.

    Raises:
        InvalidInput: it is not a run folder, or names code to import outside `registry.allowing_imports`.
    """
    path = Path(folder) / "run.yaml"
    if not path.exists():
        raise InvalidInput(f"{folder}: not a run folder: it has no run.yaml")
    content = strict_yaml.load(path)
    try:
        plan = Plan(**{**content, "scenario": Scenario.model_validate(content["scenario"])})
    except (TypeError, KeyError, ValueError) as error:
        raise InvalidInput(f"{path}: not a readable run: {error}") from error
    check_names(path, plan.scenario.code_names, plan.agent, plan.config)
    return plan


def load_agent(folder: str | Path, env: BatchedEnvironment, *, best: bool = False) -> Agent:
    """The trained agent of a run, for these environments: as it was at the end, or at its best.

    Raises:
        InvalidInput: not a run folder, no or a damaged checkpoint, or environments of other spaces.
    """
    plan = read_plan(folder)
    agent = agents.make(plan.agent, env, seed=plan.seed, **plan.config)
    path = Path(folder) / ("best.pt" if best else "checkpoint.pt")
    agent.restore(read_checkpoint(path, env.device), path)
    return agent


def score_run(folder: str | Path, episodes: int | None = None, *, best: bool = False) -> Row:
    """Scores a run's last checkpoint, or its best, by its scenario's protocol.

    Args:
        folder: of the run.
        episodes: another number of episodes than the scenario's.
        best: the checkpoint that did best in the checks during training, on the training options, instead of the last.
    """
    plan = read_plan(folder)
    env = _evaluation_environment(plan)
    return _score(plan, Path(folder), load_agent(folder, env, best=best), env, episodes, seconds=float("nan"))


def choose_device(device: str) -> str:
    """The device of a name; "auto" is "cuda" where there is one. Raises `InvalidInput` for one that is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"device must be 'auto', 'cpu' or one that PyTorch finds here; got {device!r} ({reason})"
        ) from error
    return device


def _carry_out(plan: Plan, folder: Path, on_report: OnReport | None, checkpoint_seconds: float) -> Row:
    """Trains from the last checkpoint, or from the start, to the end; then scores."""
    env = _evaluation_environment(plan)
    agent = agents.make(plan.agent, env, seed=plan.seed, **plan.config)
    told, seconds = tracker(plan.track, plan, folder), 0.0
    try:
        if type(agent).learn is not Agent.learn:
            if (folder / DEMONSTRATIONS).exists():
                _show(Recording.load(folder / DEMONSTRATIONS), agent, plan.scenario)
            seconds = _train(plan, folder, agent, told, on_report, checkpoint_seconds)
        else:
            agent.save(folder / "checkpoint.pt")
        row = _score(plan, folder, agent, env, None, seconds)
        result = {"steps": row.steps, "seconds": seconds, "return": row.return_mean, "score": row.score}
        told.finish({**row.metrics, **result})
    finally:
        told.stop()
    _record(plan, agent).save(folder / "recording.json")
    _write(folder / "result.json", json.dumps(asdict(row), indent=1) + "\n")
    Leaderboard(folder.parents[2] / "leaderboard.sqlite").add(row)
    return row


def _show(recording: Recording, agent: Agent, scenario: Scenario) -> None:
    """Gives an agent that imitates what it is to imitate. Raises `InvalidInput` for another agent."""
    if not hasattr(agent, "demonstration"):
        raise InvalidInput(f"demonstrations are for an agent that imitates recordings; {agent.name!r} does not")
    check_for_training(recording, scenario)
    agent.demonstration = demonstrate(recording, agent)


def _train(
    plan: Plan, folder: Path, agent: Agent, told: Tracker, on_report: OnReport | None, checkpoint_seconds: float
) -> float:
    """Trains to the plan's steps, logging, checking and saving; returns the seconds it took in all without the checks.

    Every tenth of the way the agent plays some episodes with the training options; "best.pt" keeps the agent that did
    best in them.
    """
    scenario, path = plan.scenario, folder / "checkpoint.pt"
    env = make_environment(scenario, scenario.num_envs, device=plan.device, seed=(plan.seed + 1) * SEED_SPAN)
    check_env = make_environment(scenario, min(scenario.evaluation.num_envs, CHECK_EPISODES), device=plan.device)
    seconds, logged, best, checked = 0.0, 0, -math.inf, 0
    if path.exists():
        checkpoint = read_checkpoint(path, plan.device)
        agent.restore(checkpoint, path)
        extra = checkpoint["extra"]
        env.load_state_dict(extra["environment"])
        seconds, logged, best, checked = (extra[name] for name in ("seconds", "logged", "best", "checked"))
    with (folder / "metrics.jsonl").open("ab") as log:
        log.truncate(logged)  # what was logged after the checkpoint is learned, and logged, again
        started = saved = time.monotonic()

        def save() -> None:
            log.flush()
            os.fsync(log.fileno())
            spent = seconds + time.monotonic() - started
            own = {"environment": env.state_dict(), "seconds": spent, "logged": log.tell()}
            agent.save(path, **own, best=best, checked=checked)

        for report in agent.learn(env, plan.steps):
            if (due := CHECKS * agent.steps // plan.steps) > checked:
                paused, checked = time.monotonic(), due
                found = evaluate(agent, check_env, CHECK_EPISODES, seed=CHECK_SEED + plan.seed * SEED_SPAN)
                report["evaluation_return"] = float(found.returns.mean())
                if report["evaluation_return"] > best:
                    best = report["evaluation_return"]
                    agent.save(folder / "best.pt")
                started += time.monotonic() - paused
            log.write(json.dumps(report).encode() + b"\n")
            told.log(int(report["steps"]), report)
            if on_report is not None:
                on_report(int(report["steps"]), plan.steps, report)
            if time.monotonic() - saved >= checkpoint_seconds:
                save()
                saved = time.monotonic()
        if not env.started:
            env.reset()
        save()
        seconds += time.monotonic() - started
    return seconds


def _evaluation_environment(plan: Plan) -> BatchedEnvironment:
    scenario = plan.scenario
    parallel = min(scenario.evaluation.num_envs, scenario.evaluation.episodes)
    return make_environment(scenario, parallel, device=plan.device, evaluation=True)


def _score(
    plan: Plan, folder: Path, agent: Agent, env: BatchedEnvironment, episodes: int | None, seconds: float
) -> Row:
    scenario = plan.scenario
    count = integer("episodes", scenario.evaluation.episodes if episodes is None else episodes, 1)
    result = evaluate(agent, env, count, seed=EVALUATION_SEED + plan.seed * SEED_SPAN)
    mean = float(result.returns.mean())
    return Row(
        run_id=plan.run_id,
        scenario=scenario.name,
        agent=plan.agent,
        seed=plan.seed,
        steps=agent.steps,
        episodes=len(result.returns),
        return_mean=mean,
        return_std=float(result.returns.std(correction=0)),
        score=score(scenario, mean),
        metrics=result.metrics,
        seconds=seconds,
        folder=str(folder),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=plan.version,
    )


def _record(plan: Plan, agent: Agent) -> Recording:
    """A few evaluation episodes of a finished run, to be watched."""
    env = make_environment(plan.scenario, 1, device=plan.device, evaluation=True, watched=True)
    return play_episodes(plan.scenario, env, agent, seed=EVALUATION_SEED + plan.seed * SEED_SPAN, episodes=RECORDED)


def _write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
