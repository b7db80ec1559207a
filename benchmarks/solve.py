"""Does each scenario's agent solve it? Three seeds each, on one core, with the time each run takes.

    python benchmarks/solve.py [SCENARIO ...] [--seeds 3] [--jobs 1]

Rewrites the rows of the scenarios it ran in benchmarks/results/solve.json and the table in benchmarks/results/solve.md.
"""

from __future__ import annotations

import argparse
import json
import operator
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from palaestra.scenarios import catalogue, run
from palaestra.scenarios.board import Row

RESULTS = Path(__file__).parent / "results"
COMPARE = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Claim:
    """What a scenario's agent should reach on the scenario's own evaluation, for every seed."""

    scenario: str
    measure: str  # score, return or a metric
    relation: str
    bound: float
    settings: str = ""  # changes to the scenario's preset, as --set takes them
    agent: str | None = None  # another than the scenario's own
    steps: int | None = None  # another number than the scenario's
    options: str = ""  # changes to the environment, as --env-set takes them

    @property
    def run(self) -> tuple[str, str | None, str, int | None, str]:
        """What `play` needs: several claims may be made of the same runs."""
        return self.scenario, self.agent, self.settings, self.steps, self.options

    def __str__(self) -> str:
        return f"{self.measure} {self.relation} {self.bound:g}"


