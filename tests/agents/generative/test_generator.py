"""A generator that is fitted to an environment's pictures: its scores, its play, and what it refuses."""

import math

import pytest
import torch
import torch.nn.functional as F

from palaestra import agents, envs
from palaestra.agents.generative.conditions import code_accuracy, sample_accuracy
from palaestra.agents.generative.generator import MODELS, GeneratorConfig
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.measures import frechet_distance
from palaestra.neural_blocks.generation.pixels import quantise
from palaestra.neural_blocks.neurons.energy import RBM

FORGER = {"player": "generator", "dataset": "digits", "points": 2}
TINY = {
    "pixelcnn": {"channels": 4, "blocks": 1},
    "pixelrnn": {"channels": 4, "layers": 1},
    "pixel_transformer": {"channels": 8, "layers": 1, "heads": 2},
    "vae": {"latent_size": 4, "hidden": [16]},
    "vq_vae": {"codes": 4, "size": 2, "channels": 4},
    "cycle_gan": {"hidden": [16]},
    "gan": {"latent_size": 4, "hidden": [16], "critic_steps": 2},
    "nice": {"couplings": 2, "hidden": [16]},
    "real_nvp": {"couplings": 2, "hidden": [16]},
    "diffusion": {"width": 16, "blocks": 1},
    "rbm": {"hidden": 8, "rounds": 3},
}


def made(id, model, options=None, num_envs=2, **settings):
    """A generator and where it plays."""
    env = envs.make_batched(f"palaestra/{id}-v0", num_envs, seed=3, **(options or {}))
    block = TINY[model] | settings.pop("block", {})
    return agents.make("generator", env, model=model, block=block, updates=2, minibatch_size=8, **settings), env


def test_bits_per_dimension_are_those_of_the_test_split_computed_pixel_by_pixel():
    agent, env = made("PixelCanvas", "pixelcnn")
    agent.train(env, 4)
    test = envs.make_batched("palaestra/PixelCanvas-v0", 2, split="test")
    pictures, classes = test.task.examples()
    assert len(pictures) == 360
    whole, few = (pictures[:, 0] > 0).long(), slice(0, 12)
    pixels, total = whole[few], torch.zeros(12, dtype=torch.float64)
    with torch.no_grad():
        for place in range(64):  # one factor at a time, from what is drawn before it alone
            row, column = divmod(place, 8)
            before = pixels.flatten(1).clone()
            before[:, place:] = 0
            logits = agent.model.block(before.view(-1, 1, 8, 8), classes[few])[:, :, row, column].double()
            total += F.cross_entropy(logits, pixels[:, row, column], reduction="none")
        every = agent.model.log_prob(whole[:, None], classes, None).double()
    torch.testing.assert_close(-every[few], total, rtol=1e-5, atol=0)
    bits = -float(every.mean()) / 64 / math.log(2)
    assert agent.measured(test)["bits_per_dimension"] == pytest.approx(bits, rel=1e-5)


def test_an_exact_likelihood_of_a_small_machine_is_the_sum_over_its_hidden_states():
    agent, env = made("GANGame", "rbm", FORGER, levels=2)
    agent.train(env, 2)
    block: RBM = agent.model.block
    x = (env.task.examples("test")[0].flatten(1) > 127).float()
    hidden = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 8)  # (256, 8)
    with torch.no_grad():
        bias = hidden @ block.hidden_bias
        total = (bias + F.softplus(hidden @ block.weight.T + block.visible_bias).sum(1)).logsumexp(0)
        joint = (x @ block.weight) @ hidden.T + bias + (x @ block.visible_bias)[:, None]
        expected = -(joint.logsumexp(1) - total).mean() / 64 / math.log(2)
    assert agent.measured(env)["bits_per_dimension"] == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("model", ["vae", "vq_vae", "gan", "nice", "diffusion"])
def test_a_class_is_named_by_bayes_rule_and_samples_are_compared_with_real_digits(model):
    agent, env = made("DigitBandit", model, block={"auxiliary": True} if model == "gan" else {})
    agent.train(env, 4)
    result = agents.evaluate(agent, env, 2, seed=1)
    assert {"accuracy", "picture_frechet", "picture_inception", "picture_coverage"} <= set(result.metrics)
    assert ("bits_per_dimension" in result.metrics) == (model != "gan")
    image = env.reset(2)
    thought = agent.think(image)
    with agent.apart():
        scores = agent.model.class_scores(quantise(image / 255), agent._seed())
    torch.testing.assert_close(thought.probabilities, scores.softmax(1))
    torch.testing.assert_close(thought.probabilities.sum(1), torch.ones(2))


