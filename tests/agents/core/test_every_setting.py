"""Every setting of every agent: a value that is not allowed is refused in one line, by name, with what is allowed."""

import typing

import pytest

from palaestra import agents
from palaestra.neural_blocks.errors import InvalidInput

BELOW = {"ge": 1, "gt": 0}  # how far under a limit a value is that it does not let pass
ABOVE = {"le": 1, "lt": 0}


def literals(annotation):
    """The words that an annotation allows, however deep."""
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    return [word for part in typing.get_args(annotation) for word in literals(part)]


def wrong(field):
    """Values that a field does not take, each with what the refusal must tell."""
    yield object(), ""
    told, words = str(field.annotation), literals(field.annotation)
    if words and "str" not in told:
        several = "tuple" in told
        yield ("no such word",) if several else "no such word", str(words[0])
    if field.annotation in (int, float) or field.annotation in (int | None, float | None):
        yield "much", "number" if field.annotation not in (int, int | None) else ""
        yield float("nan"), ""
        yield float("inf"), ""
        for limit in field.metadata:
            for side, off in (BELOW | ABOVE).items():
                bound = getattr(limit, side, None)
                if bound is not None:
                    yield (
                        bound - off if side in BELOW else bound + off,
                        str(int(bound) if bound == int(bound) else bound),
                    )
    if field.annotation is bool:
        yield "perhaps", ""
    if not field.is_required() and field.default is not None and type(None) not in typing.get_args(field.annotation):
        yield None, ""


@pytest.mark.parametrize("name", agents.names())
def test_a_value_that_is_not_allowed_is_refused_by_name(name):
    config = agents.agent_class(name).Config
    for key, field in config.model_fields.items():
        for value, told in wrong(field):
            with pytest.raises(InvalidInput) as refusal:
                config(**{key: value})
            message = str(refusal.value)
            assert key in message, (key, value, message)
            assert told in message.replace(",", ""), (key, value, message)
            assert "\n" not in message
            assert len(message) < 700
