"""Runs the Python of every guide, each as one script in a folder of its own, and tells as JSON what fails and how."""

import contextlib
import io
import json
import os
import re
import sys
import tempfile
import time
import traceback
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_of(text: str) -> str:
    """The blocks of a guide as one script."""
    return "\n".join(BLOCK.findall(text))


def main(paths: list[str]) -> None:
    failed, seconds = {}, {}
    for path in map(Path, paths):
        script, begin = python_of(path.read_text(encoding="utf-8")), time.process_time()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            os.chdir(folder)
            try:
                exec(compile(script, path.name, "exec"), {"__name__": f"guide_{path.stem.replace('-', '_')}"})
            except Exception:
                failed[path.name] = traceback.format_exc()
            os.chdir("/")
        seconds[path.name] = round(time.process_time() - begin, 1)
    print(json.dumps({"failed": failed, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])
