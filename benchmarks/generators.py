"""Every kind of generative model beside the others: what it costs to fit one to digits, and how good it gets.

    python benchmarks/generators.py [NAME ...] [--seeds 3] [--updates 300]

Each is fitted by the agent `generator` to the training digits of 8 x 8 pixels in 17 greys, without classes, by as many
updates on 64 pictures, and judged by the 360 digits of the test split. Rewrites the rows that it ran in
benchmarks/results/generators.json, and the table in benchmarks/results/generators.md.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from palaestra import agents, envs

RESULTS = Path(__file__).parent / "results"
OPTIONS: dict[str, Any] = {"player": "generator", "dataset": "digits", "points": 1}
CHUNK = 20  # updates between two steps of play
MEASURES = ("bits", "frechet", "precision", "recall", "coverage", "seconds")
LIKELIHOODS = {"exact": "", "bound": "at most ", "none": ""}


@dataclass(frozen=True)
class Kind:
    """A model with settings that suit it.

    Attributes:
        model: of the agent `generator`.
        likelihood: "exact", "bound" or "none".
        block: settings of the model.
        learning_rate: of its optimiser.
        optimiser: one of the agents'.
    """

    model: str
    likelihood: str
    block: dict[str, Any] = field(default_factory=dict)
    learning_rate: float = 2e-3
    optimiser: str = "adamw"


def adversarial(**block: Any) -> Kind:
    """A GAN, which learns badly with the momentum of Adam."""
    return Kind("gan", "none", {"latent_size": 32, **block}, 5e-4, "rmsprop")


KINDS = {
    "PixelCNN": Kind("pixelcnn", "exact"),
    "PixelCNN, 5 logistics": Kind("pixelcnn", "exact", {"mixture": 5}),
    "PixelRNN by rows": Kind("pixelrnn", "exact"),
    "PixelRNN by diagonals": Kind("pixelrnn", "exact", {"along": "diagonal"}),
    "pixel transformer": Kind("pixel_transformer", "exact"),
    "VAE": Kind("vae", "bound", learning_rate=1e-3),
    "VQ-VAE": Kind("vq_vae", "bound"),
    "NICE": Kind("nice", "bound", learning_rate=1e-3),
    "Real-NVP": Kind("real_nvp", "bound", learning_rate=1e-3),
    "diffusion, 20 steps": Kind("diffusion", "bound", {"steps": 20}),
    "diffusion, 5 of 20 by DDIM": Kind("diffusion", "bound", {"steps": 20, "ddim": 5}),
    "RBM": Kind("rbm", "none"),
    "GAN, least squares, noise": adversarial(loss="least_squares", noise=0.3),
    "GAN, non-saturating, penalty": adversarial(constraint="penalty", penalty=1.0),
    "GAN, minimax, noise": adversarial(loss="minimax", noise=0.3),
    "GAN, non-saturating, spectral": adversarial(constraint="spectral"),
    "GAN, Wasserstein, penalty": adversarial(loss="wasserstein", constraint="penalty"),
    "GAN, Wasserstein, clipped": adversarial(loss="wasserstein", constraint="clip"),
    "GAN, unrolled": adversarial(unrolled=2, noise=0.3),
    "InfoGAN": adversarial(categories=10, loss="least_squares", noise=0.3),
}


def measure(kind: Kind, updates: int, seed: int) -> dict[str, float]:
    """What a model is after so many updates."""
    torch.set_num_threads(1)
    env = envs.make_batched("palaestra/GANGame-v0", 1, seed=seed, **OPTIONS)
    settings: dict[str, Any] = {"optimiser": kind.optimiser, "learning_rate": kind.learning_rate, "updates": CHUNK}
    agent: Any = agents.make("generator", env, seed=seed, model=kind.model, block=kind.block, anneal=True, **settings)
    started = time.process_time()
    agent.train(env, updates // CHUNK)
    seconds = time.process_time() - started
    test = envs.make_batched("palaestra/GANGame-v0", 360, seed=seed, **OPTIONS, split="test")
    found: dict[str, float] = agents.evaluate(agent, test, 360, seed=seed).metrics
    named: dict[str, float] = {
        name: found[f"picture_{name}"] for name in ("frechet", "precision", "recall", "coverage")
    }
    further: dict[str, float] = {name: found[name] for name in ("information", "code_accuracy") if name in found}
    bits: dict[str, float] = {"bits": found["bits_per_dimension"]} if "bits_per_dimension" in found else {}
    return {**bits, **named, **further, "seconds": seconds}


def table(rows: dict[str, Any]) -> str:
    """The rows as a Markdown table."""
    lines = [f"| model | seeds | updates | {' | '.join(MEASURES)} |", "|---" * (3 + len(MEASURES)) + "|"]
    for name in (name for name in KINDS if name in rows):
        runs = rows[name]["runs"]
        cells = [name, str(len(runs)), str(rows[name]["updates"])]
        for measured in MEASURES:
            values = [run[measured] for run in runs if measured in run]
            told = ", ".join(f"{value:.{1 if measured == 'seconds' else 2}f}" for value in values)
            cells.append((LIKELIHOODS[KINDS[name].likelihood] if measured == "bits" else "") + told if told else "–")
        lines.append(f"| {' | '.join(cells)} |")
    codes = [
        f"{run['information']:.2f} nats of {torch.tensor(10.0).log():.2f}, {run['code_accuracy']:.2f}"
        for run in rows.get("InfoGAN", {"runs": []})["runs"]
    ]
    told = f"\nInfoGAN's bound on what samples tell of ten codes, and accuracy of the codes: {'; '.join(codes)}.\n"
    return "\n".join(lines) + "\n" + (told if codes else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which of {', '.join(KINDS)}; all of them if left out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=300)
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in KINDS]:
        parser.error(f"no such model: {', '.join(unknown)}")
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "generators.json"
    for name in arguments.names or KINDS:
        runs = [measure(KINDS[name], arguments.updates, seed) for seed in range(arguments.seeds)]
        rows = json.loads(kept.read_text()) if kept.exists() else {}
        rows[name] = {"updates": arguments.updates, "runs": runs}
        kept.write_text(json.dumps(rows, indent=1) + "\n")
        text = (
            "Written by `python benchmarks/generators.py`: digits of 8 x 8 pixels in 17 greys, without classes. One "
            "value a seed. Bits are per pixel of unseen digits; the likeness is that of as many samples as there are "
            "unseen digits, 360, to these, by the features of a frozen classifier. Seconds of one core are those of "
            "the updates. Few updates tell what is learned quickly, not what a model can reach.\n\n"
        )
        (RESULTS / "generators.md").write_text(text + table(rows))
        print(table({name: rows[name]}).splitlines()[2], flush=True)


if __name__ == "__main__":
    main()
