"""Watching and playing: who plays which episodes, seen how, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from ... import agents
from ...envs.adapters.batched import BatchedEnv
from ...envs.checks.options import choice, integer, number
from ...envs.drawing.canvas import Canvas
from ...neural_blocks.errors import InvalidInput, shown
from .. import catalogue
from ..catalogue import Scenario
from ..environments import make_environment
from ..recording import Purpose, Recording, View, as_action, recorded, replay
from ..runner import load_agent, read_plan
from ..seeds import EVALUATION_SEED, PLAY_SEED, PLAY_SPAN
from ..session import Choose, Chooser, Session, play
from .controls import choices_of, controls
from .details import WIDTH, Details
from .film_page import Player
from .overlay import Told
from .timeline import Timeline
from .two_people import SecondPerson
from .video import FRAMES_PER_SECOND, Frame, check_format, write_video
from .window import SIDE, Again, Next, Quit, Seek, Window

FILMED = 600  # pixels of a film's height with details


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
    details: bool = False,
    opponent: str | None = None,
) -> Recording:
    """Plays episodes of the scenario's environment and shows them.

    Args:
        scenario: what is played.
        player: "random", "expert", "human", the folder of a run, or a recording's JSON file.
        video: a file to write (.mp4, .gif, .html, or .png for a sheet of frames spread evenly); None for a window.
        episodes: how many; a recording has its own.
        seed: of the first episode, from 0; a recording has its own.
        frames_per_second: how fast.
        view: "player", pictures of no more than the observation holds, or "spectator", hidden state too; None for a
            person's the first, and for all others the second.
        options: "training" or "evaluation": whose environment options and episodes; None for the evaluation's where a
            run plays and for the training's else. A person never plays the evaluation's. A recording has its own.
        opponent: "human" for a second person at the same keyboard, in a game of two; None for the scenario's own.
        details: whether a panel tells what is seen, what the agent would do, what it expects and what it remembers.

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
        return _watch_recording(scenario, player, video, frames_per_second, shows, details)
    purpose = choice("options", options or _purpose(player), get_args(Purpose))
    if person and (purpose == "evaluation" or scenario.options.get("split") == "test"):
        raise InvalidInput("a person plays the training's options: those of the evaluation stay unseen")
    second = None
    if opponent is not None:
        choice("opponent", opponent, ("human",))
        if not person:
            raise InvalidInput(f"opponent 'human' is for a game of two people: agent must be 'human'; got {player!r}")
        second = SecondPerson(scenario)
    env = second.env if second else make_environment(scenario, 1, evaluation=purpose == "evaluation", watched=True)
    session = Session(env, seed + (EVALUATION_SEED if purpose == "evaluation" else PLAY_SEED))
    choose = None if person else _chooser(player, env)
    if video is not None:
        assert choose is not None
        write_video(video, _frames(play(session, choose, episodes), session, choose, shows, details), frames_per_second)
    else:
        _in_window(scenario, session, choose, player, episodes, frames_per_second, shows, details, second)
    return recorded(session, scenario, purpose, shows, player)  # type: ignore[arg-type]


def player(
    scenario: str | Path | Scenario,
    agent: str = "expert",
    *,
    episodes: int = 1,
    seed: int = 0,
    frames_per_second: float = FRAMES_PER_SECOND,
    view: View = "spectator",
    details: bool = False,
) -> Player:
    """Episodes as a film with buttons for a notebook: the last line of a cell is shown.

    Args:
        scenario: a name of the catalogue, a path to a YAML file, or a `Scenario`.
        agent: "random", "expert", or a run's folder.
        episodes, seed, frames_per_second, view, details: see `watch`.

    Raises:
        InvalidInput, NoExpert: see `watch`.
    """
    chosen = scenario if isinstance(scenario, Scenario) else catalogue.get(scenario)
    integer("episodes", episodes, 1)
    integer("seed", seed, 0, PLAY_SPAN - 1)
    shows = choice("view", view, get_args(View))
    env = make_environment(chosen, 1, evaluation=_purpose(agent) == "evaluation", watched=True)
    session = Session(env, seed + (EVALUATION_SEED if _purpose(agent) == "evaluation" else PLAY_SEED))
    choose = _chooser(agent, env)
    frames = _frames(play(session, choose, episodes), session, choose, shows, details)
    return Player(frames, number("frames_per_second", frames_per_second, 0.01, 10_000), chosen.title)


def _purpose(player: str) -> str:
    """Whose options a player plays if nothing else is said."""
    return "training" if player in ("human", "random", "expert") else "evaluation"


