"""Every environment by its id: the list, the makers, the registration with Gymnasium. Imports no torch by itself."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from .adapters.batched import BatchedEnv
    from .adapters.parallel import PalaestraParallelEnv
    from .adapters.sb3 import SB3VecEnv
    from .core.game import Game
    from .core.task import Task

Options = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One registered environment.

    Attributes:
        module: where its task class is, below `palaestra.envs`.
        summary: one line for `palaestra list envs`.
        variants: options beside the defaults that are tested and have a row in the score table.
        episodes: for a task of problems: episodes of one `Trial` by default, changed by the option `episodes`.
        player: for a game: the player whose task it is by default, changed by the option `player`.
    """

    module: str
    summary: str
    variants: tuple[Options, ...] = ()
    episodes: int | None = None
    player: str | None = None

    @property
    def family(self) -> str:
        """The sub-package it lives in."""
        return self.module.split(".")[0]


ENTRIES: dict[str, Entry] = {
    "DigitBandit": Entry(
        "classification.digit_bandit", "Name the class of an image from right-or-wrong alone.", ({"split": "test"},)
    ),
    "TabularBandit": Entry(
        "classification.tabular_bandit",
        "Name the class of a table's row.",
        tuple(
            {"dataset": dataset, "split": split}
            for dataset in ("iris", "wine", "breast-cancer", "xor", "blobs", "moons", "spirals")
            for split in ("train", "test")
            if (dataset, split) != ("iris", "train")
        ),
    ),
    "Calibrate": Entry(
        "classification.calibrate",
        "Say how likely each class of an ambiguous digit is.",
        (
            {"split": "test"},
            {"score": "brier"},
            {"score": "brier", "split": "test"},
            {"blend": 1.0, "corruption": 0.0},
        ),
    ),
    "Glimpse": Entry(
        "classification.glimpse",
        "Move a small window over a cluttered canvas, then name the digit on it.",
        ({"split": "test"}, {"cost": 0.02, "split": "test"}, {"clutter": 0, "cost": 0.05}),
    ),
    "FewShot": Entry(
        "classification.few_shot",
        "Name glyphs never seen before, each from the few times it was shown.",
        (
            {"split": "test"},
            {"shots": 1, "split": "test"},
            {"shots": 5, "split": "test"},
            {"ways": 2, "shots": 1},
            {"ways": 3, "shots": 1, "episodes": 2},
        ),
        episodes=1,
    ),
    "RepeatPrevious": Entry(
        "sequence.repeat_previous", "Name the symbol shown some steps ago.", ({"delay": 1}, {"symbols": 8, "delay": 8})
    ),
    "NextSymbol": Entry(
        "sequence.next_symbol",
        "Predict the next symbol of a source of known entropy.",
        (
            {"source": "hidden-markov"},
            {"source": "context-free"},
            {"source": "arithmetic"},
            {"source": "arithmetic", "symbols": 7, "length": 16},
        ),
    ),
    "Copy": Entry(
        "sequence.copy", "Read a sequence of symbols, then write it.", ({"symbols": 8, "length": 4, "delay": 2},)
    ),
    "Recall": Entry(
        "sequence.recall",
        "See keys with their values, then name the value of each key asked for.",
        ({"keys": 12, "values": 6, "pairs": 6, "queries": 3},),
    ),
    "Translate": Entry(
        "sequence.translate",
        "Translate a sentence word by word into another word order.",
        ({"split": "test"}, {"reward": "token"}, {"words": 6, "reward": "token", "split": "test"}),
    ),
    "AttackDefend": Entry(
        "adversarial.attack_defend",
        "Disguise digits by small changes, or see through the disguise.",
        (
            {"split": "test"},
            {"opponent": "robust"},
            {"player": "defender", "split": "test"},
            {"player": "defender", "opponent": "random", "passing": -0.5},
            {"player": "defender", "opponent": "none", "digits": 3},
        ),
        player="attacker",
    ),
    "GANGame": Entry(
        "adversarial.gan_game",
        "Forge points or digits that pass for real, or tell the forged ones apart.",
        (
            {"opponent": "against-blurred"},
            {"player": "discriminator"},
            {"player": "discriminator", "opponent": "collapsed"},
            {"player": "discriminator", "opponent": "blurred"},
            {"player": "discriminator", "opponent": "uniform"},
            {"modes": 8, "spread": 0.08, "points": 16},
            {"dataset": "digits"},
            {"dataset": "digits", "player": "discriminator", "opponent": "blurred", "split": "test"},
        ),
        player="generator",
    ),
    "Evade": Entry(
        "adversarial.evade",
        "Change a digit a little until a classifier names it wrongly.",
        (
            {"split": "test"},
            {"knowledge": "gradient", "victim": "robust"},
            {"knowledge": "label", "norm": "l2", "queries": 5},
        ),
    ),
    "PixelCanvas": Entry(
        "generation.pixel_canvas",
        "Draw a digit pixel by pixel that a density model finds likely.",
        ({"request": False}, {"request": False, "split": "test"}, {"reward": "classifier"}),
    ),
    "LatentSearch": Entry(
        "generation.latent_search",
        "Steer a decoder's latent point until it shows the image asked for.",
        ({"target": "class"}, {"length": 20, "stride": 0.25}),
    ),
    "Denoise": Entry(
        "generation.denoise",
        "Push a diffusion model's steps so that the digit asked for comes out.",
        ({"strength": 1.0},),
    ),
    "BernoulliBandit": Entry(
        "meta.bernoulli_bandit",
        "Find the best of several arms within a few pulls.",
        ({"episodes": 1}, {"arms": 10}, {"episodes": 100}),
        episodes=10,
    ),
    "PointGoal": Entry(
        "meta.point_goal",
        "Walk to a hidden goal, found from the reward alone.",
        ({"episodes": 1}, {"reach": 1.0, "length": 30, "episodes": 3}),
        episodes=2,
    ),
    "TabularMDP": Entry(
        "meta.tabular_mdp",
        "Explore a small unknown decision process, then earn in it.",
        ({"episodes": 1}, {"states": 4, "actions": 3, "length": 5, "episodes": 4}),
        episodes=10,
    ),
    "Sinusoid": Entry(
        "meta.sinusoid",
        "Guess the values of a sine wave from the points seen before.",
        ({"episodes": 1}, {"points": 5, "episodes": 3}),
        episodes=2,
    ),
    "LIFNeuron": Entry(
        "control.lif_neuron",
        "Inject current so that a leaky neuron fires at a target rate.",
        ({"background": 0.5}, {"length": 40}),
    ),
    "HodgkinHuxley": Entry(
        "control.hodgkin_huxley",
        "Inject current so that a squid axon fires at a target rate.",
        ({"background": 3.0, "length": 60},),
    ),
}


