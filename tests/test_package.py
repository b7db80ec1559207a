"""The package as a whole: what is listed, what is shipped, how floors stand, and that help needs no torch."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import palaestra

ROOT = Path(palaestra.__file__).parent
FLOORS = {"neural_blocks": 1, "envs": 2, "agents": 3, "scenarios": 4}


def packages_on_disk() -> set[str]:
    found = {"palaestra"}
    for floor in FLOORS:
        for init in (ROOT / floor).rglob("__init__.py"):
            found.add(".".join(["palaestra", *init.parent.relative_to(ROOT).parts]))
    return found


def test_every_folder_of_the_package_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(listed) == packages_on_disk()
    assert listed == sorted(listed)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a freshly built wheel."""
    folder, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source") / "palaestra"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in listed.split():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


def test_the_wheel_holds_every_module_and_no_tests(wheel: set[str]) -> None:
    modules = {
        f"palaestra/{path.relative_to(ROOT).as_posix()}" for floor in FLOORS for path in (ROOT / floor).rglob("*.py")
    }
    assert modules <= wheel
    assert "palaestra/py.typed" in wheel
    assert "palaestra/envs/scores.json" in wheel
    assert "palaestra/scenarios/catalog/digits.yaml" in wheel
    assert "palaestra/scenarios/report/page/page.html" in wheel
    strangers = [name for name in wheel if name.startswith(("palaestra/tests", "palaestra/benchmarks", "tests"))]
    assert not strangers


def imported_floors(path: Path) -> set[str]:
    """The floors that a module's import statements name."""
    package = ["palaestra", *path.relative_to(ROOT).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("palaestra.")}
    return found & set(FLOORS)


def test_no_import_points_to_a_higher_floor() -> None:
    upward = [
        f"{path.relative_to(ROOT)} imports {other}"
        for floor, height in FLOORS.items()
        for path in (ROOT / floor).rglob("*.py")
        for other in imported_floors(path)
        if FLOORS[other] > height
    ]
    assert not upward


def loaded_after(code: str, *modules: str) -> set[str]:
    """Which of the modules a fresh interpreter has loaded after running the code."""
    program = f"import sys\n{code}\nprint([name for name in {modules!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


HEAVY = ("torch", "wandb", "plotly", "pygame", "stable_baselines3", "sklearn", "scipy", "imageio", "ray", "pettingzoo")


def test_importing_palaestra_registers_everything_and_loads_nothing_heavy() -> None:
    code = "import palaestra, gymnasium\nassert 'palaestra/DigitBandit-v0' in gymnasium.registry"
    assert loaded_after(code, *HEAVY) == set()


def test_the_parts_of_the_package_are_there_when_they_are_asked_for() -> None:
    program = (
        "import sys, palaestra; before = 'palaestra.agents' in sys.modules; "
        "print(before, 'ppo' in palaestra.agents.names(), palaestra.scenarios.__name__, 'agents' in dir(palaestra))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "palaestra.scenarios", "True"]


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import contextlib, io\nfrom palaestra.scenarios.main import main\n"
        "sys.argv = ['palaestra', 'train', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()"
    )
    assert loaded_after(code, *HEAVY) == set()


def test_training_loads_only_what_training_needs() -> None:
    code = (
        "import palaestra.agents as agents, palaestra.envs as envs\n"
        "agents.make('ppo', envs.make_batched('palaestra/TabularBandit-v0', 2))"
    )
    assert loaded_after(code, "wandb", "plotly", "pygame", "stable_baselines3", "imageio", "ray", "pettingzoo") == set()


def test_the_first_script_of_the_readme_runs() -> None:
    text = (ROOT / "README.md").read_text()
    script = text.split("```python\n", 1)[1].split("```", 1)[0]
    assert len(script.splitlines()) <= 15
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


def test_versions_agree() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == palaestra.__version__
