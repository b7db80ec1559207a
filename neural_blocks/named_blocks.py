"""Encoders and memories by name: what an agent's `encoder=` and `memory=` take. A new one is one line here.

What an encoder is called with stands in `perception.encoders`. A memory is a class that is called with the features in
and out, ``Memory(input_size, hidden_size)``, and derived from `sequence.memory.Memory`.
"""

from __future__ import annotations

from .registry import Registry

ENCODERS = Registry(
    "encoder",
    "palaestra.neural_blocks",
    {
        "auto": "perception.encoders:Automatic",
        "flat": "perception.encoders:Flat",
        "cnn": "perception.encoders:CNNEncoder",
        "strided": "perception.encoders:StridedEncoder",
        "nature": "perception.encoders:NatureEncoder",
        "lenet": "perception.encoders:LeNetEncoder",
        "alexnet": "perception.encoders:AlexNetEncoder",
        "vgg": "perception.encoders:VGGEncoder",
        "inception": "perception.encoders:InceptionEncoder",
        "residual": "perception.encoders:ResidualEncoder",
        "residual_bottleneck": "perception.encoders:BottleneckResidualEncoder",
        "densenet": "perception.encoders:DenseNetEncoder",
        "vit": "perception.encoders:ViTEncoder",
        "swin": "perception.encoders:SwinEncoder",
        "bottleneck": "representation.codes:BottleneckEncoder",
        "latent": "representation.codes:LatentEncoder",
        "patches": "representation.codes:PatchEncoder",
        "words": "language.words:WordVectors",
        "bag_of_words": "language.words:BagOfWords",
        "word_states": "language.words:WordStates",
        "sentence": "language.words:WordTransformer",
        "siamese": "language.words:SiameseSentences",
        "skip_gram": "representation.embedding:SkipGramEncoder",
        "seq2seq": "sequence.seq2seq:TransformerSeq2Seq",
        "seq2seq_luong": "sequence.seq2seq:LuongSeq2Seq",
        "seq2seq_bottleneck": "sequence.seq2seq:BottleneckSeq2Seq",
        "picture_reader": "sequence.seq2seq:PictureReader",
    },
)
MEMORIES = Registry(
    "memory",
    "palaestra.neural_blocks",
    {
        "gru": "sequence.recurrent:GRU",
        "lstm": "sequence.recurrent:LSTM",
        "elman": "sequence.recurrent:Elman",
        "one_gate_gru": "sequence.recurrent:OneGateGRU",
        "continuous_time": "sequence.continuous_time:ContinuousTime",
        "fast_weights": "sequence.fast_weights:FastWeights",
        "transformer": "sequence.transformer_memory:TransformerMemory",
        "rotary_transformer": "sequence.transformer_memory:RotaryTransformerMemory",
        "attention": "sequence.window:WindowAttention",
        "rotary_attention": "sequence.window:RotaryAttention",
        "attentive_gru": "sequence.window:Attentive",
        "temporal_convolution": "sequence.window:TemporalConvolution",
        "snail": "sequence.window:SNAIL",
        "hopfield": "sequence.window:ModernHopfield",
        "context_set": "sequence.context_set:ContextSet",
        "linear_recurrence": "sequence.linear_recurrence:LinearRecurrence",
        "spiking": "neurons.spiking_memory:SpikingMemory",
    },
)


def register_encoder(name: str, target: str | type) -> None:
    """Gives an encoder of somebody else's a name, such as "acme/patches"; see `Registry.register`.

    Args:
        name: with a namespace.
        target: "module:Class", or the class; what it is called with stands in `perception.encoders`.
    """
    ENCODERS.register(name, target)


def register_memory(name: str, target: str | type) -> None:
    """Gives a memory of somebody else's a name, such as "acme/ring"; see `Registry.register`.

    Args:
        name: with a namespace.
        target: "module:Class", or the class, derived from `sequence.memory.Memory`.
    """
    MEMORIES.register(name, target)
