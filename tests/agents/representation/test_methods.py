"""Methods of pretraining: their losses are those of their blocks, and what they fit is what they keep."""

import math
from itertools import combinations

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

import palaestra.envs as envs
from palaestra import agents
from palaestra.agents.core.randomness import Randomness
from palaestra.agents.representation.fitting import Fitting
from palaestra.agents.representation.gathering import Batches, Gathered, gather
from palaestra.agents.representation.registry import METHODS
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.language.text import token_loss
from palaestra.neural_blocks.language.words import masked_words
from palaestra.neural_blocks.representation.contrast import nt_xent, queue_contrast

IMAGES = spaces.Box(0, 255, (1, 8, 8), np.uint8)
SEED = torch.tensor(5)


def made(name, space, **settings):
    torch.manual_seed(0)
    cls = METHODS.load(name)
    return cls(space, cls.Config(**settings))


def some_images(count=12):
    return torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8)


def seen(id, steps=12, rows=4, player="random", **options):
    env = envs.make_batched(f"palaestra/{id}-v0", rows, **options)
    return gather(env, agents.make(player, env), steps * rows, 3), env


CASES = {
    "autoencoder": ("DigitBandit", {}),
    "vae": ("DigitBandit", {}),
    "simclr": ("DigitBandit", {}),
    "moco": ("DigitBandit", {"queue": 20}),
    "byol": ("DigitBandit", {}),
    "dino": ("DigitBandit", {}),
    "rotation": ("DigitBandit", {}),
    "jigsaw": ("DigitBandit", {}),
    "cpc": ("NextSymbol", {"length": 4}),
    "language_model": ("Text", {"length": 6}),
    "masked_language_model": ("Cloze", {}),
    "elmo": ("Cloze", {}),
    "skip_gram": ("Translate", {"part": "source"}),
    "glove": ("Text", {"length": 6}),
    "svd": ("SentencePair", {"part": "first", "blank": 0}),
    "clip": ("Caption", {}),
}


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_lessens_its_loss_and_goes_on_as_if_it_had_not_stopped(name):
    id, settings = CASES[name]
    gathered, env = seen(id, player="expert" if name == "clip" else "random")
    cls = METHODS.load(name)
    config = cls.Config(updates=12, batch_size=12, learning_rate=3e-3, **settings)
    whole = Fitting(cls, env.observation_space, config, gathered, 1)
    before = {key: part.clone() for key, part in whole.method.encoder.state_dict().items()}
    losses = [report["loss"] for report in whole.run()]
    assert len(losses) == 12
    assert all(math.isfinite(loss) for loss in losses)
    if name not in ("moco", "dino", "svd"):  # whose targets move, or that finds all at once
        assert np.mean(losses[-4:]) < np.mean(losses[:4])
    after = whole.method.encoder.state_dict()
    assert any(not torch.equal(part, after[key]) for key, part in before.items())

    first = Fitting(cls, env.observation_space, config, gathered, 1)
    running = first.run()
    begun = [next(running)["loss"] for _ in range(5)]
    second = Fitting(cls, env.observation_space, config, gathered, 2)
    second.load_state_dict(first.state_dict())
    assert begun + [report["loss"] for report in second.run()] == losses
    assert all(torch.equal(part, after[key]) for key, part in second.method.encoder.state_dict().items())


@pytest.mark.parametrize("kind", ["bottleneck", "tied", "denoising", "sparse", "masked"])
def test_an_autoencoder_s_loss_is_its_block_s(kind):
    method, x = made("autoencoder", IMAGES, kind=kind, code_size=8), some_images()
    loss = method.loss(x, SEED)
    torch.testing.assert_close(loss, method.block.loss(x / 255, 5))
    loss.backward()
    assert all(one.grad is not None for one in method.encoder.parameters())


def test_the_vae_s_loss_weighs_the_distance_from_the_prior():
    method, x = made("vae", IMAGES, beta=3.0), some_images()
    reconstruction, kl = method.block.terms(x / 255, 5)
    torch.testing.assert_close(method.loss(x, SEED), (3 * kl - reconstruction).mean())


