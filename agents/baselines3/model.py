"""An algorithm of Stable-Baselines3 with this suite's encoder: how it is made, and its state as tensors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.block_settings import Configured
from ...neural_blocks.errors import InvalidInput
from ..networks.network import make_encoder
from ..networks.pretrained import EncoderFile
from .config import SB3Config

COUNTERS = (
    "num_timesteps", "exploration_rate", "_n_updates", "_n_calls", "_episode_num", "_current_progress_remaining",
)  # fmt: skip


class Encoder(BaseFeaturesExtractor):
    """The suite's encoder as the features extractor of a Stable-Baselines3 policy.

    Args:
        observation_space: what is encoded; the policy one-hot encodes its discrete parts first.
        kind: of images, see `network.make_encoder`.
        depth: see there too.
        freeze: see there too.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        kind: str | EncoderFile | Configured,
        depth: int | None = None,
        freeze: bool = False,
    ) -> None:
        network = make_encoder(_one_hot(observation_space), kind, depth, freeze)
        super().__init__(observation_space, network.output_size)
        self.network = network

    def forward(self, observation: Observation) -> Tensor:
        """(N, ...) to (N, features)."""
        return self.network(observation)


def _one_hot(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """The space of what a policy of Stable-Baselines3 hands to its features extractor."""
    if isinstance(space, spaces.Dict):
        return spaces.Dict({name: _one_hot(part) for name, part in space.items()})
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return spaces.Box(0, 1, (spaces.flatdim(space),))
    return space


def make_model(
    algorithm: Any,
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    config: SB3Config,
    *,
    num_envs: int,
    device: torch.device,
) -> Any:
    """A fresh algorithm without environments.

    Args:
        algorithm: a class of Stable-Baselines3.
        observation_space: of one environment.
        action_space: of one environment; its own generator draws the actions of a warm-up.
        config: of that algorithm.
        num_envs: B, for which its buffers are made.
        device: of its networks.

    Raises:
        InvalidInput: spaces or settings that Stable-Baselines3 does not serve.
    """
    what = algorithm.__name__
    _check_spaces(what, observation_space, action_space)
    if getattr(config, "use_sde", False) and not isinstance(action_space, spaces.Box):
        raise InvalidInput(f"{what}: use_sde must be false where the action space is no Box; got {action_space}")
    settings, shape = config.arguments, action_space.shape or ()
    if config.anneal:
        settings["learning_rate"] = LinearSchedule(settings["learning_rate"], 0.0, 1.0)
    if (deviation := settings.get("action_noise")) is not None:
        settings["action_noise"] = NormalActionNoise(np.zeros(shape), np.full(shape, deviation))
    settings["policy_kwargs"] = {
        **(settings["policy_kwargs"] or {}),
        "features_extractor_class": Encoder,
        "features_extractor_kwargs": {
            "kind": config.source,
            "depth": config.encoder_depth,
            "freeze": config.freeze,
        },
        "normalize_images": False,
    }
    policy = "MultiInputPolicy" if isinstance(observation_space, spaces.Dict) else "MlpPolicy"
    try:
        model: Any = algorithm(policy, None, device=device, _init_setup_model=False, **settings)
        model.observation_space, model.action_space, model.n_envs = observation_space, action_space, num_envs
        model.env = SimpleNamespace(action_space=action_space)  # all that SAC asks of it before it learns
        model._setup_model()
    except (AssertionError, TypeError, ValueError) as error:
        raise InvalidInput(f"{what}: {' '.join(str(error).split())}") from error
    model.set_logger(Logger(None, []))
    return model


def _check_spaces(what: str, observation: spaces.Space[Any], action: spaces.Space[Any]) -> None:
    for space in (*(observation.values() if isinstance(observation, spaces.Dict) else [observation]), action):
        nested = isinstance(space, spaces.Dict) or (isinstance(space, spaces.MultiDiscrete) and len(space.shape) > 1)
        if nested or (isinstance(space, spaces.Discrete | spaces.MultiDiscrete) and np.any(space.start)):
            raise InvalidInput(f"{what}: every part of a space must be flat and count from 0; got {space}")
    if isinstance(action, spaces.MultiBinary) and len(action.shape) > 1:
        raise InvalidInput(f"{what}: action space must be flat; got {action}")
    if isinstance(action, spaces.Box) and not action.is_bounded():
        raise InvalidInput(f"{what}: action space must be a bounded Box; got {action}")


def learned_state(model: Any) -> dict[str, Any]:
    """Networks, optimisers and counters of an algorithm: everything but its replay."""
    variables = {name: getattr(model, name).detach() for name in model._get_torch_save_params()[1]}
    counters = {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)}
    return {"parameters": model.get_parameters(), "variables": variables, "counters": counters}


def load_learned_state(model: Any, state: dict[str, Any]) -> None:
    """Makes an algorithm one that has learned that."""
    model.set_parameters(state["parameters"])
    for name, value in state["variables"].items():
        getattr(model, name).data.copy_(value)
    for name, value in state["counters"].items():
        setattr(model, name, value)


def replay_state(replay: Any) -> dict[str, Any]:
    """The filled part of a replay, and where it stands."""
    kept = replay.size()
    return {"pos": replay.pos, "full": replay.full, "kept": tree_map(lambda one: one[:kept].clone(), _views(replay))}


def load_replay_state(replay: Any, state: dict[str, Any]) -> None:
    """Makes an empty replay the one that was saved."""
    tree_map(lambda one, saved: one[: len(saved)].copy_(saved), _views(replay), state["kept"])
    replay.pos, replay.full = state["pos"], state["full"]


def _views(replay: Any) -> dict[str, Any]:
    """The arrays of a replay as tensors that share their memory."""
    names = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
    arrays = {name: getattr(replay, name) for name in names}
    return {
        name: {part: torch.from_numpy(one) for part, one in array.items()}
        if isinstance(array, dict)
        else torch.from_numpy(array)
        for name, array in arrays.items()
    }
