"""`palaestra pretrain`: a folder with an encoder, from training observations alone, that a run takes."""

import json
import signal
import sys
from pathlib import Path

import imageio.v3 as imageio
import pytest
import torch

import palaestra.envs as envs
from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.agents.representation import gathering
from palaestra.agents.representation.autoencoding import AutoencoderMethod, VAEMethod
from palaestra.agents.representation.contrast import SimCLR
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, pretraining, runner
from palaestra.scenarios.inspecting.codes import draw_codes
from palaestra.scenarios.main import main

SMALL = {"updates": 10, "samples": 256, "batch_size": 16}
FEW = """
name: few
title: Digits from few labels
description: A hundred labels.
environment: palaestra/DigitBandit-v0
options: {rows: 100}
evaluation: {options: {split: test}, episodes: 32, num_envs: 16}
num_envs: 16
steps: 128
agent: behaviour_cloning
agents: {behaviour_cloning: {rollout_steps: 4, updates: 1, hidden: [8]}}
"""


@pytest.fixture
def few() -> Path:
    Path("few.yaml").write_text(FEW)
    return Path("few.yaml")


def fitted(**settings):
    path, loss = pretraining.pretrain("autoencoder", catalogue.get("digits"), settings=SMALL | settings, root="runs")
    return path, loss


def weights(path):
    return read_checkpoint(path)["state"]


@pytest.mark.parametrize(("method", "settings"), [("vae", {"latent_size": 2}), ("autoencoder", {"code_size": 2})])
def test_codes_of_two_numbers_are_mapped(method, settings):
    settings = SMALL | settings | {"layers": (8,)}
    path, _ = pretraining.pretrain(method, catalogue.get("digits"), settings=settings, root="runs")
    assert imageio.imread(path.with_name("codes.png")).std() > 1


def test_a_map_goes_by_quantiles_of_the_prior_and_by_values_of_a_code():
    space = envs.make_task("palaestra/DigitBandit-v0").observation_space
    places = torch.tensor([[0.5, 0.8413447], [0.1, 0.9]])
    vae = VAEMethod(space, VAEMethod.Config(latent_size=2, layers=(8,)))
    torch.testing.assert_close(vae.pictures_of(places)[0], vae.block.decode(torch.tensor([[0.0, 1.0]]))[0])
    plain = AutoencoderMethod(space, AutoencoderMethod.Config(code_size=2, layers=()))
    torch.testing.assert_close(plain.pictures_of(places), plain.block.decode(places))
    assert AutoencoderMethod(space, AutoencoderMethod.Config(code_size=3)).pictures_of(places) is None
    assert SimCLR(space, SimCLR.Config()).pictures_of(places) is None
    with torch.no_grad():  # a decoder that draws the first number in one corner, the second in the other
        layer = plain.block.decoder.layers[0]
        layer.weight.zero_()
        layer.bias.fill_(-9.0)
        layer.weight[0, 0] = layer.weight[63, 1] = 18.0
    bottom, top = (draw_codes(plain).rows[place][1] for place in (-1, 0))
    assert [float(one[0, 0, 0]) > 0.5 for one in (bottom[0], bottom[-1])] == [False, True]
    assert [float(one[0, 7, 7]) > 0.5 for one in (bottom[0], top[0])] == [False, True]


def test_the_folder_tells_what_was_done_and_the_same_call_finds_it():
    path, loss = fitted()
    lines = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
    assert [line["updates"] for line in lines] == [*range(1, 11)]
    assert lines[-1]["loss"] == loss
    assert path.parts[:3] == ("runs", "digits", "pretrain-autoencoder")
    assert sorted(file.name for file in path.parent.iterdir()) == ["encoder.pt", "metrics.jsonl", "pretrain.yaml"]
    written = path.stat().st_mtime_ns
    assert fitted() == (path, loss)
    assert path.stat().st_mtime_ns == written
    assert fitted(code_size=8)[0] != path


