"""GANGame: one player forges points, the other tells them from real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..canvas import ACCENT, BAD, GOOD, MUTED, PANEL, Canvas
from ..game import Game, Opponent
from ..options import integer, number
from ..task import Step
from .mixture import Disc, Ring, chance

BLUR = 0.4  # deviation of the one Gaussian of the blurred generator
LEAST = 0.01  # the log payoff takes no probability for smaller than this
RADIUS = 0.65  # of the ring
DISC = (190, 188, 182)  # colour of a Gaussian's middle
NEAR = 3.0  # deviations within which a point counts as one of a mode


@dataclass(frozen=True)
class GANGameState:
    """What each player sees, and what has happened.

    Attributes:
        noise: (B, 2) float32 the point of noise that the generator moves next.
        shown: (B, 2) float32 the point before the discriminator.
        real: (B,) bool whether it is a real one.
        made: (B, points, 2) float32 the generator's last points, the newest last; NaN before the first.
        covered: (B, modes) bool where the generator has put a point in this episode.
        belief: (B,) float32 the probability given to the last point judged; NaN before the first.
        truth: (B,) bool whether that was a real one.
        time: (B,) int64 steps taken.
    """

    noise: Tensor
    shown: Tensor
    real: Tensor
    made: Tensor
    covered: Tensor
    belief: Tensor
    truth: Tensor
    time: Tensor


class GANGame(Game[GANGameState]):
    """A generator makes points out of noise; a discriminator says of each point how likely it is real.

    Isolates learning to generate from nothing but another learner's judgement, with what is known to go wrong in it:
    collapse onto few modes, and chasing each other in circles. Real points come from Gaussians on a ring. The two act
    at the same time: in each step the generator moves a point of noise to where it may pass for real, while the
    discriminator judges the one shown, which is, by the toss of a fair coin, a real one or what the generator made in
    the step before. So the generator's reward for a point comes one step later, if the coin chose it. The first point
    of an episode is real and does not count.

    As a task for one agent, ``player=`` names the one it plays and ``opponent=`` a scripted other one: for the
    discriminator the generators "true" (samples of the real distribution), "collapsed" (one of its Gaussians only),
    "blurred" (one wide Gaussian in the middle) and "uniform" (the noise, left as it is); for the generator the
    discriminators "against-uniform" and "against-blurred", each the best one there is against that generator.

    Observation: generator (2,) float32, a point uniform on the disc of radius 1; discriminator (2,) float32, a point of
        the square of half-width 1.
    Action: generator Box(-1, 1, (2,)), how far the point is moved, at most to the square's edge; discriminator
        Box(0, 1, (1,)), the probability that the point shown is real.
    Reward: for the discriminator ln p of a real point and ln(1 - p) of a made one, where p is kept within 0.01 and
        0.99, divided by `points`; for the generator minus that.
    Episode: terminates after `points` + 1 steps, with `points` of them judged; the last point made is not shown.
    Metrics: accuracy of the judgement that a point with p > 1/2 is real (a half where p = 1/2); quality, whether a
        point made is within three deviations of some Gaussian; coverage, at an episode's end, the share of Gaussians
        that had such a point.
    Expert: the equilibrium. The generator's noise picks a Gaussian and a point of it, by the inverse of the
        distribution function: it returns 0.99 before the judge "against-uniform", random moves 0.28. The
        discriminator says 1/2 and returns -ln 2 = -0.69, random answers -0.99. Against a scripted generator the
        discriminator's expert is the ratio of densities instead, which earns more (-0.32 against "collapsed"); against
        a scripted discriminator a generator can earn more than the expert, with the points most believed in alone.
    Source: Goodfellow et al. (2014); the ring of Gaussians follows Metz et al. (2017).

    Args:
        modes: Gaussians on the ring.
        spread: deviation of each; the ring's radius is 0.65.
        points: judged points of an episode.
    """

    players = ("generator", "discriminator")

    def __init__(self, *, modes: int = 5, spread: float = 0.1, points: int = 32) -> None:
        super().__init__()
        self.modes = integer("GANGame: modes", modes, 1, 12)
        self.spread = number("GANGame: spread", spread, 0.01, 0.2)
        self.points = integer("GANGame: points", points, 1, 1000)
        self.horizon = self.points + 1
        self.reset_noise, self.step_noise = 4, 5
        self.ring, self.disc = Ring(self.modes, self.spread, self.modes, RADIUS), Disc()
        self.observation_space = spaces.Dict(
            {"generator": spaces.Box(-1, 1, (2,), np.float32), "discriminator": spaces.Box(-1, 1, (2,), np.float32)}
        )
        self.action_space = spaces.Dict(
            {"generator": spaces.Box(-1, 1, (2,), np.float32), "discriminator": spaces.Box(0, 1, (1,), np.float32)}
        )

    def reset(self, noise: Tensor) -> GANGameState:
        """A real point, the generator's noise, and nothing made yet."""
        unknown, real = torch.full_like(noise[:, 0], torch.nan), torch.ones_like(noise[:, 0], dtype=torch.bool)
        return GANGameState(
            noise=self.disc.sample(noise[:, 2:]),
            shown=self.ring.sample(noise[:, :2]),
            real=real,
            made=unknown[:, None, None].repeat(1, self.points, 2),
            covered=~real[:, None].repeat(1, self.modes),
            belief=unknown,
            truth=real,
            time=torch.zeros_like(real, dtype=torch.int64),
        )

    def step(self, state: GANGameState, action: Any, noise: Tensor) -> Step[GANGameState]:
        """Pays for the point shown, and tosses a coin between the point made and a real one."""
        point, belief = (state.noise + action["generator"]).clamp(-1, 1), action["discriminator"].squeeze(1)
        counts = state.time > 0
        right = torch.where(state.real, belief, 1 - belief)  # (B,) the probability given to what is true
        payoff = right.clamp(LEAST, 1 - LEAST).log() * counts / self.points
        near = (point[:, None] - self.ring.centres).square().sum(2) <= (NEAR * self.spread) ** 2  # (B, modes)
        covered, time = state.covered | near, state.time + 1
        ended = time > self.points
        real = noise[:, 0] < 0.5
        following = GANGameState(
            noise=self.disc.sample(noise[:, 3:]),
            shown=torch.where(real[:, None], self.ring.sample(noise[:, 1:3]), point),
            real=real,
            made=torch.cat([state.made[:, 1:], point[:, None]], 1),
            covered=covered,
            belief=belief.where(counts, torch.nan),
            truth=state.real,
            time=time,
        )
        accuracy = (right > 0.5).float() + 0.5 * (right == 0.5)
        metrics = {
            "accuracy": accuracy.masked_fill(~counts, torch.nan),
            "quality": near.any(1).float(),
            "coverage": covered.float().mean(1).masked_fill(~ended, torch.nan),
        }
        return Step(following, {"generator": -payoff, "discriminator": payoff}, ended, metrics)

    def observe(self, state: GANGameState) -> dict[str, Tensor]:
        """The noise (B, 2) for the generator, the point (B, 2) for the discriminator."""
        return {"generator": state.noise, "discriminator": state.shown}

    def expert(self, state: GANGameState) -> Any:
        """Samples of the real distribution, and one half."""
        move = moved(state.noise, self.disc, self.ring)
        return {"generator": move, "discriminator": torch.full_like(move[:, :1], 0.5)}

    def opponents(self, player: str) -> dict[str, Callable[[], Opponent]]:
        """Generators of known density, and the discriminators that are best against them."""
        sources: dict[str, Ring | Disc] = {
            "true": self.ring,
            "collapsed": Ring(self.modes, self.spread, 1, RADIUS),
            "blurred": Ring(1, BLUR, 1, 0.0),
            "uniform": self.disc,
        }
        if player == "generator":
            return {name: partial(Forger, self.ring, self.disc, source) for name, source in sources.items()}
        return {f"against-{name}": partial(Judge, self.ring, sources[name]) for name in ("uniform", "blurred")}

    def draw(self, state: GANGameState, canvas: Canvas) -> None:
        """The plane with the real Gaussians, all points made and the one shown; below, the last judgement."""
        middle, side = canvas.width // 2, 330
        area, limits = (middle - side // 2, 66, side, side), (-1.0, 1.0, -1.0, 1.0)
        canvas.text("Forger against detective", (middle, 20), size=30, anchor="center")
        for word, colour, left in (
            ("where real points lie", DISC, 60),
            ("forged", ACCENT, 250),
            ("on trial", BAD, 345),
        ):
            canvas.points([[0.0, 0.0]], (left - 20, 42, 12, 12), [colour], 5, limits)
            canvas.text(word, (left, 48), size=22, anchor="midleft")
        canvas.points(self.ring.centres, area, [PANEL], round(NEAR * self.spread * side / 2), limits)
        canvas.points(self.ring.centres, area, [DISC], round(self.spread * side / 2), limits)
        canvas.points(state.made, area, [ACCENT], 4, limits)
        canvas.points(state.shown[None], area, [BAD], 8, limits)
        told = f"point {min(int(state.time) + 1, self.horizon)} of {self.horizon}"
        canvas.text(told, (middle, 412), size=22, colour=MUTED, anchor="center")
        belief, real = float(state.belief), bool(state.truth)
        if belief != belief:
            canvas.text("the detective has judged nothing yet", (middle, 447), size=24, colour=MUTED, anchor="center")
            return
        told = f"the last one: {100 * belief:.0f} % real, said the detective; it was {'real' if real else 'forged'}"
        colour = MUTED if belief == 0.5 else GOOD if real == (belief > 0.5) else BAD
        canvas.text(told, (middle, 447), size=26, colour=colour, anchor="center", max_width=440)


def moved(noise: Tensor, disc: Disc, source: Ring | Disc) -> Tensor:
    """(B, 2) how far points of the disc (B, 2) must be moved to become samples of the source, 1 at most."""
    return (source.sample(disc.uniforms(noise)) - noise).clamp(-1, 1)


class Forger(Opponent):
    """A generator that draws from a source of known density."""

    def __init__(self, truth: Ring, disc: Disc, source: Ring | Disc) -> None:
        super().__init__()
        self.truth, self.disc, self.source = truth, disc, source

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, 2) how far to move the points of noise (B, 2)."""
        return moved(observation, self.disc, self.source)

    def best_response(self, observation: Any) -> Tensor:
        """(B, 1) the best discriminator's probability that the points (B, 2) are real."""
        return chance(self.truth, self.source, observation)


class Judge(Opponent):
    """The best discriminator against a generator that draws from a source of known density."""

    def __init__(self, truth: Ring, source: Ring | Disc) -> None:
        super().__init__()
        self.truth, self.source = truth, source

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, 1) the probability that the points (B, 2) are real."""
        return chance(self.truth, self.source, observation)
