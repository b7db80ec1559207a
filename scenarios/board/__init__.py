"""The leaderboard: finished runs in one SQLite file, and the standings computed from them."""

from .database import Leaderboard
from .rows import Row
from .standings import ALL, Standing

__all__ = ["ALL", "Leaderboard", "Row", "Standing"]
