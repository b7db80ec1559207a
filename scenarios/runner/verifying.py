"""Whether a finished run is what it says: its recording plays as it was, its checkpoint scores what was told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ...agents.core.evaluation import OnEpisodes
from ...neural_blocks.errors import InvalidInput
from ..environments import make_environment
from ..recording import Recording, replay, spelled_out
from ..seeds import EVALUATION_SEED, SEED_SPAN
from ..session import Session
from .folder import RECORDING, RunFolder
from .plan import read_plan
from .scoring import score_run

TOLERANCE = 1e-4
"""Relative, of a mean return that is played again: other processors round otherwise."""


@dataclass(frozen=True)
class Verified:
    """What was confirmed of a run.

    Attributes:
        episodes: of the recording, each of which has the return that was recorded.
        return_mean: mean return of the protocol's episodes, played again.
        score: their normalised return; None where there is no reference.
    """

    episodes: int
    return_mean: float
    score: float | None


def verify(
    folder: str | Path,
    *,
    device: str | None = None,
    tolerance: float = TOLERANCE,
    on_episodes: OnEpisodes | None = None,
) -> Verified:
    """Plays a finished run's recording, then scores its checkpoint anew, and compares both with what is kept.

    Args:
        folder: of the run.
        device: where to score it; None for where it was trained, or what there is here.
        tolerance: by how much, relative, a mean return may differ.
        on_episodes: told now and then how many episodes have been scored, and of how many.

    Raises:
        InvalidInput: the run is not finished, its recording is of other episodes or brings other returns, or its
            checkpoint scores otherwise; one line with both values.
    """
    folder = Path(folder)
    plan = read_plan(folder)
    row = RunFolder(folder, plan).result(plan)
    if row is None:
        raise InvalidInput(f"{folder}: is not finished, so there is no score to verify")
    recording = Recording.load(folder / RECORDING)
    scenario, seed = plan.scenario, EVALUATION_SEED + plan.seed * SEED_SPAN
    own, wanted = recording.options, scenario.evaluation_options
    alike = spelled_out(scenario.environment, own) == spelled_out(scenario.environment, wanted)
    if (recording.environment, recording.seed) != (scenario.environment, seed) or not alike:
        raise InvalidInput(f"{folder / RECORDING}: is not of the episodes that the run is scored with")
    env = make_environment(scenario, 1, evaluation=True, watched=True, drawn=False)
    try:
        for _ in replay(recording, Session(env, seed)):
            pass
    except InvalidInput as error:
        raise InvalidInput(f"{folder / RECORDING}: {error}") from error
    again = score_run(folder, device=device, on_episodes=on_episodes)
    if not math.isclose(again.return_mean, row.return_mean, rel_tol=tolerance, abs_tol=tolerance):
        kept = f"the result tells a mean return of {row.return_mean:.6g}"
        raise InvalidInput(f"{folder}: {kept}; its checkpoint, scored again, has {again.return_mean:.6g}")
    board = [found for found in RunFolder(folder, plan).board.rows() if found.run_id == plan.run_id]
    if board and board[0].return_mean != row.return_mean:
        kept = f"the leaderboard tells a mean return of {board[0].return_mean:.6g}"
        raise InvalidInput(f"{folder}: {kept}; its result tells {row.return_mean:.6g}")
    return Verified(len(recording.episodes), again.return_mean, again.score)