CLAIMS = (
    Claim("digits", "accuracy", ">=", 0.93),
    Claim("tabular", "accuracy", ">=", 0.9),
    Claim("repeat-previous", "score", ">=", 0.9),
    Claim("repeat-previous", "score", "<=", 0.5, "memory=null"),
    Claim("repeat-previous-several", "score", ">=", 0.9),
    Claim("next-symbol", "score", ">=", 0.95),
    Claim("next-symbol", "score", "<=", 0.9, "memory=null"),
    Claim("cartpole", "return", ">=", 475.0),
    Claim("cartpole", "return", ">=", 475.0, agent="dqn"),
    Claim("cartpole", "return", ">=", 475.0, agent="a2c", steps=300_000),
    Claim("pendulum", "return", ">=", -200.0),
    Claim("point-goal-shown", "score", ">=", 0.9),
    Claim("point-goal-shown", "score", "<=", 0.3, "hindsight=null"),
    Claim("frozen-lake", "return", ">=", 0.95),
    Claim("frozen-lake-slippery", "return", ">=", 0.703),  # 5 % below value iteration's 0.7402
    Claim("glimpse", "score", ">=", 0.7),
    Claim("calibrate", "score", ">=", 0.9),
    Claim("dose", "excess", "<=", 0.02, agent="behaviour_cloning"),
    Claim("dose-few", "excess", ">=", 0.05, agent="behaviour_cloning"),
    Claim("shift", "score", ">=", 0.8, agent="dagger"),
    Claim("shift", "score", "<=", 0.5, "memory=null", agent="dagger"),
    Claim("abstain", "score", ">=", 0.7, agent="behaviour_cloning"),
    Claim("groups", "worst", ">=", 0.75, agent="behaviour_cloning"),
    Claim("groups-tempting", "worst", "<=", 0.65, agent="behaviour_cloning"),
    Claim("copy", "score", ">=", 0.9),
    Claim("copy", "score", "<=", 0.5, "memory=null"),
    Claim("recall", "score", ">=", 0.9),
    Claim("recall", "score", "<=", 0.5, "memory=null"),
    Claim("adding", "score", ">=", 0.9),
    Claim("adding", "score", "<=", 0.5, "memory=null"),
    Claim("brackets", "score", ">=", 0.9),
    Claim("brackets", "score", "<=", 0.5, "memory=null"),
    Claim("pattern-completion", "score", ">=", 0.9),
    Claim("pattern-completion", "score", "<=", 0.75, "memory=null"),  # the cue as it is scores 0.61
    Claim("pattern-completion", "score", ">=", 0.95, agent="hopfield", steps=1),  # scripted
    Claim("arithmetic", "score", ">=", 0.9),
    Claim("translate", "score", ">=", 0.7),
    Claim("translate", "bleu", ">=", 0.95, agent="behaviour_cloning", steps=100_000),
    Claim("translate", "bleu", "<=", 0.5, "encoder=seq2seq_bottleneck", agent="behaviour_cloning", steps=100_000),
    Claim("translate-longer", "bleu", ">=", 0.7, agent="behaviour_cloning"),
    Claim("text", "bits", "<=", 2.79),  # a Markov model of order 2 needs 2.80
    Claim("cloze", "score", ">=", 0.9),
    Claim("word-context", "score", ">=", 0.9),
    Claim("cloze", "score", ">=", 0.9, options="question=span"),
    Claim("cloze", "score", ">=", 0.9, options="question=next"),
    Claim("sentence-pair", "score", ">=", 0.9),
    Claim("sentence-pair", "score", ">=", 0.85, options="relation=relatedness"),
    Claim("caption", "score", ">=", 0.8),
    Claim("summarize", "score", ">=", 0.8),
    Claim("summarize", "score", "<=", 0.65, "network=perceptron hidden=[512,256]"),
    Claim("lif-neuron", "score", ">=", 0.8),
    Claim("lif-neuron", "score", ">=", 0.8, agent="gail"),
    Claim("hodgkin-huxley", "score", ">=", 0.8),
    Claim("spiking-network", "score", ">=", 0.9),
    Claim("descent", "return", ">=", 4.4),  # best constants: heavy ball 3.58, Adam 4.31; Adam's defaults 0.03
    Claim("fork", "score", ">=", 0.9),
    Claim("fork", "score", "<=", 0.1, "head=gaussian"),
    Claim("road", "score", ">=", 0.95),
    Claim("road", "return", "<=", -2.0, agent="behaviour_cloning"),  # DAgger's, with as many labels, is above -1.5
    Claim("road-mixed", "score", ">=", 0.9),  # cloning the same recordings: offline.py
    Claim("localize", "score", ">=", 0.7),
    Claim("detect", "map_50", ">=", 0.5),
    Claim("segment", "iou", ">=", 0.8),
    Claim("segment", "iou", "<=", 0.75, "network=pixelwise"),  # which sees no more than a patch around each pixel
    Claim("point-goal", "score", ">=", 0.7),
    Claim("sinusoid", "score", ">=", 0.8),
    Claim("few-shot", "accuracy", ">=", 0.75),
    Claim("few-shot", "shot_4", ">=", 0.9),
    Claim("few-shot-5way-1shot", "shot_1", ">=", 0.85),
    Claim("few-shot-5way-5shot", "shot_5", ">=", 0.95),
    Claim("unpaired", "score", ">=", 0.9),
    Claim("unpaired", "apart", "<=", 0.04),  # from the true translation; a digit left as it is is 0.72 away
    Claim("evade", "fooled", ">=", 0.54),  # 0.6 of the rate at which projected gradient fools, 0.89
    Claim("evade", "fooled", ">=", 0.85, agent="pgd", steps=1),  # scripted, as are the four that follow
    Claim("evade", "fooled", ">=", 0.7, agent="fgsm", steps=1),
    Claim("evade", "fooled", ">=", 0.85, agent="finite_differences", steps=1),
    Claim("evade", "fooled", ">=", 0.3, agent="grouped_differences", steps=1),  # of sixteen groups; random changes 0.01
    Claim("evade", "fooled", ">=", 0.5, agent="transfer", steps=1),
    Claim("defend", "return", ">=", 0.36),  # the best constant choice returns 0.30
    Claim("policy-attack", "kept", "<=", 0.5),
    Claim("policy-attack", "kept", ">=", 0.8, agent="random", steps=1),  # uniform shifts of the same size
    Claim("code", "exact", ">=", 0.999),  # a given partner's code; two learners of their own: self_play.py
    Claim("pixel-canvas", "score", ">=", 0.65),  # an empty canvas scores 0
    Claim("pixel-canvas-fit", "score", ">=", 0.9),
    Claim("pixel-canvas-fit", "bits_per_dimension", "<=", 0.36),  # independent pixels, given the class, need 0.417
    Claim("gan-game-fit", "score", ">=", 0.35),  # random pixels score 0, digits of the training split 1
    Claim("gan-game-fit", "picture_recall", ">=", 0.6),
    Claim("restore-fit", "return", ">=", 0.69),  # the mean digit in the hole returns 0.66
    Claim("unpaired-fit", "score", ">=", 0.35),  # a digit left as it is scores 0.05, the true translation 1
    Claim("unpaired-fit", "cycle", ">=", 0.85),
    Claim("latent-search", "score", ">=", 0.7),
    Claim("strokes", "return", ">=", 0.6),  # to the pixel in reach that lacks most ink: 0.51; the best of 486: 0.75
    Claim("point-cloud", "score", ">=", 0.7),
    Claim("restore", "return", ">=", 0.84),  # a linear regression for each place of the hole returns 0.81
    Claim("compose", "score", ">=", 0.8),  # the likeliest sentences by heart score about 0.5
    Claim("denoise-fit", "return", ">=", 0.8),  # guidance by the judge's own gradient returns 0.95
    Claim("denoise", "return", ">=", 0.105),  # what plain sampling, without corrections, returns
)


