"""Training: from the last checkpoint, or from the start, to the plan's steps; logging, checking and saving."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...agents.core.agent import Agent, Report
from ...agents.core.checkpoint import not_finite, read_checkpoint, require_dtypes
from ...agents.core.processes import ALONE, Lost, Processes
from ...envs.core.protocol import BatchedEnvironment
from ...neural_blocks.errors import Diverged, InvalidInput, invalid_config
from ..seeds import SEED_SPAN
from ..tracking import Tracker
from . import checks
from .folder import BEST, CHECKPOINT, RunFolder, strict
from .interruption import Asked, Stopped, carry_on, stopping_between_iterations
from .plan import Plan, wanted_checks

DEAR = 20  # times longer than saving takes, before it is done again
Learn = Callable[[BatchedEnvironment, int], Iterator[Report]]
OnReport = Callable[[int, int, dict[str, float]], None]


class Progress(BaseModel):
    """Where a run stands, as a checkpoint keeps it beside the agent.

    Attributes:
        environment: the training environments' state; None where they were never reset.
        seconds: of training so far, without the checks.
        logged: bytes of the metrics.
        best: return of the best check so far.
        iterations: of learning so far.
        waited: checks since the best one.
        ended: the rule that has ended training before all its steps, or "".
        budget: steps that it was to take in all when it was so ended.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    environment: dict[str, Any] | None = None
    seconds: float = Field(default=0.0, ge=0)
    logged: int = Field(default=0, ge=0)
    best: float = -math.inf
    iterations: int = Field(default=0, ge=0)
    waited: int = Field(default=0, ge=0)
    ended: str = ""
    budget: int = Field(default=0, ge=0)


