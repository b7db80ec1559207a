"""Watching and playing: who plays which episodes, seen how, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from ... import agents
from ...envs.adapters.batched import BatchedEnv
from ...envs.checks.options import choice, integer, number
from ...neural_blocks.errors import InvalidInput, shown
from ..catalogue import Scenario
from ..environments import make_environment
from ..recording import Purpose, Recording, View, as_action, recorded, replay
from ..runner import load_agent, read_plan
from ..seeds import EVALUATION_SEED, PLAY_SEED, PLAY_SPAN
from ..session import Choose, Session, chooser, play
from .controls import controls
from .overlay import Told
from .video import FRAMES_PER_SECOND, Frame, check_format, write_video
from .window import Again, Next, Quit, Window


def watch(
    scenario: Scenario,
    player: str,
    *,
    video: Path | None = None,
    episodes: int = 5,
    seed: int = 0,
    frames_per_second: float = FRAMES_PER_SECOND,
    view: View | None = None,
    options: Purpose | None = None,
) -> Recording:
    """Plays episodes of the scenario's environment and shows them.

    Args:
        scenario: what is played.
        player: "random", "expert", "human", the folder of a run, or a recording's JSON file.
        video: a file to write (.mp4, .gif, or .png for a sheet of frames spread evenly); None for a window.
        episodes: how many; a recording has its own.
        seed: of the first episode, from 0; a recording has its own.
        frames_per_second: how fast.
        view: "player", pictures of no more than the observation holds, or "spectator", hidden state too; None for a
            person's the first, and for all others the second.
        options: "training" or "evaluation": whose environment options and episodes; None for the evaluation's where a
            run plays and for the training's else. A person never plays the evaluation's. A recording has its own.

    Returns:
        The recording of what was played: of a person who leaves in the middle of an episode, the part of it.

    Raises:
        InvalidInput: an unknown player, a run of another environment, a video of another format, a recording that does
            not fit, or an action space that nothing on the screen serves.
        NoExpert: the expert is asked for where there is none.
    """
    integer("episodes", episodes, 1)
    integer("seed", seed, 0, PLAY_SPAN - 1)
    number("frames_per_second", frames_per_second, 0.01, 10_000)
    person = player == "human"
    shows = choice("view", view or ("player" if person else "spectator"), get_args(View))
    if video is not None:
        check_format(video)
    if person and video is not None:
        raise InvalidInput(f"a person plays in a window: player 'human' takes no video; got {shown(str(video))}")
    if player.endswith(".json"):
        return _watch_recording(scenario, player, video, frames_per_second, shows)
    purpose = choice("options", options or _purpose(player), get_args(Purpose))
    if person and (purpose == "evaluation" or scenario.options.get("split") == "test"):
        raise InvalidInput("a person plays the training's options: those of the evaluation stay unseen")
    env = make_environment(scenario, 1, evaluation=purpose == "evaluation", watched=True)
    session = Session(env, seed + (EVALUATION_SEED if purpose == "evaluation" else PLAY_SEED))
    choose = None if person else _chooser(player, env)
    if video is not None:
        assert choose is not None
        write_video(video, _frames(play(session, choose, episodes), env, shows), frames_per_second)
    else:
        _in_window(scenario, session, choose, player, episodes, frames_per_second, shows)
    return recorded(session, scenario, purpose, shows, player)  # type: ignore[arg-type]


def _purpose(player: str) -> str:
    """Whose options a player plays if nothing else is said."""
    return "training" if player in ("human", "random", "expert") else "evaluation"


def _chooser(player: str, env: Any) -> Choose:
    """The choice of an agent, given by name or by the folder of its run."""
    if player in ("random", "expert"):
        return chooser(agents.make(player, env), env)
    if not (Path(player) / "run.yaml").exists():
        allowed = "'random', 'expert', 'human', the folder of a run or a recording's .json file"
        raise InvalidInput(f"agent must be {allowed}; got {shown(player)}")
    if read_plan(player).agent in ("random", "expert"):
        return chooser(agents.make(read_plan(player).agent, env), env)
    return chooser(load_agent(player, env), env)


def _frames(states: Iterator[Any], env: Any, view: str) -> Iterator[Frame]:
    """A picture of every state."""
    for _ in states:
        yield env.frames(view == "spectator")[0] if isinstance(env, BatchedEnv) else env.frames()[0]


def _watch_recording(scenario: Scenario, path: str, video: Path | None, rate: float, view: str) -> Recording:
    """Shows what was recorded, with the options and from the seed that the recording has."""
    recording = Recording.load(path)
    if recording.environment != scenario.environment:
        got, wanted = shown(recording.environment), scenario.environment
        raise InvalidInput(f"{path}: recording must be of {wanted}; got one of {got}")
    scenario = scenario.model_copy(update={"options": recording.options})
    env = make_environment(scenario, 1, watched=True)
    session = Session(env, recording.seed)
    states = replay(recording, session)
    if video is not None:
        write_video(video, _frames(states, env, view), rate)
        return recording
    for _ in states:  # what does not fit is found before a window opens
        pass
    player, count = f"recorded: {recording.player or 'unknown'}", len(recording.episodes)
    session = Session(env, recording.seed)
    window = Window(scenario.title, env, view == "spectator", None, rate)
    try:
        for actions in recording.episodes:
            session.begin()
            _replay_episode(session, window, [as_action(action, env.action_space) for action in actions], player, count)
    except Quit:
        pass
    finally:
        window.close()
    return recording


def _replay_episode(session: Session, window: Window, actions: list[Any], player: str, episodes: int) -> None:
    """One recorded episode, as often as it is wanted again; what is skipped is played all the same, unseen."""
    while True:
        left = actions[len(session.actions[-1]) :]
        window.show(_told(session, player, episodes, not left), last=len(session.actions) == episodes)
        try:
            if not left:
                return window.card()
            window.pace()
            session.step(left[0])
        except Again:
            session.again()
        except Next:
            for action in left:
                session.step(action)
            return


def _in_window(
    scenario: Scenario,
    session: Session,
    choose: Choose | None,
    player: str,
    episodes: int,
    rate: float,
    view: str,
) -> None:
    """Lets a person (no chooser) or an agent play in a window until the last episode or until the window is closed."""
    means = controls(session.env) if choose is None else None
    window = Window(scenario.title, session.env, view == "spectator", means, rate)
    told = {"human": "you"}.get(player, player)
    try:
        while len(session.actions) < episodes:
            session.begin()
            _play_episode(session, window, choose, told, episodes)
    except Quit:
        pass
    finally:
        window.close()


def _play_episode(session: Session, window: Window, choose: Choose | None, player: str, episodes: int) -> None:
    """One episode to its end, as often as it is wanted again."""
    while True:
        last = len(session.actions) == episodes
        window.show(_told(session, player, episodes, session.ended), last)
        try:
            if session.ended:
                return window.card()
            if choose is None:
                session.step(as_action(window.act(), session.env.action_space))
            else:
                window.pace()
                session.choose(choose)
        except Again:
            session.again()
        except Next:
            return


def _told(session: Session, player: str, episodes: int, ended: bool) -> Told:
    number, steps = len(session.actions), len(session.actions[-1])
    return Told(player, number, episodes, steps, session.returns[-1], session.reward, ended)
