"""Pretraining: an encoder is fitted, without labels, to what a scenario's training split shows, in a folder of its own.

The same command finds the same folder: it carries on what was stopped, and leaves what is finished.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__, agents
from ..agents.core.checkpoint import read_checkpoint, write_checkpoint
from ..agents.core.whole_file import sweep, write_text
from ..agents.networks.pretrained import write_encoder
from ..agents.representation.fitting import Fitting
from ..agents.representation.gathering import gather
from ..agents.representation.method import Method
from ..agents.representation.registry import METHODS
from ..envs.checks.options import integer
from ..envs.registry import is_task
from ..neural_blocks.errors import InvalidInput
from .catalogue import Scenario
from .configuration import digest
from .environments import make_environment
from .files import strict_yaml
from .inspecting.codes import draw_codes
from .runner.interruption import stopping_between_iterations
from .runner.plan import LARGEST_SEED, choose_device
from .seeds import SEED_SPAN

PLAN, ENCODER, CHECKPOINT, METRICS = "pretrain.yaml", "encoder.pt", "checkpoint.pt", "metrics.jsonl"
CODES = "codes.png"  # a map of codes of two numbers
FITTING = "pretraining"  # what a checkpoint says that it is, in the place of an agent's name
ROWS = 64  # environments that are gathered from
OnPart = Callable[[int, int], None]


class Stopped(KeyboardInterrupt):
    """A pretraining was stopped; what it had is saved."""


def training_options(scenario: Scenario) -> dict[str, Any]:
    """The options of the environment in which observations are gathered: those of training.

    Raises:
        InvalidInput: a scenario that trains on another split.
    """
    split = scenario.options.get("split", "train")
    if split != "train":
        raise InvalidInput(f"{scenario.name}: split must be 'train' where an encoder is fitted; got {split!r}")
    return scenario.options


def pretrain(
    method: str,
    scenario: Scenario,
    *,
    settings: dict[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    root: str | Path = "runs",
    on_part: OnPart = lambda *_: None,
) -> tuple[Path, float]:
    """Fits an encoder and writes its file, or finds that it is there; beside it a map of codes of two numbers.

    Args:
        method: a name of `representation.registry.METHODS`, or "module:Class".
        scenario: whose observations it learns from.
        settings: of the method.
        seed: of weights, environments and all that is drawn.
        device: "auto" (CUDA if there is one), "cpu", "cuda", ...
        root: the folder of all runs.
        on_part: told how many steps are made, and of how many.

    Returns:
        The encoder's file, and the last loss.

    Raises:
        InvalidInput: an unknown method, setting or option, or observations that the method cannot learn from; nothing
            is written then.
        Diverged: a loss is not finite; what was saved before is kept.
        Stopped: Ctrl-C or SIGTERM; what was learned is saved.
    """
    cls: type[Method] = METHODS.load(method, Method)
    config, options = cls.Config(**(settings or {})), training_options(scenario)
    integer("seed", seed, 0, LARGEST_SEED)
    plan = {
        "method": method,
        "environment": scenario.environment,
        "options": options,
        "num_envs": ROWS,
        "config": config.model_dump(mode="json"),
        "seed": seed,
        "version": __version__.split(".")[0],
    }
    name = method.replace(":", "-")
    folder = Path(root) / scenario.name.replace("/", "-") / f"pretrain-{name}" / f"{seed}-{digest(plan)[:8]}"
    if (folder / ENCODER).exists():
        return folder / ENCODER, last_loss(folder)
    device = choose_device(device)
    env = make_environment(scenario, ROWS, device=device, options=options)
    if config.player == "expert" and not is_task(scenario.environment):
        raise InvalidInput(f"{method}: player must be 'random' in an environment of others, which has no expert")
    player = agents.make(config.player, env, seed=seed)
    cls(env.observation_space, config)  # what cannot be encoded is refused before anything is gathered
    gathered = gather(env, player, config.samples, (seed + 1) * SEED_SPAN, on_part)
    fitting = Fitting(cls, env.observation_space, config, gathered, seed, device)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    write_text(folder / PLAN, strict_yaml.dump(plan))
    logged = _restore(folder, fitting)
    loss = _fit(folder, fitting, logged, on_part)
    if (drawn := draw_codes(fitting.method)) is not None:
        drawn.save(folder / CODES)
    write_encoder(folder / ENCODER, fitting.method.encoder, fitting.method.recipe, fitting.method.seen)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return folder / ENCODER, loss


def _fit(folder: Path, fitting: Fitting, logged: int, on_part: OnPart) -> float:
    """Steps to the end, logging and saving; returns the last loss."""
    total, loss, began = fitting.config.updates, float("nan"), time.monotonic()
    path = folder / METRICS
    path.touch()
    os.truncate(path, min(logged, path.stat().st_size))  # what was logged after the checkpoint is logged again
    with path.open("ab") as log, stopping_between_iterations() as asked:
        saved = time.monotonic()
        for report in fitting.run():
            loss = report["loss"]
            line = report | {"updates": fitting.updates, "seconds": round(time.monotonic() - began, 3)}
            log.write(json.dumps(line).encode() + b"\n")
            log.flush()
            on_part(fitting.updates, total)
            if asked.stop or time.monotonic() - saved > 10:
                _save(folder, fitting, log.tell())
                saved = time.monotonic()
            if asked.stop and fitting.updates < total:
                raise Stopped
    return loss if fitting.updates and loss == loss else last_loss(folder)


def _save(folder: Path, fitting: Fitting, logged: int) -> None:
    content = {"agent": FITTING, "config": {}, "spaces": {}, "state": fitting.state_dict(), "extra": {"logged": logged}}
    write_checkpoint(folder / CHECKPOINT, content)


def _restore(folder: Path, fitting: Fitting) -> int:
    """Takes over the last checkpoint, where there is one; returns the bytes of the log at that time."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    content = read_checkpoint(path)
    try:
        fitting.load_state_dict(content["state"])
        return int(content["extra"]["logged"])
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise InvalidInput(f"{path}: not a checkpoint of this pretraining: {error!r:.160}") from None


def last_loss(folder: Path) -> float:
    """The last loss that was logged; NaN where none was."""
    try:
        lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
        return float(json.loads(lines[-1])["loss"])
    except (OSError, ValueError, LookupError, TypeError):
        return float("nan")