class Training:
    """One run's training.

    Args:
        plan: of the run.
        folder: locked, of the run.
        agent: as it was made.
        env: the environments it learns in.
        check_env: those it is looked at in.
        tracker: told every report.
        on_report: called after every iteration.
        checkpoint_seconds: between two checkpoints.
        processes: those that train the run together, all of them alike. What differs is the folder: `Beside` it those
            that do not lead write nothing.
        learn: instead of the agent's own, where its run is one of several side by side.
        asked: by whoever looks out for a stop; None to do so itself.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        agent: Agent,
        env: BatchedEnvironment,
        check_env: BatchedEnvironment,
        tracker: Tracker,
        on_report: OnReport | None,
        checkpoint_seconds: float,
        processes: Processes = ALONE,
        learn: Learn | None = None,
        asked: Asked | None = None,
    ) -> None:
        self.plan, self.folder, self.agent, self.env, self.check_env = plan, folder, agent, env, check_env
        self.tracker, self.on_report, self.pause = tracker, on_report, checkpoint_seconds
        self.processes, self.learn, self.asked = processes, learn or agent.learn, asked
        self.checks = checks.planned_checks(plan.steps, check_env, wanted_checks(plan))
        self.at, self.checked, self.kept = Progress(), 0, 0

    def run(self) -> Generator[bool, None, float]:
        """Trains to the end, yielding true before and after each iteration; returns its seconds without the checks.

        Raises:
            Stopped: it was asked to; everything is saved.
            Diverged: a loss, a weight or a check is not finite; the last good checkpoint is kept.
            InvalidInput: the folder is gone, or the checkpoint is damaged or of another run.
        """
        restore(self.plan, self.folder, self.agent, self.env, self.at, self.processes)
        self.checked, self.kept = self.checks.due(self.agent.steps, self.plan.steps), self.agent.steps
        watch = stopping_between_iterations() if self.asked is None else nullcontext(self.asked)
        with self.folder.log() as log, watch as asked:
            size = log.seek(0, os.SEEK_END)
            log.truncate(
                min(size, self.at.logged)
            )  # what was logged after the checkpoint is learned, and logged, again
            log.seek(0, os.SEEK_END)
            self.began, self.spent = time.monotonic(), self.at.seconds
            self.saved, self.took, self.wait = self.began, 0.0, 0.0
            try:
                yield True  # of several side by side, all begin before the first learns
                for report in () if self.at.ended else self.learn(self.env, self.plan.steps):
                    self.iteration(report, log)
                    stop, due = self.processes.agree(asked.stop, time.monotonic() - self.saved >= self.wait)
                    if due:
                        self.save(log)
                    if self.at.ended:
                        break
                    if stop and self.agent.steps < self.plan.steps:
                        self.save(log)
                        raise Stopped(self.folder.told, self.agent.steps, self.plan.steps)
                    yield True
                self.save(log)
            except Diverged as error:
                raise self.diverged(error) from None
            except Stopped:
                raise
            except Lost as error:
                raise Lost(f"{error}. {carry_on(self.folder.told)}") from None
            except KeyboardInterrupt:  # the second one: at once, in the middle of an iteration
                raise Stopped(self.folder.told, self.kept, self.plan.steps) from None
            if self.processes.agree(asked.stop)[0]:
                raise Stopped(self.folder.told, self.agent.steps, self.plan.steps)
        return self.at.seconds

    def iteration(self, report: Report, log: BinaryIO) -> None:
        """What is done after an iteration of learning."""
        self.at.iterations += 1
        self.folder.require()
        _require_finite(report, self.at.iterations)
        if (due := self.checks.due(self.agent.steps, self.plan.steps)) > self.checked:
            paused, self.checked = time.monotonic(), due
            self.check(report)
            self.began += time.monotonic() - paused
        log.write(strict(report | {"seconds": round(self.spent + time.monotonic() - self.began, 3)}))
        self.tracker.log(int(report["steps"]), report)
        if self.on_report is not None:
            self.on_report(int(report["steps"]), self.plan.steps, report)

    def check(self, report: Report) -> None:
        """Looks at the agent, and keeps it if none was better."""
        found = math.nan
        if self.processes.leads:
            found = checks.check(self.agent, self.check_env, self.checks.episodes, self.plan.seed * SEED_SPAN)
        found = self.processes.same(found)
        report["evaluation_return"] = found
        if not math.isfinite(found):
            raise Diverged(self.at.iterations, "evaluation_return", found)
        if found > self.at.best:
            self.require_finite_weights()
            self.at.best, self.at.waited = found, 0
            self.agent.save(self.folder.path / BEST)
        else:
            self.at.waited += 1
        rules = self.plan.early_stopping
        if rules is not None and self.agent.steps < self.plan.steps and (rule := rules.reason(found, self.at.waited)):
            self.at.ended, self.at.budget = rule, self.plan.steps
            report[f"stopped_by_{rule}"] = 1.0

    def save(self, log: BinaryIO) -> None:
        """Writes a checkpoint: the first after the first iteration, then less often, as time and cost allow."""
        started = time.monotonic()
        self.folder.require()
        self.require_finite_weights()
        log.flush()
        os.fsync(log.fileno())
        self.at.environment = _of_all(self.env.state_dict(), self.processes.gather) if self.env.started else None
        self.at.seconds, self.at.logged = self.spent + started - self.began, log.tell()
        self.agent.save(self.folder.path / CHECKPOINT, **dict(self.at))
        self.saved, self.kept = time.monotonic(), self.agent.steps
        self.took = max(self.took, self.saved - started) if self.pause else 0.0
        self.wait = max(min(self.pause, 2 * (self.saved - self.began)), DEAR * self.took if self.pause else 0.0)

    def require_finite_weights(self) -> None:
        """Raises `Diverged` where a weight is not finite."""
        if found := not_finite(self.agent):
            raise Diverged(self.at.iterations, *found)

    def diverged(self, error: Diverged) -> Diverged:
        """The same error, with what is left of the run."""
        path = self.folder.told / CHECKPOINT
        kept = f"the last good checkpoint is kept: {path}" if path.exists() else "before its first checkpoint"
        return Diverged(error.iteration, error.name, error.value, kept)


def restore(
    plan: Plan,
    folder: RunFolder,
    agent: Agent,
    env: BatchedEnvironment,
    at: Progress,
    processes: Processes = ALONE,
) -> None:
    """Takes over the last checkpoint, where there is one.

    Raises:
        InvalidInput: it is damaged, or not of this run.
    """
    path = folder.path / CHECKPOINT
    if not path.exists():
        return
    checkpoint = read_checkpoint(path, agent.device)
    agent.restore(checkpoint, path)
    try:
        found = Progress(**checkpoint["extra"])
    except ValidationError as error:
        raise invalid_config(f"{path}: not a checkpoint of a run", error, Progress.model_fields) from None
    except TypeError:
        raise InvalidInput(f"{path}: not a checkpoint of a run: names must be text") from None
    if found.environment is not None:
        try:
            env.reset()  # so that it has a state to compare with
            require_dtypes(found.environment, env.state_dict(), "environment")
            env.load_state_dict(_of_all(found.environment, processes.own))
        except InvalidInput as error:
            raise InvalidInput(f"{path}: does not fit the environments: {error}") from None
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise InvalidInput(f"{path}: does not fit the environments: {error!r:.160}") from None
    for name in Progress.model_fields:
        setattr(at, name, getattr(found, name))
    if at.budget != plan.steps:  # with more steps the rules begin anew
        at.waited, at.ended = (0, "") if at.ended else (at.waited, "")
    at.environment = None  # it is in the environments now


def _of_all(environment: dict[str, Any], turned: Callable[[Any], Any]) -> dict[str, Any]:
    """The state of environments, all of whose tensors are by row, turned into that of all processes, or back."""
    lists = {name: part for name, part in environment.items() if isinstance(part, list)}
    whole = turned({**environment, **{name: tuple(part) for name, part in lists.items()}})
    return whole | {name: list(whole[name]) for name in lists}


def _require_finite(report: Report, iteration: int) -> None:
    """Refuses a report with a loss or an entropy that is not finite, whoever's agent it comes from."""
    for name, value in report.items():
        if (name.endswith("loss") or name == "entropy") and not math.isfinite(value):
            raise Diverged(iteration, name, value)
