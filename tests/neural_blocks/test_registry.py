"""Names for classes: what is accepted, what is refused in one line, and that nothing is imported before it is used."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.registry import Registry, allowing_imports, is_foreign, refuse_imports


@pytest.fixture
def registry() -> Registry:
    return Registry("tool", "palaestra.neural_blocks", {"mlp": "perception.mlp:MLP", "own:X": "errors:InvalidInput"})


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of somebody else's that can be found; its own modules say on import that they were imported."""
    (tmp_path / "acme_tools/inner").mkdir(parents=True)
    (tmp_path / "acme_tools/__init__.py").write_text("from .inner.spade import Spade as Digger\n")
    (tmp_path / "acme_tools/inner/__init__.py").write_text("")
    (tmp_path / "acme_tools/inner/spade.py").write_text(
        'class Spade:\n    """Digs.\n\n    Deep.\n    """\n    class Handle:\n        """Is held."""\nclass Bare: ...\n'
    )
    (tmp_path / "acme_tools/broken.py").write_text('class Saw:\n    """Saws."""\n\nraise RuntimeError("two\\nlines")\n')
    (tmp_path / "acme_tools/rotten.py").write_text("class (\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("acme_tools")]:
        del sys.modules[name]


def test_a_name_is_a_class_and_so_is_its_path(registry: Registry, acme: Path) -> None:
    from palaestra.neural_blocks.perception.mlp import MLP

    assert registry.load("mlp") is MLP
    registry.register("acme/spade", "acme_tools.inner.spade:Spade")
    assert registry.names() == ["mlp", "own:X", "acme/spade"]
    assert "acme_tools" not in sys.modules
    spade = registry.load("acme/spade")
    assert spade.__name__ == "Spade"
    assert registry.load("acme_tools:Digger") is spade
    assert registry.load("acme_tools.inner.spade:Spade.Handle") is spade.Handle
    registry.register("acme/handle", spade.Handle)
    assert registry.load("acme/handle") is spade.Handle
    assert registry.summary("acme/handle") == "Is held."


def test_summaries_are_read_without_importing(registry: Registry, acme: Path) -> None:
    registry.register("acme/spade", "acme_tools.inner.spade:Spade")
    registry.register("acme/saw", "acme_tools.broken:Saw")
    assert registry.summary("acme/spade") == registry.summary("acme_tools:Digger") == "Digs."
    assert registry.summary("acme_tools.inner.spade:Spade.Handle") == "Is held."
    assert registry.summary("acme/saw") == "Saws."
    for nothing in ("acme_tools.inner.spade:Bare", "acme_tools.rotten:Any", "acme_tools.nowhere:Any", "nobody.at:Home"):
        assert registry.summary(nothing) == ""
    assert not {name for name in sys.modules if name.startswith("acme_tools")}
    assert registry.summary("mlp")


@pytest.mark.parametrize(
    "name", ["spade", "palaestra/spade", "Palaestra/spade", "acme/", "/spade", "a/b/c", "a/b:c", "", 7, "a\nb/c"]
)
def test_a_name_that_could_be_the_suites_is_refused(registry: Registry, name: object) -> None:
    with pytest.raises(InvalidInput, match="tool must") as refusal:
        registry.register(name, "acme_tools:Digger")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("target", ["acme_tools", "acme_tools.Digger", "acme-tools:Digger", ":Digger", "a:", 3, None])
def test_a_malformed_target_is_refused(registry: Registry, target: object) -> None:
    with pytest.raises(InvalidInput, match="target must be 'module:Class' or a class"):
        registry.register("acme/spade", target)


def test_a_name_is_given_once(registry: Registry) -> None:
    registry.register("acme/spade", "one:Spade")
    registry.register("acme/spade", "one:Spade")
    with pytest.raises(InvalidInput, match="tool 'acme/spade' is taken, by 'one:Spade'; got 'two:Spade'"):
        registry.register("acme/spade", "two:Spade")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mlpp", "tool must be one of 'mlp', 'own:X'; got 'mlpp' (did you mean 'mlp'?)"),
        ("own:Y", "tool must be one of 'mlp', 'own:X'; got 'own:Y' (did you mean 'own:X'?)"),
        ("acme_tools:Diger", "tool acme_tools:Diger: acme_tools has no 'Diger' (did you mean 'Digger'?)"),
        ("acme_tools.nowhere:X", "acme_tools.nowhere cannot be imported: ModuleNotFoundError: No module named"),
        ("acme_tools.broken:Saw", "acme_tools.broken cannot be imported: RuntimeError: two lines"),
        ("acme_tools.rotten:X", "acme_tools.rotten cannot be imported: SyntaxError"),
        ("acme_tools:Digger", "must be a class derived from builtins.int; got <class"),
        ("acme_tools.inner:spade", "must be a class derived from builtins.int; got <module"),
        (None, "got None"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_one_line(registry: Registry, acme: Path, name: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        registry.load(name, int)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["acme.maze:Maze", "acme:Maze-v0", "a:b/C-v1", "os:system"])
def test_what_would_import_code_is_known_by_its_name(name: str) -> None:
    assert is_foreign(name)
    for content in (name, {"environment": name}, {"agents": {name: {}}}, [{"deep": [[name]]}]):
        with pytest.raises(InvalidInput, match=r"a\.yaml: names code to import, .* --allow-import"):
            refuse_imports(content, "a.yaml")
        with allowing_imports():
            refuse_imports(content, "a.yaml")
    with pytest.raises(InvalidInput), allowing_imports(False):
        refuse_imports(name, "a.yaml")


@pytest.mark.parametrize("name", ["acme/maze", "palaestra/DigitBandit-v0", "CartPole-v1", "ALE/Pong-v5", ":", 3, None])
def test_what_names_no_code_is_free(name: object) -> None:
    assert not is_foreign(name)
    refuse_imports({"x": name}, "a.yaml")


def test_a_registered_name_with_a_colon_is_free(registry: Registry) -> None:
    refuse_imports({"agent": "own:X"}, "a.yaml", (registry,))


def test_a_users_own_script_can_name_its_classes(tmp_path: Path) -> None:
    script = """
        from palaestra.neural_blocks.registry import Registry

        class Mine:
            "Mine."

        registry = Registry("tool", "palaestra.neural_blocks", {})
        assert registry.load("__main__:Mine") is Mine
        print(registry.summary("__main__:Mine"))
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True)
    assert done.stdout == "Mine.\n"