def _chooser(player: str, env: Any) -> Choose:
    """The choice of an agent, given by name or by the folder of its run."""
    if player in ("random", "expert"):
        return Chooser(agents.make(player, env), env)
    if not (Path(player) / "run.yaml").exists():
        allowed = "'random', 'expert', 'human', the folder of a run or a recording's .json file"
        raise InvalidInput(f"agent must be {allowed}; got {shown(player)}")
    if read_plan(player).agent in ("random", "expert"):
        return Chooser(agents.make(read_plan(player).agent, env), env)
    return Chooser(load_agent(player, env), env)


def _frames(
    states: Iterator[Any], session: Session, choose: Choose | None, view: str, details: bool
) -> Iterator[Frame]:
    """A picture of every state, with the panel of details beside it if that is wanted."""
    env, timeline, panel, episode = session.env, None, None, 0
    for _ in states:
        frame = env.frames(view == "spectator")[0] if isinstance(env, BatchedEnv) else env.frames()[0]
        if not details:
            yield frame
            continue
        panel = panel or Details(env.observation_space, choices_of(env), FILMED)
        if timeline is None or episode != len(session.actions):
            timeline, episode = Timeline(session, choose, going_back=False), len(session.actions)
        else:
            timeline.note()
        picture = Canvas(SIDE + WIDTH, FILMED)
        picture.image(frame, (0, (FILMED - SIDE) // 2, SIDE, SIDE))
        picture.image(panel.draw(timeline), (SIDE, 0, WIDTH, FILMED))
        yield picture.frame()


def _watch_recording(
    scenario: Scenario, path: str, video: Path | None, rate: float, view: str, details: bool
) -> Recording:
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
        write_video(video, _frames(states, session, None, view, details), rate)
        return recording
    for _ in states:  # what does not fit is found before a window opens
        pass
    player, count = f"recorded: {recording.player or 'unknown'}", len(recording.episodes)
    session = Session(env, recording.seed)
    window = Window(scenario.title, env, view == "spectator", None, rate, details)
    try:
        for actions in recording.episodes:
            session.begin()
            given = [as_action(action, env.action_space) for action in actions]
            _show_episode(session, window, None, given, player, count)
    except Quit:
        pass
    finally:
        window.close()
    return recording


def _in_window(
    scenario: Scenario,
    session: Session,
    choose: Choose | None,
    player: str,
    episodes: int,
    rate: float,
    view: str,
    details: bool,
    second: SecondPerson | None,
) -> None:
    """Lets a person (no choice) or an agent play in a window until the last episode or until the window is closed."""
    means = controls(session.env) if choose is None else None
    room = 0 if second is None else second.controls.height
    window = Window(scenario.title, session.env, view == "spectator", means, rate, details, room)
    told = "you" if player == "human" else "/".join(Path(player).parts[-2:])  # of a run's folder, agent and run
    try:
        while len(session.actions) < episodes:
            session.begin()
            _show_episode(session, window, choose, None, told, episodes, second)
    except Quit:
        pass
    finally:
        window.close()


def _show_episode(
    session: Session,
    window: Window,
    choose: Choose | None,
    recorded: list[Any] | None,
    player: str,
    episodes: int,
    second: SecondPerson | None = None,
) -> None:
    """One episode to its end, as often as it is wanted again, back and forth where nobody plays it by hand.

    What is skipped of a recorded one is played all the same, unseen.
    """
    timeline = Timeline(session, choose, going_back=window.controls is None)
    try:
        while True:
            moment, taken = timeline.now, len(session.actions[-1])
            over = taken == len(recorded) if recorded is not None else session.ended
            name = player if second is None else f"the {second.first}; the {second.name} looks away"
            told = Told(
                name, len(session.actions), episodes, moment.step, moment.total, moment.reward,
                over if timeline.newest else moment.ended,
            )  # fmt: skip
            window.show(told, timeline, last=len(session.actions) == episodes)
            try:
                if over and timeline.newest:
                    return window.card()
                if window.controls is not None:
                    action = as_action(window.act(), session.env.action_space)
                    if second is not None:
                        theirs = replace(told, player=f"now the {second.name}; the {second.first} looks away")
                        second.choose(window.hand_over(second.controls, theirs, second.draw))
                    session.step(action)
                    timeline.note()
                    continue
                window.pace()
                if not timeline.newest:
                    timeline.go(timeline.at + 1)
                    continue
                if recorded is not None:
                    session.step(recorded[taken])
                elif choose is not None:
                    session.choose(choose)
                timeline.note()
            except Seek as asked:
                timeline.go(asked.to)
            except Again:
                session.again()
                timeline = Timeline(session, choose, timeline.going_back)
            except Next:
                timeline.leave()
                for action in recorded[taken:] if recorded is not None else ():
                    session.step(action)
                return
    finally:
        timeline.leave()
