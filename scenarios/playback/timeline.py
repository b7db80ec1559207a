"""An episode as it was seen so far, in which one can go back and forth."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...agents.core.thought import Thought
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ..session import Choose, Chooser, Session

MOST = 4000  # moments that are kept, the newest


@dataclass(frozen=True)
class Moment:
    """An episode after some steps.

    Attributes:
        step: how many.
        total: the return so far.
        reward: the last one, None before the first.
        ended: whether the episode is over.
        observation: (1, ...).
        thought: what the agent makes of it; None where there is no agent.
        memory: the agent's, each (1, ...).
        state: of the environment.
    """

    step: int
    total: float
    reward: float | None
    ended: bool
    observation: Observation
    thought: Thought | None
    memory: tuple[Tensor, ...]
    state: Any


class Timeline:
    """The moments of a session's present episode, of which one is shown; the environment stands where that is.

    Args:
        session: whose episode it is.
        choose: who plays; what an agent thinks is kept too.
        going_back: whether one can; else no state is kept.
    """

    def __init__(self, session: Session, choose: Choose | None, going_back: bool = True) -> None:
        self.session, self.choose, self.going_back = session, choose, going_back
        self.moments: deque[Moment] = deque(maxlen=MOST)
        self.at = 0
        self.note()

    @property
    def now(self) -> Moment:
        """The moment that is shown."""
        return self.moments[self.at]

    @property
    def newest(self) -> bool:
        """Whether the moment that is shown is the last one that was played."""
        return self.at == len(self.moments) - 1

    def note(self) -> None:
        """Keeps the session's present moment, and shows it."""
        session, thought = self.session, None
        memory: tuple[Tensor, ...] = ()
        if isinstance(self.choose, Chooser):
            memory = tuple(part.clone() for part in self.choose.memory)
            thought = None if session.ended else self.choose.think(session.env.observation, session.env.episode_start)
        self.moments.append(
            Moment(
                step=len(session.actions[-1]),
                total=session.returns[-1],
                reward=session.reward,
                ended=session.ended,
                observation=tree_map(lambda part: part.clone(), session.env.observation),
                thought=thought,
                memory=memory,
                state=session.env.state_dict() if self.going_back else None,
            )
        )
        self.at = len(self.moments) - 1

    def go(self, to: int) -> None:
        """Shows the moment of that number, counted from the oldest; the nearest one where there is none."""
        before, self.at = self.at, min(max(to, 0), len(self.moments) - 1)
        if self.at != before:
            self.session.env.load_state_dict(self.now.state)

    def leave(self) -> None:
        """Puts the environment back where it was played to."""
        self.go(len(self.moments) - 1)

    def returns(self) -> list[float]:
        """The return after each step up to the moment that is shown."""
        return [moment.total for moment in list(self.moments)[: self.at + 1]]

    def values(self) -> list[float]:
        """What the agent expected after each of them; empty where it expects nothing."""
        thoughts = [moment.thought for moment in list(self.moments)[: self.at + 1]]
        values = [None if one is None else one.value for one in thoughts]
        known = [float("nan") if value is None else float(value[0]) for value in values]
        return known if any(value is not None for value in values) else []
