"""Looking into agents: what is drawn is of the network's own outputs and gradients, and what does not fit is told."""

import json

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from palaestra import agents
from palaestra.agents.networks.network import Trunk
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.sequence.attention import recorded_attention
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.inspecting import groups, inspect, pictures, subject, through_time
from palaestra.scenarios.inspecting.features import features
from palaestra.scenarios.inspecting.inspecting import KINDS, kept
from palaestra.scenarios.report import write_report
from palaestra.scenarios.report.site import contents


def looked_into(name, id, rows=3, settings=None, **options):
    env = make_batched(f"palaestra/{id}-v0", rows, **options)
    agent = agents.make(name, env, seed=1, **({"hidden": (8,)} | (settings or {})))
    for parameter in agent.network.parameters():  # a fresh head is all but zero
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return subject.play(agent, env, 7)


@pytest.mark.parametrize(
    ("id", "settings"), [("DigitBandit", {}), ("Glimpse", {"memory": "gru", "memory_size": 6}), ("PixelCanvas", {})]
)
def test_images_put_back_give_the_outputs_that_were_there(id, settings):
    seen = looked_into("ppo", id, settings=settings)
    rows = torch.tensor([2, 0])
    first = {k: v[:1, rows] for k, v in seen.observation.items()} if isinstance(seen.observation, dict) else None
    first = seen.observation[:1, rows] if first is None else first
    wanted = seen.outputs(first, tuple(part[rows] for part in seen.memory[0]), seen.start[:1, rows])[0]
    torch.testing.assert_close(seen.of_images(rows)(seen.images()[rows]), wanted, rtol=1e-4, atol=1e-5)


def test_what_the_last_answer_rests_on_is_its_slope_by_each_past_input():
    seen = looked_into(
        "ppo", "RepeatPrevious", settings={"memory": "elman", "memory_size": 5, "activation": "tanh"}, length=6
    )
    norms = through_time.past_gradients(seen)

    def answer(change):
        hook = seen.network.encoder.register_forward_hook(
            lambda _, __, out: (out.double() + change.flatten(0, 1)).float()
        )
        with torch.no_grad():
            outputs = seen.outputs(seen.observation, seen.memory[0], seen.start)
        hook.remove()
        return seen.answers(outputs[-1]).double()

    steps, rows = seen.start.shape
    size, small = seen.network.encoder.output_size, 2e-3
    for time in (0, steps - 1):
        slopes = []
        for feature in range(size):
            change = torch.zeros(steps, rows, size, dtype=torch.float64)
            change[time, :, feature] = small
            slopes.append((answer(change) - answer(-change)) / (2 * small))
        torch.testing.assert_close(norms[time].double(), torch.stack(slopes).norm(dim=0), rtol=0.02, atol=1e-4)


def test_pictures_of_a_class_speak_for_it_more_than_the_mean_picture_does():
    seen = looked_into("ppo", "DigitBandit", rows=8)
    sheet = pictures.draw_classes(seen)
    captions = [caption for _, _, some in sheet.rows for caption in some]
    shares = [float(caption.partition(": ")[2].rstrip("%")) / 100 for caption in captions]
    model = seen.of_images(torch.zeros(1, dtype=torch.int64))
    with torch.no_grad():
        before = model(seen.images().mean(0, keepdim=True)).softmax(-1)[0]
    assert len(shares) == 10
    assert all(after > float(share) for after, share in zip(shares, before, strict=True))


def test_features_come_with_the_greedy_action_or_the_quarter_of_time():
    seen = looked_into("ppo", "TabularBandit", rows=12)
    points, labels = features(seen)
    outputs = seen.network.actor(torch.tensor(points).float())
    assert labels.tolist() == outputs.argmax(-1).tolist()
    points, labels = features(looked_into("ppo", "PointGoal", rows=3))
    assert sorted(set(labels.tolist())) == [0, 1, 2, 3]


def test_groups_found_without_labels_are_those_that_lie_apart():
    generator = np.random.default_rng(0)
    kinds = np.arange(90) % 3
    points = np.array([[0, 0], [9, 100], [-9, 100]])[kinds] + generator.normal(size=(90, 2))  # unlike scales
    assert adjusted_rand_score(kinds, groups.clustered(points, 3)) == 1
    far = np.concatenate([10 * points[:, :1], points[:, 1:]], 1)  # of like scales; and one that is near nothing
    found = groups.dense(np.concatenate([far, [[1000.0, -1000.0]]]))
    assert adjusted_rand_score(kinds, found[:-1]) == 1
    assert found[-1] == -1
    assert groups.draw_groups(looked_into("ppo", "TabularBandit", rows=30)).png()


