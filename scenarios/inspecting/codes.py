"""A map of an autoencoder's codes of two numbers: what is rebuilt of each place."""

from __future__ import annotations

import torch

from ...agents.representation.method import Method
from .sheet import Sheet, grey

SIDE, CELL = 12, 74
EDGE = 0.02  # share of the codes that lies beyond the map on each side


def draw_codes(method: Method) -> Sheet | None:
    """Pictures of codes, the first number rising to the right and the second upwards; None where there are none.

    Places are shares of all codes: quantiles of the prior of a variational autoencoder (Kingma and Welling, 2014), and
    of an autoencoder's units, which lie between 0 and 1, their values.
    """
    across = torch.linspace(EDGE, 1 - EDGE, SIDE, device=next(method.parameters()).device)
    places = torch.cartesian_prod(across.flip(0), across).flip(1)  # (SIDE^2, 2)
    pictures = method.pictures_of(places)
    if pictures is None:
        return None
    sheet = Sheet("What is rebuilt of two numbers, the first from left to right, the second upwards", cell=CELL)
    for row in pictures.cpu().split(SIDE):
        sheet.row("", [grey(one) for one in row])
    return sheet
