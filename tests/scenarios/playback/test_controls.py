"""Keys and the mouse as actions of every kind of space."""

from types import SimpleNamespace

import gymnasium.spaces as spaces
import numpy as np
import pytest

from palaestra.envs import BatchedEnv, Canvas, ids, make_task
from palaestra.envs.drawing.canvas import Input
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios.playback.controls import Both, Buttons, Characters, Sliders, Typed, controls
from palaestra.scenarios.recording import as_action

CANVAS = Canvas(480, 400)
TOP = 100


def foreign(space, id="Unknown-v0", **inner):
    """What `controls` looks at in a foreign environment."""
    env = SimpleNamespace(spec=SimpleNamespace(id=id), unwrapped=SimpleNamespace(**inner))
    return SimpleNamespace(action_space=space, envs=[env])


def of(name, **options):
    """The controls of one of the suite's own environments."""
    return controls(BatchedEnv(make_task(f"palaestra/{name}-v0", **options), 1))


def keys(given, *names):
    """The last action that keys make, if any."""
    made = [given.feed(Input("key", name), CANVAS, TOP) for name in names]
    return made[-1]


@pytest.mark.parametrize("id", ids())
def test_every_environment_has_controls_whose_actions_lie_in_its_space(id):
    env = BatchedEnv(make_task(id), 1)
    given = controls(env)
    env.reset(0)
    choices = given.choices if isinstance(given, Buttons) else given.buttons.choices if isinstance(given, Both) else []
    pressed = ["1", "return"] if isinstance(given, Typed) else ["return"]
    actions = [one.action for one in choices] + ([] if isinstance(given, Buttons) else [keys(given, *pressed)])
    assert actions
    for action in actions:
        assert env.action_space.contains(as_action(action, env.action_space)[0])
    assert len({one.key for one in choices}) == len(choices)
    given.draw(CANVAS, TOP)


@pytest.mark.parametrize(
    ("name", "options", "pressed", "action"),
    [
        ("DigitBandit", {}, "7", 7),
        ("TabularBandit", {}, "2", 2),
        ("FewShot", {}, "4", 4),
        ("Glimpse", {}, "3", 3),
        ("Glimpse", {}, "up", 10),
        ("Glimpse", {}, "right", 13),
        ("RepeatPrevious", {}, "c", 2),
        ("RepeatPrevious", {}, "1", 1),  # numbers count the letters
        ("Copy", {}, "d", 3),
        ("Recall", {}, "3", 3),
        ("NextSymbol", {}, "b", 1),
        ("NextSymbol", {"source": "context-free"}, "1", 1),
        ("NextSymbol", {"source": "arithmetic", "symbols": 7}, "6", 6),
        ("Translate", {}, "a", 1),
        ("Translate", {}, ".", 0),
        ("PixelCanvas", {}, "1", 1),
        ("BernoulliBandit", {}, "4", 4),
        ("TabularMDP", {}, "2", 2),
        ("PointGoal", {}, "up", [0.0, 0.1]),
        ("AttackDefend", {"player": "defender", "opponent": "none"}, "p", 10),
        ("GANGame", {"player": "discriminator"}, "f", [0.0]),
    ],
)
def test_keys_mean_something(name, options, pressed, action):
    assert keys(of(name, **options), pressed) == action