def test_a_plane_shows_the_action_of_each_place():
    seen = looked_into("ppo", "TabularBandit", rows=20, dataset="moons")
    found = groups.answers_over(seen, np.array([-2.0, -1.0]), np.array([2.0, 3.0]))
    for row, column in ((0, 0), (0, 119), (80, 17)):
        place = torch.tensor([[-2 + 4 * column / 119, 3 - 4 * row / 119]])
        action, _ = seen.agent.act(place, (), torch.tensor([True]), greedy=True)
        assert found[row, column] == int(action)
    assert groups.draw_plane(seen).png()


def test_the_smallest_attack_on_a_linear_model_is_the_margin_over_the_weights():
    """Three pixels that count alike: an answer turns within as much as each of them lies beside a half."""
    weight = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]]) / 2
    model = lambda images: (images.flatten(1) - 0.5) @ weight.T  # noqa: E731
    images = 0.5 + torch.tensor([0.045, 0.08, -0.145, 0.49]).view(4, 1, 1, 1).expand(4, 1, 1, 3)
    own = model(images).argmax(1)
    _, radius, answer = pictures.smallest_attacks(model, images, own, None)
    assert radius.tolist() == pytest.approx([0.05, 0.1, 0.15, 0.5])
    assert answer.tolist() == [1, 1, 0, 1]
    _, radius, answer = pictures.smallest_attacks(model, images, own, own)  # it is there already
    assert radius.tolist() == pytest.approx([0.02] * 4)
    assert pictures.draw_attacks(looked_into("ppo", "DigitBandit", rows=4)).rows


@pytest.mark.parametrize("memory", ["attention", "transformer"])
def test_attention_is_recorded_of_every_kind_and_sums_to_one(memory):
    seen = looked_into("ppo", "RepeatPrevious", settings={"memory": memory, "memory_size": 8}, length=6)
    with torch.no_grad(), recorded_attention(seen.network) as weights:
        seen.outputs(seen.observation, seen.memory[0], seen.start)
    assert weights
    for calls in weights.values():
        torch.testing.assert_close(calls[0].sum(-1), torch.ones(calls[0].shape[:-1]))
    assert through_time.draw_attention(seen).rows


def test_every_kind_is_drawn_of_a_run_or_left_out_with_a_reason_and_the_report_shows_it(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = runner.run(catalogue.get(str(tiny)), "ppo", 0, root="runs", steps=256)
    told = {one.name: one for one in inspect(row.folder, num_envs=20)}
    assert list(told) == list(KINDS)
    reasons = {name: one.reason for name, one in told.items() if one.file is None}
    assert reasons["saliency"] == "no part of its observation is a picture"
    assert reasons["delay"] == reasons["memory"] == "it has no memory"
    assert reasons["plane"] == "it does not answer two numbers with a class"
    assert {name for name, one in told.items() if one.file} == {"depth", "embedding", "groups"}
    for name in ("depth", "embedding", "groups"):
        assert imageio.imread(f"{row.folder}/inspection/{name}.png").std() > 0
    page = write_report("site", "runs", films=0)
    (shown,) = contents(Leaderboard("runs/leaderboard.sqlite").rows(), {row.run_id: None}, tmp_path / "runs")["runs"]
    assert [one["file"] for one in shown["inspection"]] == [
        f"inspection/{name}.png" for name in ("depth", "embedding", "groups")
    ]
    assert (page.parent / "inspection" / row.run_id / "depth.png").is_file()
    listed = tmp_path / row.folder / "inspection" / "inspection.json"
    assert len(json.loads(listed.read_text())) == len(KINDS)
    listed.write_text("[{}]")
    assert kept(tmp_path / row.folder) == []


def test_an_agent_without_a_network_is_refused():
    env = make_batched("palaestra/TabularBandit-v0", 2)
    agent = agents.make("random", env)
    assert not isinstance(getattr(agent, "network", None), Trunk)
    with pytest.raises(InvalidInput, match=r"inspect: agent 'random' has no network"):
        subject.play(agent, env, 0)
