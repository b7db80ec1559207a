"""Remakes the golden transitions and pictures: ``python tests/envs/remake_golden.py``, then look at every picture.

A golden file changes only where an environment changed on purpose; the difference of the JSON says how.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from palaestra.envs import Canvas, SingleEnv, make_task

FOLDER = Path(__file__).with_name("golden")
SEED = 2024
PYTHON, OF_PYTHON = (3, 11), ("text", "text_odds")  # CPython's topics, which these read, differ from version to version
# name: id, options, actions; the picture is drawn after the last action
GOLDEN = {
    "digit_bandit": ("DigitBandit", {}, [3]),
    "digit_bandit_before": ("DigitBandit", {}, []),
    "digit_bandit_mixed": ("DigitBandit", {"domain": "mixed", "target": "textured", "flag": True}, []),
    "digit_bandit_few": ("DigitBandit", {"rows": 100, "choice": 3}, [4]),
    "tabular_bandit": ("TabularBandit", {}, [1]),
    "tabular_bandit_moons": ("TabularBandit", {"dataset": "moons"}, []),
    "tabular_bandit_wine": ("TabularBandit", {"dataset": "wine"}, [0]),
    "calibrate": ("Calibrate", {"blend": 1.0}, [[0.0, 0.1, 0.0, 0.6, 0.0, 0.2, 0.0, 0.1, 0.9, 0.4]]),
    "calibrate_before": ("Calibrate", {"blend": 1.0}, []),
    "glimpse": ("Glimpse", {}, [10, 12, 3]),
    "dose": ("Dose", {}, [[0.2]]),
    "groups": ("Groups", {}, [0]),
    "abstain": ("Abstain", {}, [0, 6, 6]),
    "abstain_score": ("Abstain", {"answer": "score", "length": 4}, [[0.1], [0.9], [0.3], [0.4]]),
    "shift": ("Shift", {"change": "contrast"}, [1, 2, 3, 4]),
    "few_shot": ("FewShot", {}, [0, 1, 2, 3, 4, 0]),
    "repeat_previous": ("RepeatPrevious", {}, [0, 1, 2, 3, 0, 1, 2]),
    "copy": ("Copy", {}, [2, 2, 2, 2, 2, 2, 3, 2]),
    "recall": ("Recall", {}, [0, 2, 0, 1, 0, 1]),
    "adding": ("Adding", {"length": 20}, [[0.0]] * 20 + [[0.3]]),
    "brackets": ("Brackets", {}, [0, 1, 2] * 6),
    "pattern_completion": ("PatternCompletion", {}, [[0, 1] * 12 + [0]]),
    "pattern_completion_flip": (
        "PatternCompletion",
        {"mode": "flip", "patterns": "letters", "stored": 5, "blanked": 1},
        [25],
    ),
    "arithmetic": ("Arithmetic", {}, [1, 2]),
    "arithmetic_notes": ("Arithmetic", {"scratch": 5}, [9, 9, 1, 10, 1]),
    "translate": ("Translate", {}, [2, 6, 15]),
    "next_symbol": ("NextSymbol", {}, [0, 1, 2, 3, 0, 1, 2, 3, 0]),
    "next_symbol_hidden_markov": ("NextSymbol", {"source": "hidden-markov"}, [0, 1, 2, 3, 0]),
    "next_symbol_context_free": ("NextSymbol", {"source": "context-free"}, [0, 1, 2, 3, 0, 1, 2, 3, 0]),
    "next_symbol_geometric": ("NextSymbol", {"source": "geometric", "symbols": 10}, [6, 5, 4, 3, 2, 1]),
    "next_symbol_arithmetic": ("NextSymbol", {"source": "arithmetic", "symbols": 7}, [6, 5, 4, 3, 2, 1]),
    "next_symbol_odds": ("NextSymbol", {"answer": "odds"}, [[0.1, 0.2, 0.0, 0.7], [0.25, 0.25, 0.4, 0.1]]),
    "text": ("Text", {}, [1, 70, 85, 74, 1]),
    "text_odds": ("Text", {"answer": "odds", "split": "test"}, [[0.5] + [0.01] * 65 + [0.2] * 31] * 20),
    "cloze": ("Cloze", {}, [4, 11]),
    "cloze_order": ("Cloze", {"question": "order"}, [1]),
    "cloze_next": ("Cloze", {"question": "next"}, [1]),
    "sentence_pair": ("SentencePair", {}, [1]),
    "sentence_pair_answer": ("SentencePair", {"relation": "answer"}, [1]),
    "sentence_pair_relatedness": ("SentencePair", {"relation": "relatedness"}, [1]),
    "sentence_pair_acceptability": ("SentencePair", {"relation": "acceptability"}, []),
    "summarize": ("Summarize", {"sentences": 5, "choose": 2}, [2, 4]),
    "word_context": ("WordContext", {}, [1]),
    "caption": ("Caption", {}, [1, 7, 12, 2, 3]),
    "defend": ("Defend", {}, [9, 1]),
    "policy_attack": ("PolicyAttack", {}, [[1.0, -1.0, 0.5], [-0.5, 1.0, 0.2], [1.0, 1.0, -1.0], [0.3, -1.0, 0.0]]),
    "pixel_canvas": ("PixelCanvas", {}, [0, 0, 1, 1, 1, 1, 0, 0] * 5),
    "pixel_canvas_diagonal": ("PixelCanvas", {"order": "diagonal"}, [0, 0, 1, 1, 1, 1, 0, 0] * 5),
    "latent_search": ("LatentSearch", {}, [[0.5, -0.5, 0.2, 0.0, -0.2, 0.4]] * 4),
    "denoise": ("Denoise", {}, [[0.5, -0.5, 0.0, 0.0] * 4] * 6),
    "restore": ("Restore", {}, [[0.5, -0.5, 0.25, 0.0] * 16]),
    "restore_patches": ("Restore", {"damage": "coarse", "patches": True}, [[0.5, -0.5, 0.25, 0.0] * 4] * 3),
    "restore_code": ("Restore", {"damage": "noise", "by": "code"}, [[0.5, -0.5, 0.25, 0.0] * 6] * 3),
    "strokes": ("Strokes", {}, [[0.3, -0.8, 0.0], [-0.9, 0.2, 1.0], [0.1, 1.0, 0.7], [0.5, 0.9, 0.5]]),
    "strokes_class": ("Strokes", {"goal": "class"}, [[0.3, -0.8, 0.0], [-0.2, 1.0, 1.0], [-0.1, 1.0, 0.9]]),
    "compose": ("Compose", {}, [2, 7, 12, 0, 2, 5, 7, 16]),
    "point_cloud": ("PointCloud", {}, [[0.3, -0.4], [-0.5, 0.5], [0.1, 0.1], [-0.6, -0.2], [0.5, 0.0]]),
    "evade": ("Evade", {}, [[0.5, -0.5] * 32] * 3),
    "attack_defend": ("AttackDefend", {}, [[0.5] * 64] * 3),
    "code": ("Code", {}, [[0, 1, 1]] * 3),
    "code_receiver": ("Code", {"player": "receiver", "bits": 1}, [[0, 1, 0] * 3]),
    "unpaired": ("Unpaired", {}, [[0.5, 0.25, 1.0], [-0.5, 0.0, 1.0]]),
    "unpaired_pixels": ("Unpaired", {"by": "pixels"}, [[1.0, 0.5, 0.0, 0.5] * 16]),
    "gan_game": ("GANGame", {}, [[0.1, 0.2]] * 6),
    "gan_game_digits": ("GANGame", {"dataset": "digits"}, [([0.9] * 8 + [0.1] * 8) * 4] * 6),
    "localize": ("Localize", {}, [[0.5, -0.5, 0.25, 0.0, -1.0, 0, 0, 0, 1], [0.25, 0.5, 0.0, 0.5, 1.0, 0, 0, 0, 1]]),
    "localize_digits": ("Localize", {"objects": "digits"}, [[1.0, 0.5, 0.0, 0.25, -1.0] + [0] * 10]),
    "detect": (
        "Detect",
        {},
        [
            [-0.5, -0.5, 0, 0, 0.5, -1, 1, 0, 0, 0],
            [0, 0, 0, 0, 1, -1, 0, 0, 0, 1],
            [0.25, -0.75, 0, 0, 0, -1, 0, 1, 0, 0],
        ],
    ),
    "segment": ("Segment", {}, [[[0] * 5 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 2] * 16]),
    "segment_instances": ("Segment", {"instances": True}, [[[1] * 8 + [2] * 8] * 8 + [[3] * 8 + [4] * 8] * 8]),
    "bernoulli_bandit": ("BernoulliBandit", {}, [0, 1, 2, 3]),
    "bernoulli_bandit_pull": ("BernoulliBandit", {"episodes": 1}, [1]),
    "point_goal": ("PointGoal", {}, [[0.1, 0.0], [0.05, -0.1], [-0.1, -0.1], [0.0, 0.1]]),
    "point_goal_shown": (
        "PointGoal",
        {"goal": "shown", "length": 4, "episodes": 1},
        [[0.1, 0.0], [0.05, -0.1], [-0.1, -0.1], [0.0, 0.1]],
    ),
    "tabular_mdp": ("TabularMDP", {}, [0, 1, 2]),
    "sinusoid": ("Sinusoid", {}, [[0.0], [0.5], [0.5]]),
    "lif_neuron": ("LIFNeuron", {}, [[0.5]] * 16),
    "spiking_network": ("SpikingNetwork", {}, [[0.9, 0.8, 0.7, 0.6, -0.5, -0.6, -0.7, 0.2]] * 12),
    "road": ("Road", {}, [[0.25], [-0.1], [0.05], [0.0], [0.2]]),
    "fork": ("Fork", {}, [[0.8], [0.7], [0.8]]),
    "fork_remembers": ("Fork", {"remembers": True}, [[0.6]] * 2),
    "hodgkin_huxley": ("HodgkinHuxley", {}, [[0.25]] * 60),
    "descent": ("Descent", {}, [[0.25, 0.3], [0.1, 0.5], [-0.2, 0.4], [0.3, -0.2]]),
}


def summary(observation):
    """An observation as JSON: whole if it has at most 16 numbers, else its shape and a hash of its bytes."""
    if isinstance(observation, dict):
        return {name: summary(part) for name, part in observation.items()}
    array = np.asarray(observation)
    if array.size <= 16:
        return array.astype(float).round(5).tolist()
    return {"shape": list(array.shape), "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}


def play(name):
    """The episode of a golden file as JSON, and the picture after it, (480, 480, 3) uint8."""
    id, options, actions = GOLDEN[name]
    env = SingleEnv(make_task(f"palaestra/{id}-v0", **options), "rgb_array")
    steps = [{"observation": summary(env.reset(seed=SEED)[0])}]
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        metrics = {key: round(float(value), 5) for key, value in info.items()}
        ends = {"terminated": terminated, "truncated": truncated}
        steps.append(
            {
                "action": action,
                "observation": summary(observation),
                "reward": round(reward, 5),
                **ends,
                "metrics": metrics,
            }
        )
    record = {"id": f"palaestra/{id}-v0", "options": options, "seed": SEED, "steps": steps}
    return record, env.render()


def remake():
    """Writes a JSON and a PNG for every name, and removes what no name stands for."""
    FOLDER.mkdir(exist_ok=True)
    for name in GOLDEN:
        record, picture = play(name)
        (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
        canvas = Canvas()
        canvas.image(torch.from_numpy(picture), (0, 0, 480, 480))
        canvas.save_png(FOLDER / f"{name}.png")
    for file in FOLDER.iterdir():
        if file.stem not in GOLDEN:
            file.unlink()


if __name__ == "__main__":
    remake()
