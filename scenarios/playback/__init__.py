"""Playback: watch random, the expert, a run, a recording, or yourself, in a window or as a PNG, GIF or MP4 file."""

from .film_page import Player
from .video import draw_environments, write_video
from .viewing import player, watch

__all__ = ["Player", "draw_environments", "player", "watch", "write_video"]
