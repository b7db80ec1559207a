"""Profiles of capabilities: `palaestra assess`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...neural_blocks.errors import InvalidInput
from .options import AllowImport, AsJson, Root, Settings, agent_names, parse_settings, whole

app = typer.Typer()


@app.command()
def assess(
    agent: Annotated[
        str | None,
        typer.Option(
            help="A name, or module:Class; by default PPO with a memory and without.", autocompletion=agent_names
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One scenario for each capability, with fewer steps: a quarter of an hour.")
    ] = False,
    settings: Settings = None,
    label: Annotated[str | None, typer.Option(help="What it is called; by default the agent and its settings.")] = None,
    beside: Annotated[
        list[str] | None, typer.Option("--beside", metavar="RUN", help="A run to show too, folder or id; repeatable.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(parser=whole(1, 100), metavar="N", help="Runs on each scenario, seeds 0, 1, 2, ...")
    ] = 3,
    jobs: Annotated[
        int | None, typer.Option(parser=whole(1, 1000), metavar="N", help="Processes; by default one a core.")
    ] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say how long what is missing would take.")] = False,
    out: Annotated[Path | None, typer.Option(help="The .html page; by default beside the runs.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: AsJson = False,
    root: Root = Path("runs"),
    allow_import: AllowImport = False,
) -> None:
    """Say what an agent can do: a profile over ten capabilities, beside the expert, random play and all others.

    Its runs lie in ROOT/assess, apart from others. The same command again does what is missing.
    """
    import os

    from ...envs.drawing.wording import duration, fixed, several
    from .. import listing
    from ..assess import battery, profile
    from ..assess.assessing import Cell, cells
    from ..assess.assessing import assess as start
    from ..assess.assessing import estimate as estimated
    from ..board import Leaderboard
    from ..output import progress
    from ..output.terminal import say

    if agent is None and (settings or label):
        raise InvalidInput("--set and --label are of an agent; name it with --agent")
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise InvalidInput(f"out must end in .html; got {str(out)!r}")
    contenders: tuple[battery.Contender, ...] = battery.YARDSTICKS
    if agent is not None:
        contenders = (battery.Contender(agent, parse_settings(settings or []), label or ""),)
    battery.check(contenders)
    items, own = battery.battery(quick), battery.root_of(root, quick)
    others = profile.beside(beside or [], items, root)
    count = jobs or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    found = cells((*contenders, *battery.ENDS), items, seeds, own, device)
    with progress.working("looking how long it takes"):
        left = estimated(found)
    told = f"{several(left.missing, 'run') if left.missing else 'no runs'} of {len(found)} to do"
    if left.missing:
        told += f": about {duration(left.seconds)} of one core, {duration(left.seconds / count)} on {count}"
    say(told, error=not estimate)
    if estimate:
        return
    remaining = progress.Remaining()

    def on_cell(cell: Cell, done: int, total: int) -> None:
        result = cell.error if cell.state == "failed" else f"score {fixed(cell.score or 0.0, 3)}"
        what = f"{cell.label} · {cell.scenario.name} · seed {cell.seed}"
        say(f"{done}/{total} {what}: {result}{remaining(done, total)}", error=True)

    try:
        ended = start(found, min(count, max(left.missing, 1)), on_cell)
    except KeyboardInterrupt:
        say("palaestra: stopped; what was trained is saved, and the same command goes on", error=True)
        raise SystemExit(130) from None  # which typer passes on, where it swallows an interrupt
    rows = Leaderboard(own / "leaderboard.sqlite").rows()
    profiles = profile.profiles([*rows, *(one.row for one in others)], items)
    if as_json:
        listing.show(profile.to_json(profiles), as_json=True)
    else:
        listing.show(profile.lines(profiles, items, contenders), as_json=False)
    for cell in ended:
        if cell.state == "failed" and cell.agent != "expert":
            say(f"{cell.label} on {cell.scenario.name}, seed {cell.seed}: {cell.error}", error=True)
    page = profile.write_page(out or own / "profile.html", rows, others, items, own)
    say(f"wrote {page}", error=as_json)
