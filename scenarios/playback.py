"""Playback: watch random, the expert, a run, a recording, or yourself, in a window or as a PNG, GIF or MP4 file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from .. import agents
from ..envs.adapters.batched import BatchedEnv
from ..envs.core.canvas import Canvas
from ..envs.core.options import integer
from ..envs.core.task import Observation
from ..envs.registry import ids, make_task
from ..neural_blocks.errors import InvalidInput
from .catalogue import Scenario
from .environments import make_environment
from .recording import Choose, Recording, chooser, play, replayer
from .runner import EVALUATION_SEED, load_agent, read_plan

FORMATS = (".mp4", ".gif", ".png")
FRAMES_PER_SECOND = 2.0
SHEET = 12  # frames of a PNG sheet
SHEET_SEED, SHEET_STEPS = 7, 6  # the episode and the moment in which every environment is drawn
KEYS = "0123456789abcdefghijklmnopqrstuvwxyz"

Frame = NDArray[np.uint8]


class Quit(Exception):
    """The person at the keyboard closed the window."""


def watch(
    scenario: Scenario,
    player: str,
    *,
    video: Path | None = None,
    episodes: int = 5,
    seed: int = 0,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> Recording:
    """Plays episodes of the scenario's evaluation environment and shows them.

    Args:
        scenario: what is played.
        player: "random", "expert", "human", the folder of a run, or a recording's JSON file.
        video: a file to write (.mp4, .gif, or .png for a sheet of the first frames); None for a window.
        episodes: how many; a recording has its own.
        seed: of the first episode; a recording has its own.
        frames_per_second: how fast.

    Returns:
        The recording of what was played.

    Raises:
        InvalidInput: an unknown player, a run of another environment, a video of another format, or an action space
            that no keyboard serves.
        NoExpert: the expert is asked for where there is none.
    """
    integer("episodes", episodes, 1)
    if video is not None and video.suffix.lower() not in FORMATS:
        raise InvalidInput(f"video must end in {', '.join(FORMATS)}; got {str(video)!r}")
    if player == "human" and video is not None:
        raise InvalidInput(f"a person plays in a window: player 'human' takes no video; got {str(video)!r}")
    env = make_environment(scenario, 1, evaluation=True, watched=True)
    choose: Choose | None
    if player.endswith(".json"):
        recorded = Recording.load(player)
        if recorded.environment != scenario.environment or recorded.options != scenario.evaluation_options:
            wanted = f"{scenario.environment} {scenario.evaluation_options}"
            raise InvalidInput(
                f"{player}: recording must be of {wanted}; got {recorded.environment} {recorded.options}"
            )
        choose, seed, episodes = replayer(recorded, env), recorded.seed, len(recorded.episodes)
    else:
        seed += EVALUATION_SEED
        choose = None if player == "human" else _chooser(player, env)
    if video is not None:
        assert choose is not None
        return _to_file(scenario, env, choose, seed, episodes, video, frames_per_second)
    return _in_window(scenario, env, choose, seed, episodes, frames_per_second)


def _chooser(player: str, env: Any) -> Choose:
    """The choice of an agent, given by name or by the folder of its run."""
    if player in ("random", "expert"):
        return chooser(agents.make(player, env), env)
    if not (Path(player) / "run.yaml").exists():
        allowed = "'random', 'expert', 'human', the folder of a run or a recording's .json file"
        raise InvalidInput(f"agent must be {allowed}; got {player!r}")
    if read_plan(player).agent in ("random", "expert"):
        return chooser(agents.make(read_plan(player).agent, env), env)
    return chooser(load_agent(player, env), env)


def _to_file(
    scenario: Scenario, env: Any, choose: Choose, seed: int, episodes: int, video: Path, rate: float
) -> Recording:
    states = play(env, choose, seed, episodes)
    kept: list[Any] = [[], []]

    def frames() -> Iterator[Frame]:
        for kept[:] in states:
            yield env.frames()[0]

    write_video(video, frames(), rate)
    for kept[:] in states:  # a sheet takes only the first frames
        pass
    return Recording(scenario.environment, scenario.evaluation_options, seed, *kept)


def write_video(path: Path, frames: Iterator[Frame], frames_per_second: float = FRAMES_PER_SECOND) -> None:
    """Writes (H, W, 3) uint8 frames as .mp4, .gif, or a .png sheet of the first twelve, whole or not at all."""
    from imageio import v2

    imageio: Any = v2

    def save(partial: Path) -> None:
        if path.suffix.lower() == ".png":
            _save_sheet(partial, list(islice(frames, SHEET)))
            return
        gif: dict[str, Any] = {"duration": 1000 / frames_per_second, "loop": 0}
        mp4: dict[str, Any] = {"fps": frames_per_second, "macro_block_size": 2, "codec": "libx264", "quality": 8}
        with imageio.get_writer(partial, **(gif if path.suffix.lower() == ".gif" else mp4)) as writer:
            for frame in frames:
                writer.append_data(frame)

    _write(path, save)


def _write(path: Path, save: Callable[[Path], None]) -> None:
    """Has a file written under another name, and renames it once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        save(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _save_sheet(path: Path, frames: list[Frame], columns: int = 4) -> None:
    """A PNG of the frames in rows of four, the last row filled up with white."""
    import imageio.v3 as imageio

    columns = min(columns, len(frames))
    missing = -len(frames) % columns
    cells = [*frames, *repeat(np.full_like(frames[0], 255), missing)]
    rows = [np.concatenate(cells[first : first + columns], 1) for first in range(0, len(cells), columns)]
    imageio.imwrite(path, np.concatenate(rows, 0))


def draw_environments(path: Path) -> None:
    """Writes a .png sheet of every environment, each a few expert steps into an episode, under its name."""
    if path.suffix.lower() != ".png":
        raise InvalidInput(f"images must end in .png; got {str(path)!r}")
    frames = []
    for id in ids():
        env = BatchedEnv(make_task(id), 1, seed=SHEET_SEED, autoreset=AutoresetMode.DISABLED)
        env.reset()
        for _ in range(SHEET_STEPS):
            if not bool(env.ended[0]):
                env.step(env.expert_action())
        canvas = Canvas(height=44)
        canvas.clear()
        canvas.text(id, (canvas.width // 2, 22), size=26, anchor="center")
        frames.append(np.concatenate([canvas.frame(), env.frames()[0]], 0))
    _write(path, lambda partial: _save_sheet(partial, frames))


def _in_window(scenario: Scenario, env: Any, choose: Choose | None, seed: int, episodes: int, rate: float) -> Recording:
    """Shows every state in a window until the end or until the window is closed."""

    canvas = Canvas(window=True, caption=f"Palaestra: {scenario.title}")
    person = choose is None
    if choose is None:
        choose = keyboard(env, canvas)
    kept: list[Any] = [[], []]
    try:
        for kept[:] in play(env, choose, seed, episodes):
            show(env, canvas)
            if not person:
                _pause(canvas, 1 / rate)
            elif isinstance(env, BatchedEnv) and bool(env.ended[0]):
                told = "any key for the next episode, Escape to stop"
                canvas.text(told, (canvas.width // 2, canvas.height - 16), size=20, anchor="center")
                canvas.show()
                _key(canvas)
    except Quit:
        kept = [[actions for actions in kept[0] if actions], kept[1][: len([a for a in kept[0] if a])]]
    finally:
        canvas.close()
    return Recording(scenario.environment, scenario.evaluation_options, seed, *kept)


def show(env: Any, canvas: Canvas) -> None:
    """Draws the environment's current state in the window."""
    canvas.clear()
    if isinstance(env, BatchedEnv):
        env.task.draw(env.row(0), canvas)
    else:
        canvas.image(env.frames()[0], (0, 0, canvas.width, canvas.height))
    if not canvas.show():
        raise Quit


def keyboard(env: Any, canvas: Canvas) -> Callable[[Observation, Tensor], Tensor]:
    """A person's choice: one key per action of a Discrete space, 0 to 9 and then a to z.

    Raises:
        InvalidInput: the action space is not Discrete, or has more actions than there are keys.
    """
    space = env.action_space
    if not isinstance(space, spaces.Discrete) or space.n > len(KEYS):
        raise InvalidInput(f"a person can play Discrete actions of at most {len(KEYS)} values; got {space}")
    allowed = KEYS[: int(space.n)]

    def choose(observation: Observation, start: Tensor) -> Tensor:
        told = f"press {allowed[0]} to {allowed[-1]}, Escape to stop"
        canvas.text(told, (canvas.width // 2, canvas.height - 16), size=20, anchor="center")
        canvas.show()
        key = _key(canvas, allowed)
        return torch.tensor([allowed.index(key) + int(space.start)])

    return choose


def _key(canvas: Canvas, allowed: str | None = None) -> str:
    """Waits for one of the allowed keys (or any); a key of the number pad counts as its digit."""
    while True:
        for pressed in canvas.keys_pressed():
            if pressed == "escape":
                raise Quit
            name = pressed.strip("[]") or pressed
            if allowed is None or (len(name) == 1 and name in allowed):
                return name
        if canvas.closed:
            raise Quit
        time.sleep(0.02)


def _pause(canvas: Canvas, seconds: float) -> None:
    """Waits, and stops at once when the window is closed or Escape is pressed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if "escape" in canvas.keys_pressed() or canvas.closed:
            raise Quit
        time.sleep(0.02)
