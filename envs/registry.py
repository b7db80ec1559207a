"""Every environment by its id: one line each; and the tasks that ids stand for. Imports no torch by itself."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..neural_blocks.errors import InvalidInput, shown, unknown_name
from ..neural_blocks.registry import Registry, import_path

if TYPE_CHECKING:
    from .core.game import Game
    from .core.task import Task

Options = dict[str, Any]

OWN = {
    "palaestra/DigitBandit-v0": "classification.digit_bandit:DigitBandit",
    "palaestra/TabularBandit-v0": "classification.tabular_bandit:TabularBandit",
    "palaestra/Calibrate-v0": "classification.calibrate:Calibrate",
    "palaestra/Glimpse-v0": "classification.glimpse:Glimpse",
    "palaestra/FewShot-v0": "classification.few_shot:FewShot",
    "palaestra/Dose-v0": "classification.dose:Dose",
    "palaestra/Abstain-v0": "classification.abstain:Abstain",
    "palaestra/Groups-v0": "classification.groups:Groups",
    "palaestra/Shift-v0": "classification.shift:Shift",
    "palaestra/RepeatPrevious-v0": "sequence.repeat_previous:RepeatPrevious",
    "palaestra/NextSymbol-v0": "sequence.next_symbol:NextSymbol",
    "palaestra/Copy-v0": "sequence.copy:Copy",
    "palaestra/Recall-v0": "sequence.recall:Recall",
    "palaestra/Translate-v0": "sequence.translate:Translate",
    "palaestra/Arithmetic-v0": "sequence.arithmetic:Arithmetic",
    "palaestra/Text-v0": "language.text:Text",
    "palaestra/Cloze-v0": "language.cloze:Cloze",
    "palaestra/SentencePair-v0": "language.sentence_pair:SentencePair",
    "palaestra/Caption-v0": "language.caption:Caption",
    "palaestra/Summarize-v0": "language.summarize:Summarize",
    "palaestra/WordContext-v0": "language.word_context:WordContext",
    "palaestra/Adding-v0": "sequence.adding:Adding",
    "palaestra/Brackets-v0": "sequence.brackets:Brackets",
    "palaestra/PatternCompletion-v0": "sequence.pattern_completion:PatternCompletion",
    "palaestra/AttackDefend-v0": "adversarial.attack_defend:AttackDefend",
    "palaestra/GANGame-v0": "adversarial.gan_game:GANGame",
    "palaestra/Code-v0": "adversarial.code:Code",
    "palaestra/Unpaired-v0": "adversarial.unpaired:Unpaired",
    "palaestra/Evade-v0": "adversarial.evade:Evade",
    "palaestra/Defend-v0": "adversarial.defend:Defend",
    "palaestra/PolicyAttack-v0": "adversarial.policy_attack:PolicyAttack",
    "palaestra/PixelCanvas-v0": "generation.pixel_canvas:PixelCanvas",
    "palaestra/LatentSearch-v0": "generation.latent_search:LatentSearch",
    "palaestra/Denoise-v0": "generation.denoise:Denoise",
    "palaestra/Restore-v0": "generation.restore:Restore",
    "palaestra/Strokes-v0": "generation.strokes:Strokes",
    "palaestra/Compose-v0": "generation.compose:Compose",
    "palaestra/PointCloud-v0": "generation.point_cloud:PointCloud",
    "palaestra/Localize-v0": "perception.localize:Localize",
    "palaestra/Detect-v0": "perception.detect:Detect",
    "palaestra/Segment-v0": "perception.segment:Segment",
    "palaestra/BernoulliBandit-v0": "meta.bernoulli_bandit:BernoulliBandit",
    "palaestra/PointGoal-v0": "meta.point_goal:PointGoal",
    "palaestra/TabularMDP-v0": "meta.tabular_mdp:TabularMDP",
    "palaestra/Sinusoid-v0": "meta.sinusoid:Sinusoid",
    "palaestra/LIFNeuron-v0": "control.lif_neuron:LIFNeuron",
    "palaestra/HodgkinHuxley-v0": "control.hodgkin_huxley:HodgkinHuxley",
    "palaestra/SpikingNetwork-v0": "control.spiking_network:SpikingNetwork",
    "palaestra/Descent-v0": "control.descent:Descent",
    "palaestra/Road-v0": "control.road:Road",
    "palaestra/Fork-v0": "control.fork:Fork",
}
ENVIRONMENTS = Registry("environment id", "palaestra.envs", OWN)
FOR_ALL = ("frame_stack", "tasks", "task_shown")
"""Options that any environment takes."""
FURTHER = {"tasks", "task_shown"}
"""Options of any environment that make a `MultiTask` of several."""
_SAVED: list[str] = []


def ids() -> list[str]:
    """The ids of all environments: ``"palaestra/<Name>-v0"``, and those that were registered."""
    return ENVIRONMENTS.names()


def is_task(id: str) -> bool:
    """Whether an id stands for a task: it is registered, or "module:Class"; else it may be Gymnasium's."""
    return id in ENVIRONMENTS or ENVIRONMENTS.is_path(id)


