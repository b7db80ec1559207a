"""The package as a whole: what is listed, what is shipped, what importing it costs."""

import sys
import palaestra

def test_x():
    print([m for m in sys.modules if m.endswith("envs.registry")], palaestra.__name__)