@pytest.mark.parametrize("order", ["raster", "diagonal"])
def test_what_is_drawn_comes_from_the_conditionals_in_the_environments_order(order):
    """A model that is sure of every pixel draws that picture, whatever the order."""
    agent, env = made("PixelCanvas", "pixel_transformer", {"order": order}, order=order)
    wanted = torch.arange(64) % 3 == 0

    def sure(pixels, labels=None):
        ink = 40.0 * wanted.expand(len(pixels), 64) - 20
        return torch.stack([torch.zeros_like(ink), ink], 1).view(-1, 2, 8, 8)

    agent.model.block.forward = sure
    env.reset(1)
    for _ in range(64):
        action, _ = agent.act(env.observation, greedy=False)
        step = env.step(action)
    assert step.done.all()
    canvas = step.final_observation["canvas"].flatten(1) > 0
    assert torch.equal(canvas, wanted.expand(2, 64))


def test_a_denoiser_pushes_towards_the_class_asked_for_and_not_at_all_without_guidance():
    agent, env = made("Denoise", "diffusion", num_envs=4)
    agent.train(env, 8)
    with torch.no_grad():
        agent.model.block.denoiser.label.weight[:-1] += 2 * torch.randn(10, 16)
    seen = env.reset(2)
    action, _ = agent.act(seen)
    block, x = agent.model.block, seen["noisy"].view(-1, 1, 8, 8)
    step = torch.full((4,), 9)
    wanted, variance = block.clean(x, step, seen["request"])
    shift = block.clean_weight[9] * (wanted - block.clean(x, step)[0])
    deviation = (block.variance[9] + block.clean_weight[9] ** 2 * variance).sqrt()
    weights = (shift / deviation).flatten(1) @ env.task.waves.float().T
    weights = weights / weights.abs().amax(1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(action, weights.detach(), atol=1e-4, rtol=1e-3)
    assert action.abs().max() > 1e-3
    still, env = made("Denoise", "diffusion", block={"guidance": 0.0})
    assert still.act(env.reset(1))[0].abs().max() == 0


def test_a_denoiser_takes_noise_away_at_the_step_that_has_as_much():
    agent, env = made("Restore", "diffusion", {"damage": "noise"}, block={"steps": 20})
    seen = env.reset(1)
    action, _ = agent.act(seen)
    block = agent.model.block
    ratios = (block.deviation / block.signal).tolist()
    nearest = min(range(20), key=lambda t: abs(ratios[t] - 128 / 255))
    damaged = 2 * seen["damaged"].float() / 255 - 1
    clean, _ = block.clean(block.signal[nearest] * damaged, torch.full((2,), nearest))
    torch.testing.assert_close(action, (clean - damaged).detach().flatten(1) / 2, atol=1e-5, rtol=0)


@pytest.mark.parametrize("model", ["pixelcnn", "pixelrnn", "pixel_transformer", "vae", "diffusion", "rbm"])
def test_a_hole_is_painted_as_the_model_expects_and_nothing_else(model):
    few = {"samples": 3} if model == "vae" else {} if model == "rbm" else {"particles": 3}
    agent, env = made("Restore", model, block=few, num_envs=4)
    agent.train(env, 8)
    seen = env.reset(1)
    action, _ = agent.act(seen)
    missing = (seen["damaged"][:, 1] > 0).flatten(1)
    assert missing.sum(1).tolist() == [16] * 4
    assert (action[~missing] == 0).all()
    assert (action[missing] >= 0).all()  # black there; ink is light
    assert action[missing].max() <= 1
    assert action[missing].std() > 0
    result = agents.evaluate(agent, env, 4, seed=1)
    assert ("bits_per_dimension" in result.metrics) == (model != "rbm")


def test_each_loss_and_constraint_of_a_gan_changes_one_player_at_a_time():
    for block in (
        {"loss": "wasserstein", "constraint": "clip", "clip": 0.02},
        {"loss": "minimax", "constraint": "penalty"},
        {"loss": "least_squares", "constraint": "spectral"},
    ):
        agent, env = made("GANGame", "gan", FORGER, block=block)
        report = agent.train(env, 2)
        assert {"discriminator_loss", "generator_loss", "generator_gradient_norm"} <= set(report)
        judge = agent.model.block.discriminator
        if block["constraint"] == "clip":
            assert max(float(weight.detach().abs().max()) for weight in judge.parameters()) <= 0.02
        if block["constraint"] == "spectral":
            layer = judge.network[1].layers[0]
            assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.2)


