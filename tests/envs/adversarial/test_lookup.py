"""Lookup: every image of a set is found, and no other."""

from __future__ import annotations

import torch

from palaestra.envs.adversarial.lookup import Lookup
from palaestra.envs.classification.sources.images import load_images


def test_it_finds_the_images_of_the_set_and_no_others():
    seen = torch.from_numpy(load_images("digits", "train")[0])
    unseen = torch.from_numpy(load_images("digits", "test")[0])
    lookup, order = Lookup(seen), torch.randperm(len(seen), generator=torch.Generator().manual_seed(0))
    assert torch.equal(lookup(seen[order]), order)
    changed = seen.clone()
    changed[:, 0, 4, 4] ^= 1  # the least change of one pixel
    for others in (unseen, changed):
        assert bool((lookup(others) == -1).all())
