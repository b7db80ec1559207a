"""Running claims: every seed measured, what was found kept beside what others found, the page written anew."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from . import registry
from .frame import Claim, Measured, gather
from .picture import draw

RESULTS = Path(__file__).parents[1] / "results"
KEPT, PAGE, PICTURES = RESULTS / "claims.json", RESULTS / "claims.md", RESULTS / "claims"
FEWEST = 3


def run(claim: Claim, seeds: int) -> dict[str, Any]:
    """What was found about a claim, as plain values."""
    found, started = [], time.process_time()
    for seed in range(seeds):
        found.append(claim.measure(seed))
        print(f"  seed {seed}: {time.process_time() - started:.0f} s in all", flush=True)
    measured = gather(found, claim.logarithmic)
    return {
        "title": claim.title,
        "says": claim.says,
        "how": claim.how,
        "value": claim.value,
        "across": claim.across,
        "logarithmic": claim.logarithmic,
        "seeds": seeds,
        "seconds": round(time.process_time() - started, 1),
        "lines": {
            line: {place: [float(f"{value:.6g}") for value in values] for place, values in places.items()}
            for line, places in measured.lines.items()
        },
        "statements": {text: bool(test(measured)) for text, test in claim.statements},
    }


def section(name: str, found: dict[str, Any]) -> str:
    """A claim's part of the page."""
    measured = Measured(found["lines"], found["logarithmic"])
    places = list(dict.fromkeys(place for line in measured.lines.values() for place in line))
    lines = [
        f"## {name}: {found['title']}",
        "",
        f"**The claim.** {found['says']}",
        "",
        f"**Measured.** {found['how']}",
        "",
        f"{found['value'][0].upper()}{found['value'][1:]}, {'geometric ' if found['logarithmic'] else ''}mean and 95 % "
        f"interval over {found['seeds']} seeds:",
        "",
        f"| {found['across']} | {' | '.join(measured.lines)} |",
        "|---" * (len(measured.lines) + 1) + "|",
    ]
    for place in places:
        cells = [cell(measured, line, place) if place in measured.lines[line] else "–" for line in measured.lines]
        lines.append(f"| {place} | {' | '.join(cells)} |")
    lines += ["", *(f"* {text}: {verdict(holds)}" for text, holds in found["statements"].items())]
    return "\n".join([*lines, "", f"![{found['title']}](claims/{name}.png)"])


def cell(measured: Measured, line: str, place: str) -> str:
    """A mean with the ends of its interval."""
    middle, low, high = measured.interval(line, place)
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def verdict(holds: bool) -> str:
    return "holds" if holds else "**does not hold**"


def page(kept: dict[str, Any]) -> str:
    """All that was found, a table of the claims first."""
    lines = [
        "Written by `python benchmarks/claims.py`. Intervals are Student's t over the seeds; one thing lies above "
        "another where the interval of their difference, seed by seed, lies above 0. CPU seconds are those of one "
        "core, all seeds together.",
        "",
        "| claim | | seeds | CPU seconds | |",
        "|---|---|---|---|---|",
    ]
    for name, found in kept.items():
        holding = sum(found["statements"].values())
        told = verdict(True) if holding == len(found["statements"]) else f"**{holding} of {len(found['statements'])}**"
        link = f"[{name}](#{name}-{anchor(found['title'])})"
        lines.append(f"| {link} | {found['title']} | {found['seeds']} | {found['seconds']:.0f} | {told} |")
    if waiting := [name for name in registry.CLAIMS if name not in kept]:
        lines += ["", f"Not measured yet: {', '.join(waiting)}."]
    return "\n".join(["\n".join(lines), *(f"\n{section(name, found)}" for name, found in kept.items())]) + "\n"


def anchor(title: str) -> str:
    """A heading's part of its address: small letters, hyphens for spaces, no other signs."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter == "-")


def main(doc: str | None) -> None:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(registry.CLAIMS)}")
    parser.add_argument("--seeds", type=int, help=f"at least {FEWEST}; by default as many as the claim says")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(registry.CLAIMS):
        parser.error(f"no claim is named {sorted(unknown)[0]!r}; there are {', '.join(registry.CLAIMS)}")
    if arguments.seeds is not None and arguments.seeds < FEWEST:
        parser.error(f"seeds must be at least {FEWEST}, or there is no interval to speak of; got {arguments.seeds}")
    torch.set_num_threads(1)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or registry.CLAIMS:
        claim = registry.get(name)
        print(f"{name}: {claim.title}", flush=True)
        found = run(claim, arguments.seeds or claim.seeds)
        for text, holds in found["statements"].items():
            print(f"  {text}: {verdict(holds)}", flush=True)
        kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}  # others may run beside this
        kept |= {name: found}
        kept = {one: kept[one] for one in registry.CLAIMS if one in kept}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(kept), encoding="utf-8")
        measured = Measured(found["lines"], claim.logarithmic)
        draw(claim.title, measured, claim.value, claim.across, PICTURES / f"{name}.png")
