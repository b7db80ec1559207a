"""Floor 2: tasks, and the adapters that make a task a Gymnasium, Stable-Baselines3 or PettingZoo environment.

Where to begin:

    ids()                                       every id, such as "palaestra/DigitBandit-v0"
    make_batched(id, num_envs, **options)       many environments at once, as torch tensors: what agents train on
    gymnasium.make(id, render_mode="human")     one, as Gymnasium has it; make_vec(id, num_envs=n) for NumPy batches
    make_sb3(id, num_envs), make_parallel(id)   for Stable-Baselines3; a game of two for PettingZoo
    TextEnv(id)                                 in plain text: a prompt, and an answer in words
    make_task(id, **options)                    the rules by themselves; help(type(task)) is their contract
    scores(id, **options)                       what random play, a constant action and the expert return
    check(task)                                 what of the contract a task of yours keeps

Writing one: `Task` says what its methods take and give; `register` gives it an id. On the command line,
`palaestra list envs` and `palaestra describe ID` tell the same. Classes are imported when they are first used, so that
importing this package needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .core import forking  # noqa: F401  so that tasks can be computed in forked children
from .registry import ids, make_game, make_task, register

if TYPE_CHECKING:
    from .adapters.batched import BatchedEnv
    from .adapters.bridge import GymnasiumBridge
    from .adapters.parallel import PalaestraParallelEnv
    from .adapters.sb3 import SB3VecEnv
    from .adapters.single import SingleEnv
    from .adapters.text import TextEnv
    from .adapters.vector import PalaestraVectorEnv
    from .contract.checker import check
    from .core.game import Game, Opponent, Versus
    from .core.protocol import BatchedEnvironment, TimeStep
    from .core.task import NoExpert, ProblemTask, Step, Task
    from .core.trial import Trial
    from .drawing.canvas import Canvas
    from .makers import make_batched, make_parallel, make_sb3
    from .score_table import Scores, scores

_HOME = {
    "BatchedEnv": "adapters.batched",
    "BatchedEnvironment": "core.protocol",
    "Canvas": "drawing.canvas",
    "Game": "core.game",
    "GymnasiumBridge": "adapters.bridge",
    "NoExpert": "core.task",
    "Opponent": "core.game",
    "PalaestraParallelEnv": "adapters.parallel",
    "PalaestraVectorEnv": "adapters.vector",
    "ProblemTask": "core.task",
    "SB3VecEnv": "adapters.sb3",
    "Scores": "score_table",
    "SingleEnv": "adapters.single",
    "Step": "core.task",
    "Task": "core.task",
    "TextEnv": "adapters.text",
    "TimeStep": "core.protocol",
    "Trial": "core.trial",
    "Versus": "core.game",
    "check": "contract.checker",
    "make_batched": "makers",
    "make_parallel": "makers",
    "make_sb3": "makers",
    "scores": "score_table",
}

__all__ = [
    "BatchedEnv", "BatchedEnvironment", "Canvas", "Game", "GymnasiumBridge", "NoExpert", "Opponent",
    "PalaestraParallelEnv", "PalaestraVectorEnv", "ProblemTask", "SB3VecEnv", "Scores", "SingleEnv", "Step", "Task",
    "TextEnv", "TimeStep", "Trial", "Versus",
    "check", "ids", "make_batched", "make_game", "make_parallel", "make_sb3", "make_task", "register", "scores",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
