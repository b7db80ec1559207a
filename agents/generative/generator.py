"""A generative model that is fitted to the pictures of an environment by gradient, and plays with what it knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Self

import gymnasium.spaces as spaces
import torch
from pydantic import Field, model_validator
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.generation.pixels import bits_per_dimension, quantise
from ..core.agent import Memory, Report
from ..core.randomness import ACT, ORDER, UPDATE
from ..core.thought import Thought
from ..learning import optimisers
from ..learning.learner import Learner, training
from ..learning.optimisation import OptimisationConfig
from ..learning.rollout import stacked, without_observations
from ..learning.statistics import Numbers
from .adversarial import CycleGANModel, GANModel
from .autoregressive import PixelCNNModel, PixelRNNModel, PixelTransformerModel
from .conditions import DIGITS, are_digits, sample_accuracy
from .latent import DiffusionModel, NICEModel, RBMModel, RealNVPModel, VAEModel, VQVAEModel
from .model import Model, Pictures
from .roles import Role, role_in

MODELS: dict[str, type[Model]] = {
    "pixelcnn": PixelCNNModel,
    "pixelrnn": PixelRNNModel,
    "pixel_transformer": PixelTransformerModel,
    "vae": VAEModel,
    "vq_vae": VQVAEModel,
    "gan": GANModel,
    "cycle_gan": CycleGANModel,
    "nice": NICEModel,
    "real_nvp": RealNVPModel,
    "diffusion": DiffusionModel,
    "rbm": RBMModel,
}
SMALL, MANY = 17, 256  # greys of scikit-learn's digits, and of other pictures
SAMPLES = 1024  # pictures that are made to be compared, at most
PART = 256  # pictures whose likelihood is computed at a time


class GeneratorConfig(OptimisationConfig):
    """Settings of a generator beside its optimiser's.

    Attributes:
        model: "pixelcnn", "pixelrnn", "pixel_transformer", "vae", "vq_vae", "gan", "cycle_gan", "nice", "real_nvp",
            "diffusion" or "rbm".
        block: settings of the model, such as {latent_size: 8}; what they mean stands at its `Config` in
            `agents.generative`. "pixelcnn": channels, blocks, kernel, mixture, particles; "pixelrnn": along ("row" or
            "diagonal"), channels, layers, mixture, particles; "pixel_transformer": channels, layers, heads, mixture,
            particles; "vae": latent_size, hidden, likelihood, beta, samples; "vq_vae": codes, size, channels, beta;
            "gan": loss, constraint ("clip", "penalty" or "spectral"), clip, penalty, noise, critic_steps, latent_size,
            architecture, hidden, channels, auxiliary, categories, information, unrolled, unrolled_rate; "cycle_gan":
            hidden, loss, cycle, identity, noise; "nice" and "real_nvp": couplings, hidden; "diffusion": steps,
            schedule, width, blocks, ddim, guidance, drop, particles, resampling; "rbm": hidden, divergence, rounds.
        order: in which a "pixelcnn" or "pixel_transformer" draws pixels, "raster" or "diagonal".
        levels: greys that a pixel can have; null for 2 where the action is a pixel, 17 for digits of 8 x 8 pixels, and
            256 else.
        rollout_steps: that it plays in every environment between updates.
        updates: of the model after each rollout, on one minibatch each.
        minibatch_size: pictures in an update, drawn with replacement.
    """

    model: Literal[
        "pixelcnn", "pixelrnn", "pixel_transformer", "vae", "vq_vae", "gan", "cycle_gan", "nice", "real_nvp",
        "diffusion", "rbm",
    ] = "pixelcnn"  # fmt: skip
    block: dict[str, Any] = Field(default_factory=dict)
    order: Literal["raster", "diagonal"] = "raster"
    levels: int | None = Field(None, ge=2, le=256)
    rollout_steps: int = Field(1, ge=1)
    updates: int = Field(16, ge=1)
    minibatch_size: int = Field(64, ge=2)
    max_grad_norm: float | None = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _of_the_model(self) -> Self:
        MODELS[self.model].Config(**self.block)
        return self


class Generator(Learner):
    """A generative model fitted to an environment's pictures, which plays with it.

    It learns from the training split of the pictures that the task knows (`Task.examples`), whatever split it plays,
    by gradient alone: rewards are only reported. What it then does depends on the environment. On `PixelCanvas` it
    draws from the model's distribution of the next pixel; in `GANGame`, as the generator of digits, it shows samples;
    in `Denoise` it pushes each step by classifier-free guidance; in `Restore` it takes noise away, or paints into a
    hole what it expects given the rest; on `DigitBandit` it names the class under which the picture is likeliest; on
    `Unpaired` it translates. Which model can play which is checked when it is made.

    An evaluation adds, where the model has a likelihood, `bits_per_dimension` of the test split (where the environment
    plays the validation split, of that), of a picture given its class where there are classes; where the likelihood is
    a bound, bits are at most that. Where episodes leave no pictures behind, the likeness to real ones is that of
    samples, as many as that split has; `sample_accuracy` is then the share of samples of digits that a frozen
    classifier takes for the class they were asked for. Of an InfoGAN it adds `information`, the bound on what samples
    tell of their category, nats, at most the logarithm of the number of categories, and of digits `code_accuracy`, the
    share of samples whose class the frozen classifier finds is the one that their category stands for, each category
    for another class, in the way that suits best.
    """

    name = "generator"
    Config = GeneratorConfig
    for_learning = ("optimisers",)
    observation_spaces: ClassVar = (spaces.Box, spaces.Dict)
    action_spaces: ClassVar = (spaces.Discrete, spaces.Box)

    def build(self) -> None:
        """The role that the spaces ask for, a model that can play it, and its optimisers."""
        config = self.config
        self.role: Role = role_in(self.observation_space, self.action_space).to(self.device)
        shape, kind = self.role.shape, MODELS[config.model]
        levels = config.levels or self.role.levels or (SMALL if shape[1:] == (8, 8) else MANY)
        if self.role.levels not in (None, levels):
            raise InvalidInput(
                f"generator: levels must be {self.role.levels} where the action is a pixel; got {levels}"
            )
        settings: Any = kind.Config(**config.block)
        if self.role.steps is not None and kind.denoises and settings.steps != self.role.steps:
            raise InvalidInput(
                f"generator: steps of the diffusion must be {self.role.steps} here; got {settings.steps}"
            )
        self.model = kind(Pictures(shape, levels, self.role.classes, config.order), settings).to(self.device).eval()
        if not self.role.serves(self.model):
            raise InvalidInput(f"generator: this environment needs {self.role.wants}; got model {config.model!r}")
        self.optimisers = {
            part: optimisers.make_optimiser(self.model.parameters_of(part), config) for part in self.model.phases
        }
        self.average(self.model)
        self.minibatch = self.updating(self._minibatch, self.optimisers.values)

    def attach(self, env: BatchedEnvironment, steps: int | None = None) -> None:
        """Plays in these environments from now on.

        Raises:
            InvalidInput: environments whose task has no pictures, or others than the model is made for.
        """
        super().attach(env, steps)
        task = getattr(env, "task", None)
        if task is None or task.examples() is None:
            raise InvalidInput(f"generator: environment must have pictures to learn from; {env.name} has none")
        self.role.require(task, self.model)

    def prepare(self, env: BatchedEnvironment) -> None:
        """How a step in these environments is run, and the pictures to learn from."""
        self.acted = self.interaction(env, self._choose)
        self.pixels, self.labels = self._examples(env, "train")
        if self.steps == 0:
            self.model.begin(self.pixels)

    def _examples(self, env: Any, split: str) -> tuple[Tensor, Tensor]:
        """Pixels (N, C, H, W) int64 and classes (N,) of a split."""
        pictures, classes = env.task.examples(split)
        return quantise(pictures.float() / 255, self.model.pictures.levels).to(self.device), classes.to(self.device)

    @torch.no_grad()
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """What the role does with the model, (B, ...); see `Agent.act`."""
        with self.acting():
            return self._act(observation, greedy), memory

    def _act(self, observation: Observation, greedy: bool) -> Tensor:
        first = observation if isinstance(observation, Tensor) else next(iter(observation.values()))
        noise = self.randomness.uniform(ACT, len(first), self.role.noise) if self.role.noise else first[:, :0]
        return self.role.act(self.model, observation, noise, self._seed(), greedy)

    def _choose(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        return self._act(observation, False), memory, ()

    def _seed(self) -> Tensor:
        """() int64 of all that a model draws in one call."""
        return self.randomness.integers(UPDATE, 1, 1, 2**31)[0, 0]

    @torch.no_grad()
    def think(self, observation: Observation, memory: Memory = (), start: Tensor | None = None) -> Thought:
        """The probabilities of the actions where they are few."""
        with self.acting(), self.apart():
            return Thought(self.role.probabilities(self.model, observation, self._seed()))

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Plays until it has taken `steps` environment steps in all, and learns after each rollout."""
        self.enter(env, steps)
        while self.steps < steps:
            self.on_schedule(list(self.optimisers.values()), self.steps / steps)
            numbers = self.run(self._iterate)
            self.steps += self.config.rollout_steps * env.num_envs
            yield self.report(numbers)

    def _iterate(self) -> Numbers:
        """A rollout, and some updates."""
        assert self.statistics is not None
        with torch.no_grad():
            outcomes = [without_observations(self.acted.step(())[2]) for _ in range(self.config.rollout_steps)]
        taken: TimeStep = stacked(*outcomes)
        names = [name for part in self.optimisers for name in (self._called(part, "loss"), self._called(part, "norm"))]
        with training(self.model):
            found = [self._update() for _ in range(self.config.updates)]
        return self.statistics.gather(taken, dict(zip(names, torch.stack(found).mean(0), strict=True)))

    def _called(self, part: str, what: str) -> str:
        """What a number of a part is called in reports."""
        told = "loss" if what == "loss" else "gradient_norm"
        return told if len(self.optimisers) == 1 else f"{part}_{told}"

    def _update(self) -> Tensor:
        """One update on a minibatch."""
        uniforms = self.randomness.uniform(ORDER, self.config.minibatch_size, 1)[:, 0]
        rows = self.model.rows(uniforms, self.labels)
        return self.minibatch(self.pixels.index_select(0, rows), self.labels.index_select(0, rows), self._seed())

    def _minibatch(self, pixels: Tensor, labels: Tensor, seed: Tensor) -> Tensor:
        """A step of each part, on pictures (M, C, H, W); loss and gradient norm of each, those of its last phase."""
        numbers: dict[str, Tensor] = {}
        given = labels if self.model.pictures.classes else None
        for phase, part in enumerate(self.model.phases):
            parameters = self.model.parameters_of(part)
            for parameter in parameters:
                parameter.grad = None
            loss = self.model.loss(part, pixels, given, seed + phase)
            loss.backward()
            optimisers.prepare_gradients(parameters, self.config)
            norm = optimisers.scale_down(parameters, self.config)
            optimisers.step(self.optimisers[part])
            self.model.after(part)
            numbers[part] = torch.stack([loss.detach(), norm])
        if self.averaged is not None:
            self.averaged.update()
        return torch.cat([numbers[part] for part in self.optimisers])

    @torch.no_grad()
    def measured(self, env: BatchedEnvironment) -> dict[str, float]:
        """Bits per dimension of unseen pictures, and the likeness of samples where episodes leave none behind."""
        task: Any = getattr(env, "task", None)
        unseen = "validation" if getattr(task, "split", None) == "validation" else "test"
        pixels, labels = self._examples(env, unseen)
        found: dict[str, float] = {}
        with self.acting():
            if self.model.scored:
                total = 0.0
                for rows in torch.arange(len(pixels), device=self.device).split(PART):
                    given = labels[rows] if self.model.pictures.classes else None
                    total += float(self.model.log_prob(pixels[rows], given, self._seed()).double().sum())
                bits = bits_per_dimension(torch.tensor(total / len(pixels)), pixels[0].numel())
                found["bits_per_dimension"] = float(bits)
            found |= self.model.measured(self._seed())
            if not self.role.paints:
                found |= self._likeness(env, labels[:SAMPLES])
        return found

    def _likeness(self, env: Any, labels: Tensor) -> dict[str, float]:
        """Of as many samples, of these classes (N,), by the task's own measure."""
        given = labels if self.model.pictures.classes else None
        samples = self.model.sample(len(labels), given, self._seed())
        found = dict(env.task.measured((samples * 255).round().to(torch.uint8).cpu()))
        if given is not None and self.role.classes == DIGITS and are_digits(samples):
            found["sample_accuracy"] = sample_accuracy(samples, given)
        return found

    def changing(self) -> list[Tensor]:
        """Weights, buffers and optimisers beside the base's tensors."""
        weights = [*self.model.parameters(), *self.model.buffers()]
        moments = [tensor for one in self.optimisers.values() for tensor in optimisers.tensors(one)]
        return [*super().changing(), *weights, *moments]

    def state_dict(self) -> dict[str, Any]:
        """Model and optimisers beside the base's state."""
        return super().state_dict() | {
            "model": self.model.state_dict(),
            "optimisers": {part: optimisers.saved(one) for part, one in self.optimisers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.model.load_state_dict(state["model"])
        for part, saved in state.get("optimisers", {}).items():
            optimisers.restore(self.optimisers[part], saved)
