"""The floor's face: every public block by its name, without importing the others."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import palaestra.neural_blocks as neural_blocks


def test_every_public_class_and_function_is_had_by_its_name() -> None:
    defined = [
        (node.name, path.stem)
        for path in Path(neural_blocks.__file__).parent.glob("*/*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    ]
    assert len({name for name, _ in defined}) == len(defined) > 150  # no two of one name
    for name, module in defined:
        assert getattr(neural_blocks, name).__module__.endswith(f".{module}")
    assert {name for name, _ in defined} | {"register_encoder", "register_memory"} == set(neural_blocks.__all__)
    assert set(neural_blocks.__all__) <= set(dir(neural_blocks))


def test_a_block_is_imported_with_what_it_needs_and_no_more() -> None:
    code = (
        "import sys, palaestra.neural_blocks as b\nassert 'torch' not in sys.modules\n"
        "from palaestra.neural_blocks import GRU, LSTM\n"
        "print('palaestra.neural_blocks.generation.vae' in sys.modules, b.GRU is GRU)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def test_an_unknown_block_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'GRUU'"):
        neural_blocks.GRUU  # noqa: B018
