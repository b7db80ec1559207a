"""Playback: watch random, the expert, a run, a recording, or yourself, in a window or as a PNG, GIF or MP4 file."""

from .video import draw_environments, write_video
from .viewing import watch

__all__ = ["draw_environments", "watch", "write_video"]
