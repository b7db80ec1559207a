"""Somebody else's environments: how copies of one are made, and how what they raise becomes one line."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from ...neural_blocks.errors import InvalidInput, shown

Source = str | EnvSpec | gymnasium.Env[Any, Any] | Callable[..., gymnasium.Env[Any, Any]]


class ForeignEnv:
    """One environment, whose every failure is one line that names it.

    Args:
        env: the environment.
        name: for messages.
        row: of the batch, for messages.

    Attributes:
        episode: how many episodes have begun before the current one.
        actions: of the current episode.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, row: int) -> None:
        self.env, self.name, self.row = env, name, row
        self.episode = 0
        self.actions: list[Any] = []

    @property
    def place(self) -> str:
        """Where and when it is."""
        return f"in environment {self.row}, episode {self.episode}, step {len(self.actions)}"

    def _raised(self, what: str, error: Exception) -> InvalidInput:
        if isinstance(error, InvalidInput):
            return error
        return InvalidInput(f"{self.name}: {what} raised {told(error)} {self.place}")

    def _got(self, what: str, wanted: str, got: Any) -> InvalidInput:
        return InvalidInput(f"{self.name}: {what} must {wanted}; got {shown(got)} {self.place}")

    def reset(self, seed: int) -> Any:
        """The first observation of the episode of that seed."""
        self.actions = []
        try:
            result: Any = self.env.reset(seed=seed)
        except Exception as error:
            raise self._raised("reset()", error) from error
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            raise self._got("reset()", "return (observation, info)", result)
        return result[0]

    def step(self, action: Any, given: Any) -> tuple[Any, float, bool, bool]:
        """Observation, reward, terminated and truncated after `given`; the episode keeps the action as `action`."""
        self.actions.append(action)
        try:
            result: Any = self.env.step(given)
        except Exception as error:
            raise self._raised("step()", error) from error
        if not isinstance(result, tuple) or len(result) != 5:
            raise self._got("step()", "return (observation, reward, terminated, truncated, info)", result)
        observation, reward, terminated, truncated, _ = result
        try:
            number = float(reward)
        except (TypeError, ValueError):
            number = math.nan
        with np.errstate(over="ignore"):
            finite = math.isfinite(np.float32(number))
        if not finite:
            raise self._got("reward", "be a finite number", reward)
        try:
            return observation, number, bool(terminated), bool(truncated)
        except (TypeError, ValueError) as error:
            raise self._got("terminated and truncated", "be true or false", (terminated, truncated)) from error

    def frame(self) -> Any:
        """Its picture, (H, W, 3) uint8."""
        if self.env.render_mode != "rgb_array":
            raise InvalidInput(
                f"{self.name}: pictures need render_mode='rgb_array'; the environment was made with "
                f"{self.env.render_mode!r}"
            )
        try:
            picture: Any = self.env.render()
        except Exception as error:
            raise self._raised("render()", error) from error
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
            raise self._got("render()", "return a picture (H, W, 3) uint8", picture)
        return picture

    def close(self) -> None:
        """Closes it."""
        try:
            self.env.close()
        except Exception as error:
            raise self._raised("close()", error) from error


def copies(source: Source, num_envs: int, options: dict[str, Any]) -> list[ForeignEnv]:
    """B environments of one kind: made from an id, a specification or a factory, or copied from an instance.

    Args:
        source: as of `GymnasiumBridge`.
        num_envs: B.
        options: keyword arguments of ``gymnasium.make`` or of the factory.

    Raises:
        InvalidInput: something that makes no `gymnasium.Env`, an instance with options, or one that cannot be copied.
    """
    if isinstance(source, str | EnvSpec):
        name = source if isinstance(source, str) else source.id
        envs = [_made(f"environment id {name!r}", gymnasium.make, source, options) for _ in range(num_envs)]
    elif isinstance(source, gymnasium.Env):
        name = name_of(source)
        if options:
            raise InvalidInput(f"{name}: an instance takes no options; got {shown(options)}")
        envs = [source, *(_copied(name, source) for _ in range(num_envs - 1))]
    elif callable(source):
        what = f"environment factory {getattr(source, '__name__', type(source).__name__)}"
        envs = [_made(what, source, None, options) for _ in range(num_envs)]
        name = name_of(envs[0])
        if len({id(env) for env in envs}) < num_envs:
            raise InvalidInput(f"{what}: must make a new environment at each call; got the same one twice")
    else:
        raise InvalidInput(
            "environment must be an id, a specification, a gymnasium.Env of one environment, or a function that makes "
            f"one; got {type(source).__name__}"
        )
    return [ForeignEnv(env, name, row) for row, env in enumerate(envs)]


def name_of(env: gymnasium.Env[Any, Any]) -> str:
    """The id that an environment was made from, or the name of its class."""
    return type(env.unwrapped).__name__ if env.spec is None else env.spec.id


def _made(what: str, maker: Any, source: Any, options: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        env = maker(**options) if source is None else maker(source, **options)
    except InvalidInput:
        raise
    except Exception as error:  # a stranger's code raises what it likes
        given = f" with options {shown(options)}" if options else ""
        raise InvalidInput(f"{what}{given}: {told(error)}") from error
    if not isinstance(env, gymnasium.Env):
        raise InvalidInput(f"{what}: must make a gymnasium.Env; got {type(env).__name__}")
    return env


def _copied(name: str, env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    try:
        return copy.deepcopy(env)
    except Exception as error:
        raise InvalidInput(
            f"{name}: this environment cannot be copied ({told(error)}); pass a function that makes one"
        ) from error


def told(error: Exception) -> str:
    """What an exception says on its first line, after its kind where that is not one of Gymnasium's own."""
    said = str(error).partition("\n")[0]
    kind = type(error).__name__
    return said if isinstance(error, gymnasium.error.Error) and said else f"{kind}: {said}" if said else kind
