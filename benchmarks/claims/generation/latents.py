"""Holes in the latent of an autoencoder and of a variational one; time of pixel models."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from palaestra.neural_blocks import VAE, Autoencoder, PixelCNN, PixelRNN

from ..frame import Claim, Lines
from ..learning.digits import digits, rows

LATENT, STEPS, DRAWN, BATCH = 4, 1500, 500, 64
SIZES, TIMED = (8, 12, 16), 16


def nearest(images: Tensor, others: Tensor) -> float:
    """Mean distance of images (N, ...) from the nearest of others."""
    return float(torch.cdist(images.flatten(1), others.flatten(1)).amin(1).mean())


def holes(seed: int) -> Lines:
    """How far decoded draws of the latent lie from digits."""
    images, _, others, _ = rows(1200, seed)
    generator = torch.Generator().manual_seed(seed)
    models = {}
    for name in ("autoencoder", "variational autoencoder"):
        torch.manual_seed(seed)
        model = Autoencoder((1, 8, 8), LATENT) if name == "autoencoder" else VAE((1, 8, 8), LATENT)
        optimiser = torch.optim.Adam(model.parameters(), 3e-3)
        for step in range(STEPS):
            chosen = torch.randint(len(images), (BATCH,), generator=generator)
            optimiser.zero_grad()
            model.loss(images[chosen], seed=1000 * seed + step).backward()
            optimiser.step()
        models[name] = model.eval()
    plain, variational = models["autoencoder"], models["variational autoencoder"]
    assert isinstance(plain, Autoencoder)
    assert isinstance(variational, VAE)
    with torch.no_grad():
        uniform = torch.rand(DRAWN, LATENT, generator=generator)  # codes are of logistic units
        codes = plain.encode(images)
        low, high = codes.amin(0), codes.amax(0)
        drawn = {
            "autoencoder": plain.decode(low + (high - low) * uniform),
            "variational autoencoder": variational.decode(torch.randn(DRAWN, LATENT, generator=generator)),
        }
        rebuilt = {"autoencoder": plain(others), "variational autoencoder": variational(others)}
    return {
        "drawn from the latent": {name: nearest(found, images) for name, found in drawn.items()},
        "rebuilt digits": {name: nearest(found, images) for name, found in rebuilt.items()},
        "error of rebuilding": {
            name: float((found - others).flatten(1).norm(dim=1).mean()) for name, found in rebuilt.items()
        },
    }


def pixel_time(seed: int) -> Lines:
    """CPU seconds of a step of learning and of a drawn batch, by the picture's side."""
    found: dict[str, dict[int, float]] = {}
    images, _ = digits()
    for side in SIZES:
        pixels = torch.nn.functional.interpolate(images[:32], side).mul(16).round().long()
        for name, cls in (("PixelCNN", PixelCNN), ("PixelRNN", PixelRNN)):
            torch.manual_seed(seed)
            model = cls(size=(side, side), levels=17, channels=32)
            for way, times, run in (
                ("a step of learning", 3, lambda model=model, pixels=pixels: model.loss(pixels).backward()),
                ("a drawn batch", 1, lambda model=model: model.sample(TIMED, seed=seed)),
            ):
                run()
                began = time.process_time()
                for _ in range(times):
                    run()
                found.setdefault(f"{name}, {way}", {})[side] = (time.process_time() - began) / times
    return found


HOLES = Claim(
    title="Holes in the latent: autoencoder against variational autoencoder",
    says="An autoencoder's codes leave holes between them, so a code drawn at random decodes to nothing; a variational "
    "autoencoder fills its prior, so draws look like data, and it rebuilds less sharply (Kingma and Welling, 2014).",
    how=f"Both with {LATENT} latent numbers on 1200 digits, {STEPS} steps; {DRAWN} latents, uniform in the box of the "
    "codes and from the prior. Distance of what they decode to from the nearest digit, beside that of held-out digits "
    "rebuilt, and the distance of those from what they should be.",
    measure=holes,
    statements=(
        (
            "draws of the variational one lie nearer to digits",
            lambda found: found.above(
                ("drawn from the latent", "autoencoder"), ("drawn from the latent", "variational autoencoder")
            ),
        ),
        (
            "the autoencoder's draws lie farther from digits than what it rebuilds",
            lambda found: found.above(("drawn from the latent", "autoencoder"), ("rebuilt digits", "autoencoder")),
        ),
        (
            "the autoencoder rebuilds better",
            lambda found: found.above(
                ("error of rebuilding", "variational autoencoder"), ("error of rebuilding", "autoencoder")
            ),
        ),
    ),
    value="Euclidean distance",
    seeds=3,
)
TIME = Claim(
    title="PixelCNN and PixelRNN: time to learn and to draw",
    says="A PixelCNN learns all pixels at once and is quicker to train than a PixelRNN, which goes row by row; drawing "
    "goes pixel by pixel, and there the PixelRNN, which keeps its rows' states, need not start anew (van den Oord et "
    "al., 2016).",
    how=f"Both with 32 channels, 17 greys, 32 pictures a step, {TIMED} drawn; CPU seconds of one core after a first "
    "run that is not counted.",
    measure=pixel_time,
    statements=(
        (
            "at 16 pixels PixelCNN learns a step quicker",
            lambda found: found.above(("PixelRNN, a step of learning", 16), ("PixelCNN, a step of learning", 16)),
        ),
        (
            "at 16 pixels PixelRNN draws quicker",
            lambda found: found.above(("PixelCNN, a drawn batch", 16), ("PixelRNN, a drawn batch", 16)),
        ),
    ),
    value="CPU seconds",
    across="pixels a side",
    logarithmic=True,
    seeds=3,
)
