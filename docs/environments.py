"""Draws docs/environments.png: every environment, a few steps into an episode played by its expert.

python docs/environments.py
"""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import torch

from palaestra.envs import BatchedEnv, Canvas, NoExpert, make_task
from palaestra.envs.core.actions import action_noise, action_of
from palaestra.envs.core.tree import tree_map
from palaestra.envs.registry import OWN

COLUMNS, SEED = 6, 11
STEPS = {"classification": 1, "generation": 40}
"""Steps played before the picture, by family; elsewhere a third of an episode, at most 20."""


def picture(id: str) -> np.ndarray:
    """(270, 240, 3) uint8: the environment's name above its picture at half size."""
    task = make_task(id)
    env = BatchedEnv(task, 1, seed=SEED)
    env.reset()
    generator = torch.Generator().manual_seed(SEED)
    steps = STEPS.get(OWN[id].partition(".")[0], min(20, max(1, task.horizon // 3)))
    state = env.state
    for _ in range(min(steps, task.horizon - (task.horizon > 1))):
        try:
            action = task.expert(state)
        except NoExpert:
            action = action_of(task.action_space, torch.rand(1, action_noise(task.action_space), generator=generator))
        state = task.step(state, action, torch.rand(1, task.step_noise, generator=generator)).state
    canvas = Canvas(480, 480)
    task.draw(tree_map(lambda part: part[0], state), canvas)
    title = Canvas(480, 60)
    title.text(id.partition("/")[2].partition("-")[0], (240, 36), size=34, anchor="center")
    whole = np.concatenate([title.frame(), canvas.frame()]).astype(np.float64)
    return whole.reshape(270, 2, 240, 2, 3).mean((1, 3)).round().astype(np.uint8)


def main() -> None:
    """Draws all, row after row."""
    drawn = [picture(id) for id in OWN]
    drawn += [np.full_like(drawn[0], drawn[0][0, 0])] * (-len(drawn) % COLUMNS)
    rows = [np.concatenate(drawn[k : k + COLUMNS], 1) for k in range(0, len(drawn), COLUMNS)]
    imageio.imwrite(Path(__file__).with_name("environments.png"), np.concatenate(rows))


if __name__ == "__main__":
    main()
