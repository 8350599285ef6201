"""Crops with masks, the loss over scales, the watch for a collapse, and predictions."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import interpolate

from ribstudy.datasets.transforms import masked_crop
from ribstudy.masks.deeplab import (
    Collapsed,
    CollapseWatch,
    masks_at,
    multi_scale_logits,
    predict_logits,
    predicted,
    probabilities_at,
    segmentation_loss,
)
from ribstudy.method.losses import balanced_cross_entropy, mean_cross_entropy
from ribstudy.models.deeplab import DeepLab

PLAIN = ((0.0,) * 3, (1.0,) * 3)
SCALES = (0.5, 0.75, 1.0)


def tiny_deeplab(num_classes=4):
    """Two convolutions at stride 4, and ASPP."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        )
        net = DeepLab(features, 8, num_classes, rates=(1, 2), normalization=((0.5,) * 3, (0.25,) * 3))
        for branch in net.aspp:
            nn.init.normal_(branch.weight, std=0.3)
    return net


def some_batch(num_images=4, size=(33, 33), num_classes=4):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(num_images, 3, *size, generator=generator)
    masks = torch.randint(0, num_classes, (num_images, *size), generator=generator)
    masks[torch.rand(masks.shape, generator=generator) < 0.2] = 255
    return images, masks


