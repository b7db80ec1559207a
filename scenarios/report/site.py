"""The page and its folder: everything that it shows is in the page, but for films and scenarios of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ... import __version__
from ...agents.core.whole_file import write_text, write_whole
from ...envs.registry import family
from ...neural_blocks.errors import InvalidInput
from ..board import Leaderboard, Row
from ..files import strict_yaml
from ..runner import Plan
from .boards import PERCENTILES, THRESHOLDS, boards
from .curves import adaptations, curves, folder_of
from .runs import details, film, filmed, plan_of, scenario_of

PAGE = Path(__file__).parent / "page"
MARK = '<meta name="generator" content="palaestra report">'
UNFILMED: tuple[type[Exception], ...] = (InvalidInput, NotImplementedError, OSError, ValueError, RuntimeError)


def write_report(
    out: str | Path,
    root: str | Path = "runs",
    films: int = 1,
    tell: Callable[[str], None] = lambda _: None,
    on_film: Callable[[int, int], None] = lambda *_: None,
) -> Path:
    """Writes the report of all finished runs below a root.

    Args:
        out: a folder, which is made; a report in it is replaced.
        root: of the runs and the leaderboard.
        films: how many runs of each standing are filmed.
        tell: is told, a line at a time, what cannot be shown.
        on_film: is told how many films are done, and of how many.

    Returns:
        The page.

    Raises:
        InvalidInput: there are no finished runs, or the folder holds a page of somebody else's.
    """
    out, root = Path(out), Path(root)
    page = out / "index.html"
    if page.exists() and MARK not in page.read_text(encoding="utf-8", errors="replace")[:2000]:
        raise InvalidInput(f"{page}: is not a report, and is left as it is; choose another folder")
    rows = Leaderboard(root / "leaderboard.sqlite").rows()
    if not rows:
        raise InvalidInput(f"no finished runs in {root / 'leaderboard.sqlite'}")
    plans = {row.run_id: plan_of(row, root) for row in rows}
    told = contents(rows, plans, root)
    for run in told["runs"]:
        plan = plans[run["run_id"]]
        if plan is not None and run["sheet"] is not None:
            write_text(out / run["sheet"], strict_yaml.dump(plan.scenario.model_dump(mode="json")))
    _show_inside(rows, told["runs"], root, out)
    _film(rows, plans, told["runs"], root, out, films, tell, on_film)
    write_text(page, page_with(told))
    return page


def contents(rows: list[Row], plans: dict[str, Plan | None], root: Path) -> dict[str, Any]:
    """All that the page shows, as plain values."""
    kinds: dict[str, Any] = {}
    for name in sorted({row.scenario for row in rows}):
        scenario = scenario_of(name, list(plans.values()))
        kinds[name] = {
            "name": name,
            "title": scenario.title if scenario else name,
            "description": scenario.description if scenario else "",
            "environment": scenario.environment if scenario else "",
            "family": family(scenario.environment) if scenario else "unknown",
            "tags": scenario.tags if scenario else [],
        }
    return {
        "version": __version__,
        "made": datetime.now(UTC).isoformat(timespec="minutes"),
        "thresholds": [round(float(at), 4) for at in THRESHOLDS],
        "percentiles": PERCENTILES,
        "scenarios": list(kinds.values()),
        "boards": boards(rows, kinds),
        "curves": curves(rows, root),
        "adaptations": adaptations(rows, root),
        "runs": [details(row, plans[row.run_id], root) for row in rows],
    }


def page_with(told: dict[str, Any]) -> str:
    """The page with its style, its programs and its content inside; nothing of the content can end its element."""
    text = json.dumps(told, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    parts = {
        "style": (PAGE / "style.css").read_text(encoding="utf-8"),
        "program": "\n".join(
            (PAGE / name).read_text(encoding="utf-8") for name in ("charts.js", "panels.js", "page.js")
        ),
        "content": text,
    }
    page = (PAGE / "page.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        before, mark, after = page.partition("{{" + name + "}}")
        assert mark, name
        page = before + part + after
    return page


def _show_inside(rows: list[Row], runs: list[dict[str, Any]], root: Path, out: Path) -> None:
    """Copies what `palaestra inspect` has drawn of runs; the page names the copies."""
    folders = {row.run_id: folder_of(row, root) for row in rows}
    for run in runs:
        shown = []
        for one in run["inspection"]:
            source, name = folders[run["run_id"]] / one["file"], f"inspection/{run['run_id']}/{Path(one['file']).name}"
            if source.is_file():
                picture = source.read_bytes()
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                write_whole(out / name, lambda file, picture=picture: file.write(picture))  # type: ignore[misc]
                shown.append({"title": one["title"], "file": name})
        run["inspection"] = shown


def _film(
    rows: list[Row],
    plans: dict[str, Plan | None],
    runs: list[dict[str, Any]],
    root: Path,
    out: Path,
    each: int,
    tell: Callable[[str], None],
    on_film: Callable[[int, int], None],
) -> None:
    """Films runs, and tells of those that cannot be, here and on the page."""
    by_id = {run["run_id"]: run for run in runs}
    wanted = filmed(rows, each) if each else []
    for done, row in enumerate(wanted):
        on_film(done, len(wanted))
        plan, run = plans[row.run_id], by_id[row.run_id]
        if plan is None:
            continue
        name = f"films/{row.run_id}.mp4"
        try:
            film(row, plan, root, out / name)
        except UNFILMED as error:
            run["unfilmed"] = str(error)
            tell(f"{row.folder}: not filmed: {error}")
        else:
            run["film"] = name
