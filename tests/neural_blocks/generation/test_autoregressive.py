"""PixelCNN and PixelRNN: causal, normalised, and sampled as they say."""

import itertools

import pytest
import torch

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.autoregressive import MaskedConv2d, PixelCNN, PixelModel, visits
from palaestra.neural_blocks.generation.pixel_rnn import PixelRNN

MODELS = {
    "PixelCNN": lambda **options: PixelCNN(channels=8, blocks=2, **options),
    "PixelCNN with the paper's kernel": lambda **options: PixelCNN(channels=8, blocks=2, kernel=7, **options),
    "PixelRNN": lambda **options: PixelRNN(channels=8, **options),
}


@pytest.fixture(params=MODELS)
def make(request):
    torch.manual_seed(0)
    return MODELS[request.param]


def test_masks_keep_what_is_above_and_left():
    above = [[1.0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert MaskedConv2d(2, 3, (3, 3), sees_itself=False).mask.tolist() == above
    above[1][1] = 1
    assert MaskedConv2d(2, 3, (3, 3), sees_itself=True).mask.tolist() == above


def test_masks_by_diagonals_keep_those_before_and_the_own_one_above():
    mask = MaskedConv2d(1, 1, (3, 5), sees_itself=True, order="diagonal").mask
    assert mask.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]
    assert visits((2, 3), "diagonal") == [0, 1, 3, 2, 4, 5]


def test_by_diagonals_a_pixel_depends_on_those_before_it_only():
    torch.manual_seed(0)
    model = PixelCNN((4, 5), 3, channels=8, blocks=2, order="diagonal").double()
    model.position.data.normal_()
    route, pixels = visits((4, 5), "diagonal"), torch.randint(3, (1, 1, 4, 5))
    before = model(pixels)[0].flatten(1)[:, route]  # (levels, 20)
    for turn, pixel in enumerate(route):
        changed = pixels.flatten().clone()
        changed[pixel] = (changed[pixel] + 1) % 3
        after = model(changed.view(1, 1, 4, 5))[0].flatten(1)[:, route]
        differs = (after != before).any(0)
        assert not differs[: turn + 1].any()
        assert differs[turn + 1 :].all()


def test_a_pixel_depends_on_those_before_it_only(make):
    model = make(size=(4, 5), levels=3)
    model.position.data.normal_()
    pixels = torch.randint(3, (1, 1, 4, 5))
    before = model(pixels)[0].flatten(1)  # (levels, 20)
    for i in range(20):
        changed = pixels.clone()
        changed.view(-1)[i] = (changed.view(-1)[i] + 1) % 3
        difference = (model(changed)[0].flatten(1) - before).abs().amax(0)
        assert not difference[: i + 1].any()
        assert i % 5 == 4 or difference[i + 1] > 0  # a narrow filter or triangle may miss the end of the row above


@pytest.mark.parametrize("size", [(8, 8), (5, 9), (9, 4)])
def test_every_pixel_of_pixelrnn_sees_every_pixel_before_it_and_no_other(size):
    torch.manual_seed(0)
    model = PixelRNN(size, 3, channels=24).double()  # enough that no pixel has all its units off
    model.position.data.normal_()
    one_hot = model.one_hot(torch.randint(3, (1, 1, *size))).double()
    model.one_hot = lambda x: x

    def logits(x):
        return model(x)[0].sum(0).flatten()  # (H W,)

    jacobian = torch.autograd.functional.jacobian(logits, one_hot)[:, 0].abs().sum(1).flatten(1)  # (H W, H W)
    count = size[0] * size[1]
    assert torch.equal(jacobian > 0, torch.ones(count, count, dtype=torch.bool).tril(-1))


def test_the_first_filter_of_pixelrnn_is_seven_rows_high_and_masks_its_own_pixel_and_all_after_it():
    mask = PixelRNN((8, 8)).first.mask
    assert mask.shape == (7, 15)
    assert mask.flatten().tolist() == [1.0] * (3 * 15 + 7) + [0.0] * (8 + 3 * 15)


@pytest.mark.parametrize("size", [(4, 5), (2, 3)])
def test_sampling_row_by_row_draws_what_sampling_from_the_whole_picture_draws(size):
    torch.manual_seed(0)
    model = PixelRNN(size, 4, channels=8)
    model.position.data.normal_()
    torch.nn.init.normal_(model.last[1].weight)
    assert torch.equal(model.sample(50, seed=3), PixelModel.sample(model, 50, seed=3))


def test_the_wide_kernel_leaves_no_blind_spot():
    torch.manual_seed(0)
    model = PixelCNN((4, 5), 3, channels=8, blocks=1, kernel=9)
    pixels = torch.zeros(1, 1, 4, 5, dtype=torch.long)
    before = model(pixels)[0, :, 3, 0]
    for i in range(15):
        changed = pixels.clone()
        changed.view(-1)[i] = 1
        assert (model(changed)[0, :, 3, 0] - before).abs().max() > 0


def test_probabilities_of_all_pictures_sum_to_one(make):
    model = make(size=(2, 2), levels=3)
    pictures = torch.tensor(list(itertools.product(range(3), repeat=4))).view(81, 1, 2, 2)
    assert model.log_prob(pictures).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_samples_come_as_often_as_log_prob_says(make):
    model = make(size=(1, 2), levels=2)
    with torch.no_grad():
        model.last[-1].weight.mul_(5)
        model.last[-1].bias.copy_(torch.tensor([0.0, 1.0]))
    pictures = torch.tensor(list(itertools.product(range(2), repeat=2))).view(4, 1, 1, 2)
    drawn = model.sample(20_000, seed=0).flatten(1)
    frequency = torch.bincount(2 * drawn[:, 0] + drawn[:, 1], minlength=4) / 20_000
    torch.testing.assert_close(frequency, model.log_prob(pictures).exp().detach(), atol=0.015, rtol=0)


def test_loss_is_log_prob_in_bits_per_pixel(make):
    model = make(size=(2, 2), levels=4)
    with torch.no_grad():
        model.last[-1].weight.zero_()
        model.last[-1].bias.zero_()
    assert model.loss(torch.randint(4, (5, 1, 2, 2))).item() == pytest.approx(2)  # four equal greys: two bits


def test_rows_one_by_one_equal_the_picture_at_once():
    torch.manual_seed(0)
    model = PixelRNN((4, 5), 3, channels=8, layers=2)
    model.position.data.normal_()
    pixels = torch.randint(3, (6, 1, 4, 5))
    memory, rows = model.initial_memory(6), []
    for row in range(4):
        logits, memory = model.step(pixels[:, 0, row], memory, row)
        rows.append(logits)
    torch.testing.assert_close(torch.stack(rows, 2), model(pixels), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: MaskedConv2d(1, 1, (2, 3), sees_itself=True), r"odd in height and width; got \(2, 3\)"),
        (lambda: PixelCNN(order="spiral"), "order must be one of 'raster', 'diagonal'; got 'spiral'"),
        (lambda: PixelCNN(channels=5), "channels must be even; got 5"),
        (lambda: PixelCNN(levels=1), "levels at least 2; got .* and 1"),
        (lambda: PixelRNN().log_prob(torch.zeros(2, 3, 8, 8).long()), r"\(B, 1, 8, 8\); got \(2, 3, 8, 8\)"),
        (lambda: PixelRNN().step(torch.zeros(2, 7).long(), PixelRNN().initial_memory(2), 0), r"\(B, 8\); got \(2, 7\)"),
        (lambda: PixelRNN().step(torch.zeros(2, 8).long(), PixelRNN().initial_memory(2), 8), r"0 \.\. 7; got 8"),
    ],
)
def test_bad_input_is_refused(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        wrong()