def some_image(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# --- crops ----------------------------------------------------------------------------------------------------------------


def painted(height=20, width=30):
    """An image whose pixels have the colour that belongs to their class, in blocks, and the mask of the classes."""
    mask = np.random.default_rng(3).integers(0, 5, (height // 10, width // 10)).repeat(10, axis=0).repeat(10, axis=1)
    return np.stack([mask * 50] * 3, axis=-1).astype(np.uint8), mask.astype(np.uint8)


def test_image_and_mask_are_placed_and_mirrored_alike():
    image, mask = painted()
    mirrored = set()
    for seed in range(12):
        crop, classes = masked_crop(image, mask, factor=1.0, crop_size=40, normalization=PLAIN, rng=np.random.default_rng(seed))
        assert crop.shape == (3, 40, 40)
        assert classes.shape == (40, 40)
        assert (crop.dtype, classes.dtype) == (torch.float32, torch.int64)
        known = classes != 255
        assert known.sum() == 20 * 30
        assert torch.count_nonzero(crop[:, ~known]) == 0  # the mean colour
        assert torch.equal((crop[0] * 255 / 50).round().long()[known], classes[known])
        found = classes[known].view(20, 30).numpy()
        assert (found == mask).all() or (found == mask[:, ::-1]).all()
        mirrored.add(bool((found == mask).all()))
    assert mirrored == {True, False}


def test_image_and_mask_are_resized_and_cut_alike():
    image, mask = painted()
    for seed in range(6):
        crop, classes = masked_crop(image, mask, factor=2.0, crop_size=24, normalization=PLAIN, rng=np.random.default_rng(seed))
        assert (classes != 255).all()
        agreeing = (crop[0] * 255 / 50).round() == classes
        assert agreeing.float().mean() > 0.75  # colours blend where blocks meet


def test_an_image_and_a_mask_of_different_size_are_refused():
    image, mask = painted()
    with pytest.raises(ValueError, match=r"the image has \(20, 30\) pixels .* its mask \(20, 29\)"):
        masked_crop(image, mask[:, 1:], factor=1.0, crop_size=9, normalization=PLAIN, rng=np.random.default_rng(0))


# --- loss -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "target"), [((321, 321), (41, 41)), ((33, 50), (9, 13)), ((10, 7), (10, 14)), ((5, 5), (1, 1))]
)
def test_masks_are_resized_as_pil_does_it(size, target):
    masks = np.random.default_rng(0).integers(0, 256, (2, *size), dtype=np.uint8)
    expected = [np.array(Image.fromarray(mask).resize(target[::-1], Image.Resampling.NEAREST)) for mask in masks]
    assert np.array_equal(masks_at(torch.from_numpy(masks).long(), target).numpy(), np.stack(expected))


def test_the_maximum_over_scales_is_that_of_resized_scores():
    net, (images, _) = tiny_deeplab(), some_batch(2, (33, 46))
    logits, fused = multi_scale_logits(net, images, (0.5, 1.0, 1.5))
    assert [scores.shape[2:] for scores in logits] == [(4, 6), (9, 12), (13, 18)]
    resized = [interpolate(scores, (9, 12), mode="bilinear", align_corners=False) for scores in logits]
    torch.testing.assert_close(fused, torch.stack(resized).amax(dim=0))
    with torch.autocast("cpu", torch.bfloat16):
        assert all(scores.dtype == torch.float32 for scores in [*multi_scale_logits(net, images, SCALES)[0], fused])


def test_scale_1_is_needed():
    net, (images, masks) = tiny_deeplab(), some_batch(1)
    with pytest.raises(ValueError, match=r"scales \(0.5, 2.0\) are without 1"):
        segmentation_loss(net, images, masks, scales=(0.5, 2.0), loss="plain")
    with pytest.raises(ValueError, match=r"scales \(0.5,\) are without 1"):
        predict_logits(net, some_image(9, 9), scales=(0.5,), flip=False, fusion="max")


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


def test_shares_of_foreground_are_of_labelled_pixels():
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


def test_a_network_learns_what_it_is_shown():
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


# --- collapse -------------------------------------------------------------------------------------------------------------


def watch_all(watch, shares, start=1):
    for step, (foreground, labelled) in enumerate(shares, start):
        watch(step, {"loss": 1.0, "foreground": foreground, "labelled_foreground": labelled})


def test_a_network_that_predicts_background_only_is_stopped():
    watch = CollapseWatch(patience=3)
    watch_all(watch, [(0.2, 0.3), (0.0, 0.3), (0.0, 0.1)])
    with pytest.raises(Collapsed, match=r"step 4: since step 2 .* nothing but background.*balanced") as raised:
        watch_all(watch, [(0.0, 0.2)], start=4)
    assert isinstance(raised.value, ArithmeticError)


def test_a_predicted_object_ends_the_wait_and_steps_without_objects_do_not_count():
    watch = CollapseWatch(patience=3)
    watch_all(watch, [(0.0, 0.3), (0.0, 0.3), (1e-6, 0.3), (0.0, 0.3), (0.0, 0.0), (0.0, 0.0), (0.0, 0.3)] + 20 * [(0.0, 0.0)])
    with pytest.raises(Collapsed, match="step 28: since step 4 "):
        watch_all(watch, [(0.0, 0.3)], start=28)
    watch_all(CollapseWatch(), 499 * [(0.0, 0.3)])


# --- predictions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["max", "mean"])
@pytest.mark.parametrize("width", [40, 41])
def test_the_prediction_of_a_mirrored_image_is_the_mirrored_prediction(fusion, width):
    net, image = tiny_deeplab().eval(), some_image(30, width)
    scores = predict_logits(net, image, scales=SCALES, flip=True, fusion=fusion)
    assert scores.shape == (4, 8, (width + 3) // 4)
    assert scores.dtype == torch.float32
    mirrored = predict_logits(net, image[:, ::-1], scales=SCALES, flip=True, fusion=fusion)
    torch.testing.assert_close(mirrored, scores.flip(-1))
    one_sided = predict_logits(net, image, scales=SCALES, flip=False, fusion=fusion)
    assert not torch.allclose(one_sided, scores)


@torch.no_grad()
def test_scales_are_fused_by_the_largest_score_or_the_mean_probability():
    net, image = tiny_deeplab().eval(), some_image(33, 45)
    images = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
    logits, fused = multi_scale_logits(net, images, SCALES)
    torch.testing.assert_close(predict_logits(net, image, scales=SCALES, flip=False, fusion="max"), fused[0])
    resized = [interpolate(scores, logits[-1].shape[2:], mode="bilinear", align_corners=False)[0] for scores in logits]
    mean = sum(scores.softmax(dim=0) for scores in resized) / 3
    torch.testing.assert_close(predict_logits(net, image, scales=SCALES, flip=False, fusion="mean").exp(), mean)


def test_with_one_scale_both_fusions_agree():
    net, image = tiny_deeplab().eval(), some_image(33, 45)
    largest, mean = (predict_logits(net, image, scales=(1.0,), flip=True, fusion=fusion) for fusion in ("max", "mean"))
    torch.testing.assert_close(mean, largest.log_softmax(dim=0))


def test_impossible_classes_leave_finite_scores():
    net = tiny_deeplab().eval()
    with torch.no_grad():
        net.aspp[0].bias[1] = -1e4
    scores = predict_logits(net, some_image(20, 20), scales=SCALES, flip=True, fusion="mean")
    assert torch.isfinite(scores.half()).all()


def test_probabilities_are_those_of_resized_scores():
    scores = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    probabilities = probabilities_at(scores, (13, 18))
    assert probabilities.shape == (3, 13, 18)
    torch.testing.assert_close(probabilities.sum(dim=0), torch.ones(13, 18))
    resized = interpolate(scores[None], (13, 18), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(probabilities, resized.exp() / resized.exp().sum(dim=0))
    torch.testing.assert_close(probabilities_at(scores, (4, 5)), scores.softmax(dim=0))
    assert probabilities_at(scores.half(), (4, 5)).dtype == torch.float32


def test_of_equally_probable_classes_the_first_is_predicted():
    probabilities = torch.tensor([[[0.1, 0.4]], [[0.5, 0.4]], [[0.4, 0.2]]])
    for given in (probabilities, probabilities.numpy()):
        classes = predicted(given)
        assert classes.dtype == np.uint8
        assert classes.tolist() == [[1, 0]]
