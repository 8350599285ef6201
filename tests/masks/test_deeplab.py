"""Scores at several scales and predictions."""

import numpy as np
import pytest
import torch
from helpers.networks import tiny_deeplab
from torch.nn.functional import interpolate

from ribstudy.masks.deeplab import multi_scale_logits, predict_logits, predicted, probabilities_at

SCALES = (0.5, 0.75, 1.0)


def some_image(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_maximum_over_scales_is_taken_from_resized_scores():
    net, images = tiny_deeplab(), torch.randn(2, 3, 33, 46, generator=torch.Generator().manual_seed(1))
    logits, fused = multi_scale_logits(net, images, (0.5, 1.0, 1.5))
    assert [scores.shape[2:] for scores in logits] == [(4, 6), (9, 12), (13, 18)]
    resized = [interpolate(scores, (9, 12), mode="bilinear", align_corners=False) for scores in logits]
    torch.testing.assert_close(fused, torch.stack(resized).amax(dim=0))
    with torch.autocast("cpu", torch.bfloat16):
        assert all(scores.dtype == torch.float32 for scores in [*multi_scale_logits(net, images, SCALES)[0], fused])


def test_scale_1_is_needed():
    with pytest.raises(ValueError, match=r"scales \(0.5,\) do not include 1"):
        predict_logits(tiny_deeplab(), some_image(9, 9), scales=(0.5,), flip=False, fusion="max")


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


def test_probabilities_come_from_resized_scores():
    scores = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    probabilities = probabilities_at(scores, (13, 18))
    assert probabilities.shape == (3, 13, 18)
    torch.testing.assert_close(probabilities.sum(dim=0), torch.ones(13, 18))
    resized = interpolate(scores[None], (13, 18), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(probabilities, resized.exp() / resized.exp().sum(dim=0))
    torch.testing.assert_close(probabilities_at(scores, (4, 5)), scores.softmax(dim=0))
    assert probabilities_at(scores.half(), (4, 5)).dtype == torch.float32


def test_the_first_of_equally_probable_classes_is_predicted():
    probabilities = torch.tensor([[[0.1, 0.4]], [[0.5, 0.4]], [[0.4, 0.2]]])
    for given in (probabilities, probabilities.numpy()):
        classes = predicted(given)
        assert classes.dtype == np.uint8
        assert classes.tolist() == [[1, 0]]