def ids() -> list[str]:
    """The ids of all environments, ``"palaestra/<Name>-v0"``."""
    return [f"palaestra/{name}-v0" for name in ENTRIES]


def entry(id: str) -> Entry:
    """The registry's entry of an id. Raises `InvalidInput` with the nearest right id."""
    if id not in ids():
        from ..neural_blocks.errors import unknown_name

        raise unknown_name("environment id", id, ids())
    return ENTRIES[id.removeprefix("palaestra/").removesuffix("-v0")]


def task_class(id: str) -> type[Task[Any]]:
    """The class of an id's task."""
    found = entry(id)
    return getattr(import_module(f".{found.module}", __package__), id.removeprefix("palaestra/").removesuffix("-v0"))


def _make(id: str, options: Options, further: tuple[str, ...] = ()) -> Any:
    """An id's task or game from its class; `further` are names that only the caller knows, for the message."""
    import inspect

    from ..neural_blocks.errors import unknown_name

    cls = task_class(id)
    allowed = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    for name in options:
        if name not in allowed:
            raise unknown_name(f"{cls.__name__}: option", name, [*allowed, *further])
    return cls(**options)


def make_task(id: str, **options: Any) -> Task[Any]:
    """The task of an id, with options.

    A task of problems (`BernoulliBandit`) comes as a `Trial` of several episodes on one problem; ``episodes=n`` sets
    how many, and ``episodes=1`` gives the bare task. A game (`GANGame`) comes as the task of one player, named by
    ``player=``, against a scripted opponent, named by ``opponent=``.

    Raises:
        InvalidInput: an unknown id or option (with the nearest right name), or an option's value that is not allowed.
    """
    found = entry(id)
    if found.player is not None:
        from .core.game import against

        player, opponent = options.pop("player", found.player), options.pop("opponent", None)
        return against(_make(id, options, ("player", "opponent")), player, opponent)
    if found.episodes is None:
        return _make(id, options)

    from .core.options import integer
    from .core.trial import Trial

    episodes = integer(f"{task_class(id).__name__}: episodes", options.pop("episodes", found.episodes), 1)
    task = _make(id, options, ("episodes",))
    return task if episodes == 1 else Trial(task, episodes)


def make_game(id: str, **options: Any) -> Game[Any]:
    """The game of an id, with all its players.

    Raises:
        InvalidInput: an unknown id or option, an option's value that is not allowed, or an id that is no game.
    """
    if entry(id).player is None:
        from ..neural_blocks.errors import unknown_name

        raise unknown_name("game id", id, [f"palaestra/{name}-v0" for name, one in ENTRIES.items() if one.player])
    return _make(id, options)


def make_parallel(id: str, *, render_mode: str | None = None, **options: Any) -> PalaestraParallelEnv:
    """The game of an id as a PettingZoo `ParallelEnv`. Raises as `make_game`."""
    from .adapters.parallel import PalaestraParallelEnv

    return PalaestraParallelEnv(make_game(id, **options), render_mode)


def make_batched(
    id: str, num_envs: int, device: torch.device | str = "cpu", seed: int = 0, **options: Any
) -> BatchedEnv:
    """B environments of an id as torch tensors on one device. Raises as `make_task`."""
    from .adapters.batched import BatchedEnv

    return BatchedEnv(make_task(id, **options), num_envs, device=device, seed=seed)


def make_sb3(id: str, num_envs: int, *, device: str = "cpu", seed: int = 0, **options: Any) -> SB3VecEnv:
    """B environments of an id as a Stable-Baselines3 `VecEnv`. Raises as `make_task`."""
    from .adapters.sb3 import SB3VecEnv

    return SB3VecEnv(make_batched(id, num_envs, device, seed, **options))


def register_all() -> None:
    """Registers every id with Gymnasium, for `gymnasium.make` and `gymnasium.make_vec`."""
    import gymnasium

    for id in ids():
        gymnasium.register(
            id,
            entry_point="palaestra.envs.adapters.single:make_single",
            vector_entry_point="palaestra.envs.adapters.vector:make_vector",
            kwargs={"task_id": id},
        )
