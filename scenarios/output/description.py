"""What a scenario, environment, agent or method of pretraining is and takes, by its file, signature and docstring."""

from __future__ import annotations

import difflib
import inspect
import json
import re
import types
import typing
from typing import Any

from ...neural_blocks.errors import InvalidInput, shown
from .. import catalogue
from .terminal import paragraph, say, table, width

HEADINGS = ("Args:", "Attributes:", "Raises:", "Returns:", "Example:", "Examples:")


def show(name: str, as_json: bool) -> None:
    """Prints what something of that name is.

    Raises:
        InvalidInput: nothing has the name, with the nearest one that something has.
    """
    found = describe(name)
    if as_json:
        print(json.dumps(found, indent=1, default=str))
        return
    options = found.pop("options", None)
    for key, value in found.items():
        if key == "about":
            say()
            for part in value:
                paragraph(part)
            say()
        else:
            paragraph(str(value) if key == "name" else f"{key}: {value}")
    if options:
        print(*table(options, width()), sep="\n")
    elif options is not None:
        say("nothing can be set")


def describe(name: str) -> dict[str, Any]:
    """What something of that name is, as plain values; `options` holds a line for each that can be set."""
    from ...agents import names as agents
    from ...agents.representation.registry import METHODS
    from ...envs.registry import ids, is_task

    if name.endswith((".yaml", ".yml")) or name in catalogue.names():
        return _scenario(name)
    if name in agents():
        return _agent(name)
    if name in METHODS:
        return _method(name)
    full = name if "/" in name or ":" in name else f"palaestra/{name}-v0"
    if is_task(full):
        return _class(full) if ":" in full else _environment(full)
    nearest = difflib.get_close_matches(name[:80], [*catalogue.names(), *ids(), *agents(), *METHODS], n=1, cutoff=0.5)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise InvalidInput(f"name must be a scenario, an environment's id, an agent or a method; got {shown(name)}{hint}")


def _class(path: str) -> dict[str, Any]:
    """Somebody else's "module:Class", an agent or a task."""
    from ...agents.core.agent import Agent
    from ...neural_blocks.registry import import_path

    found = import_path(path, "name")
    return _agent(path) if isinstance(found, type) and issubclass(found, Agent) else _environment(path)


def _scenario(name: str) -> dict[str, Any]:
    one = catalogue.get(name)
    found = {
        "name": one.name,
        "title": one.title,
        "about": [one.description],
        "environment": one.environment,
        "trained on": _pairs(one.options),
        "scored on": _pairs(one.evaluation_options),
        "training": f"{one.steps:,} steps in {one.num_envs:,} environments at once",
        "scoring": f"{one.evaluation.episodes:,} episodes in {one.evaluation.num_envs:,} environments at once",
        "agent": one.agent,
        "reference": _reference(one),
        "tags": ", ".join(one.tags),
    }
    for agent, settings in one.agents.items():
        found[f"settings of {agent}"] = _pairs(settings)
    return {key: value for key, value in found.items() if value}


def _reference(one: catalogue.Scenario) -> str:
    """What counts as a score of 0 and of 1."""
    from ...envs.drawing.wording import number
    from ..environments import reference

    known = reference(one)
    if known is None:
        return "none: its returns are not normalised"
    zero, expert = f"score 0 is a return of {number(known.floor)}", f"score 1 one of {number(known.expert)}"
    if one.reference is not None:
        return f"{zero}, {expert} ({one.reference.source})"
    return f"{zero} ({known.floor_policy}), {expert}"


def _environment(id: str) -> dict[str, Any]:
    from ...envs.core.game import Game
    from ...envs.core.task import ProblemTask
    from ...envs.registry import family, make_game, make_task, task_class

    cls, task = task_class(id), make_task(id)
    text = inspect.getdoc(cls) or ""
    options = _options(inspect.signature(cls), arguments(text, "Args:"), cls.__init__)
    if issubclass(cls, ProblemTask):
        options.append(
            _option("episodes", "whole number", cls.trial_episodes, "episodes of a trial, all on one problem")
        )
    if issubclass(cls, Game):
        game = make_game(id)
        scripted = "; ".join(f"of the {player} {', '.join(game.opponents(player))}" for player in game.players)
        options.append(_option("player", " | ".join(game.players), game.players[0], "whose task it is"))
        options.append(_option("opponent", "text", None, f"how the other plays ({scripted}); null for the first"))
    return {
        "name": id,
        "family": family(id),
        "observation": str(task.observation_space),
        "action": str(task.action_space),
        "steps an episode": task.horizon,
        "about": prose(text),
        "options": options,
    }


