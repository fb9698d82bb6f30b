"""Images changed before their features are stored: what a hole and a zoom do, told apart from what they leave."""

import torch

from lib import data, vgg
from lib.recipe import stored


def generator():
    return torch.Generator().manual_seed(3)


def test_a_hole_is_black_square_and_all_else_is_as_it_was():
    images = torch.randint(1, 256, (200, 3, 32, 32), generator=generator()).byte()
    changed = stored.cut_out(images, 12, generator())
    black = (changed == 0).all(1)
    assert torch.equal(changed.permute(0, 2, 3, 1)[~black], images.permute(0, 2, 3, 1)[~black])
    rows, columns = black.any(2).sum(1), black.any(1).sum(1)
    assert torch.equal(black.sum((1, 2)), rows * columns)  # a rectangle
    assert rows.max() == columns.max() == 12 and rows.min() >= 6  # half of it at an edge


def test_a_zoom_of_nothing_changes_nothing_and_a_zoom_enlarges_a_part():
    ramp = torch.arange(32).mul(8).byte().expand(50, 3, 32, 32).contiguous()  # rises to the right
    assert torch.equal(stored.zoom(ramp, 1.0, generator()), ramp)
    slopes = (stored.zoom(ramp, 0.25, generator()).float()[:, 0, 16, 24]
              - stored.zoom(ramp, 0.25, generator()).float()[:, 0, 16, 8]) / 16
    # A part of 1/4 to all of the area is 1/2 to 1 of the side, and so is the slope, up to rounding and the borders.
    assert slopes.min() > 8 * 0.5 - 0.2 and slopes.max() < 8 + 0.2 and slopes.std() > 0.3


def test_augmented_images_are_those_of_step_1_and_the_same_for_one_seed():
    images, _ = data.load("mini")
    images = images[::100]
    first, again, other = (stored.augmented(images, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    choices = data.draw_augmentation(len(images), torch.Generator().manual_seed(1))
    assert torch.equal(first, data.augment(images, choices))
    assert (stored.augmented(images, 1, hole=8) == 0).sum() > (first == 0).sum()


def test_features_are_the_modules_output_rounded_to_bfloat16(make_network):
    images, _ = data.load("mini", split="test")
    device, _ = vgg.split(make_network(), 5)
    found = stored.features(device, images[::100], torch.Tensor.float)
    with torch.no_grad():
        expected = device(images[::100].float())
    assert found.dtype == torch.bfloat16 and torch.allclose(found.float(), expected, rtol=1e-2, atol=1e-3)
