"""The report: what stands in it, and how it behaves in a browser."""

import base64
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from palaestra.envs.drawing.canvas import COLOURS
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.report import write_report
from palaestra.scenarios.report.boards import THRESHOLDS, board, boards
from palaestra.scenarios.report.curves import CHECKED, curve, read_metrics
from palaestra.scenarios.report.pictures import draw_curves, draw_runs
from palaestra.scenarios.report.runs import command
from palaestra.scenarios.report.site import page_with
from palaestra.tests.scenarios.board.conftest import row
from palaestra.tests.scenarios.conftest import TINY

NASTY = '<img src=x onerror="document.title=1">'
CLICKS = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const labels = () => [...document.querySelectorAll("#standings tbody th")].map((cell) => cell.textContent);
const set = (id, value) => {
  const field = document.getElementById(id);
  field.value = value;
  field.dispatchEvent(new Event("input"));
};
const told = {};
window.addEventListener("load", async () => {
  await wait(50);
  told.whole = labels();
  document.querySelector('#standings [data-sort="label"]').click();
  await wait(50);
  told.sorted = labels();
  told.hash = location.hash;
  told.aria = document.querySelector('#standings [data-sort="label"]').closest("th").getAttribute("aria-sort");
  set("agent", "RAND");
  await wait(50);
  told.filtered = labels();
  set("agent", "");
  set("capability", "table");
  await wait(50);
  told.capability = labels();
  document.querySelector("#filters [type=reset]").click();
  await wait(50);
  document.querySelector("#legend button").click();
  await wait(50);
  told.hidden = document.querySelectorAll("#profile [data-series]").length;
  document.querySelector("#legend button").click();
  await wait(50);
  told.lines = document.querySelectorAll("#profile [data-series]").length;
  told.trials = document.getElementById("adaptation").hidden;
  told.curves = document.querySelectorAll("#curves [data-series]").length;
  const filmed = CONTENT.runs.find((run) => run.film);
  location.hash = "run=" + filmed.run_id;
  await wait(50);
  told.command = document.querySelector("#run pre").textContent === filmed.command;
  const video = document.querySelector("#run video");
  await video.play();  // kept once enough of the film is decoded; its clock is not the page's
  told.played = !video.paused && video.readyState >= 2 && video.videoWidth > 0;
  told.images = document.images.length;
  told.title = document.title;
  told.broken = Boolean(document.getElementById("broken"));
  const result = document.createElement("pre");
  result.id = "told";
  result.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(told))));
  document.body.append(result);
});
"""


def content(page: Path) -> dict:
    text = page.read_text().split('id="content">', 1)[1].split("</script>", 1)[0]
    return json.loads(text)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    tiny, root = folder / "tiny.yaml", folder / "runs"
    tiny.write_text(TINY)
    runner.run(tiny, "random", root=root)
    for seed in (0, 1):
        runner.run(tiny, "ppo", seed, root=root, steps=512, settings={"gamma": 0.5}, label=NASTY)
    return write_report(folder / "site", root)


def test_a_report_holds_standings_curves_films_and_commands_that_work(page: Path) -> None:
    told = content(page)
    assert [(one["name"], one["family"], one["tags"]) for one in told["scenarios"]] == [("tiny", "classification", [])]
    (standings,) = [found["standings"] for found in told["boards"].values()]
    first = Leaderboard(page.parents[1] / "runs" / "leaderboard.sqlite").table("tiny")[0]
    assert (standings[0]["label"], standings[0]["score"]) == (first.label, pytest.approx(first.score, rel=1e-4))
    (curves,) = told["curves"]["tiny"]
    assert (curves["label"], curves["seeds"]) == (NASTY, 2)
    assert (curves["steps"]["x"][0], curves["steps"]["x"][-1]) == (128, 512)
    assert curves["seconds"]["x"][-1] > 0
    runs = {(run["agent"], run["seed"]): run for run in told["runs"]}
    assert all((page.parent / runs[one]["film"]).stat().st_size > 1000 for one in [("random", 0), ("ppo", 0)])
    assert runs["ppo", 1]["film"] is None
    assert runs["ppo", 1]["hardware"]
    words = shlex.split(runs["ppo", 1]["command"])
    assert words[:3] == ["palaestra", "train", runs["ppo", 1]["sheet"]]
    assert catalogue.get(page.parent / words[2]).name == "tiny"
    own = ["--agent", "ppo", "--first-seed", "1", "--steps", "512", "--set", "gamma=0.5", "--label", NASTY]
    assert words[3:] == own


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium, as Debian has it")
def test_in_a_browser_it_sorts_filters_and_plays_and_names_are_text(page: Path) -> None:
    driven = page.with_name("driven.html")
    driven.write_text(page.read_text().replace("</body>", f"<script>{CLICKS}</script></body>"))
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    for profile in ("first", "second", "third"):  # on a busy machine the clock of the page may run out before the film
        done = subprocess.run(
            [*browser, f"--user-data-dir={Path(profile).absolute()}", "--virtual-time-budget=20000", "--dump-dom",
             driven.absolute().as_uri()], capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if 'id="told">' in done.stdout:
            break
    else:
        pytest.fail(done.stderr[-2000:])
    told = json.loads(base64.b64decode(done.stdout.split('id="told">', 1)[1].split("<", 1)[0]))
    assert sorted(told["whole"]) == sorted([NASTY, "random"])
    assert told["sorted"] == [NASTY, "random"]
    assert told["hash"] == "#sort=label"
    assert told["aria"] == "ascending"
    assert told["filtered"] == ["random"]
    assert told["capability"] == told["whole"]  # a capability that nothing has cannot be chosen
    assert (told["hidden"], told["lines"], told["curves"]) == (1, 2, 1)
    assert told["trials"] is True  # nothing here has several episodes on one problem
    assert told["command"] is True
    assert told["played"] is True
    assert (told["images"], told["title"], told["broken"]) == (0, "Palaestra report", False)
    assert "Uncaught" not in done.stderr


def test_curves_are_drawn_with_a_line_for_each_and_its_score(page: Path) -> None:
    root = page.parents[1] / "runs"
    rows = Leaderboard(root / "leaderboard.sqlite").rows()
    assert draw_curves(rows, "tiny", root, Path("curves.png")) == 1
    picture = imageio.imread("curves.png")
    assert picture.shape == (674, 1100, 3)
    plot = (picture[60:580] == COLOURS[0]).all(-1)
    assert plot.any(0).mean() > 0.7  # the line goes across
    assert not (picture[60:580] == COLOURS[1]).all(-1).any()
    first, second = (row.run_id for row in rows if row.agent == "ppo")
    assert [row.seed for row in draw_runs([first, second], root, Path("two.png"), "seconds")] == [0, 1]
    assert (imageio.imread("two.png")[60:580] == COLOURS[1]).all(-1).any()
    with pytest.raises(InvalidInput, match="has not learned"):
        draw_runs([next(row.run_id for row in rows if row.agent == "random")], root, Path("none.png"))
    with pytest.raises(InvalidInput, match="no finished run of scenario 'digits'"):
        draw_curves(rows, "digits", root, Path("none.png"))
    with pytest.raises(InvalidInput, match=r"must end in .png; got 'curves.svg'"):
        draw_curves(rows, "tiny", root, Path("curves.svg"))


def test_checks_are_lines_of_their_own(page: Path) -> None:
    shutil.copytree(page.parents[1] / "runs", "kept")
    rows, told = Leaderboard(Path("kept/leaderboard.sqlite")).rows(), []
    for metrics in Path("kept").rglob("metrics.jsonl"):
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        lines = [{**line, "evaluation_return": 0.5 * place} for place, line in enumerate(lines)]
        metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
        told.append(read_metrics(metrics.parent, 1.0, CHECKED))
    assert any(one is not None and one[2].tolist() == [0.5 * place for place in range(len(one[2]))] for one in told)
    assert draw_curves(rows, "tiny", Path("kept"), Path("curves.png"), checks=True) == 2
    run = next(row.run_id for row in rows if row.agent == "ppo")
    draw_runs([run], Path("kept"), Path("one.png"), checks=True)
    for name in ("curves.png", "one.png"):
        assert (imageio.imread(name)[60:580] == COLOURS[1]).all(-1).any()


def test_nothing_in_a_name_ends_the_content() -> None:
    text = page_with({"name": "</script><script>alert(1)</script><!-- \u2028"})
    assert "alert(1)</script>" not in text
    assert json.loads(text.split('id="content">', 1)[1].split("</script>", 1)[0])["name"].startswith("</script>")


def test_a_page_of_somebody_elses_is_left_alone() -> None:
    Path("site").mkdir()
    Path("site/index.html").write_text("my own")
    with pytest.raises(InvalidInput, match="is not a report, and is left as it is"):
        write_report("site", "runs")
    with pytest.raises(InvalidInput, match="no finished runs in"):
        write_report("elsewhere", "runs")


def test_a_board_for_every_choice_of_scenarios() -> None:
    kinds = {
        "digits": {"family": "see", "tags": ["image"]}, "iris": {"family": "see", "tags": ["table"]},
        "copy": {"family": "hear", "tags": ["memory", "table"]},
    }  # fmt: skip
    rows = [row("ppo", seed, 0.5 + 0.1 * seed, scenario) for scenario in kinds for seed in range(2)]
    rows.append(row("dqn", 0, 0.4, "iris"))
    found = boards(rows, kinds)
    assert found.keys() == {"0,1,2", "0,1", "0", "1", "2", "1,2"}
    assert [(one["label"], one["scenarios"]) for one in found["1,2"]["standings"]] == [("ppo", 2), ("dqn", 1)]
    assert found["1,2"]["pairs"][0][1][:1] == [1]
    assert found["0"]["standings"][0]["metrics"] == {"accuracy": 0.97}


def test_a_standing_tells_its_percentiles_and_its_profile() -> None:
    scores = [0.1, 0.3, 0.5, 0.9, 0.95]
    (line,) = board([row("ppo", seed, score) for seed, score in enumerate(scores)], ["digits"])["standings"]
    np.testing.assert_allclose(line["percentiles"], np.percentile(scores, [5, 25, 50, 75, 95]), rtol=1e-4)
    at = int(np.abs(THRESHOLDS - 0.4).argmin())
    assert line["profile"][0][at] == pytest.approx(3 / 5)
    assert (line["rank"], line["best"], line["worst"], line["group"]) == (1, 1, 1, 1)


def test_a_curve_is_the_mean_of_the_seeds_as_far_as_all_of_them_go() -> None:
    one = np.array([[0.0, 100.0], [0.0, 10.0], [0.0, 1.0]])
    other = np.array([[0.0, 50.0], [0.0, 20.0], [1.0, 1.0]])
    by_steps = curve([one, other], "steps")
    assert (by_steps["x"][0], by_steps["x"][-1]) == (0, 50)
    assert (by_steps["mean"][-1], by_steps["low"][-1], by_steps["high"][-1]) == (0.75, 0.5, 1)
    assert curve([one, other], "seconds")["x"][-1] == 10


def test_metrics_that_do_not_tell_seconds_have_them_spread_over_the_steps(tmp_path: Path) -> None:
    lines = ['{"steps": 10, "return": 1}', '{"steps": 20, "return": null}', '{"steps": 40, "return": 3}']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert read_metrics(tmp_path, 8.0).tolist() == [[10, 40], [2, 8], [1, 3]]
    (tmp_path / "metrics.jsonl").write_text(lines[0])
    assert read_metrics(tmp_path, 8.0) is None
    assert read_metrics(tmp_path / "gone", 8.0) is None


def test_the_command_of_a_run_of_the_catalogue_names_all_that_differs(tmp_path: Path) -> None:
    scenario = catalogue.get("repeat-previous").with_options({"delay": 2})
    changes = {"hidden": [8, 8], "memory": "lstm", "gae_lambda": 0.45}
    plan = runner.plan.make_plan(
        scenario, "ppo", 3, steps=640, settings=changes, device="cpu", track=None, label=None, demonstrations=None
    )
    words = shlex.split(command(plan, None, tmp_path))
    assert words[:7] == ["palaestra", "train", "repeat-previous", "--agent", "ppo", "--first-seed", "3"]
    assert words[7:9] == ["--steps", "640"]
    assert {"hidden=[8, 8]", "memory=lstm", "gae_lambda=0.45", "delay=2"} <= set(words)
    assert words[-2:] == ["--env-set", "delay=2"]
