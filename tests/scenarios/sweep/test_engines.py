"""Where the cells of a sweep run: the same rows from every engine, and what is lost is done again."""

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.registry import allowing_imports
from palaestra.scenarios import catalogue
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.main import main
from palaestra.scenarios.sweep import engines
from palaestra.scenarios.sweep.engines import Elsewhere, Engine
from palaestra.scenarios.sweep.ray_pool import RayPool
from palaestra.scenarios.sweep.slurm_pool import SlurmPool
from palaestra.scenarios.sweep.sweeping import sweep
from palaestra.scenarios.sweep.workers import Died
from palaestra.tests.scenarios.sweep.dying import squared


def every(pool: Any, tasks: list[Any]) -> dict[int, Any]:
    with pool:
        for task in tasks:
            pool.add(task)
        found: list[tuple[int, Any]] = []
        while pool.busy:
            found.append(pool.next())
    assert len(found) == len(tasks)
    return dict(found)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of two CPUs on this machine, started once."""
    ray = pytest.importorskip("ray", reason="needs Ray, which the extra 'distributed' brings")
    here = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    ray.init("local", log_to_driver=False, logging_level="ERROR", **here)
    yield ray
    ray.shutdown()


def test_a_task_whose_worker_is_killed_is_done_again_by_ray(tmp_path: Path, ray: Any) -> None:
    results = every(Engine("ray").pool(squared, 2, tmp_path), [(str(tmp_path), number) for number in (1, -2, 3)])
    assert [results[k][0] for k in range(3)] == [1, 4, 9]
    assert (tmp_path / "-2").exists()  # it was killed, once
    lost = every(RayPool(squared, 2, tries=1), [(str(tmp_path), -99)])
    assert str(lost[0]) == "its process died once"


def test_ray_and_processes_come_to_the_same_rows(tiny: Path, tmp_path: Path, ray: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    told: dict[str, list[tuple[Any, ...]]] = {}
    for name in ("local", "ray"):
        outcomes = sweep([catalogue.get(tiny)], ["random"], {}, seeds=2, jobs=1, root=name, engine=Engine(name))
        assert {cell.state for cell in outcomes[0].cells} == {"finished"}
        rows = Leaderboard(Path(name, "leaderboard.sqlite")).rows()
        told[name] = sorted((row.seed, row.configuration, row.return_mean, row.score) for row in rows)
    assert told["local"] == told["ray"]
    assert [seed for seed, *_ in told["ray"]] == [0, 1]  # none lost, none doubled


def test_a_job_that_is_lost_is_submitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit", reason="needs submitit, which the extra 'slurm' brings")
    monkeypatch.setattr(submitit.Job, "_results_timeout_s", 1)  # how long a slow file system is waited for
    local = submitit.LocalExecutor(folder=tmp_path / "jobs")
    local.update_parameters(timeout_min=2)
    results = every(SlurmPool(squared, local, most=1, tries=2, pause=0.1), [(str(tmp_path), -2)])
    assert results[0][0] == 4
    results = every(SlurmPool(squared, local, most=1, tries=1, pause=0.1), [(str(tmp_path), -99)])
    assert isinstance(results[0], Died)
    assert str(results[0]).startswith("its job was lost once")


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["palaestra", "sweep", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code)


def test_a_dry_run_shows_what_would_be_submitted(tiny: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    pytest.importorskip("submitit", reason="needs submitit, which the extra 'slurm' brings")
    monkeypatch.chdir(tmp_path)
    given = ["--set", "gamma=0.5,0.9", "--jobs", 2, "--engine", "slurm", "--dry-run"]
    assert command(monkeypatch, tiny, *given, "--gpus", 1, "--partition", "short", "--minutes", 90) == 0
    out, err = capsys.readouterr()
    assert "2 runs would be given to slurm now" in out
    for line in ("--gpus-per-node=1", "--partition=short", "--time=90", "--cpus-per-task=1", "--job-name=palaestra"):
        assert f"#SBATCH {line}" in out
    assert str(tmp_path / "runs/sweeps/slurm") in out
    assert "submitit.core._submit" in out
    assert all("so far" in line for line in err.splitlines())  # a slow machine is told how far it is
    assert command(monkeypatch, tiny, *given, "--json") == 0
    cells = json.loads(capsys.readouterr().out)
    assert [(cell["stage"], cell["settings"], cell["state"]) for cell in cells] == [
        ("tuning", {"gamma": 0.5}, "missing"), ("tuning", {"gamma": 0.9}, "missing"),
    ]  # fmt: skip
    assert not Path("runs/tiny").exists()


def test_options_that_an_engine_does_not_take_are_refused(monkeypatch: Any, tmp_path: Path) -> None:
    for given, message in (
        ({"name": "rye"}, r"engine must be one of 'local', 'ray', 'slurm'; got 'rye'"),
        ({"gpus": 0.5}, "engine 'local' takes no gpus"),
        ({"name": "slurm", "address": "auto"}, "engine 'slurm' takes no address"),
        ({"name": "slurm", "gpus": 0.5}, "gpus must be whole, or on 'ray' less than one; got 0.5 on 'slurm'"),
        ({"name": "ray", "gpus": 1.5}, "gpus must be whole"),
    ):
        with pytest.raises(InvalidInput, match=message):
            Engine(**given)
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no srun
    with pytest.raises(InvalidInput, match=r"engine 'slurm': .*--dry-run shows what would be submitted"):
        Engine("slurm").pool(squared, 1, tmp_path)
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(InvalidInput, match=r"engine 'ray' needs ray: pip install 'palaestra\[distributed\]'"):
        Engine("ray")


def test_a_fraction_of_a_gpu_is_what_ray_is_asked_for(ray: Any, tmp_path: Path, monkeypatch: Any) -> None:
    asked: list[dict[str, Any]] = []
    real: Callable[..., Any] = ray.remote

    def remote(**given: Any) -> Any:
        asked.append(given)
        return real(**given)

    monkeypatch.setattr(ray, "remote", remote)
    with Engine("ray", gpus=0.25).pool(squared, 2, tmp_path):
        pass
    assert [(one["num_gpus"], one["num_cpus"]) for one in asked] == [(0.25, 1)]


def test_work_elsewhere_trusts_files_as_far_as_here(tmp_path: Path, monkeypatch: Any) -> None:
    from palaestra.neural_blocks.registry import imports_allowed

    monkeypatch.chdir(tmp_path)
    work = Elsewhere(lambda task: (imports_allowed(), os.getcwd(), task), True)
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    assert work("cell") == (True, str(tmp_path), "cell")
    assert Elsewhere(lambda _: imports_allowed(), False)(0) is False


def test_a_scenario_that_names_code_is_swept_in_other_processes_where_that_is_allowed(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("own_task.py").write_text(
        textwrap.dedent("""
            from palaestra.envs.classification.tabular_bandit import TabularBandit

            class Mine(TabularBandit):
                \"\"\"A bandit of one's own.\"\"\"
        """)
    )
    Path("mine.yaml").write_text(
        "name: mine\ntitle: Mine\ndescription: Of one's own.\nenvironment: own_task:Mine\n"
        "evaluation: {episodes: 4, num_envs: 4}\nsteps: 16\nagents: {random: {}}\n"
    )
    with allowing_imports():
        scenario = catalogue.get(Path("mine.yaml"))
        (found,) = sweep([scenario], ["random"], {}, seeds=1, jobs=1, root="runs")
    assert [(cell.state, cell.error) for cell in found.cells] == [("finished", "")]
