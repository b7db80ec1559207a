"""What self-play learns: are all modes covered, does the defender withstand a fresh attacker, does the code carry all?

    python benchmarks/self_play.py [gan-game] [attack-defend] [code] [--seeds 3]

Trains each scenario's preset, measures on episodes and digits that no training saw, and rewrites the rows it ran in
benchmarks/results/self_play.json and the table in benchmarks/results/self_play.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from palaestra import agents
from palaestra.agents import PPO, Evaluation, PPOConfig, SelfPlay, evaluate
from palaestra.agents.games.exploitability import best_response, exploitability
from palaestra.agents.games.opponents import FrozenPolicy
from palaestra.envs import BatchedEnv, Opponent, Task, Versus, make_game
from palaestra.envs.core.game import Function
from palaestra.neural_blocks.robustness.adversarial import pgd
from palaestra.scenarios import catalogue
from palaestra.scenarios.environments import make_environment

RESULTS = Path(__file__).parent / "results"
HELD_OUT, EPISODES = 2**42, 1024  # seeds that no training starts from
RESPONSE_STEPS, ATTACKER_STEPS = 1_000_000, 2_000_000  # of a fresh best response, and of a fresh attacker
Row = dict[str, Any]
Network = Callable[[torch.Tensor], torch.Tensor]  # from images (B, 1, 8, 8) in [0, 1] to logits
LEARNING: Row = {"hidden": (128,), "rollout_steps": 9, "minibatches": 4, "learning_rate": 1e-3, "gamma": 0.7}
RESPONSE = PPOConfig(**LEARNING)


def trained(scenario: str, seed: int) -> tuple[SelfPlay, float]:
    """The scenario's agent after the scenario's steps, and the CPU seconds that took."""
    plan = catalogue.get(scenario)
    env = make_environment(plan, plan.num_envs, seed=(seed + 1) * 2**24)
    agent = agents.make("self_play", env, seed=seed, **plan.agents["self_play"])
    assert isinstance(agent, SelfPlay)
    started = time.process_time()
    for _ in agent.learn(env, plan.steps):
        pass
    return agent, time.process_time() - started


def played(agent: PPO, task: Task[Any]) -> Evaluation:
    """Held-out episodes."""
    return evaluate(agent, BatchedEnv(task, 256), EPISODES, seed=HELD_OUT)


def gan_game(seed: int) -> Row:
    """Accuracy of the discriminator trained in play on real and made points; coverage and quality of those made."""
    agent, seconds = trained("gan-game", seed)
    assert agent.rival is not None
    game = make_game("palaestra/GANGame-v0")
    policies: dict[str, Opponent] = {"generator": FrozenPolicy(agent.own), "discriminator": FrozenPolicy(agent.rival)}
    judged = played(agent.rival, Versus(game, "discriminator", {"generator": policies["generator"]})).metrics
    gap = exploitability(game, policies, RESPONSE, steps=RESPONSE_STEPS, seed=seed + 1000)["exploitability"]
    holds = judged["coverage"] >= 0.95 and abs(judged["accuracy"] - 0.5) <= 0.1
    found = {name: judged[name] for name in ("coverage", "quality", "accuracy")} | {"exploitability": gap}
    return {"seconds": seconds, "holds": holds, **found}


def code(seed: int) -> Row:
    """What the pair trained in play rebuilds, each giving its likeliest bits: patterns with every bit right."""
    agent, seconds = trained("code", seed)
    assert agent.rival is not None
    partner = Function(partial(_likeliest_action, agent.rival))
    found = played(agent.own, Versus(make_game("palaestra/Code-v0"), "sender", {"receiver": partner})).metrics
    return {"seconds": seconds, "holds": found["exact"] == 1, "exact": found["exact"], "right": found["right"]}


def attack_defend(seed: int) -> Row:
    """What the defender trained in play earns on unseen digits, and what the plain classifier does, each giving its
    likeliest answer: right minus wrong answers, as shares. The fresh attacker has learned against that very defender,
    on the digits of "train"; the gradient is that of the network under attack. What holds is about the fresh attacker.
    """
    agent, seconds = trained("attack-defend", seed)
    game, unseen = make_game("palaestra/AttackDefend-v0"), make_game("palaestra/AttackDefend-v0", split="test")
    plain: Any = game.opponents("defender")["plain"]()

    def in_play(x: torch.Tensor) -> torch.Tensor:
        never = torch.zeros(len(x), dtype=torch.bool)
        return agent.own.network.act(255 * x, (), never)[0]

    def of_plain(x: torch.Tensor) -> torch.Tensor:
        return plain.network(x.double()).float()

    found: Row = {}
    for name, network in (("in play", in_play), ("plain", of_plain)):
        defender = Function(partial(_likeliest, network))
        attacker = best_response(game, "attacker", defender, RESPONSE, steps=ATTACKER_STEPS, seed=seed + 1000)
        task = Versus(unseen, "attacker", {"defender": defender})
        found[f"{name}, untouched"] = _under_gradient(network, unseen, steps=0)
        found[f"{name}, fresh attacker"] = -float(played(attacker, task).returns.mean())
        found[f"{name}, gradient"] = _under_gradient(network, unseen, steps=40)
    return {"seconds": seconds, "holds": found["in play, fresh attacker"] > found["plain, fresh attacker"], **found}


def _likeliest_action(agent: PPO, observation: Any) -> torch.Tensor:
    return agent.act(observation, greedy=True)[0]


@torch.no_grad()
def _likeliest(network: Network, images: torch.Tensor) -> torch.Tensor:
    return network(images / 255).argmax(1)


def _under_gradient(network: Network, game: Any, *, steps: int) -> float:
    """A network's right minus wrong answers to a game's digits after steps of projected gradient on it."""
    images, labels, radius = game.images.float() / 255, game.labels, game.reach / 255
    attacked = pgd(network, images, labels, radius, step_size=radius / 8, steps=steps)
    with torch.no_grad():
        answer = network(attacked).argmax(1)
    right, passed = answer == labels, answer == len(game.class_names)
    return float((right.float() - (~(right | passed)).float()).mean())


MEASURES: dict[str, Callable[[int], Row]] = {"gan-game": gan_game, "attack-defend": attack_defend, "code": code}


def table(rows: list[Row]) -> str:
    """One Markdown table for each scenario."""
    parts = []
    for scenario in MEASURES:
        own = [row for row in rows if row["scenario"] == scenario]
        if own:
            head = [name for name in own[0] if name != "scenario"]
            lines = [f"## {scenario}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
            lines += [f"| {' | '.join(_cell(row[name]) for name in head)} |" for row in own]
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _cell(value: Any) -> str:
    return ("yes" if value else "**no**") if isinstance(value, bool) else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", choices=[[], *MEASURES], help="which; all if left out")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "self_play.json"
    rows = {(row["scenario"], row["seed"]): row for row in json.loads(kept.read_text())} if kept.exists() else {}
    for scenario in arguments.scenarios or MEASURES:
        for seed in range(arguments.seeds):
            row = {"scenario": scenario, "seed": seed, **MEASURES[scenario](seed)}
            rows[scenario, seed] = row
            print(row, flush=True)
            kept.write_text(json.dumps([rows[key] for key in sorted(rows)], indent=1) + "\n")
            told = "Written by `python benchmarks/self_play.py`; one core, CPU seconds of training.\n\n"
            (RESULTS / "self_play.md").write_text(told + table([rows[key] for key in sorted(rows)]))


if __name__ == "__main__":
    main()