def summary(id: str) -> str:
    """One line about an environment: the first of its docstring, read without importing it."""
    return ENVIRONMENTS.summary(id)


def family(id: str) -> str:
    """What an environment belongs to: for the suite's own the folder, for others the namespace, or the module."""
    return OWN[id].partition(".")[0] if id in OWN else id.partition("/" if "/" in id else ":")[0]


def register(id: str, target: str | type) -> None:
    """Gives a task of somebody else's an id, here and with Gymnasium; afterwards it is like the suite's own.

    Args:
        id: with a namespace and as Gymnasium has it, such as "acme/Maze-v0".
        target: "module:Class", imported when it is first used, or the class; derived from `Task`.

    Raises:
        InvalidInput: an id without a namespace or that is taken, or a malformed target.
    """
    import gymnasium

    if id in gymnasium.registry and id not in ENVIRONMENTS:
        raise InvalidInput(f"environment id {id!r} is taken in Gymnasium")
    ENVIRONMENTS.register(id, target)
    _tell_gymnasium(id)


def read_opponents_with(target: str) -> None:
    """Names what makes an opponent of a run's folder: "module:function" of (game, player, folder)."""
    _SAVED.append(target)


def _tell_gymnasium(id: str) -> None:
    import gymnasium

    if id not in gymnasium.registry:
        gymnasium.register(
            id,
            entry_point="palaestra.envs.adapters.single:make_single",
            vector_entry_point="palaestra.envs.adapters.vector:make_vector",
            kwargs={"task_id": id},
        )


def register_all() -> None:
    """Registers every id with Gymnasium, for `gymnasium.make` and `gymnasium.make_vec`."""
    for id in ids():
        _tell_gymnasium(id)


def task_class(id: str) -> type[Task[Any]]:
    """The class of an id's task, or of "module:Class". Raises `InvalidInput` with the nearest right id."""
    from .core.task import Task

    return ENVIRONMENTS.load(id, Task)


