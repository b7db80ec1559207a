"""Optimisers with constant settings on the losses of Descent, beside its expert.

    python benchmarks/descent.py [SURFACE ...] [--episodes 512]

Gradient descent, momentum, Adagrad, RMSProp and Adam of torch.optim run from the same starts for as many steps, with
PyTorch's default settings (0.01 where a learning rate has none, momentum 0.9) and with the best of a grid. Rewrites
benchmarks/results/descent.json and the table in benchmarks/results/descent.md; what is told is the mean return: the
orders of magnitude that the loss fell. Optimisers see the parameters in a frame that is turned at random for every
episode: Adagrad, RMSProp and Adam, which treat each parameter by itself, would else be helped by surfaces that are
written along the axes of their curvature.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.control.descent import FAR, HIGHEST, LOWEST, Descent, DescentState
from palaestra.envs.control.surfaces import SURFACES

RESULTS = Path(__file__).parent / "results"
SEED = 2**40
RATES = tuple(10 ** (k / 4) for k in range(-14, 5))
Maker = Callable[..., torch.optim.Optimizer]
OPTIMISERS: dict[str, tuple[Maker, dict[str, Any], tuple[dict[str, Any], ...]]] = {
    "gradient descent": (torch.optim.SGD, {"lr": 0.01}, ({},)),
    "momentum": (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}, tuple({"momentum": m} for m in (0.5, 0.7, 0.8, 0.9))),
    "Adagrad": (torch.optim.Adagrad, {"lr": 0.01}, ({},)),
    "RMSProp": (torch.optim.RMSprop, {"lr": 0.01}, ({},)),
    "Adam": (torch.optim.Adam, {"lr": 0.001}, ({}, {"betas": (0.7, 0.99)})),
}


def frames(count: int, size: int) -> Tensor:
    """Random rotations (and reflections), (count, size, size) float64."""
    generator = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(count, size, size, generator=generator, dtype=torch.float64)).Q


def returns(task: Descent, state: DescentState, make: Maker, settings: dict[str, Any]) -> float:
    """The mean return of an optimiser from these starts, in turned frames."""
    member, turn = state.member.double(), frames(len(state.time), task.surface.size)
    own = torch.einsum("bij,bj->bi", turn, state.parameters.double()).requires_grad_()
    optimiser = make([own], **settings)

    def place() -> Tensor:
        return torch.einsum("bij,bi->bj", turn, own.detach()).clamp(-FAR, FAR)

    for _ in range(task.horizon):
        own.grad = torch.einsum("bij,bj->bi", turn, task.surface.loss(member, place())[1])
        optimiser.step()
    loss = task.surface.value(member, place())
    return -float((loss.log10() - state.first.double()).clamp(LOWEST, HIGHEST).mean())


def measure(surface: str, episodes: int) -> list[dict[str, Any]]:
    """The rows of a surface: best constants are chosen on other episodes than those they are scored on."""
    task = make_task("palaestra/Descent-v0", surface=surface)
    assert isinstance(task, Descent)
    envs = [BatchedEnv(task, episodes, seed=SEED + k * episodes) for k in range(2)]
    for env in envs:
        env.reset()
    (chosen_on, scored_on), rows = [env.state for env in envs], []
    for name, (make, default, others) in OPTIMISERS.items():
        grid = [{"lr": rate, **other} for rate in RATES for other in others]
        best = max(grid, key=partial(returns, task, chosen_on, make))
        for kind, settings in (("default", default), ("best constant", best)):
            told = ", ".join(
                f"{key} {value:.3g}" if key == "lr" else f"{key} {value}" for key, value in settings.items()
            )
            value = round(returns(task, scored_on, make, settings), 3)
            rows.append({"surface": surface, "optimiser": name, "kind": kind, "settings": told, "return": value})
    total = torch.zeros(episodes)
    for _ in range(task.horizon):
        total += envs[1].step(envs[1].expert_action()).reward
    value = round(float(total.mean()), 3)
    rows.append({"surface": surface, "optimiser": "Descent's expert", "kind": "", "settings": "", "return": value})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("surfaces", nargs="*", help="which; all of them if left out")
    parser.add_argument("--episodes", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kept = RESULTS / "descent.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    for surface in arguments.surfaces or SURFACES:
        rows = [row for row in rows if row["surface"] != surface] + measure(surface, arguments.episodes)
        print(surface, *(f"{row['optimiser']} {row['kind']}: {row['return']}" for row in rows[-11:]), sep="\n  ")
    RESULTS.mkdir(exist_ok=True)
    kept.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    lines = [
        f"Written by `python benchmarks/descent.py`; orders of magnitude that the loss fell, mean of "
        f"{arguments.episodes} episodes; best constants are chosen on as many others.",
        "",
        "| surface | optimiser | settings | | return |",
        "|---|---|---|---|---|",
        *("| {surface} | {optimiser} | {kind} | {settings} | {return} |".format(**row) for row in rows),
    ]
    (RESULTS / "descent.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