def test_a_pretext_task_asks_which_change_was_made():
    x = torch.arange(16, dtype=torch.uint8).view(1, 4, 4)
    space = spaces.Box(0, 255, (1, 4, 4), np.uint8)
    turned = made("rotation", space).changed(x[None])
    assert [one[0, 0].tolist() for one in turned] == [np.rot90(x[0].numpy(), k).tolist() for k in range(4)]
    orders = made("jigsaw", space).changed(x[None])
    assert len({tuple(one.flatten().tolist()) for one in orders}) == 24
    assert torch.equal(orders[0], x[None])
    assert orders[-1][0, 0, :2].tolist() == [[10, 11, 8, 9], [14, 15, 12, 13]]  # fourth and third, above the others
    method, images = made("rotation", IMAGES), some_images(4)
    with torch.no_grad():
        method.head.weight.zero_()
        method.head.bias.copy_(torch.tensor([100.0, 0, 0, 0]))
    shares = [method.loss(images.repeat(50, 1, 1, 1), torch.tensor(k)).item() / 100 for k in range(5)]
    assert np.mean(shares) == pytest.approx(0.75, abs=0.05)  # three of four are turned
    with pytest.raises(InvalidInput, match="rotation: needs a square image"):
        made("rotation", spaces.Box(0, 255, (1, 8, 16), np.uint8))


def test_views_differ_and_repeat_themselves_with_their_seed():
    method, x = made("simclr", IMAGES), some_images()
    first, second = method.views(x, SEED)
    assert not torch.equal(first, second)
    again = method.views(x, SEED)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    projected = [method.projection(method.encoder(view)) for view in (first, second)]
    torch.testing.assert_close(method.loss(x, SEED), nt_xent(*projected, method.config.temperature))


def test_moco_s_queue_takes_the_newest_keys_and_loses_the_oldest():
    method, x = made("moco", IMAGES, queue=20, decay=0.5), some_images()
    queue = method.queue.clone()
    first, second = method.views(x, SEED)
    keys = torch.nn.functional.normalize(method.slow(second), dim=-1)
    wanted = queue_contrast(method.online(first), keys, queue, method.config.temperature)
    torch.testing.assert_close(method.loss(x, SEED), wanted)
    weight = method.slow.module[1].layers[0].weight.clone()
    with torch.no_grad():
        method.projection.layers[0].weight += 1
    method.after()
    torch.testing.assert_close(method.queue, torch.cat([keys, queue])[:20])
    torch.testing.assert_close(method.slow.module[1].layers[0].weight, weight + 0.5)


def test_dino_s_centre_follows_the_slow_copy():
    method, x = made("dino", IMAGES, centring=0.75), some_images()
    method.loss(x, SEED)
    views = torch.cat(method.views(x, SEED))
    method.after()
    torch.testing.assert_close(method.centre, 0.25 * method.slow(views).mean(0), rtol=1e-3, atol=1e-4)


def test_a_text_ends_with_its_episode():
    method = made("language_model", spaces.Discrete(5), length=4)
    words = torch.tensor([[0, 1], [2, 3], [4, 0], [1, 2]])
    start = torch.tensor([[1, 1], [0, 0], [1, 0], [0, 0]]).bool()
    texts = method.texts((words, start))
    assert texts.tolist() == [[0, 2, -1, -1], [1, 3, 0, 2]]
    torch.testing.assert_close(method.loss((words, start), SEED), token_loss(method.block(texts), texts))


def test_a_masked_language_model_is_asked_for_hidden_words_alone():
    method = made("masked_language_model", spaces.MultiDiscrete([6] * 5), share=0.5, size=8)
    words, start = torch.randint(0, 6, (1, 9, 5)), torch.ones(1, 9).bool()
    loss = method.loss((words, start), SEED)
    given, chosen = masked_words(words[0], 6, 0.5, 5)
    shares = method.head(method.encoder.states(given)).softmax(-1).detach()
    each = [-math.log(shares[n, k, words[0, n, k]]) for n, k in chosen.nonzero().tolist()]
    assert loss.item() == pytest.approx(np.mean(each), rel=1e-5)


def test_states_in_both_directions_foretell_what_they_have_not_read():
    method = made("elmo", spaces.MultiDiscrete([6] * 4), size=8)
    words, start = torch.randint(0, 6, (1, 5, 4)), torch.ones(1, 5).bool()
    shares = method.head(method.encoder.states(words[0]).unflatten(2, (2, 8))).log_softmax(-1).detach()
    each = [-shares[n, k, 0, words[0, n, k + 1]] for n in range(5) for k in range(3)]
    each += [-shares[n, k + 1, 1, words[0, n, k]] for n in range(5) for k in range(3)]
    assert method.loss((words, start), SEED).item() == pytest.approx(float(torch.stack(each).mean()), rel=1e-5)
    other = words[0].clone()
    other[:, 2:] = (other[:, 2:] + 1) % 6
    onward, back = method.encoder.states(words[0]).chunk(2, -1)
    changed, behind = method.encoder.states(other).chunk(2, -1)
    assert torch.equal(onward[:, :2], changed[:, :2])  # what comes later is not known
    assert not torch.equal(back[:, :2], behind[:, :2])