def test_an_unrolled_generator_s_gradient_runs_through_the_discriminator_s_steps():
    agent, env = made("GANGame", "gan", FORGER, block={"unrolled": 2, "unrolled_rate": 0.5, "noise": 0.0})
    agent.train(env, 2)
    model = agent.model
    pixels = torch.randint(0, 17, (6, 1, 8, 8))
    weight = next(model.block.generator.parameters())
    (slope,) = torch.autograd.grad(model.loss("generator", pixels, None, 5), weight)
    values = []
    for by in (1e-2, -1e-2):  # the whole of it anew with one weight moved
        with torch.no_grad():
            weight.view(-1)[3] += by
        values.append(model.loss("generator", pixels, None, 5).item())
        with torch.no_grad():
            weight.view(-1)[3] -= by
    assert slope.view(-1)[3].item() == pytest.approx((values[0] - values[1]) / 2e-2, rel=0.02, abs=1e-4)
    assert values[0] != model.block.generator_loss(6, None, 5).item()


def test_learning_lowers_the_loss_and_makes_samples_more_like_digits():
    agent, env = made("GANGame", "nice", FORGER, learning_rate=3e-3)
    reports = list(agent.learn(env, 40))
    first, last = (sum(report["loss"] for report in part) for part in (reports[:5], reports[-5:]))
    assert last < first
    result = agents.evaluate(agent, env, 16, seed=1)
    made_up = torch.rand(16, 64)
    assert result.metrics["bits_per_dimension"] < math.log2(17)
    assert frechet_distance(made_up, made_up).item() == pytest.approx(0, abs=1e-9)
    assert result.metrics["picture_frechet"] > 0


def test_a_cycle_gan_learns_from_halves_of_both_domains_and_translates_there_and_back():
    agent, env = made("Unpaired", "cycle_gan", {"by": "pixels"}, num_envs=3)
    pictures, domains = env.task.examples("train")
    assert domains.tolist() == sorted(domains.tolist())
    assert pictures[domains == 1].float().mean() > pictures[domains == 0].float().mean()  # black on white
    rows = agent.model.rows(torch.tensor([0.0, 0.999, 0.0, 0.999]), domains)
    assert domains[rows].tolist() == [0, 0, 1, 1]
    assert {"discriminators_loss", "translators_loss"} <= set(agent.train(env, 6))
    seen = env.reset(1)
    there, _ = agent.act(seen)
    block, picture = agent.model.block, seen["picture"] / 255
    torch.testing.assert_close(there, block(picture, 1).flatten(1).detach())
    env.step(there)
    back, _ = agent.act(env.observation)
    torch.testing.assert_close(back, block(env.observation["picture"] / 255, 0).flatten(1).detach())


def test_an_info_gan_s_bound_is_the_entropy_of_codes_less_that_which_the_discriminator_leaves():
    agent, _ = made("GANGame", "gan", FORGER, block={"categories": 4})
    with torch.no_grad():
        judge = agent.model.block.discriminator.network[-1].layers[-1]
        judge.weight.zero_()
        judge.bias.zero_()  # the discriminator says a quarter each: nothing is told
    assert agent.model.measured(0)["information"] == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        judge.bias[1] = 1.0  # sure of nothing, and wrong three times in four
    told = torch.tensor([1.0, 0, 0, 0]).log_softmax(0)
    assert agent.model.measured(0)["information"] == pytest.approx(math.log(4) + told.mean().item(), abs=0.05)


def test_what_is_asked_for_is_found_in_real_digits_and_not_in_others():
    task = envs.make_task("palaestra/DigitBandit-v0", split="test")
    pictures, labels = task.examples()
    pictures = pictures / 255
    assert sample_accuracy(pictures, labels) > 0.95
    assert sample_accuracy(pictures, (labels + 1) % 10) < 0.05
    codes = (3 * labels + 1) % 10  # names of their own
    assert code_accuracy(pictures, codes, 10) == sample_accuracy(pictures, labels)
    assert code_accuracy(pictures[:1].expand(360, 1, 8, 8), labels, 10) < 0.15
    twelve = labels + 2 * (torch.arange(360) % 6 == 0) * (labels > 7)  # of two classes a sixth has a code of its own
    right = sample_accuracy(pictures, labels)
    assert code_accuracy(pictures, twelve, 12) == pytest.approx(right - (twelve > 9).double().mean().item(), abs=0.02)


