"""Methods of pretraining by name. A new one is one line here."""

from __future__ import annotations

from ...neural_blocks.registry import Registry

METHODS = Registry(
    "method",
    "palaestra.agents",
    {
        "autoencoder": "representation.autoencoding:AutoencoderMethod",
        "vae": "representation.autoencoding:VAEMethod",
        "simclr": "representation.contrast:SimCLR",
        "moco": "representation.contrast:MoCo",
        "byol": "representation.distillation:BYOLMethod",
        "dino": "representation.distillation:DINO",
        "rotation": "representation.pretext:Rotation",
        "jigsaw": "representation.pretext:Jigsaw",
        "cpc": "representation.prediction:CPC",
        "language_model": "representation.language:LanguageModelMethod",
        "masked_language_model": "representation.language:MaskedLanguageModel",
        "elmo": "representation.language:BothWays",
        "skip_gram": "representation.language:SkipGramMethod",
        "glove": "representation.counts:GloVeMethod",
        "svd": "representation.counts:SingularVectors",
        "clip": "representation.captions:CLIP",
    },
)
