"""The U-Net takes noise off digits."""

import torch
import torch.nn.functional as F

from palaestra.neural_blocks.perception.unet import UNet


def noisy(images):
    return images + 0.5 * torch.randn_like(images)


def with_one(images):
    """Pixels (N, H W) and a column of ones."""
    return torch.cat([images.flatten(1), torch.ones(len(images), 1)], 1)


def test_a_u_net_denoises_digits_better_than_the_best_linear_filter(digits):
    train, _, test, _ = digits
    torch.manual_seed(0)
    clean = train.repeat(10, 1, 1, 1)
    linear = torch.linalg.lstsq(with_one(noisy(clean)), clean.flatten(1)).solution
    net = UNet(1, 1, (16, 32, 64))
    optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=300)
    for _ in range(300):
        images = train[torch.randint(len(train), (64,))]
        loss = F.mse_loss(net(noisy(images)), images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    seen = noisy(test)
    with torch.no_grad():
        error = F.mse_loss(net(seen), test)
    assert error < 0.9 * F.mse_loss(with_one(seen) @ linear, test.flatten(1))
