"""How a person acts: keys and buttons for choices, sliders for numbers, by keyboard or mouse."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import gymnasium.spaces as spaces
import numpy as np

from ...envs.adapters.batched import BatchedEnv
from ...envs.drawing.canvas import ACCENT, INK, MUTED, PANEL, Canvas, Input
from ...envs.drawing.choices import DIGITS, LETTERS, Choice
from ...neural_blocks.errors import InvalidInput

ENTER = ("return", "enter")
ROW, GAP = 30, 4  # pixels of a button with its gap, and of the gap
SLIDERS = 110  # pixels of a slider
STEPS = 20  # key presses from one end of a slider to the other
REACH = 3.0  # what a slider spans where the action space has no bound
MOST_SLIDERS, MOST_ENTRIES = 20, 4096
MOST_BUTTONS = 40
_ARROWS = {"left": "left", "right": "right", "up": "up", "down": "down"}
_FOREIGN: dict[str, list[tuple[str, str]]] = {
    "CartPole": [("left", "push left"), ("right", "push right")],
    "MountainCar": [("left", "left"), ("down", "coast"), ("right", "right")],
    "Acrobot": [("left", "left"), ("down", "nothing"), ("right", "right")],
    "LunarLander": [("down", "nothing"), ("left", "left engine"), ("up", "main engine"), ("right", "right engine")],
    "FrozenLake": [("left", "left"), ("down", "down"), ("right", "right"), ("up", "up")],
    "CliffWalking": [("up", "up"), ("right", "right"), ("down", "down"), ("left", "left")],
    "Taxi": [("down", "south"), ("up", "north"), ("right", "east"), ("left", "west"), ("p", "pick"), ("d", "drop")],
}
"""Keys of well-known environments that do not name their own actions, in the order of the actions."""


class Controls(ABC):
    """What a person acts with, drawn in a strip of the window.

    Attributes:
        height: pixels of the strip.
        hint: one line on what to press.
    """

    height: int
    hint: str

    @abstractmethod
    def draw(self, canvas: Canvas, top: int) -> None:
        """Draws the strip, its upper edge at y = `top`."""

    @abstractmethod
    def feed(self, one: Input, canvas: Canvas, top: int) -> Any | None:
        """Takes what a person did; returns the action that this makes, as numbers or lists, or None for none yet."""


class Buttons(Controls):
    """A button and a key for each of some actions; number keys also count them, where none is a number itself."""

    def __init__(self, choices: list[Choice]) -> None:
        self.choices = choices
        self.columns = min(len(choices), 4 if max(len(one.label) for one in choices) > 6 else 7)
        self.height = ROW * math.ceil(len(choices) / self.columns)
        self.hint = "press a key or a button"
        self._keys = {one.key: one for one in choices}
        if not any(one.key in DIGITS for one in choices):
            self._keys.update(zip(DIGITS, choices, strict=False))

    def _box(self, number: int, canvas: Canvas, top: int) -> tuple[int, int, int, int]:
        width = (canvas.width - 20) // self.columns
        row, column = divmod(number, self.columns)
        return 10 + column * width, top + row * ROW, width - GAP, ROW - GAP

    def draw(self, canvas: Canvas, top: int) -> None:
        """Each button with its key and what it does."""
        for number, one in enumerate(self.choices):
            x, y, width, height = self._box(number, canvas, top)
            canvas.fill((x, y, width, height), PANEL)
            name = one.key if one.key.upper() == one.label.upper() else f"{one.key}: {one.label}"
            name = one.label if one.key == one.label or name.upper() == one.label.upper() else name
            canvas.text(name, (x + width // 2, y + height // 2 + 1), 20, INK, "center", width - 4)

    def feed(self, one: Input, canvas: Canvas, top: int) -> Any | None:
        """The action of a key or of a button."""
        if one.kind == "key" and one.key in self._keys:
            return self._keys[one.key].action
        if one.kind == "press":
            for number, choice in enumerate(self.choices):
                if _within(one.place, self._box(number, canvas, top)):
                    return choice.action
        return None


class Characters(Controls):
    """The character itself to type, where there are more actions than fit on buttons."""

    height = ROW

    def __init__(self, choices: list[Choice]) -> None:
        self.hint = "type the character itself"
        self._keys = {one.key: one for one in choices}
        self._last = ""

    def draw(self, canvas: Canvas, top: int) -> None:
        """What was typed last."""
        canvas.fill((canvas.width // 2 - 70, top, 140, ROW - GAP), PANEL)
        canvas.text(self._last or "character", (canvas.width // 2, top + ROW // 2 - 1), 22, INK, "center", 132)

    def feed(self, one: Input, canvas: Canvas, top: int) -> Any | None:
        """The action of the character that a key types, or of the key where it types none that has one."""
        if one.kind != "key":
            return None
        name = "return" if one.key in ENTER else one.key
        choice = self._keys.get(one.text) or self._keys.get(name)
        if choice is None:
            return None
        self._last = choice.label
        return choice.action


class Typed(Controls):
    """A number to type, where there are more actions than keys."""

    height = ROW

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high, self.text = low, high, ""
        self.hint = f"type a number from {low} to {high}, then Enter"

    def draw(self, canvas: Canvas, top: int) -> None:
        """What is typed so far."""
        canvas.fill((canvas.width // 2 - 70, top, 140, ROW - GAP), PANEL)
        canvas.text(self.text or "number", (canvas.width // 2, top + ROW // 2 - 1), 22, INK, "center")

    def feed(self, one: Input, canvas: Canvas, top: int) -> Any | None:
        """The number, once Enter is pressed and it is one of the actions."""
        if one.kind != "key":
            return None
        key = one.key.strip("[]") or one.key
        if key in ENTER:
            text, self.text = self.text, ""
            allowed = text.lstrip("-").isdigit() and self.low <= int(text) <= self.high
            return int(text) if allowed else None
        if key in DIGITS or (key == "-" and not self.text):
            self.text = (self.text + key)[-12:]
        elif key == "delete":
            self.text = self.text[:-1]
        return None


class Sliders(Controls):
    """A slider for each number of an action, or a grid of cells where they are many; Enter acts.

    Left, right and numbers choose one (in a grid the arrows do), up and down change it (plus and minus in a grid), the
    mouse sets it. What is set stays set for the next step.

    Args:
        low: the lowest value of each, (N,).
        high: the highest.
        start: where they begin.
        shape: of the action.
        names: what each is called; empty for numbers.
        whole: whether they are whole numbers.
    """

    def __init__(
        self,
        low: np.ndarray[Any, Any],
        high: np.ndarray[Any, Any],
        start: np.ndarray[Any, Any],
        shape: tuple[int, ...],
        names: list[str],
        whole: bool,
    ) -> None:
        self.low, self.high, self.values, self.shape, self.whole = low, high, start.copy(), shape, whole
        self.count, self.chosen, self.brush = len(low), 0, 1.0
        self.names = names or [str(k) for k in range(self.count)]
        self.grid = self.count > MOST_SLIDERS
        side = math.isqrt(self.count)
        self.columns = shape[-1] if len(shape) > 1 else side if side * side == self.count else min(32, self.count)
        self.rows = math.ceil(self.count / self.columns)
        self.cell = max(4, min(22, 460 // self.columns, 220 // self.rows))
        self.height = self.cell * self.rows + 24 if self.grid else SLIDERS + 24
        self.hint = (
            "arrows and + or -, or paint with the mouse; Enter acts"
            if self.grid
            else "arrows, numbers or mouse; Enter acts"
        )

    def action(self) -> Any:
        """The values in the action's shape, as numbers or lists."""
        values = np.round(self.values) if self.whole else self.values
        return (values.astype(np.int64) if self.whole else values).reshape(self.shape).tolist()

    def _box(self, number: int, canvas: Canvas, top: int) -> tuple[int, int, int, int]:
        if self.grid:
            row, column = divmod(number, self.columns)
            left = (canvas.width - self.cell * self.columns) // 2
            return left + column * self.cell, top + row * self.cell, self.cell, self.cell
        width = min(140, (canvas.width - 20) // self.count)
        left = (canvas.width - width * self.count) // 2
        return left + number * width, top, width - GAP, SLIDERS - 22

    def draw(self, canvas: Canvas, top: int) -> None:
        """The sliders with names and values, or the grid and the value of the chosen cell."""
        share = (self.values - self.low) / np.maximum(self.high - self.low, 1e-12)
        for number in range(self.count):
            x, y, width, height = self._box(number, canvas, top)
            if self.grid:
                level = round(255 * float(share[number]))
                canvas.fill((x, y, width - 1, height - 1), (level, level, level))
            else:
                canvas.outline((x, y, width, height), MUTED, 1)
                filled = round(float(share[number]) * (height - 2))
                if filled:
                    canvas.fill((x + 1, y + height - 1 - filled, width - 2, filled), ACCENT)
                canvas.text(self.names[number], (x + width // 2, y + height + 2), 18, INK, "midtop", width + GAP)
            if number == self.chosen:
                canvas.outline((x - 1, y - 1, width + 2, height + 2), INK if not self.grid else ACCENT, 2)
        value = self.values[self.chosen]
        told = f"{self.names[self.chosen]}: {round(value) if self.whole else f'{value:.3g}'}"
        told += f"   (from {self.low[self.chosen]:g} to {self.high[self.chosen]:g})"
        canvas.text(told, (canvas.width // 2, top + self.height - 12), 20, INK, "center", canvas.width - 20)

    def feed(self, one: Input, canvas: Canvas, top: int) -> Any | None:
        """Moves what a key or the mouse moves; the action once Enter is pressed."""
        if one.kind == "key":
            if one.key in ENTER:
                return self.action()
            self._key(one.key)
        elif one.kind in ("press", "drag"):
            for number in range(self.count):
                box = self._box(number, canvas, top)
                if _within(one.place, box):
                    self.chosen = number
                    if self.grid and one.kind == "press":  # a second click takes back what the first has painted
                        self.brush = 0.0 if self.values[number] >= self.high[number] else 1.0
                    height = max(1, box[3] - 1)
                    self._set(number, self.brush if self.grid else 1 - (one.place[1] - box[1]) / height)
        return None

    def _key(self, key: str) -> None:
        across = {"left": -1, "right": 1}.get(key, 0)
        down = {"up": -1, "down": 1}.get(key, 0)
        more = {"=": 1, "+": 1, "[+]": 1, "-": -1, "[-]": -1}.get(key, 0)
        if key in DIGITS and int(key) < self.count:
            self.chosen = int(key)
        elif self.grid:
            self.chosen = min(max(self.chosen + across + down * self.columns, 0), self.count - 1)
        elif self.count == 1:
            more += across - down
        else:
            self.chosen = min(max(self.chosen + across, 0), self.count - 1)
            more -= down
        if more:
            low, high = self.low[self.chosen], self.high[self.chosen]
            step = 1.0 if self.whole else (high - low) / STEPS
            self.values[self.chosen] = min(max(self.values[self.chosen] + more * step, low), high)

    def _set(self, number: int, share: float) -> None:
        low, high = self.low[number], self.high[number]
        value = low + min(max(share, 0.0), 1.0) * (high - low)
        self.values[number] = round(value) if self.whole else value


class Both(Controls):
    """Buttons for the actions that have a name, above sliders for all others; keys are the buttons' first."""

    def __init__(self, buttons: Buttons, sliders: Sliders) -> None:
        self.buttons, self.sliders = buttons, sliders
        self.height = buttons.height + sliders.height
        self.hint = f"{buttons.hint}; sliders: mouse, Enter"

    def draw(self, canvas: Canvas, top: int) -> None:
        """One above the other."""
        self.buttons.draw(canvas, top)
        self.sliders.draw(canvas, top + self.buttons.height)

    def feed(self, one: Input, canvas: Canvas, top: int) -> Any | None:
        """The action of whichever it is for."""
        action = self.buttons.feed(one, canvas, top)
        if action is not None:
            return action
        return self.sliders.feed(one, canvas, top + self.buttons.height)


def choices_of(env: Any) -> list[Choice]:
    """What the actions of an environment of one row are called."""
    return env.task.choices() if isinstance(env, BatchedEnv) else _foreign(env)


def controls(env: Any) -> Controls:
    """What a person acts with in an environment of one row.

    Raises:
        InvalidInput: an action space that is none of Discrete, MultiDiscrete, MultiBinary and Box, or that has too many
            numbers.
    """
    space = env.action_space
    task = env.task if isinstance(env, BatchedEnv) else None
    choices, names = choices_of(env), task.entries() if task is not None else []
    if isinstance(space, spaces.Discrete):
        return _discrete(int(space.start), int(space.n), choices)
    low: Any
    high: Any
    if isinstance(space, spaces.MultiDiscrete):
        low, high, whole = space.start, space.start + space.nvec - 1, True
    elif isinstance(space, spaces.MultiBinary):
        low, high, whole = np.zeros(space.shape), np.ones(space.shape), True
    elif isinstance(space, spaces.Box):
        low, high = _finite(space)
        whole = bool(np.issubdtype(space.dtype, np.integer))
    else:
        raise InvalidInput(f"a person can play Discrete, MultiDiscrete, MultiBinary and Box actions; got {space}")
    if not 1 <= low.size <= MOST_ENTRIES:
        raise InvalidInput(f"a person can set from 1 to {MOST_ENTRIES} numbers an action; got {low.size}")
    low, high = low.astype(float).ravel(), high.astype(float).ravel()
    start = np.clip(np.zeros_like(low), low, high)
    sliders = Sliders(low, high, start, space.shape or (), names, whole)
    return Both(Buttons(choices), sliders) if choices else sliders


def _discrete(first: int, count: int, choices: list[Choice]) -> Controls:
    """Buttons, or characters to type, where each action has a key; else a number to type."""
    keys = DIGITS + LETTERS
    if not choices and count <= len(keys):
        choices = [Choice(keys[k], str(first + k) if first else keys[k], first + k) for k in range(count)]
    complete = len(choices) == count and {one.action for one in choices} == set(range(first, first + count))
    if not complete:
        return Typed(first, first + count - 1)
    return Buttons(choices) if count <= MOST_BUTTONS else Characters(choices)


def _finite(space: spaces.Box) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The bounds of a Box, with others where it has none."""
    low, high = space.low.astype(float), space.high.astype(float)
    free_low, free_high = ~np.isfinite(low), ~np.isfinite(high)
    low = np.where(free_low, np.where(free_high, -REACH, high - 2 * REACH), low)
    return low, np.where(free_high, low + 2 * REACH, high)


def _foreign(env: Any) -> list[Choice]:
    """The keys of a foreign environment's actions: those it names itself, or those that are well known."""
    if not isinstance(env.action_space, spaces.Discrete):
        return []
    inner = env.envs[0].unwrapped
    if hasattr(inner, "get_action_meanings"):
        names = [str(name).lower() for name in inner.get_action_meanings()]
        keys = iter(LETTERS + DIGITS)
        return [Choice(_ARROWS.get(name) or next(keys, ""), name, action) for action, name in enumerate(names)]
    id = str(getattr(env.envs[0].spec, "id", "")).partition("-")[0]
    named = _FOREIGN.get(id, [])
    return (
        [Choice(key, label, action) for action, (key, label) in enumerate(named)]
        if len(named) == env.action_space.n
        else []
    )


def _within(place: tuple[int, int], box: tuple[int, int, int, int]) -> bool:
    (x, y), (left, top, width, height) = place, box
    return left <= x < left + width and top <= y < top + height