def test_a_button_is_pressed_with_the_mouse():
    given = of("Glimpse")
    for number, choice in enumerate(given.choices):
        x, y, width, height = given._box(number, CANVAS, TOP)
        assert given.feed(Input("press", place=(x + width // 2, y + height // 2)), CANVAS, TOP) == choice.action
    assert given.feed(Input("press", place=(0, 0)), CANVAS, TOP) is None


def test_a_slider_is_moved_with_keys_and_keeps_its_value():
    given = of("LIFNeuron")
    assert keys(given, "up", "up", "return") == [pytest.approx(0.1)]
    assert keys(given, "down", "right", "right", "return") == [pytest.approx(0.15)]
    assert keys(given, *["left"] * 40, "return") == [0.0]
    assert keys(given, *["up"] * 40, "return") == [1.0]


def test_sliders_are_chosen_by_arrows_numbers_and_mouse():
    given = of("Calibrate")
    assert keys(given, "right", "up", "return")[1] == pytest.approx(0.05)
    assert keys(given, "7", "up", "up", "return")[7] == pytest.approx(0.1)
    x, y, _, height = given._box(4, CANVAS, TOP)
    given.feed(Input("press", place=(x + 2, y + height // 2)), CANVAS, TOP)
    assert keys(given, "return")[4] == pytest.approx(0.5, abs=0.02)
    given.feed(Input("drag", place=(x + 2, y)), CANVAS, TOP)
    given.feed(Input("drag", place=(1, 1)), CANVAS, TOP)  # beyond the sliders
    assert keys(given, "return")[4] == 1.0


def test_many_numbers_are_painted_on_a_grid():
    given = of("Evade")
    assert given.grid
    assert (given.rows, given.columns) == (8, 8)
    x, y, *_ = given._box(10, CANVAS, TOP)
    given.feed(Input("press", place=(x + 1, y + 1)), CANVAS, TOP)
    painted = keys(given, "return")
    assert [number for number, value in enumerate(painted) if value] == [10]
    assert painted[10] == 1.0
    given.feed(Input("press", place=(x + 1, y + 1)), CANVAS, TOP)
    assert keys(given, "return")[10] == -1.0
    assert keys(given, "down", "right", "=", "return")[19] == pytest.approx(0.1)


def test_several_choices_at_once_are_set_as_whole_numbers():
    given = controls(foreign(spaces.MultiDiscrete([3, 5], start=[0, 1])))
    assert keys(given, "return") == [0, 1]
    assert keys(given, "up", "right", "up", "up", "return") == [1, 3]
    assert keys(given, *["up"] * 9, "return") == [1, 5]
    assert keys(given, *["down"] * 9, "return") == [1, 1]


def test_switches_are_toggled_by_keys_and_mouse():
    space = spaces.MultiBinary(4)
    given = controls(foreign(space))
    x, y, *_ = given._box(2, CANVAS, TOP)
    given.feed(Input("press", place=(x + 1, y + 1)), CANVAS, TOP)
    assert keys(given, "up", "0", "up", "return") == [1, 0, 1, 0]
    assert space.contains(as_action(keys(given, "return"), space)[0].astype(np.int8))


def test_a_box_without_bounds_gets_some():
    given = controls(foreign(spaces.Box(np.array([-np.inf, 1.0], np.float32), np.array([np.inf, np.inf], np.float32))))
    assert (given.low.tolist(), given.high.tolist()) == ([-3.0, 1.0], [3.0, 7.0])


def test_a_scalar_box_is_a_number_and_whole_boxes_are_whole():
    assert keys(controls(foreign(spaces.Box(0, 1, ()))), "up", "return") == pytest.approx(0.05)
    assert keys(controls(foreign(spaces.Box(0, 9, (2,), np.int64))), "up", "return") == [1, 0]


def test_more_actions_than_keys_are_typed():
    given = controls(foreign(spaces.Discrete(1000, start=-5)))
    assert isinstance(given, Typed)
    assert keys(given, "9", "9", "return") == 99
    assert keys(given, "-", "5", "return") == -5
    assert keys(given, "9", "9", "9", "9", "return") is None
    assert keys(given, "1", "2", "delete", "[3]", "enter") == 13
    assert keys(given, "return") is None


def test_well_known_foreign_environments_have_arrows():
    assert keys(controls(foreign(spaces.Discrete(2), "CartPole-v1")), "right") == 1
    assert keys(controls(foreign(spaces.Discrete(4), "FrozenLake-v1")), "up") == 3
    named = foreign(spaces.Discrete(3), "ALE/Some-v5", get_action_meanings=lambda: ["NOOP", "UP", "FIRE"])
    assert keys(controls(named), "up") == 1
    assert keys(controls(named), "b") == 2


def test_an_action_space_that_nothing_serves_is_refused():
    with pytest.raises(InvalidInput, match="a person can play Discrete, MultiDiscrete, MultiBinary and Box actions"):
        controls(foreign(spaces.Text(3)))
    with pytest.raises(InvalidInput, match="from 1 to 4096 numbers an action; got 10000"):
        controls(foreign(spaces.Box(0, 1, (100, 100))))


def test_buttons_stand_apart_and_inside_the_window():
    given = of("Translate", words=6)
    boxes = [given._box(number, CANVAS, TOP) for number in range(len(given.choices))]
    assert len({box[:2] for box in boxes}) == len(boxes) == 35
    for x, y, width, height in boxes:
        assert x >= 0
        assert x + width <= CANVAS.width
        assert y + height <= TOP + given.height
    assert isinstance(of("Denoise"), Sliders)


def test_a_text_is_played_by_typing_its_characters():
    env = BatchedEnv(make_task("palaestra/Text-v0"), 1)
    given, names = controls(env), env.task.names
    assert isinstance(given, Characters)
    for key, text, name in [
        ("a", "a", "a"),
        ("a", "A", "A"),
        ("/", "?", "?"),
        ("7", "7", "7"),
        ("space", " ", " "),
        ("return", "\r", "\n"),
        ("enter", "\r", "\n"),
        ("delete", "\x7f", names[-1]),
    ]:
        assert given.feed(Input("key", key, text=text), CANVAS, TOP) == names.index(name)
    assert given.feed(Input("key", "left shift"), CANVAS, TOP) is None
    assert given.feed(Input("press", place=(240, TOP + 5)), CANVAS, TOP) is None
    assert isinstance(controls(BatchedEnv(make_task("palaestra/Text-v0", tokens="byte-pair"), 1)), Typed)
