"""Self-play: both players of a game learn in turns, each against a pool of the other's past policies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import gymnasium.spaces as spaces
import torch
from pydantic import Field, field_validator
from torch import Tensor

from ...envs.adapters.batched import BatchedEnv
from ...envs.core.game import Versus
from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Agent, Memory, Report
from ..core.randomness import UPDATE, Randomness
from ..networks.distributions import DiagonalGaussian
from ..policy_gradient.ppo import PPO, PPOConfig
from .opponents import FrozenPolicy, Pool

SHARED = {"turn", "pool", "anneal", "schedule", "warm_up", "rival", "rollout_steps"}  # settings of the play as a whole


class SelfPlayConfig(PPOConfig):
    """Settings of self-play beside those of PPO, which both players learn by.

    Attributes:
        turn: iterations that one player learns before it is the other's turn.
        pool: past policies of each player that are kept as opponents, the newest ones.
        initial_deviation: of a Box policy's raw actions at the start; what the other player meets is blurred by it.
        memory: None; an opponent's policy sees the present alone.
        rival: settings of the other player's learner, by name, where they are to differ from these.
    """

    turn: int = Field(4, ge=1)
    pool: int = Field(8, ge=1, le=1000)
    initial_deviation: float = Field(0.6, gt=0)
    memory: None = None
    rival: dict[str, Any] = Field(default_factory=dict)

    @field_validator("rival")
    @classmethod
    def _settings(cls, rival: dict[str, Any]) -> dict[str, Any]:
        for name in sorted(SHARED & set(rival)):
            raise InvalidInput(f"rival must leave {name!r} the same for both players")
        cls(**rival)
        return rival


class SelfPlay(Agent):
    """Fictitious self-play of two learners (Heinrich et al., 2015), each of them PPO.

    It is attached to a game as one player sees it, and acts as that player; the scripted opponent there is whom it is
    scored against, and never trained against. The other player is a learner of its own. In turns, each of the two
    learns against frozen copies of the other's last policies, drawn from equally often, and its own new policy then
    joins its pool. Playing against many past policies instead of the last one keeps the two from chasing each other in
    circles. The report is the own player's, with the other's return as ``rival_return``.
    """

    name = "self_play"
    on_device: ClassVar = True
    Config = SelfPlayConfig
    action_spaces: ClassVar = (spaces.Discrete, spaces.MultiBinary, spaces.Box)

    def build(self) -> None:
        """The own learner; the other player's spaces are known when it is attached."""
        self.seeds: list[int] = self.randomness.integers(UPDATE, 1, 4, 2**31)[0].tolist()
        self.own = self._learner(self.observation_space, self.action_space, self.config, self.seeds[0])
        self.rival: PPO | None = None
        self.task: Versus[Any] | None = None
        self.pools: tuple[Pool, ...] = ()
        self.batches: tuple[BatchedEnv, ...] = ()
        self._saved: dict[str, Any] = {}  # what can only be taken over once it is attached, or learns

    def _learner(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        config: SelfPlayConfig,
        seed: int,
    ) -> PPO:
        learner = PPO(observation_space, action_space, config, device=self.device, seed=seed, execution=self.execution)
        if isinstance(learner.policy, DiagonalGaussian):
            torch.nn.init.constant_(learner.policy.log_std, math.log(config.initial_deviation))
        return learner

    def attach(self, env: BatchedEnvironment, steps: int | None = None) -> None:
        """Plays this player of this game from now on.

        Raises:
            InvalidInput: environments that the agent is not for, or that are no game of two.
        """
        super().attach(env, steps)
        task = getattr(env, "task", None)
        if not isinstance(task, Versus) or len(task.game.players) != 2:
            raise InvalidInput(f"{self.name}: environment must be one player's view of a game of two; got {env.name}")
        self.task = task
        if self.rival is not None:
            return
        (other,) = task.opponents
        game = task.game
        config = SelfPlayConfig(**{**self.config.model_dump(), **self.config.rival})
        self.rival = self._learner(game.observation_space[other], game.action_space[other], config, self.seeds[1])
        self.pools = tuple(Pool(FrozenPolicy(learner), self.config.pool) for learner in (self.own, self.rival))
        if "rival" in self._saved:
            self._restore_rival(self._saved)

    @contextmanager
    def apart(self, seed: int | None = None) -> Iterator[None]:
        """Within, the own learner's random choices are made apart; see `Agent.apart`."""
        with self.own.apart(seed):
            yield

    @property
    def acting_randomness(self) -> Randomness:
        """The own learner's."""
        return self.own.randomness

    def initial_memory(self, num_envs: int) -> Memory:
        """Empty."""
        return self.own.initial_memory(num_envs)

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """The own player's actions (B, ...) by its last policy; see `Agent.act`."""
        return self.own.act(observation, memory, start, greedy=greedy)

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Both players learn in turns until they have taken `steps` environment steps together; a report per round.

        They play in environments of their own, as many each as `env` has; `env` itself stands still.
        """
        self.attach(env, steps)
        if not env.started:
            env.reset()
        assert self.rival is not None
        learners = (self.own, self.rival)
        if not self.batches or self.batches[0].num_envs != env.num_envs:
            self.batches = self._environments(env.num_envs)
        count = self.config.turn * self.config.rollout_steps * env.num_envs
        while self.steps < steps:
            reports = []
            for learner, batch, pool, other in zip(learners, self.batches, self.pools, reversed(learners), strict=True):
                learner.over = self.steps / steps  # schedules run over all of it, not over each turn
                *_, report = learner.learn(batch, learner.steps + count)
                if pool.add(FrozenPolicy(learner)):
                    other.renew()
                reports.append(report)
            self.steps = sum(learner.steps for learner in learners)
            own, rival = reports
            if "return" in rival:
                own["rival_return"] = rival["return"]
            yield own | {"steps": float(self.steps)}

    def _environments(self, num_envs: int) -> tuple[BatchedEnv, ...]:
        """The game as each of the two sees it, against the pool of the other."""
        assert self.task is not None
        player, (other,) = self.task.player, self.task.opponents
        sides = zip((player, other), (other, player), reversed(self.pools), self.seeds[2:], strict=True)
        batches = tuple(
            BatchedEnv(Versus(self.task.game, side, {opposite: pool}), num_envs, device=self.device, seed=seed)
            for side, opposite, pool, seed in sides
        )
        saved = self._saved.pop("batches", ())
        for batch, state in zip(batches, saved, strict=False):
            batch.load_state_dict(state)
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Both learners, both pools and the environments beside the base's counters."""
        state = super().state_dict() | {"seeds": self.seeds, "own": self.own.state_dict(), **self._saved}
        if self.rival is not None:
            state |= {"rival": self.rival.state_dict(), "pools": [pool.saved() for pool in self.pools]}
        if self.batches:
            state["batches"] = [batch.state_dict() for batch in self.batches]
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.seeds = state["seeds"]
        self.own.load_state_dict(state["own"])
        self.batches = ()
        self._saved = {name: state[name] for name in ("rival", "pools", "batches") if name in state}
        if self.rival is not None and "rival" in state:
            self._restore_rival(self._saved)

    def _restore_rival(self, saved: dict[str, Any]) -> None:
        assert self.rival is not None
        self.rival.load_state_dict(saved.pop("rival"))
        for pool, policies in zip(self.pools, saved.pop("pools"), strict=True):
            pool.restore(policies)
