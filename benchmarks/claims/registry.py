"""The names of the claims: a line for each, "folder.file:NAME" within this package."""

from __future__ import annotations

from importlib import import_module

from .frame import Claim

CLAIMS = {
    "bias-variance": "learning.bias_variance:CLAIM",
    "optimisers": "learning.optimisers:CLAIM",
    "depth-gradients": "learning.depth:GRADIENTS",
    "depth-learning": "learning.depth:LEARNED",
    "overfitting": "learning.overfitting:CLAIM",
    "augmentation": "learning.few_rows:AUGMENTATION",
    "pretraining": "learning.pretraining:CLAIM",
    "ensembles": "learning.few_rows:ENSEMBLES",
    "few-shot": "learning.few_shot:CLAIM",
    "several-tasks": "learning.several_tasks:CLAIM",
    "reinforce-variance": "reinforcement.estimators:VARIANCE",
    "critics": "reinforcement.estimators:CRITICS",
    "dqn-ablations": "reinforcement.ablations:CLAIM",
    "compounding": "reinforcement.compounding:CLAIM",
    "remembering": "reinforcement.remembering:CLAIM",
    "settling": "reinforcement.settling:CLAIM",
    "gan-gradient": "generation.games:CLAIM",
    "latent-holes": "generation.latents:HOLES",
    "pixel-time": "generation.latents:TIME",
    "delay-gradients": "memory.delays:GRADIENTS",
    "delay-learning": "memory.delays:LEARNED",
    "attention-length": "memory.sentences:CLAIM",
    "attention-scores": "memory.scores:CLAIM",
    "hopfield-capacity": "memory.hopfield:CAPACITY",
    "hopfield-letters": "memory.hopfield:WORDS",
    "trial-memories": "memory.trials:CLAIM",
    "self-consistency": "memory.votes:CLAIM",
    "robust-training": "robustness.training:CLAIM",
    "robust-matrix": "robustness.matrix:CLAIM",
    "transfer": "robustness.transfer:TRANSFER",
    "detection": "robustness.transfer:DETECTION",
    "robust-codes": "robustness.codes:CLAIM",
    "trades-weight": "robustness.weight:CLAIM",
}


def get(name: str) -> Claim:
    """The claim of that name; its file is imported only now."""
    module, _, attribute = CLAIMS[name].partition(":")
    found = getattr(import_module(f".{module}", __package__), attribute)
    assert isinstance(found, Claim)
    return found
