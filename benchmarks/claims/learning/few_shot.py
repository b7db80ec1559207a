"""Prototypical networks, matching networks and MAML on the same few-shot episodes."""

from __future__ import annotations

from typing import Any

from palaestra import agents
from palaestra.envs import make_batched

from ..frame import Claim, Lines

STEPS, ENVS, EPISODES = 60_000, 256, 1024
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "prototypical": ("protonet", {}),
    "matching": ("matching", {}),
    "MAML": (
        "maml",
        {"support_steps": 1, "inner_rate": 0.3, "objective": "each", "learning_rate": 2.0e-3, "hidden": []},
    ),
}


def measure(seed: int) -> Lines:
    """Accuracy on glyphs of an alphabet never shown, by how often each was shown before."""
    found = {}
    for line, (name, settings) in WAYS.items():
        env = make_batched("palaestra/FewShot-v0", ENVS, seed=(seed + 1) * 2**24, shots=1, split="train")
        agent = agents.make(name, env, seed=seed, rollout_steps=10, **settings)
        list(agent.learn(env, STEPS))
        tested = make_batched("palaestra/FewShot-v0", ENVS, shots=1, split="test")
        metrics = agents.evaluate(agent, tested, EPISODES, seed=2**41).metrics
        found[line] = metrics["shot_1"]
    return {"seen once": found}


CLAIM = Claim(
    title="Few-shot learners on the same rows",
    says="Prototypical networks do at least as well as matching networks (Snell et al., 2017), and MAML is as good as "
    "methods made for classification (Finn et al., 2017).",
    how=f"FewShot, five ways, each glyph twice, {STEPS} steps each with the settings of the catalogue's scenario: "
    "accuracy on glyphs seen once, of an alphabet that training never shows.",
    measure=measure,
    statements=(
        (
            "prototypical networks are not below matching networks",
            lambda found: not found.above(("seen once", "matching"), ("seen once", "prototypical")),
        ),
        (
            "MAML is not below matching networks",
            lambda found: not found.above(("seen once", "matching"), ("seen once", "MAML")),
        ),
    ),
    value="accuracy on glyphs seen once",
    seeds=3,
)