def test_samples_of_a_gan_with_classes_are_compared_with_the_classes_asked_for(monkeypatch):
    agent, env = made("DigitBandit", "gan", block={"auxiliary": True})
    digits, labels = env.task.examples("train")

    def sample(n, asked, seed):
        return torch.stack([digits[labels == one][0] for one in asked.tolist()]) / 255

    monkeypatch.setattr(agent.model, "sample", sample)
    assert agent.measured(env)["sample_accuracy"] > 0.9


def test_an_info_gan_plays_where_no_class_is_asked_for():
    agent, env = made("GANGame", "gan", FORGER, block={"categories": 5})
    agent.train(env, 2)
    assert agent.act(env.observation)[0].shape == (2, 64)
    found = agent.measured(env)
    assert found["information"] <= math.log(5)
    assert 0 <= found["code_accuracy"] <= 1
    with pytest.raises(InvalidInput, match="categories are for a dense gan where no class is asked for"):
        made("DigitBandit", "gan", block={"categories": 5, "auxiliary": True})


@pytest.mark.parametrize(
    ("id", "options", "settings", "told"),
    [
        ("PixelCanvas", {}, {"model": "vae"}, "needs conditionals of pixels: 'pixelcnn', 'pixelrnn'.*got model 'vae'"),
        ("PixelCanvas", {"order": "diagonal"}, {}, "order must be 'diagonal' for this PixelCanvas; got 'raster'"),
        ("PixelCanvas", {}, {"model": "pixelrnn", "order": "diagonal"}, "order must be 'raster' with a pixelrnn"),
        ("PixelCanvas", {}, {"levels": 5}, "levels must be 2 where the action is a pixel; got 5"),
        ("Denoise", {}, {}, "needs a denoiser: 'diffusion'; got model 'pixelcnn'"),
        (
            "Denoise",
            {},
            {"model": "diffusion", "block": {"steps": 20}},
            "steps of the diffusion must be 10 here; got 20",
        ),
        (
            "Denoise",
            {},
            {"model": "diffusion", "block": {"schedule": "linear"}},
            "must be 'cosine', that of Denoise; got 'linear'",
        ),
        (
            "Restore",
            {"damage": "coarse"},
            {"model": "diffusion"},
            "damage must be 'noise' for a denoiser; got 'coarse'",
        ),
        ("Restore", {}, {"model": "gan"}, "needs a model that fills gaps: 'pixelcnn'.*got model 'gan'"),
        ("Restore", {"patches": True}, {"model": "vae"}, "generator: plays PixelCanvas, DigitBandit"),
        ("GANGame", {"player": "generator"}, {"model": "gan"}, "generator: plays PixelCanvas, DigitBandit"),
        ("DigitBandit", {}, {"model": "gan"}, "auxiliary: true.*got model 'gan'"),
        ("DigitBandit", {}, {"model": "rbm"}, "an rbm has no classes"),
        ("DigitBandit", {}, {"model": "cycle_gan"}, "a cycle_gan needs pictures of two domains"),
        ("Unpaired", {"by": "pixels"}, {}, "needs a translation: 'cycle_gan'; got model 'pixelcnn'"),
        ("TabularBandit", {}, {}, "generator: plays PixelCanvas"),
    ],
)
def test_which_model_plays_which_environment_is_told_when_it_is_made(id, options, settings, told):
    env = envs.make_batched(f"palaestra/{id}-v0", 1, **options)
    with pytest.raises(InvalidInput, match=told):
        agents.make("generator", env, **settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": "vea"}, "'vea'"),
        ({"model": "vae", "block": {"latents": 3}}, "VAEConfig.*'latents'"),
        ({"model": "vae", "block": {"latent_size": 0}}, "latent_size"),
        ({"model": "pixelcnn", "block": {"channels": 3}}, "channels"),
        ({"model": "gan", "block": {"loss": "hinge"}}, "'hinge'"),
        ({"model": "gan", "block": {"unrolled": -1}}, "unrolled"),
        ({"model": "rbm", "block": {"hidden": True}}, "hidden takes neither true nor false"),
        ({"minibatch_size": 1}, "minibatch_size"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, told):
    with pytest.raises(InvalidInput, match=told) as refusal:
        GeneratorConfig(**settings)
    assert "\n" not in str(refusal.value)


def test_every_model_has_settings_of_its_own_and_a_docstring():
    assert set(MODELS) == set(TINY)
    for kind in MODELS.values():
        assert kind.__doc__
        told = " ".join(GeneratorConfig.__doc__.split())
        assert all(field in told for field in kind.Config.model_fields)