def test_skip_gram_s_pairs_are_neighbours_within_a_text(monkeypatch):
    method = made("skip_gram", spaces.Discrete(40), window=2, length=20)
    words = torch.arange(20)[:, None] + torch.tensor([[0, 20]])  # (L, N): in a text each word is there once
    start = torch.zeros(20, 2).bool()
    start[0], start[10, 1] = True, True
    pairs = []
    monkeypatch.setattr(method.block, "loss", lambda *given: pairs.append(given) or given[0].float().mean())
    for seed in range(120):
        method.loss((words, start), torch.tensor(seed))
    word, near, negatives = (torch.cat(part) for part in zip(*pairs, strict=True))
    distances = (near - word).tolist()
    assert set(distances) == {-2, -1, 1, 2}
    assert set(torch.cat([word, near]).tolist()) == {*range(20), *range(20, 30)}  # none of the second episode
    assert set(negatives.flatten().tolist()) <= {*range(20), *range(20, 30)}


def test_thinned_texts_lose_common_words_alone(monkeypatch):
    method = made("skip_gram", spaces.MultiDiscrete([3] * 12), window=1, thinning=0.05, objective="softmax")
    rows = torch.tensor([[0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]] * 30)
    method.prepare(rows[None], torch.ones(1, 30).bool())
    torch.testing.assert_close(method.keep, torch.tensor([(0.05 / (10 / 12)) ** 0.5, (0.6) ** 0.5, (0.6) ** 0.5]))
    pairs = []
    monkeypatch.setattr(method.block, "softmax_loss", lambda *given: pairs.append(given) or given[0].float().mean())
    for seed in range(20):
        method.loss((rows[None], torch.ones(1, 30).bool()), torch.tensor(seed))
    word, near = (torch.cat(part).tolist() for part in zip(*pairs, strict=True))
    assert (1, 2) in set(zip(word, near, strict=True))  # neighbours where all between them is left out
    assert word.count(0) / len(word) < 0.75  # of 10 / 12


def test_counts_are_those_of_the_texts_without_blanks_and_across_no_start():
    method = made("svd", spaces.Discrete(4), window=2, length=4, weighting="counts", size=4)
    words = torch.tensor([0, 1, 2, 3, 0, 0, 1, 1])[:, None]
    start = torch.zeros(8, 1).bool()
    start[0] = start[2] = True
    method.prepare(words, start)
    table = torch.zeros(4, 4)
    for text in ([0, 1], [2, 3], [0, 0, 1, 1]):  # cut after four words; an episode begins with the 2
        for first, second in combinations(range(len(text)), 2):
            if second - first <= 2:
                table[text[first], text[second]] += 1 / (second - first)
                table[text[second], text[first]] += 1 / (second - first)
    scales = torch.linalg.svdvals(table)
    torch.testing.assert_close(torch.linalg.svdvals(method.vectors).square(), scales, atol=1e-5, rtol=0)
    assert method.loss(None, SEED).item() == pytest.approx(0, abs=1e-5)
    rows = made("svd", spaces.MultiDiscrete([4] * 3), blank=0, counted="texts", weighting="counts", size=2)
    rows.prepare(torch.tensor([[[1, 0, 1], [0, 3, 2]]]), torch.ones(1, 2).bool())
    wanted = torch.diag(torch.tensor([0, 2.0, 0, 0]))
    wanted[2:, 2:] = 2**0.5 / 2  # the text of 3 and 2, whose singular value is the root of 2
    torch.testing.assert_close(rows.vectors @ rows.vectors.T, wanted)
    assert rows.left_over.item() == pytest.approx(0, abs=1e-6)


