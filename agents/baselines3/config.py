"""Settings of Stable-Baselines3's algorithms, read from the signatures of their constructors."""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import Field, create_model
from stable_baselines3.common.base_class import BaseAlgorithm

from ..networks.network_config import EncoderConfig

NOT_SETTINGS = (
    "policy", "env", "seed", "device", "verbose", "tensorboard_log", "stats_window_size", "optimize_memory_usage",
    "replay_buffer_kwargs", "rollout_buffer_kwargs", "_init_setup_model",
)  # fmt: skip
"""Parameters that the agent fills in, or that lead out of a run's folder or of its episodes' time limits."""
COUNT: dict[str, Any] = {"ge": 1}
POSITIVE: dict[str, Any] = {"gt": 0}
FRACTION: dict[str, Any] = {"ge": 0, "le": 1}
LIMITS = {
    **dict.fromkeys(("n_steps", "batch_size", "n_epochs", "buffer_size", "train_freq"), COUNT),
    **dict.fromkeys(("target_update_interval", "policy_delay"), COUNT),
    **dict.fromkeys(("learning_rate", "clip_range", "max_grad_norm", "action_noise"), POSITIVE),
    **dict.fromkeys(("gamma", "gae_lambda", "tau", "exploration_fraction"), FRACTION),
    **dict.fromkeys(("exploration_initial_eps", "exploration_final_eps"), FRACTION),
}


class SB3Config(EncoderConfig):
    """Settings of the agent beside those of its algorithm, which have Stable-Baselines3's own names.

    Attributes:
        encoder: of images, see `network.make_encoder`: "auto", "cnn", ..., or "module:Class".
        anneal: let the learning rate fall linearly to 0 over the run.
    """

    anneal: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """What the algorithm's constructor takes, by name."""
        return {name: value for name, value in self if name not in SB3Config.model_fields}


def config_of(algorithm: type[BaseAlgorithm], **defaults: Any) -> type[SB3Config]:
    """The configuration of an algorithm: every parameter of its constructor that plain values can set.

    ``action_noise`` is the deviation of Gaussian noise on actions scaled to [-1, 1], or None.

    Args:
        algorithm: of Stable-Baselines3.
        defaults: other defaults than its own.
    """
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(algorithm).parameters.items():
        kind = float | None if name == "action_noise" else _plain(parameter.annotation)
        if name not in NOT_SETTINGS and kind is not None:
            default = defaults.get(name, parameter.default)
            fields[name] = (kind, Field(default, **LIMITS.get(name, {})))
    return create_model(f"SB3{algorithm.__name__}Config", __base__=SB3Config, __module__=__name__, **fields)


def _plain(annotation: Any) -> Any:
    """The members of an annotation that a settings file can hold; a class, a schedule or (n, "episode") is none."""
    union = isinstance(annotation, UnionType) or get_origin(annotation) is Union
    members = get_args(annotation) if union else (annotation,)
    kept = [kind for kind in members if kind in (bool, int, float, str) or get_origin(kind) is dict]
    return Union[(*kept, *(kind for kind in members if kind is NoneType))] if kept else None
