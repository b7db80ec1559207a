"""A film as a page that opens from disk or in a notebook: play, pause, step, seek, and how fast."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...neural_blocks.errors import InvalidInput

MOST = 2000  # frames
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 15px sans-serif; margin: 12px; color-scheme: light dark }}
img {{ max-width: 100%; display: block }}
input[type=range] {{ width: 100%; max-width: 480px; display: block; margin: 8px 0 }}
</style></head><body>
<img id="frame" alt="a frame of {title}">
<input id="at" type="range" min="0" max="{last}" value="0" aria-label="frame">
<button id="back" aria-label="one frame back">&lt;</button>
<button id="play">play</button>
<button id="on" aria-label="one frame on">&gt;</button>
<label>frames a second <input id="rate" type="number" min="0.1" max="60" step="any" value="{rate}" size="5"></label>
<span id="told" aria-live="off"></span>
<script>
const FRAMES = {frames};
const [frame, at, play, rate, told] = ["frame", "at", "play", "rate", "told"].map((id) => document.getElementById(id));
let timer = null;
function show(k) {{
  at.value = Math.max(0, Math.min(FRAMES.length - 1, k));
  frame.src = "data:image/png;base64," + FRAMES[at.value];
  told.textContent = `frame ${{Number(at.value) + 1}} of ${{FRAMES.length}}`;
}}
function stop() {{ clearTimeout(timer); timer = null; play.textContent = "play"; }}
function go() {{
  if (Number(at.value) >= FRAMES.length - 1) return stop();
  show(Number(at.value) + 1);
  timer = setTimeout(go, 1000 / Math.max(0.1, Number(rate.value) || 1));
}}
play.onclick = () => {{
  if (timer !== null) return stop();
  if (Number(at.value) >= FRAMES.length - 1) show(0);
  play.textContent = "pause";
  timer = setTimeout(go, 1000 / Math.max(0.1, Number(rate.value) || 1));
}};
at.oninput = () => {{ stop(); show(Number(at.value)); }};
document.getElementById("back").onclick = () => {{ stop(); show(Number(at.value) - 1); }};
document.getElementById("on").onclick = () => {{ stop(); show(Number(at.value) + 1); }};
show(0);
</script></body></html>
"""


class Player:
    """Frames to be played in a notebook, which shows what the last line of a cell is.

    Args:
        frames: (H, W, 3) uint8 each, one at least and 2,000 at most.
        frames_per_second: how fast at first.
        title: what it is called.

    Raises:
        InvalidInput: no frames, or too many.
    """

    def __init__(
        self, frames: Iterator[NDArray[np.uint8]] | Sequence[NDArray[np.uint8]], frames_per_second: float, title: str
    ) -> None:
        self.frames: list[str] = []
        for frame in frames:
            if len(self.frames) == MOST:
                raise InvalidInput(f"a page holds at most {MOST:,} frames; take .mp4 or fewer episodes")
            self.frames.append(_encoded(frame))
            self.height = len(frame)
        if not self.frames:
            raise InvalidInput("a page holds at least one frame; got none")
        self.rate, self.title = frames_per_second, title

    def page(self) -> str:
        """The whole page, which needs neither server nor network."""
        return PAGE.format(
            title=html.escape(self.title),
            last=len(self.frames) - 1,
            rate=f"{self.rate:g}",
            frames=json.dumps(self.frames),
        )

    def _repr_html_(self) -> str:
        """The page in a frame of its own, as notebooks show it."""
        source = html.escape(self.page(), quote=True)
        return f'<iframe srcdoc="{source}" width="100%" height="{self.height + 120}" frameborder="0"></iframe>'


def _encoded(frame: NDArray[np.uint8]) -> str:
    """A frame as a PNG in base64."""
    import imageio.v3 as imageio

    made: Any = imageio.imwrite("<bytes>", frame, extension=".png")
    return base64.b64encode(made).decode("ascii")
