"""Settings of the networks that `network.Trunk` builds, shared by every agent that has one."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_serializer, model_validator
from pydantic_core import core_schema
from torch import nn

from ...neural_blocks.block_settings import Configured, Value
from ...neural_blocks.named_blocks import ENCODERS, MEMORIES
from ...neural_blocks.registry import Registry
from ...neural_blocks.sequence.memory import Memory
from ..core.config import AgentConfig
from .pretrained import EncoderFile, Recipe, is_file, read_recipe


class BlockChoice:
    """The annotation of a setting that chooses a block: a name, "module:Class", or (where modules are taken) a module.

    Args:
        registry: whose names are allowed.
        kind: of module that is allowed; None for names alone.
    """

    def __init__(self, registry: Registry, kind: type[nn.Module] | None) -> None:
        self.registry, self.kind = registry, kind

    def check(self, block: Any) -> Any:
        """The block as it came. Raises `InvalidInput` with the nearest right name."""
        return block if self.kind is not None and isinstance(block, self.kind) else self.registry.check(block)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "enum": self.registry.names()}


class EncoderOrFile(BlockChoice):
    """The annotation of a setting that chooses an encoder: as `BlockChoice`, or the file of a fitted one."""

    def check(self, block: Any) -> Any:
        """The encoder as it came. Raises `InvalidInput` with the nearest right name."""
        return str(block) if is_file(block) else super().check(block)


Activation = Literal["tanh", "relu", "leaky_relu", "elu", "silu", "gelu", "logistic", "arctan", "threshold"]
Change = Literal["shift", "flip", "rotate", "crop", "cutout", "noise", "randaugment", "augmix", "pixmix"]
Initialisation = Literal["orthogonal", "fan_in", "xavier", "he", "gaussian", "zeros"]

NOT_READ_WHOLE: dict[str, Any] = {  # settings of encoder, memory and perceptrons, and what they are without these
    "encoder": "auto",
    "encoder_depth": None,
    "encoder_block": {},
    "freeze": False,
    "memory": None,
    "normalise_observation": False,
    "normalisation": None,
    "dropout": 0,
    "augment": (),
    "head": "gaussian",
    "ensemble": 1,
    "invariance": None,
    "detector": None,
}

EncoderName = Annotated[str, EncoderOrFile(ENCODERS, None)]
EncoderChoice = Annotated[str | nn.Module, EncoderOrFile(ENCODERS, nn.Module)]
MemoryChoice = Annotated[str | Memory, BlockChoice(MEMORIES, Memory)]


class EncoderConfig(AgentConfig):
    """The setting of an encoder.

    Attributes:
        encoder: of images, see `network.make_encoder`: "auto", "flat", "cnn", "strided", "nature", "lenet", "alexnet",
            "vgg", "inception", "residual", "residual_bottleneck", "densenet", "vit" or "swin", a name that was
            registered, or "module:Class"; or a module from whole observations (N, ...) to (N, output_size), of which
            every network gets a copy; or the file of an encoder that was fitted before, encoder.pt of a `palaestra
            pretrain`, to begin from.
        encoder_depth: of "vgg", "inception", "residual", "residual_bottleneck", "densenet", "vit" and "swin"; null for
            their own.
        encoder_block: further arguments of a named encoder's class, such as {layers: 2, norm: post, dropout: 0.1} of
            "seq2seq", or {window: 2} of "swin".
        freeze: leave the encoder's weights as they are, in evaluation mode.
        pretrained: what the file named as `encoder` holds; read from there, and kept so that a saved agent needs no
            file.
    """

    encoder: EncoderChoice = "auto"
    encoder_depth: int | None = Field(None, ge=1, le=64)
    encoder_block: dict[str, Value] = Field(default_factory=dict)
    freeze: bool = False
    pretrained: Recipe | None = None

    def __init__(self, **values: Any) -> None:
        """As `AgentConfig`; the file of an encoder must be there, unless `pretrained` says what it held.

        Raises:
            InvalidInput: as of `AgentConfig`, or a file that is no encoder's.
        """
        if is_file(values.get("encoder")) and values.get("pretrained") is None:
            values["pretrained"] = read_recipe(str(values["encoder"]))
        super().__init__(**values)

    @model_validator(mode="after")
    def _only_of_a_file(self) -> Self:
        if self.pretrained is not None and not is_file(self.encoder):
            raise ValueError("pretrained tells of the encoder's file, so it goes with none but that")
        return self

    @model_validator(mode="after")
    def _blocks_with_settings_have_names(self) -> Self:
        for kind in ("encoder", "memory"):
            chosen, settings = getattr(self, kind, None), getattr(self, f"{kind}_block", {})
            if settings and (not isinstance(chosen, str) or is_file(chosen)):
                shown = "a module" if isinstance(chosen, nn.Module) else repr(chosen)
                raise ValueError(f"{kind}_block goes with a named {kind}; {kind} is {shown}")
        return self

    @property
    def source(self) -> str | nn.Module | EncoderFile | Configured:
        """The encoder as `network.make_encoder` takes it."""
        if self.encoder_block:
            return Configured(str(self.encoder), self.encoder_block)
        return self.encoder if self.pretrained is None else EncoderFile(str(self.encoder), self.pretrained)

    @field_serializer("encoder", "memory", when_used="json", check_fields=False)
    def _name_of_a_module(self, block: str | nn.Module | None) -> str | None:
        return type(block).__name__ if isinstance(block, nn.Module) else block


class NetworkConfig(EncoderConfig):
    """Settings of an encoder and the perceptrons after it.

    Attributes:
        hidden: widths of each perceptron's hidden layers.
        activation: of each perceptron, see `activations`; "threshold" fires or not, with a gradient that stands in.
        initialisation: of each perceptron: "orthogonal" (Saxe et al., 2014), or "fan_in", PyTorch's own, "xavier",
            "he", "gaussian" or "zeros", see `initialisation`.
        normalisation: of each hidden layer before its activation: "batch" (Ioffe and Szegedy, 2015); "adaptive_batch",
            which goes by the present environments also when it acts, and so adapts to a shift that all of them share
            (Schneider et al., 2020); "layer" (Ba et al., 2016) or "group" (Wu and He, 2018).
        dropout: probability with which a hidden feature is zero while the network learns (Srivastava et al., 2014).
        augment: how images are changed at random while the network learns, one way after the other: "shift", "flip",
            "rotate", "crop", "cutout" and "noise"; or "randaugment" (Cubuk et al., 2020), "augmix" (Hendrycks et al.,
            2020) and "pixmix" (Hendrycks et al., 2022), which draw and mix several; see `image_changes`. The right
            action must stay the same.
    """

    hidden: tuple[int, ...] = Field((64, 64), max_length=64)
    activation: Activation = "relu"
    initialisation: Initialisation = "orthogonal"
    normalisation: Literal["batch", "adaptive_batch", "layer", "group"] | None = None
    dropout: float = Field(0.0, ge=0, lt=1)
    augment: tuple[Change, ...] = ()

    def trunk(self) -> dict[str, Any]:
        """The settings as `network.Trunk` takes them."""
        encoder, head = ("encoder_depth", "freeze"), ("hidden", "activation", "initialisation", "normalisation")
        return {"encoder": self.source} | {
            name: getattr(self, name) for name in (*encoder, *head, "dropout", "augment")
        }


class MemoryConfig(NetworkConfig):
    """Settings of a network that may have a memory, and of the sequences it learns from.

    Attributes:
        memory: None, or a block of `named_blocks.MEMORIES`: "gru", "lstm", "elman", "one_gate_gru", "continuous_time",
            "fast_weights", "transformer", "rotary_transformer", "attention", "rotary_attention", "attentive_gru",
            "temporal_convolution", "snail", "hopfield", "context_set", "linear_recurrence" or "spiking", a name that
            was registered, or "module:Class"; or a `Memory` that reads what the encoder gives, of which every network
            gets a copy.
        memory_block: further arguments of a named memory's class, such as {norm: post, dropout: 0.1} of "transformer".
        memory_size: the memory's features, where it is named.
        memory_layers: memory blocks on top of each other, where it is named.
        memory_span: steps that a named memory remembers from the start, see `recurrent.memory`; None for its own.
        rollout_steps: T, steps of every environment between two updates.
        sequence_length: steps an update back-propagates through; None for `rollout_steps`. Without a memory it is 1.
    """

    memory: MemoryChoice | None = None
    memory_block: dict[str, Value] = Field(default_factory=dict)
    memory_size: int = Field(64, ge=1, le=65_536)
    memory_layers: int = Field(1, ge=1, le=64)
    memory_span: int | None = Field(None, ge=2)
    rollout_steps: int = Field(32, ge=1)
    sequence_length: int | None = Field(None, ge=1)

    def trunk(self) -> dict[str, Any]:
        """The settings as `network.Trunk` takes them."""
        names = ("memory", "memory_size", "memory_layers", "memory_span")
        taken = super().trunk() | {name: getattr(self, name) for name in names}
        return taken | ({"memory": Configured(str(self.memory), self.memory_block)} if self.memory_block else {})

    @property
    def remembers(self) -> bool:
        """Whether the network has a memory."""
        return self.memory is not None

    @property
    def chunk(self) -> int:
        """L, steps of a sequence: 1 without a memory."""
        return self.sequence_length or self.rollout_steps if self.remembers else 1

    @model_validator(mode="after")
    def _whole_sequences(self) -> Self:
        if self.rollout_steps % self.chunk:
            raise ValueError(f"rollout_steps must be a multiple of sequence_length {self.chunk}")
        return self


class PolicyConfig(MemoryConfig):
    """Settings of a network whose outputs are a policy.

    Attributes:
        network: "perceptron", encoder, memory and perceptrons; "unet", a U-Net from the image observed to an action of
            one entry per pixel, see `per_pixel`: `hidden` then names the filters of its levels, the finest first;
            "pixelwise", the same by a perceptron of the 5 x 5 pixels around each, `hidden` being its layers;
            "pointer", attention among the things observed, of which the action names one, see `pointing`: `hidden` then
            names the width of its layers, once for each; or "per_action", for trials in small processes: exact counts,
            a plan in them, and one perceptron that scores every action alike, see `per_action`.
        head: of the action: "gaussian", one normal distribution for a Box and independent choices elsewhere; for a Box
            "mixture", several, where more than one action may be right: greedily, the likeliest one's mean is taken;
            for MultiDiscrete, MultiBinary and Box actions "autoregressive", each choice knowing those before it; for a
            Box "state_dependent", whose noise is a function of the state that lasts (Raffin et al., 2021).
        components: of a mixture.
        noise_features: of the state, which the noise of "state_dependent" is a function of.
        noise_steps: steps of a rollout for which such a function stays, from the rollout's start on.
        initial_log_std: logarithm of the deviation that Box actions have at first, in halves of the box's width; 0
            explores wider, as a first reward that is hard to come by wants.
        beam: where an action is the next word of what is written, act greedily by beam search of that width
            (Sutskever et al., 2014); 1 takes the likeliest word.
        beam_normalisation: power of their length that answers' log-probabilities are divided by (Wu et al., 2016): 0
            compares them as they are, which is for short answers, 1 their mean over words.
        beam_bonus: nats that an answer gains with each word (He et al., 2016), before the division.
    """

    network: Literal["perceptron", "unet", "pixelwise", "pointer", "per_action"] = "perceptron"
    head: Literal["gaussian", "mixture", "autoregressive", "state_dependent"] = "gaussian"
    components: int = Field(5, ge=2, le=64)
    noise_features: int = Field(16, ge=1, le=1024)
    noise_steps: int = Field(8, ge=1)
    initial_log_std: float = Field(-0.5, ge=-5, le=2)
    beam: int = Field(1, ge=1, le=256)
    beam_normalisation: float = Field(1.0, ge=0, le=4)
    beam_bonus: float = Field(0.0, ge=0, le=100)

    @property
    def remembers(self) -> bool:
        """Whether the network has a memory: that which is named, or counts."""
        return super().remembers or self.network == "per_action"

    @model_validator(mode="after")
    def _beams_remember_nothing(self) -> Self:
        if self.beam > 1 and self.remembers:
            raise ValueError(f"beam must be 1 with a memory; got {self.beam}")
        return self

    @model_validator(mode="after")
    def _read_whole(self) -> Self:
        for name, only in NOT_READ_WHOLE.items():
            if self.network != "perceptron" and getattr(self, name, only) != only:
                raise ValueError(f"network {self.network!r} reads what it sees by itself, so {name} must be {only!r}")
        return self
