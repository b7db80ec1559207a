"""Which seeds are whose: training, evaluation, checks during training and people's play never share an episode."""

from __future__ import annotations

SEED_SPAN = 2**24  # seeds between two runs, more than any batch has rows
EVALUATION_SEED = 2**41  # evaluation plays episodes that no training run starts from
CHECK_SEED = 2**42  # checks play episodes that neither training nor evaluation starts from
PLAY_SEED = 2**60  # what is played by hand or recorded on training options: beyond all runs of every seed
PLAY_SPAN = 2**31  # seeds that playing has