def _make(id: str, options: Options, further: tuple[str, ...] = ()) -> Any:
    """An id's task or game from its class; `further` are names that only the caller knows, for the message."""
    cls = task_class(id)
    taken = list(inspect.signature(cls).parameters.values())
    allowed = [one.name for one in taken if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    for name in options:
        if name not in allowed and all(one.kind is not one.VAR_KEYWORD for one in taken):
            raise unknown_name(f"{cls.__name__}: option", name, [*allowed, *further])
    if id in OWN:
        return cls(**options)
    try:
        return cls(**options)
    except InvalidInput:
        raise
    except Exception as error:  # whatever somebody's class raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InvalidInput(f"{id}: cannot be made with options {options}: {reason}") from error


def make_task(id: str, **options: Any) -> Task[Any]:
    """The task of an id, or of "module:Class", with options.

    A task of problems (`BernoulliBandit`) comes as a `Trial` of several episodes on one problem; ``episodes=n`` sets
    how many, and ``episodes=1`` gives the bare task. A game (`GANGame`) comes as the task of one player, named by
    ``player=``, against ``opponent=``: the name of a scripted one, the folder of a run that plays the other side, or
    an `Opponent`, or a function from what the other player observes (B, ...) to its action (B, ...). Any of them shows
    its last n observations at once with ``frame_stack=n``, see `FrameStack`. Several tasks as one, of which each
    episode plays one, come by ``tasks=[options, ...]``: each with options of its own beside the others, or of another
    ``environment``, an id, with its own alone; ``task_shown=True`` shows which it is, see `MultiTask`.

    Raises:
        InvalidInput: an unknown id or option (with the nearest right name), or an option's value that is not allowed.
    """
    from .checks.options import integer

    cls = task_class(id)
    frames = 1
    if "frame_stack" in options:
        from .wrappers.frames import MOST_FRAMES

        frames = integer(f"{cls.__name__}: frame_stack", options.pop("frame_stack"), 1, MOST_FRAMES)
    task = _several(id, options) if FURTHER & options.keys() else _one_task(id, cls, options)
    if frames == 1:
        return task
    from .wrappers.frame_stack import FrameStack

    return FrameStack(task, frames)


def each_task(id: str, options: Options) -> list[tuple[str, Options]]:
    """The id and options of each of the tasks that the option ``tasks`` lists, or of the one task.

    Raises:
        InvalidInput: ``tasks`` is no list of mappings from options to values.
    """
    if "tasks" not in options:
        return [(id, {name: value for name, value in options.items() if name != "task_shown"})]
    listed, common = options["tasks"], {name: value for name, value in options.items() if name not in FURTHER}
    fine = isinstance(listed, list | tuple) and all(isinstance(one, Mapping) for one in listed)
    if not fine or not listed or any(FURTHER & one.keys() for one in listed):
        told = "a list of mappings from options to values, such as [{}, {'split': 'train'}]"
        raise InvalidInput(f"{task_class(id).__name__}: tasks must be {told}; got {shown(listed)}")
    found = []
    for one in listed:
        own = {name: value for name, value in one.items() if name != "environment"}
        found.append((one["environment"], own) if "environment" in one else (id, {**common, **own}))
    return found


def _several(id: str, options: Options) -> Task[Any]:
    """The tasks of an id's option ``tasks`` as one."""
    from .wrappers.multi_task import MultiTask

    tasks = [_one_task(own, task_class(own), dict(more)) for own, more in each_task(id, options)]
    return MultiTask(tasks, options.get("task_shown", False))


def _one_task(id: str, cls: Any, options: Options) -> Task[Any]:
    """The task of an id without its stack of frames."""
    from .checks.options import integer
    from .core.game import Game, against
    from .core.task import ProblemTask
    from .core.trial import Trial

    if issubclass(cls, Game):
        player, opponent = options.pop("player", cls.players[0]), options.pop("opponent", None)
        game = _make(id, options, ("player", "opponent", *FOR_ALL))
        if _SAVED and isinstance(opponent, str | PathLike) and (Path(opponent) / "run.yaml").is_file():
            opponent = import_path(_SAVED[-1], "saved opponents")(game, player, opponent)
        return against(game, player, opponent)
    if not issubclass(cls, ProblemTask):
        return _make(id, options, FOR_ALL)
    episodes = integer(f"{cls.__name__}: episodes", options.pop("episodes", cls.trial_episodes), 1)
    task = _make(id, options, ("episodes", *FOR_ALL))
    return task if episodes == 1 else Trial(task, episodes)


def make_game(id: str, **options: Any) -> Game[Any]:
    """The game of an id, or of "module:Class", with all its players.

    Raises:
        InvalidInput: an unknown id or option, an option's value that is not allowed, or an id that is no game.
    """
    from .core.game import Game

    if not issubclass(task_class(id), Game):
        raise unknown_name("game id", id, [own for own in OWN if issubclass(task_class(own), Game)])
    return _make(id, options)
