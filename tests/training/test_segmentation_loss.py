"""The two cross-entropies, in cases that can be computed by hand, and their sum over scales."""

import math

import numpy as np
import pytest
import torch
from helpers.networks import tiny_deeplab
from PIL import Image
from torch import nn

from ribstudy.masks.deeplab import multi_scale_logits
from ribstudy.training.segmentation_loss import balanced_cross_entropy, masks_at, mean_cross_entropy, segmentation_loss

SCALES = (0.5, 0.75, 1.0)
LOSSES = [balanced_cross_entropy, mean_cross_entropy]


def random_case(num_images=4, num_classes=5):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(num_images, num_classes, 6, 7, generator=generator)
    labels = torch.randint(0, num_classes, (num_images, 6, 7), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
    return logits, labels


def test_background_and_objects_have_the_same_weight():
    """Two classes with p = (3/4, 1/4) everywhere: three background pixels, one object pixel, one void pixel."""
    logits = torch.tensor([math.log(3), 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 5)
    labels = torch.tensor([[[0, 0, 0, 1, 255]]])
    assert balanced_cross_entropy(logits, labels).item() == pytest.approx(math.log(4 / 3) + math.log(4))
    assert mean_cross_entropy(logits, labels).item() == pytest.approx((3 * math.log(4 / 3) + math.log(4)) / 4)


def test_the_gradient_of_the_balanced_loss():
    """p - 1 at the label and p elsewhere, divided by the number of pixels on its side and by the number of images."""
    logits = torch.zeros(2, 2, 1, 3, requires_grad=True)
    balanced_cross_entropy(logits, torch.tensor([[[0, 0, 1]], [[255, 255, 0]]])).backward()
    expected = [[[[-0.125, -0.125, 0.25]], [[0.125, 0.125, -0.25]]], [[[0.0, 0.0, -0.25]], [[0.0, 0.0, 0.25]]]]
    torch.testing.assert_close(logits.grad, torch.tensor(expected))


def test_images_of_one_side_only():
    logits = torch.zeros(1, 4, 2, 2)
    for label in (0, 3):
        labels = torch.full((1, 2, 2), label)
        assert balanced_cross_entropy(logits, labels).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_parts_of_a_batch_average_to_its_loss(loss):
    logits, labels = random_case()
    parts = [loss(logits[part], labels[part]) for part in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(loss(logits, labels), torch.stack(parts).mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_pixels_without_a_label_have_no_influence(loss):
    logits, labels = random_case()
    logits.requires_grad_(True)
    loss(logits, labels).backward()
    assert (logits.grad.abs().sum(dim=1) > 0).equal(labels != 255)
    other = torch.where((labels == 255)[:, None], torch.randn_like(logits), logits.detach())
    assert torch.equal(loss(other, labels), loss(logits.detach(), labels))


@pytest.mark.parametrize("loss", LOSSES)
def test_an_image_without_labels_costs_nothing(loss):
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    value = loss(logits, torch.full((1, 2, 2), 255))
    value.backward()
    assert value.item() == 0
    assert torch.count_nonzero(logits.grad) == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_large_scores_stay_finite_and_bfloat16_is_computed_as_float32(loss):
    labels = torch.tensor([[[0, 1]]])
    logits = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1).expand(1, 2, 1, 2).clone().requires_grad_(True)
    value = loss(logits, labels)
    value.backward()
    assert value.item() == pytest.approx(2e4 if loss is balanced_cross_entropy else 1e4)
    assert torch.isfinite(logits.grad).all()
    rounded = random_case()[0].bfloat16()
    for enabled in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            value = loss(rounded, random_case()[1])
        assert value.dtype == torch.float32
        assert torch.equal(value, loss(rounded.float(), random_case()[1]))


def some_batch(num_images=4, size=(33, 33), num_classes=4):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(num_images, 3, *size, generator=generator)
    masks = torch.randint(0, num_classes, (num_images, *size), generator=generator)
    masks[torch.rand(masks.shape, generator=generator) < 0.2] = 255
    return images, masks


@pytest.mark.parametrize(
    ("size", "target"), [((321, 321), (41, 41)), ((33, 50), (9, 13)), ((10, 7), (10, 14)), ((5, 5), (1, 1))]
)
def test_masks_are_resized_as_pil_does_it(size, target):
    masks = np.random.default_rng(0).integers(0, 256, (2, *size), dtype=np.uint8)
    expected = [np.array(Image.fromarray(mask).resize(target[::-1], Image.Resampling.NEAREST)) for mask in masks]
    assert np.array_equal(masks_at(torch.from_numpy(masks).long(), target).numpy(), np.stack(expected))


def test_scale_1_is_needed():
    images, masks = some_batch(1)
    with pytest.raises(ValueError, match=r"scales \(0.5, 2.0\) do not include 1"):
        segmentation_loss(tiny_deeplab(), images, masks, scales=(0.5, 2.0), loss="plain")


@pytest.mark.parametrize(("name", "loss"), [("balanced", balanced_cross_entropy), ("plain", mean_cross_entropy)])
def test_the_loss_is_the_sum_over_scales_and_their_maximum(name, loss):
    net, (images, masks) = tiny_deeplab(), some_batch()
    logits, fused = multi_scale_logits(net, images, SCALES)
    expected = sum(loss(scores, masks_at(masks, scores.shape[2:])) for scores in [*logits, fused])
    torch.testing.assert_close(segmentation_loss(net, images, masks, scales=SCALES, loss=name)["loss"], expected)
    single = segmentation_loss(net, images, masks, scales=(1.0,), loss=name)["loss"]
    torch.testing.assert_close(single, loss(net(images), masks_at(masks, (9, 9))))


@pytest.mark.parametrize("loss", ["balanced", "plain"])
def test_parts_of_a_batch_average_to_its_losses_and_gradient(loss):
    net, (images, masks) = tiny_deeplab(), some_batch()

    def computed(*parts):
        net.zero_grad()
        found = [segmentation_loss(net, images[part], masks[part], scales=SCALES, loss=loss) for part in parts]
        means = {name: sum(losses[name] for losses in found) / len(parts) for name in found[0]}
        means["loss"].backward()
        return means, [parameter.grad for parameter in net.parameters() if parameter.requires_grad]

    torch.testing.assert_close(computed(slice(0, 4)), computed(slice(0, 2), slice(2, 4)))


class Fixed(nn.Module):
    """Gives the same scores for every image, [C, h, w]."""

    def __init__(self, scores):
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, images):
        return self.scores.expand(len(images), *self.scores.shape)


def test_foreground_is_a_share_of_the_labelled_pixels():
    scores = torch.zeros(3, 1, 4)
    scores[1, 0, 2:] = 1.0  # background, background, 1, 1
    masks = torch.tensor([[[0, 2, 1, 255]], [[0, 0, 0, 255]]])
    losses = segmentation_loss(Fixed(scores), torch.zeros(2, 3, 1, 4), masks, scales=(1.0,), loss="balanced")
    assert losses["foreground"].item() == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert losses["labelled_foreground"].item() == pytest.approx((2 / 3 + 0) / 2)
    assert not losses["foreground"].requires_grad
    nothing = segmentation_loss(
        Fixed(scores), torch.zeros(2, 3, 1, 4), torch.full_like(masks, 255), scales=(1.0,), loss="plain"
    )
    assert [value.item() for value in nothing.values()] == [0, 0, 0]


def test_a_network_learns_its_training_masks():
    net = tiny_deeplab(num_classes=3)
    images = torch.zeros(2, 3, 32, 32)
    images[..., 16:] = 2.0
    masks = torch.zeros(2, 32, 32, dtype=torch.int64)
    masks[..., 16:] = 2
    optimizer = torch.optim.SGD(net.parameter_groups(1e-2, 5e-4), lr=1e-2, momentum=0.9)
    first, *_, last = [learn(net, optimizer, images, masks) for _ in range(30)]
    assert last["loss"] < first["loss"] / 3
    assert last["foreground"] == pytest.approx(0.5, abs=0.1)


def learn(net, optimizer, images, masks):
    losses = segmentation_loss(net, images, masks, scales=SCALES, loss="balanced")
    optimizer.zero_grad()
    losses["loss"].backward()
    optimizer.step()
    return {name: value.item() for name, value in losses.items()}