def test_no_row_of_another_split_is_seen(monkeypatch):
    kept = []
    monkeypatch.setattr(pretraining, "gather", lambda *given: kept.append(gathering.gather(*given)) or kept[-1])
    fitted(samples=2048)
    rows = {name: set(map(bytes, envs.make_task("palaestra/DigitBandit-v0", split=name).inputs.flatten(1).numpy()))
            for name in ("train", "validation", "test")}  # fmt: skip
    seen = set(map(bytes, kept[0].observation.flatten(0, 1).flatten(1).numpy()))
    assert len(seen) > 900
    assert seen <= rows["train"]
    assert not seen & (rows["test"] | rows["validation"])


def test_another_split_is_refused_before_anything_is_written():
    scenario = catalogue.get("digits").with_options({"split": "test"})
    with pytest.raises(InvalidInput, match="digits: split must be 'train' where an encoder is fitted; got 'test'"):
        pretraining.pretrain("vae", scenario)
    assert not Path("runs").exists()


def test_ctrl_c_keeps_what_is_there_and_the_same_call_goes_on_to_the_same_encoder():
    whole, _ = fitted()
    expected = weights(whole)
    lines = (whole.parent / "metrics.jsonl").read_text().splitlines()
    for file in whole.parent.iterdir():
        file.unlink()

    def stop(done: int, total: int) -> None:
        if (done, total) == (4, 10):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        pretraining.pretrain("autoencoder", catalogue.get("digits"), settings=SMALL, on_part=stop)
    assert sorted(file.name for file in whole.parent.iterdir()) == ["checkpoint.pt", "metrics.jsonl", "pretrain.yaml"]
    again, _ = fitted()
    assert again == whole
    assert all(torch.equal(part, expected[key]) for key, part in weights(again).items())
    timeless = [
        [json.loads(line)["loss"] for line in some] for some in (lines, (whole.parent / "metrics.jsonl").open())
    ]
    assert timeless[0] == timeless[1]


def test_a_run_takes_the_encoder_and_lasts_without_its_file(few):
    path, _ = fitted()
    row = runner.run(few, settings={"encoder": str(path), "freeze": True}, root="runs")
    assert all(
        torch.equal(
            part, read_checkpoint(Path(row.folder) / "checkpoint.pt")["state"]["network"][f"encoder.network.{key}"]
        )
        for key, part in weights(path).items()
    )
    path.unlink()
    again = runner.score_run(row.folder)
    assert again.return_mean == row.return_mean


def test_a_run_begins_with_another_one_s_weights_also_after_a_stop(few, capsys):
    first = runner.run(few, root="runs")
    second = runner.run(few, steps=0, seed=1, init=first.folder, root="runs")
    told = capsys.readouterr().err
    assert "weights taken over" in told
    assert "new:" not in told
    (one, two) = (read_checkpoint(Path(row.folder) / "checkpoint.pt")["state"]["network"] for row in (first, second))
    assert all(torch.equal(part, two[key]) for key, part in one.items())
    assert second.label.endswith(f"init={runner.read_plan(second.folder).init[:6]}")
    assert second.configuration != runner.run(few, steps=0, seed=1, root="runs").configuration
    for name in ("checkpoint.pt", "result.json"):
        (Path(second.folder) / name).unlink()
    runner.resume(second.folder)
    two = read_checkpoint(Path(second.folder) / "checkpoint.pt")["state"]["network"]
    assert all(torch.equal(part, two[key]) for key, part in one.items())
    with pytest.raises(InvalidInput, match="init must be the folder of a run, or a checkpoint; got 'nowhere'"):
        runner.run(few, init="nowhere")


def test_the_command_says_where_the_encoder_is(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["palaestra", "describe", "simclr", "--json"])
    with pytest.raises(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out)
    settings = {line["name"]: line for line in told["options"]}
    assert told["learns from"] == "an image"
    assert settings["temperature"]["meaning"] == "divides the cosines."
    assert all(line["meaning"] for line in told["options"])
    sets = [f"--set={key}={value}" for key, value in SMALL.items()]
    for arguments, code in ((["autoencoder", "digits", *sets], 0), (["autoencodr", "digits"], 2)):
        monkeypatch.setattr(sys, "argv", ["palaestra", "pretrain", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert int(ended.value.code or 0) == code
    printed = capsys.readouterr()
    assert printed.out.startswith("digits · autoencoder: loss 0.")
    assert printed.out.rstrip().endswith("encoder.pt")
    assert "method must be one of" in printed.err
    assert "did you mean 'autoencoder'" in printed.err
