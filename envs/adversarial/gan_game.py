"""GANGame: one player forges points or digits, the other tells them from real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.generation.gan_losses import GAN_LOSSES
from ..checks.options import choice, flag, integer, number
from ..classification.sources.images import load_images
from ..core.game import Game, Opponent
from ..core.splits import SPLITS
from ..core.task import Step
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice
from ..frozen.likeness import likeness
from .digits import Digits
from .distances import Distances
from .mixture import Mixture
from .source import Source

LEAST = 0.01  # the log payoff takes no probability for smaller than this


@dataclass(frozen=True)
class GANGameState:
    """What each player sees, and what has happened.

    Attributes:
        noise: (B, 2) float32 the point of noise that the generator moves next; (B, 8) for digits.
        shown: (B, 2) float32 the point before the discriminator; (B, 1, 8, 8) uint8 for digits.
        real: (B,) bool whether it is a real one.
        made: (B, points, ...) the generator's last samples, the newest last; NaN or black before the first.
        covered: (B, modes) bool of which modes the generator has made a sample in this episode.
        belief: (B,) float32 the probability given to the last sample judged; NaN before the first.
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
    """Forge points or digits that pass for real, or tell the forged ones apart.

    A generator makes points or digits out of noise; a discriminator says of each how likely it is real.

    Isolates learning to generate from nothing but another learner's judgement, with what is known to go wrong in it:
    collapse onto few modes, and chasing each other in circles. Real samples are points of Gaussians on a ring, or
    handwritten digits. The two act at the same time: in each step the generator makes out of noise what may pass for
    real, while the discriminator judges the sample shown, which is, by the toss of a fair coin, a real one or what the
    generator made in the step before. So the generator's reward for a sample comes one step later, if the coin chose
    it. The first sample of an episode is real and does not count.

    As a task for one agent, ``player=`` names the one it plays and ``opponent=`` a scripted other one: for the
    discriminator the generators "true" (samples of the real distribution), "collapsed" (one of its Gaussians, or the
    zeros, only), "blurred" (one wide Gaussian in the middle; the mean of two real digits) and "uniform" (the noise,
    left as it is; pixels by chance). For the generator of points the discriminators "against-uniform" and
    "against-blurred", each the best one there is against that generator; for that of digits "nearest-mean", which
    believes in an image the more, the nearer it is to the mean digit of some class.

    Observation: generator the noise, (2,) float32, a point uniform on the disc of radius 1, or for digits (8,) float32,
        uniform from -1 to 1; discriminator the sample, (2,) float32, a point of the square of half-width 1, or
        (1, 8, 8) uint8.
    Action: generator Box(-1, 1, (2,)), how far the point is moved, at most to the square's edge, or for digits
        Box(0, 1, (64,)), the pixels, rounded to the 17 greys of real ones; discriminator Box(0, 1, (1,)), the
        probability that the sample shown is real.
    Reward: for the discriminator ln p of a real sample and ln(1 - p) of a made one, where p is kept within 0.01 and
        0.99, divided by `points`; for the generator minus that. With another payoff, divided likewise, the generator is
        paid for made samples alone. "non_saturating": the discriminator as before, the generator ln p. "least_squares":
        -p^2 / 2 and -(1 - p)^2 / 2 for what is false and what is true, the generator -(1 - p)^2 / 2. "wasserstein": p
        is a critic's mark, the discriminator earns p of a real sample and -p of a made one, the generator p. As marks
        are bounded and not their slope, the best critic's gain is half the total variation distance.
    Episode: terminates after `points` + 1 steps, with `points` of them judged; the last sample made is not shown.
    Metrics: accuracy of the judgement that a sample with p > 1/2 is real (a half where p = 1/2); quality, whether a
        point made is within three deviations of some Gaussian, or a frozen classifier (the adversarially trained one of
        `frozen.classifiers`) is more than 90 % sure of the image made, as it is of 82 % of the real ones; coverage, at
        an episode's end, the share of Gaussians that had such a point, or of the ten classes such an image. With
        `distances` also jensen_shannon and wasserstein, of the last `points` samples from the real ones, see
        `distances.Distances`. An evaluation of a generator of digits adds the likeness of each episode's last image to
        the split's, see `frozen.likeness`.
    Expert: the equilibrium. The generator's noise picks a Gaussian and a point of it, by the inverse of the
        distribution function: it returns 0.99 before the judge "against-uniform", random moves 0.28. Or it picks a
        digit: 0.72 before "nearest-mean", random pixels 0.43. The discriminator says 1/2 and returns -ln 2 = -0.69,
        random answers -0.99. Against a scripted generator the discriminator's expert is the ratio of densities instead,
        which earns more (-0.32 against "collapsed", of digits -0.17); for digits it knows every real one. Against a
        scripted discriminator a generator can earn more than the expert, with the samples most believed in alone.
    Source: Goodfellow et al. (2014); the payoffs of Mao et al. (2017) and Arjovsky et al. (2017); the ring of
        Gaussians, and the classes that a classifier finds among what is made, follow Metz et al. (2017); digits of
        Alpaydin and Kaynak (1998), by scikit-learn.

    Args:
        dataset: "mixture" or "digits".
        modes: Gaussians on the ring of the mixture.
        spread: deviation of each; the ring's radius is 0.65.
        points: judged samples of an episode.
        split: "train", "validation" or "test", the digits; the shipped classifier learned from all but those of "test".
        payoff: "minimax", "non_saturating", "least_squares" or "wasserstein".
        distances: whether to measure how far made samples lie from real ones.

    Raises:
        InvalidInput: an unknown dataset, split or payoff, or a number outside its limits.
    """

    variants = (
        {"opponent": "against-blurred"},
        {"player": "discriminator"},
        {"player": "discriminator", "opponent": "collapsed"},
        {"player": "discriminator", "opponent": "blurred"},
        {"player": "discriminator", "opponent": "uniform"},
        {"modes": 8, "spread": 0.08, "points": 16},
        {"dataset": "digits"},
        {"dataset": "digits", "split": "test"},
        {"dataset": "digits", "player": "discriminator", "opponent": "blurred", "split": "test"},
        {"payoff": "non_saturating"},
        {"payoff": "least_squares", "player": "discriminator", "opponent": "uniform"},
        {"payoff": "wasserstein", "player": "discriminator", "opponent": "blurred", "points": 4, "distances": True},
    )

    players = ("generator", "discriminator")

    def __init__(
        self,
        *,
        dataset: str = "mixture",
        modes: int = 5,
        spread: float = 0.1,
        points: int = 32,
        split: str = "train",
        payoff: str = "minimax",
        distances: bool = False,
    ) -> None:
        super().__init__()
        choice("GANGame: dataset", dataset, ("mixture", "digits"))
        integer("GANGame: modes", modes, 1, 12)
        number("GANGame: spread", spread, 0.01, 0.2)
        self.points = integer("GANGame: points", points, 1, 1000)
        self.split = choice("GANGame: split", split, SPLITS)
        self.source: Source = Mixture(modes, spread) if dataset == "mixture" else Digits(split)
        self.payoff = choice("GANGame: payoff", payoff, GAN_LOSSES)
        measured = flag("GANGame: distances", distances)
        self.distances = Distances(self.source, self.points) if measured else None
        self.horizon = self.points + 1
        self.reset_noise = self.source.real_uniforms + self.source.noise_uniforms
        self.step_noise = 1 + self.reset_noise
        self.observation_space = spaces.Dict(
            {"generator": self.source.noise_space, "discriminator": self.source.sample_space}
        )
        self.action_space = spaces.Dict(
            {"generator": self.source.action_space, "discriminator": spaces.Box(0, 1, (1,), np.float32)}
        )

    def reset(self, noise: Tensor) -> GANGameState:
        """A real sample, the generator's noise, and nothing made yet."""
        unknown, real = torch.full_like(noise[:, 0], torch.nan), torch.ones_like(noise[:, 0], dtype=torch.bool)
        first, second = noise.split([self.source.real_uniforms, self.source.noise_uniforms], 1)
        blank = self.source.blank
        return GANGameState(
            noise=self.source.noise(second),
            shown=self.source.real(first),
            real=real,
            made=blank.repeat(len(noise), self.points, *[1] * blank.ndim),
            covered=~real[:, None].repeat(1, self.source.modes),
            belief=unknown,
            truth=real,
            time=torch.zeros_like(real, dtype=torch.int64),
        )

    def step(self, state: GANGameState, action: Any, noise: Tensor) -> Step[GANGameState]:
        """Pays for the sample shown, and tosses a coin between the one made and a real one."""
        made, belief = self.source.make(state.noise, action["generator"]), action["discriminator"].squeeze(1)
        counts = state.time > 0
        right = torch.where(state.real, belief, 1 - belief)  # (B,) the probability given to what is true
        generator, discriminator = self._payoffs(state.real, belief, right)
        paid = {
            name: one * counts / self.points for name, one in zip(self.players, (generator, discriminator), strict=True)
        }
        near = self.source.near(made)  # (B, modes)
        covered, time = state.covered | near, state.time + 1
        ended = time > self.points
        coin, first, second = noise.split([1, self.source.real_uniforms, self.source.noise_uniforms], 1)
        real = coin.squeeze(1) < 0.5
        chosen = real.view(-1, *[1] * (made.ndim - 1))  # (B, 1, ...)
        following = GANGameState(
            noise=self.source.noise(second),
            shown=torch.where(chosen, self.source.real(first), made),
            real=real,
            made=torch.cat([state.made[:, 1:], made[:, None]], 1),
            covered=covered,
            belief=belief.where(counts, torch.nan),
            truth=state.real,
            time=time,
        )
        accuracy = (right > 0.5).float() + 0.5 * (right == 0.5).float()
        metrics = {
            "accuracy": accuracy.masked_fill(~counts, torch.nan),
            "quality": near.any(1).float(),
            "coverage": covered.float().mean(1).masked_fill(~ended, torch.nan),
        }
        if self.distances is not None:
            found = self.distances(self.source, following.made)
            metrics |= {name: one.masked_fill(~ended, torch.nan) for name, one in found.items()}
        return Step(following, paid, ended, metrics)

    def _payoffs(self, real: Tensor, belief: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """What generator and discriminator earn, (B,) each, by belief in the sample and that in what is true of it."""
        if self.payoff == "wasserstein":
            return belief.masked_fill(real, 0), torch.where(real, belief, -belief)
        if self.payoff == "least_squares":
            short = -(1 - belief).square() / 2
            return short.masked_fill(real, 0), -(1 - right).square() / 2
        judged = right.clamp(LEAST, 1 - LEAST).log()
        if self.payoff == "minimax":
            return -judged, judged
        return belief.clamp(LEAST, 1 - LEAST).log().masked_fill(real, 0), judged

    def observe(self, state: GANGameState) -> dict[str, Tensor]:
        """The noise (B, ...) for the generator, the sample (B, ...) for the discriminator."""
        return {"generator": state.noise, "discriminator": state.shown}

    def expert(self, state: GANGameState) -> Any:
        """Samples of the real distribution, and one half."""
        action = self.source.expert(state.noise)
        return {"generator": action, "discriminator": torch.full_like(action[:, :1], 0.5)}

    def opponents(self, player: str) -> dict[str, Callable[[], Opponent]]:
        """The scripted generators or discriminators that the source of samples has."""
        scripted = self.source.opponents(player)
        if player == "generator" and self.payoff == "wasserstein":
            return {name: partial(Marked, make) for name, make in scripted.items()}
        return scripted

    def made_by(self, player: str, action: Tensor) -> Tensor | None:
        """The generator's image of a digit."""
        if player != "generator" or not isinstance(self.source, Digits):
            return None
        return self.source.make(action, action)

    def examples(self, split: str | None = None) -> tuple[Tensor, Tensor] | None:
        """Real digits; None of points."""
        if not isinstance(self.source, Digits):
            return None
        images, labels, _ = load_images("digits", split or self.split)
        return torch.from_numpy(images), torch.from_numpy(labels)

    def measured(self, made: Tensor) -> dict[str, float]:
        """Its likeness to the split's digits."""
        assert isinstance(self.source, Digits)
        return likeness(made, self.source.images)

    def draw(self, state: GANGameState, canvas: Canvas) -> None:
        """What has been made and what is shown; below, the last judgement."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, time = canvas.width // 2, int(state.time)
        canvas.text("Forger against detective", (middle, 20), size=30, anchor="center")
        self.source.draw(state.made[self.points - min(time, self.points) :], state.shown, canvas)
        told = f"{self.source.noun} {min(time + 1, self.horizon)} of {self.horizon}"
        canvas.text(told, (middle, 410), size=22, colour=MUTED, anchor="center")
        belief, real = float(state.belief), bool(state.truth)
        if belief != belief:
            canvas.text("the detective has judged nothing yet", (middle, 447), size=24, colour=MUTED, anchor="center")
            return
        canvas.text(f"detective: {100 * belief:.0f} % real", (middle, 442), size=26, anchor="center")
        told = f"truth: {'real' if real else 'forged'}"
        canvas.text(told, (middle, 464), size=22, anchor="center")
        if belief != 0.5:
            canvas.verdict(real == (belief > 0.5), (90, 426, 300, 50))

    def draw_player(self, player: str, observation: Tensor, canvas: Canvas) -> None:
        """The noise to forge from, or the sample to judge."""
        if player == "generator":
            self.source.draw_noise(observation, canvas)
        else:
            told = f"How likely is this {self.source.noun} real, and not forged?"
            canvas.text(told, (canvas.width // 2, 40), size=28, anchor="center")
            self.source.draw_sample(observation, canvas)

    def choices_of(self, player: str) -> list[Choice]:
        """The discriminator's: r, f or u for certainly real, certainly forged and undecided."""
        told = [("r", "real", 1.0), ("f", "forged", 0.0), ("u", "unsure", 0.5)]
        return [] if player == "generator" else [Choice(key, name, [share]) for key, name, share in told]

    def entries_of(self, player: str) -> list[str]:
        """What is moved, or believed."""
        return self.source.entries if player == "generator" else ["real"]


class Marked(Opponent):
    """A scripted generator before a critic whose marks are bounded: it gives 1 to what is likelier real, else 0.

    Args:
        make: makes the generator.
    """

    def __init__(self, make: Callable[[], Opponent]) -> None:
        super().__init__()
        self.inner = make()
        self.noise = self.inner.noise

    def forward(self, observation: Any, noise: Tensor) -> Tensor:
        """The generator's own actions."""
        return self.inner(observation, noise)

    def best_response(self, observation: Any) -> Tensor | None:
        """(B, 1) 1, 0, or a half where it is open."""
        likely = self.inner.best_response(observation)
        return None if likely is None else (likely > 0.5).float() + 0.5 * (likely == 0.5)
