"""The losses of the segmentation network and the control of RIB's, in cases that can be computed by hand."""

import math

import pytest
import torch

from ribstudy.method.losses import balanced_cross_entropy, cross_entropy_objective, mean_cross_entropy

LOSSES = [balanced_cross_entropy, mean_cross_entropy]


def random_case(num_images=4, num_classes=5):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(num_images, num_classes, 6, 7, generator=generator)
    labels = torch.randint(0, num_classes, (num_images, 6, 7), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
    return logits, labels


def test_background_and_objects_weigh_the_same():
    """Two classes with p = (3/4, 1/4) everywhere: three background pixels, one object pixel, one void pixel."""
    logits = torch.tensor([math.log(3), 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 5)
    labels = torch.tensor([[[0, 0, 0, 1, 255]]])
    assert balanced_cross_entropy(logits, labels).item() == pytest.approx(math.log(4 / 3) + math.log(4))
    assert mean_cross_entropy(logits, labels).item() == pytest.approx((3 * math.log(4 / 3) + math.log(4)) / 4)


def test_the_gradient_of_the_balanced_loss():
    """p minus the one-hot label, divided by the number of pixels on the same side and by the number of images."""
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
def test_large_scores_are_finite_and_bfloat16_is_computed_as_float32(loss):
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


def test_the_control_has_the_gradient_of_the_rib_objective_for_low_logits_and_none_for_high_ones():
    logits = torch.tensor([[-30.0, 30.0, 30.0, 0.0]], requires_grad=True)
    cross_entropy_objective(logits, torch.tensor([[1.0, 1.0, 0.0, 1.0]])).backward()
    assert logits.grad[0].tolist() == pytest.approx([-1, 0, 1, -0.5], abs=1e-6)
    assert cross_entropy_objective(torch.zeros(2, 3), torch.ones(2, 3)).item() == pytest.approx(6 * math.log(2))