def test_glove_fits_the_pairs_that_meet_and_keeps_the_sum_of_both_vectors():
    method = made("glove", spaces.MultiDiscrete([5] * 3), blank=0, window=2, size=4)
    method.prepare(torch.tensor([[[1, 0, 2], [3, 4, 0]]]), torch.ones(1, 2).bool())
    assert method.pairs.tolist() == [[1, 2], [2, 1], [3, 4], [4, 3]]
    assert method.met.tolist() == [1, 1, 1, 1]
    method.after()
    wanted = method.block.word.weight + method.block.context.weight
    assert torch.equal(method.encoder.table.weight[:5], wanted)
    with pytest.raises(InvalidInput, match="needs texts of at least two words"):
        method.prepare(torch.tensor([[[1, 0, 0]]]), torch.ones(1, 1).bool())


def test_clip_matches_pictures_and_texts_both_ways():
    space = spaces.Dict({"image": spaces.Box(0, 255, (3, 16, 16), np.uint8), "written": spaces.MultiDiscrete([5] * 4)})
    method = made("clip", space, temperature=0.5)
    image = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    text = torch.tensor([[1, 2, 3, 0], [4, 4, 1, 0], [1, 2, 3, 0]])  # the first and the last say the same
    parts = [method.projections[name](method.encoders[name](x)) for name, x in (("image", image), ("text", text))]
    cosines = torch.cosine_similarity(parts[0].detach()[:, None], parts[1].detach()[None], dim=-1) / 0.5
    total = 0.0
    for row in range(3):
        others = [other for other in range(3) if other == row or {row, other} != {0, 2}]
        for line in (cosines[row], cosines[:, row]):
            total -= math.log(float(line[row].exp() / line[others].exp().sum()))
    assert method.loss({"image": image, "written": text}, SEED).item() == pytest.approx(total / 6, rel=1e-4)


def test_batches_are_of_what_was_gathered():
    observation, start = torch.arange(24).reshape(6, 4), torch.zeros(6, 4).bool()
    done = torch.zeros(6, 4).bool()
    done[2, 1] = done[5, 3] = True
    gathered = Gathered(observation, start, observation + 100, done)
    sequences = Batches(gathered, made("cpc", spaces.Discrete(24), length=3)).draw(50, Randomness(0))
    assert set((sequences[0][1:] - sequences[0][:-1]).flatten().tolist()) == {4}  # a row's next step
    assert sequences[1][0].all()
    method = made("autoencoder", spaces.Box(0, 1, (1,)))
    assert set(Batches(gathered, method).draw(500, Randomness(0)).tolist()) == {*range(24)}
    method.reads = "finals"
    assert set(Batches(gathered, method).draw(50, Randomness(0)).tolist()) == {109, 123}


@pytest.mark.parametrize(
    ("name", "space", "settings", "told"),
    [
        ("simclr", spaces.Discrete(3), {}, "needs an image"),
        ("vae", spaces.Box(-1, 1, (3,)), {}, "needs an image"),
        ("skip_gram", spaces.Box(-1, 1, (3,)), {}, "needs a word"),
        ("masked_language_model", spaces.Discrete(3), {}, "needs a row of words"),
        ("clip", IMAGES, {}, "needs a Dict of an image and a row of words"),
        ("autoencoder", spaces.Box(-np.inf, 1, (3,)), {}, "finite bounds"),
        ("simclr", IMAGES, {"part": "image"}, "part must be null"),
        ("simclr", spaces.Dict({"a": IMAGES, "b": IMAGES}), {}, "part must be one of 'a', 'b'"),
        ("simclr", IMAGES, {"encoder": "flat"}, "must have weights"),
        ("cpc", spaces.Discrete(3), {"ahead": 8}, "ahead must be less than length 8"),
    ],
)
def test_what_a_method_cannot_learn_from_is_refused(name, space, settings, told):
    with pytest.raises(InvalidInput, match=told):
        made(name, space, **settings)


def test_episodes_of_one_step_foretell_nothing():
    method = made("cpc", IMAGES, length=2, ahead=1)
    with pytest.raises(InvalidInput, match="episodes of at least two steps"):
        method.loss((some_images(8).view(2, 4, 1, 8, 8), torch.ones(2, 4).bool()), SEED)


def test_a_tied_decoder_has_the_encoder_s_weights():
    method, x = made("autoencoder", IMAGES, kind="tied", code_size=8), some_images()
    weight, code = method.encoder.network.layers[0].weight, method.encoder(x)
    rebuilt = torch.sigmoid(code @ weight + method.block.decoder.bias)
    torch.testing.assert_close(method.block(x / 255).flatten(1), rebuilt)
