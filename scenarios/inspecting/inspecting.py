"""Looking into a run's agent: every kind of picture that fits it, in the run's folder, and a list of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ...agents.core.whole_file import write_text
from ...envs.drawing.canvas import Canvas
from ..environments import make_environment
from ..runner import load_agent, read_plan
from . import features, groups, pictures, through_time
from .sheet import Sheet, write_png
from .subject import Subject, Unfit, play

FOLDER, LIST = "inspection", "inspection.json"
SEED = 2**42
Draw = Callable[[Subject], Sheet | Canvas]
KINDS: dict[str, tuple[str, Draw]] = {
    "saliency": ("which pixels the answer hangs on", pictures.draw_saliency),
    "classes": ("the picture that speaks for each action", pictures.draw_classes),
    "attacks": ("the smallest change that turns an answer", pictures.draw_attacks),
    "filters": ("filters of the first layer", pictures.draw_filters),
    "dream": ("deep dream", pictures.draw_dream),
    "style": ("style transfer", pictures.draw_style),
    "attention": ("where attention looks", through_time.draw_attention),
    "memory": ("which past input the last answer rests on", through_time.draw_memory),
    "delay": ("gradient by delay", through_time.draw_delay),
    "depth": ("gradient by layer", through_time.draw_depth),
    "embedding": ("features by principal components and t-SNE", features.draw_embedding),
    "groups": ("features in groups that k-means finds", groups.draw_groups),
    "plane": ("answers over a plane of two numbers", groups.draw_plane),
}


@dataclass(frozen=True)
class Finding:
    """A kind of picture.

    Attributes:
        name: of the kind.
        title: what it shows.
        file: within the run's folder; None where it does not fit the agent.
        reason: why it does not fit; empty where it does.
    """

    name: str
    title: str
    file: str | None
    reason: str = ""


def inspect(
    run: str | Path,
    *,
    best: bool = False,
    num_envs: int = 256,
    on_kind: Callable[[int, int], None] = lambda *_: None,
) -> list[Finding]:
    """Draws everything that fits a run's agent into the run's folder, and lists it in inspection/inspection.json.

    Args:
        run: its folder.
        best: the best checkpoint, not the last.
        num_envs: episodes that are looked at, played greedily in the environments of the evaluation.
        on_kind: is told how many kinds are done, and of how many.

    Raises:
        InvalidInput: no such run, or an agent without a network to look into.
    """
    plan = read_plan(run)
    env = make_environment(plan.scenario, num_envs, evaluation=True)
    subject = play(load_agent(run, env, best=best), env, SEED)
    folder = Path(run) / FOLDER
    folder.mkdir(exist_ok=True)
    found = []
    for done, (name, (title, draw)) in enumerate(KINDS.items()):
        on_kind(done, len(KINDS))
        path = folder / f"{name}.png"
        try:
            drawn = draw(subject)
        except Unfit as error:
            path.unlink(missing_ok=True)  # of an earlier look at another checkpoint
            found.append(Finding(name, title, None, str(error)))
            continue
        if isinstance(drawn, Sheet):
            drawn.save(path)
        else:
            write_png(drawn, path)
        found.append(Finding(name, title, f"{FOLDER}/{name}.png"))
    write_text(folder / LIST, json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return found


def kept(run: Path) -> list[Finding]:
    """What an earlier look at a run has drawn; nothing where there was none, or where its list is damaged."""
    try:
        lines = json.loads((run / FOLDER / LIST).read_text(encoding="utf-8"))
        known = [[str(line[name]) for name in ("name", "title", "file")] for line in lines if line["file"]]
        return [Finding(*one) for one in known]
    except (OSError, ValueError, TypeError, KeyError):
        return []
