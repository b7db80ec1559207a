"""Trains the shipped networks anew.

python -m palaestra.envs.frozen [NAME ...]
"""

from __future__ import annotations

import argparse
import time

import torch

from . import classifiers, generators, policies
from .store import save

RECIPES = {**classifiers.RECIPES, **generators.RECIPES, **policies.RECIPES}


def main() -> None:
    """Trains the named networks, or all of them, and writes their weights."""
    parser = argparse.ArgumentParser(prog="python -m palaestra.envs.frozen", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *RECIPES], help=f"some of {', '.join(RECIPES)}; all if none")
    torch.set_num_threads(1)
    for name in parser.parse_args().names or RECIPES:
        started = time.perf_counter()
        torch.manual_seed(0)
        network = RECIPES[name].build()
        RECIPES[name].train(network)
        path = save(name, network)
        print(f"{name}: {path.stat().st_size:,} bytes, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
