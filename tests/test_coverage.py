"""Which blocks nothing leads to, and whether docs/coverage tells of what there is."""

import importlib.util
import re
from pathlib import Path

from palaestra import neural_blocks
from palaestra.agents.registry import OWN as AGENTS
from palaestra.agents.registry import homes
from palaestra.envs.registry import OWN as ENVIRONMENTS

ROOT = Path(__file__).parents[1]
BLOCKS = ROOT / "neural_blocks"
IMPORT = re.compile(r"^ *from (\.*)([\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)
NAMED = re.compile(r'"(\w+\.\w+):\w+"')
READ = "is there to be read; agents use what PyTorch has"
UNUSED = {  # for one's own code alone, and why; a file that something uses leaves this list, and none should come
    "primer/dense": READ,
    "primer/gradient_check": READ,
    "primer/graph": READ,
    "primer/step_network": READ,
    "representation/ranking": "environments rank what counts and what does not, by envs.perception.measures",
}


def imported(file):
    """The files of blocks that a file imports, or names as "folder.file:Class"."""
    package, source = file.relative_to(ROOT).with_suffix("").parts, file.read_text(encoding="utf-8")
    found = {named.replace(".", "/") for named in NAMED.findall(source)} if package[0] == "neural_blocks" else set()
    for dots, module, names in IMPORT.findall(source):
        before = package[: len(package) - len(dots)] if dots else ()
        path = (*before, *filter(None, module.removeprefix("palaestra.").split(".")))
        if path[:1] == ("neural_blocks",):
            found |= {"/".join(path[1:]), *("/".join([*path[1:], name]) for name in re.findall(r"\w+", names))}
    return {place for place in found if (BLOCKS / f"{place}.py").is_file()}


def unused_blocks():
    """The files of blocks that neither environments, agents, scenarios nor a named block lead to."""
    users = [file for floor in ("envs", "agents", "scenarios") for file in (ROOT / floor).rglob("*.py")]
    waiting, seen = {"named_blocks"}.union(*map(imported, users)), set()
    while waiting:
        seen.add(place := waiting.pop())
        waiting |= imported(BLOCKS / f"{place}.py") - seen
    files = {str(file.relative_to(BLOCKS).with_suffix("")) for file in BLOCKS.glob("*/*.py") if file.stem[0] != "_"}
    return files - seen


def test_blocks_that_nothing_leads_to_are_those_of_the_list():
    assert unused_blocks() == set(UNUSED)


def coverage():
    """The module docs/coverage.py, which no package holds."""
    place = importlib.util.spec_from_file_location("coverage_of_docs", ROOT / "docs" / "coverage.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def pages():
    """The rows of all pages of docs/coverage."""
    return [row for file in sorted((ROOT / "docs" / "coverage").glob("*.md")) for row in coverage().rows(file)]


def test_the_table_counts_the_rows():
    module, found = coverage(), pages()
    assert module.table() in module.PAGE.read_text(encoding="utf-8")
    assert all(len(row) == 4 and row[2] in module.STATES and row[3] for row in found)
    assert len({row[0] for row in found}) == len(found)


def test_what_rows_name_exists():
    text = "\n".join(row[3] for row in pages())
    blocks = re.findall(r"`neural_blocks\.([A-Za-z]\w*)[`(=]", text)
    assert blocks
    assert [name for name in blocks if not hasattr(neural_blocks, name)] == []
    classes = {target.partition(":")[2] for target in [*ENVIRONMENTS.values(), *AGENTS.values()]}
    options = re.findall(r"`([A-Z][A-Za-z]+)` (?:with|and|by)\b", text)
    assert options
    assert [name for name in options if name not in classes and not hasattr(neural_blocks, name)] == []
    sources = [ROOT / "agents" / f"{module.replace('.', '/')}.py" for module in homes().values()]
    sources += [*(ROOT / "agents" / "networks").glob("*.py"), *(ROOT / "agents").glob("*/*.py")]
    settings = "\n".join(source.read_text(encoding="utf-8") for source in set(sources))
    named = re.findall(r"--set (\w+)=", text)
    assert [name for name in named if not re.search(rf"^    {name}: ", settings, re.MULTILINE)] == []
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    shown = [name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in tests]
    assert shown == []