def play(
    scenario: str, agent: str | None, settings: str, steps: int | None, options: str, seed: int
) -> tuple[Row, float]:
    """One run of one seed, and the seconds it kept its one core busy."""
    from palaestra.scenarios.commands.options import parse_settings

    torch.set_num_threads(1)
    started = time.process_time()
    experiment = catalogue.get(scenario).with_options(parse_settings(options.split()))
    with tempfile.TemporaryDirectory() as root:
        row = run(experiment, agent, seed, steps=steps, settings=parse_settings(settings.split()), root=root)
    return row, time.process_time() - started


def judge(claim: Claim, played: list[tuple[Row, float]]) -> dict[str, Any]:
    """What the seeds' runs say about a claim."""
    runs = [row for row, _ in played]
    known = [{"score": row.score, "return": row.return_mean, **row.metrics} for row in runs]
    values = [round(float(found[claim.measure] or 0.0), 4) for found in known]
    return {
        "scenario": claim.scenario,
        "agent": " ".join(filter(None, [runs[0].agent, claim.settings, claim.options])),
        "steps": runs[0].steps,
        "claim": str(claim),
        "measured": values,
        "seconds": [round(seconds, 1) for _, seconds in played],
        "holds": all(COMPARE[claim.relation](value, claim.bound) for value in values),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| scenario | agent | steps | claim | measured, one value a seed | seconds | holds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        measured, seconds = (", ".join(f"{value:g}" for value in row[name]) for name in ("measured", "seconds"))
        holds = "yes" if row["holds"] else "**no**"
        cells = (row["scenario"], row["agent"], f"{row['steps']:,}", row["claim"], measured, seconds, holds)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", help="which; all of them if left out")
    parser.add_argument("--agent", help="claims about this agent alone; a scenario's own is named by its name, too")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once; each needs a core of its own")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "solve.json"
    current = {(claim.scenario, str(claim)) for claim in CLAIMS}  # a claim that is no longer made loses its row
    chosen = [claim for claim in CLAIMS if not arguments.scenarios or claim.scenario in arguments.scenarios]
    chosen = [
        claim for claim in chosen if arguments.agent in (None, claim.agent or catalogue.get(claim.scenario).agent)
    ]
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        futures: dict[tuple[str, str | None, str, int | None, str], list[Future[tuple[Row, float]]]] = {}
        for claim in chosen:
            if claim.run not in futures:
                futures[claim.run] = [pool.submit(play, *claim.run, seed) for seed in range(arguments.seeds)]
        for claim in chosen:
            row = judge(claim, [future.result() for future in futures[claim.run]])
            print(table([row]).splitlines()[-1], flush=True)
            rows = json.loads(kept.read_text()) if kept.exists() else []  # as it stands now: others may run beside this
            rows = [one for one in rows if (one["scenario"], one["claim"]) in current]
            by_claim = {tuple(one[name] for name in ("scenario", "agent", "claim")): one for one in [*rows, row]}
            kept.write_text(json.dumps(list(by_claim.values()), indent=1) + "\n")
            text = "Written by `python benchmarks/solve.py`; CPU seconds of one core, training and scoring.\n\n"
            (RESULTS / "solve.md").write_text(text + table(list(by_claim.values())))


if __name__ == "__main__":
    main()
