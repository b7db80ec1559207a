"""Floor 2: tasks, and the adapters that make a task a Gymnasium, Stable-Baselines3 or PettingZoo environment.

Classes are imported when they are first used, so that importing this package needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .registry import ids, make_batched, make_game, make_parallel, make_sb3, make_task

if TYPE_CHECKING:
    from .batched import BatchedEnv
    from .bridge import GymnasiumBridge
    from .canvas import Canvas
    from .game import Game, Opponent, Versus
    from .parallel import PalaestraParallelEnv
    from .protocol import BatchedEnvironment, TimeStep
    from .sb3 import SB3VecEnv
    from .score_table import Scores, scores
    from .single import SingleEnv
    from .task import NoExpert, ProblemTask, Step, Task
    from .trial import Trial
    from .vector import PalaestraVectorEnv

_HOME = {
    "BatchedEnv": "batched",
    "BatchedEnvironment": "protocol",
    "Canvas": "canvas",
    "Game": "game",
    "GymnasiumBridge": "bridge",
    "NoExpert": "task",
    "Opponent": "game",
    "PalaestraParallelEnv": "parallel",
    "PalaestraVectorEnv": "vector",
    "ProblemTask": "task",
    "SB3VecEnv": "sb3",
    "Scores": "score_table",
    "SingleEnv": "single",
    "Step": "task",
    "Task": "task",
    "TimeStep": "protocol",
    "Trial": "trial",
    "Versus": "game",
    "scores": "score_table",
}

__all__ = [
    "BatchedEnv", "BatchedEnvironment", "Canvas", "Game", "GymnasiumBridge", "NoExpert", "Opponent",
    "PalaestraParallelEnv", "PalaestraVectorEnv", "ProblemTask", "SB3VecEnv", "Scores", "SingleEnv", "Step", "Task",
    "TimeStep", "Trial", "Versus",
    "ids", "make_batched", "make_game", "make_parallel", "make_sb3", "make_task", "scores",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