def _agent(name: str) -> dict[str, Any]:
    from ...agents import agent_class
    from ...agents.core.agent import served

    cls = agent_class(name)
    others: dict[str, str] = {}
    for base in reversed(getattr(cls, "algorithm", object).__mro__):  # somebody else's class that the agent wraps
        others = parameters(base.__doc__ or "") | others
    options = _settings(cls.Config, others)
    return {
        "name": name,
        "observations": served(cls, "observation"),
        "actions": served(cls, "action"),
        "about": prose(inspect.getdoc(cls) or ""),
        "options": options,
    }


def _method(name: str) -> dict[str, Any]:
    """A method of pretraining."""
    from ...agents.representation.registry import METHODS

    cls = METHODS.load(name)
    about = prose(inspect.getdoc(cls) or "")
    return {"name": name, "learns from": cls.needs, "about": about, "options": _settings(cls.Config, {})}


def _settings(config: Any, others: dict[str, str]) -> list[dict[str, Any]]:
    """A line for each setting of a configuration's class; what its docstrings leave out is told by `others`."""
    meanings = others
    for base in reversed(config.__mro__):
        meanings = meanings | (arguments(inspect.getdoc(base) or "", "Attributes:") if base.__doc__ else {})
    return [
        _option(key, _limits(_type(field.annotation), field.metadata), field.get_default(call_default_factory=True),
                meanings.get(key, ""))
        for key, field in config.model_fields.items()
    ]  # fmt: skip


def _option(name: str, kind: str, default: Any, meaning: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "default": _value(default), "meaning": meaning}


def _options(signature: inspect.Signature, meanings: dict[str, str], function: Any) -> list[dict[str, Any]]:
    hints = typing.get_type_hints(function)
    return [
        _option(name, _type(hints.get(name, Any)), one.default, meanings.get(name, ""))
        for name, one in signature.parameters.items()
        if name != "self" and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    ]


def _value(value: Any) -> str:
    """A default, as `--set` takes it."""
    if value is inspect.Parameter.empty:
        return "(required)"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return ",".join(map(_value, value)) if len(value) > 1 else f"[{''.join(map(_value, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={_value(value)}" for key, value in values.items())


def _type(annotation: Any) -> str:
    """A type as a person writes it: `int or null`, `tanh | relu`."""
    if annotation in (None, type(None)):
        return "null"
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(parts[0])
    if origin is typing.Literal:
        return " | ".join(map(str, parts))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_type, parts)))
    if origin is tuple and len(parts) == 2 and parts[1] is Ellipsis:
        return f"{_type(parts[0])}, ..."
    if origin is not None:
        return getattr(origin, "__name__", str(origin))
    known = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return known.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _limits(kind: str, metadata: list[Any]) -> str:
    """The type with the bounds that pydantic keeps of it."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(one, name):g}"
        for one in metadata
        for name, sign in signs.items()
        if getattr(one, name, None) is not None
    ]
    return f"{kind} {', '.join(found)}" if found else kind


def arguments(docstring: str, heading: str) -> dict[str, str]:
    """What a docstring says of each argument below a heading such as ``Args:``.

    >>> arguments("Sum.\\n\\nArgs:\\n    a: first\\n        number.\\n    b, c: others.", "Args:")
    {'a': 'first number.', 'b': 'others.', 'c': 'others.'}
    """
    found: dict[str, str] = {}
    for block in _section(docstring, heading):
        names, _, text = block.partition(":")
        for name in names.split(","):
            found[name.strip().split(" ")[0]] = text.strip()
    return found


def parameters(docstring: str) -> dict[str, str]:
    """What a docstring says of each parameter in lines such as ``:param gamma: the discount``."""
    found = re.findall(r":param (\w+):\s*(.*?)(?=\n\s*:|\n\s*\n|\Z)", docstring, re.DOTALL)
    return {name: " ".join(text.split()) for name, text in found}


def _section(docstring: str, heading: str) -> list[str]:
    """The entries below a heading, each joined to one line."""
    entries: list[str] = []
    inside = False
    for line in docstring.splitlines():
        if line in HEADINGS:
            inside = line == heading
        elif inside and re.match(r" {4}\S", line):
            entries.append(line.strip())
        elif inside and line.strip() and entries:
            entries[-1] += f" {line.strip()}"
    return entries


def prose(docstring: str) -> list[str]:
    """The paragraphs of a docstring before its headings; a line that begins with ``Word:`` is one of its own."""
    told: list[str] = []
    fresh = True
    for line in docstring.splitlines():
        if line in HEADINGS:
            break
        if not line.strip():
            fresh = True
        elif fresh or re.match(r"[A-Z]\w+( \w+)?: ", line):
            told.append(line.strip())
            fresh = False
        else:
            told[-1] += f" {line.strip()}"
    return told
