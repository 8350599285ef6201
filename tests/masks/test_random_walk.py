import math

import numpy as np
import pytest
import torch

from ribstudy.masks.random_walk import random_walk, walk_maps
from ribstudy.masks.walked_maps import walked_scores


def slow_walk(scores, boundary, radius, beta, log2_steps):
    """The definition: the whole matrix in float64, squared `log2_steps` times."""
    height, width = boundary.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    affinity = torch.eye(len(places), dtype=torch.float64)
    for i, (y0, x0) in enumerate(places):
        for j, (y1, x1) in enumerate(places):
            distance = math.dist((y0, x0), (y1, x1))
            if 0 < distance < radius:
                rows, columns = range(min(y0, y1), max(y0, y1) + 1), range(min(x0, x1), max(x0, x1) + 1)
                off_line = [(y, x, abs((y1 - y0) * (x - x0) - (x1 - x0) * (y - y0)) / distance) for y in rows for x in columns]
                affinity[i, j] = 1 - max(float(boundary[y, x]) for y, x, off in off_line if off < 1 - 1e-9)
    transition = affinity**beta
    transition /= transition.sum(dim=0, keepdim=True)
    for _ in range(log2_steps):
        transition = transition @ transition
    start = (scores.double() * (1 - boundary.double())).flatten(start_dim=1)
    return (start @ transition).view(scores.shape)


def example(height, width, num_classes=2, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(num_classes, height, width, generator=generator, dtype=dtype)
    return scores, torch.rand(height, width, generator=generator, dtype=dtype)


@pytest.mark.parametrize("size", [(9, 11), (1, 7), (7, 1), (2, 9), (9, 2), (3, 3), (4, 3), (1, 1)])
@pytest.mark.parametrize(("radius", "beta", "log2_steps"), [(5, 10, 8), (3, 1, 0), (2, 4, 3)])
def test_equals_the_dense_form(size, radius, beta, log2_steps):
    scores, boundary = example(*size)
    expected = slow_walk(scores, boundary, radius, beta, log2_steps)
    walked = random_walk(scores, boundary, radius, beta, log2_steps)
    assert walked.dtype == torch.float32
    torch.testing.assert_close(walked.double(), expected, rtol=1e-6, atol=1e-7)
    in_double = random_walk(scores.double(), boundary.double(), radius, beta, log2_steps)
    torch.testing.assert_close(in_double, expected, rtol=1e-11, atol=1e-13)


def test_one_step_by_hand():
    """Three positions in a row; neighbours are within the radius. Affinities 0.5 and 0.25, squared."""
    boundary = torch.tensor([[0.0, 0.5, 0.75]])
    walked = random_walk(torch.tensor([[[8.0, 8.0, 8.0]]]), boundary, radius=2, beta=2, log2_steps=0)
    start = [8.0, 4.0, 2.0]
    near, far = 0.25, 0.0625
    expected = [
        (start[0] + near * start[1]) / (1 + near),
        (near * start[0] + start[1] + far * start[2]) / (1 + near + far),
        (far * start[1] + start[2]) / (1 + far),
    ]
    assert walked.flatten().tolist() == pytest.approx(expected)


def test_without_boundaries_a_map_levels_out_and_a_constant_one_stays():
    scores, boundary = example(8, 9, num_classes=1)
    walked = random_walk(scores, torch.zeros_like(boundary), log2_steps=12)
    assert walked.max() - walked.min() < 1e-6
    constant = torch.full((1, 8, 9), 0.3)
    torch.testing.assert_close(random_walk(constant, torch.zeros(8, 9)), constant)


def test_nothing_crosses_a_closed_boundary():
    scores = torch.zeros(1, 12, 14)
    scores[0, 2, 2] = 1
    boundary = torch.zeros(12, 14)
    boundary[:, 7] = 1
    walked = random_walk(scores, boundary)
    assert (walked[:, :, :7] > 0).all()
    assert (walked[:, :, 7:] == 0).all()


def test_classes_do_not_mix_and_mirroring_commutes():
    scores, boundary = example(10, 13, num_classes=3)
    walked = random_walk(scores, boundary)
    for index in range(3):
        torch.testing.assert_close(random_walk(scores[index : index + 1], boundary)[0], walked[index], rtol=0, atol=0)
    for axis in (-1, -2):
        torch.testing.assert_close(random_walk(scores.flip(axis), boundary.flip(axis)), walked.flip(axis))
    torch.testing.assert_close(random_walk(scores.mT, boundary.mT), walked.mT)
    torch.testing.assert_close(random_walk(scores, boundary), walked, rtol=0, atol=0)


@pytest.mark.parametrize("level", [1 - 1e-7, 0.95, 1e-4])
def test_faint_affinities_are_within_1e_6_of_the_dense_form(level):
    """Dropping negligible values is harmless even if the dense form reaches numbers too small for float64."""
    scores = torch.zeros(1, 3, 40)
    scores[0, :, 0] = 1
    boundary = torch.full((3, 40), level)
    expected = slow_walk(scores, boundary, 5, 10, 8)
    assert (random_walk(scores, boundary) - expected).abs().max() <= 1e-6 * expected.max()


def test_inputs_are_left_alone_and_may_be_views():
    scores, boundary = example(6, 14)
    walked = random_walk(scores, boundary)
    wide, tall = torch.zeros(2, 6, 28), torch.zeros(14, 6)
    wide[:, :, ::2], tall[:] = scores, boundary.mT
    before = wide.clone(), tall.clone()
    torch.testing.assert_close(random_walk(wide[:, :, ::2], tall.mT), walked, rtol=0, atol=0)
    assert torch.equal(wide, before[0])
    assert torch.equal(tall, before[1])


def test_a_large_map_fits():
    scores, boundary = example(160, 160, num_classes=3)
    walked = random_walk(scores, boundary, log2_steps=4)
    assert walked.isfinite().all()
    assert 0 < walked.max() <= scores.max()


def test_no_class_gives_an_empty_result():
    empty = torch.zeros(0, 5, 6)
    assert random_walk(empty, torch.zeros(5, 6)).shape == (0, 5, 6)
    assert walk_maps(empty, torch.zeros(5, 6)).shape == (0, 5, 6)
    assert walked_scores(empty.numpy(), (17, 24)).shape == (0, 17, 24)


def test_maps_are_raised_to_the_power_first():
    maps, boundary = example(6, 7)
    torch.testing.assert_close(walk_maps(maps, boundary, power=2), random_walk(maps.square(), boundary))
    torch.testing.assert_close(walk_maps(maps, boundary), random_walk(maps**1.3, boundary, radius=5, beta=10, log2_steps=8))


@pytest.mark.parametrize("size", [(16, 24), (13, 21), (1, 1), (5, 4)])
def test_scores_are_divided_by_the_maximum_over_all_classes(size):
    shape = [(length - 1) // 4 + 1 for length in size]
    walked, _ = example(*shape)
    scores = walked_scores(walked.numpy(), np.array(size))
    assert scores.shape == (2, *size)
    assert scores.dtype == np.float32
    assert scores.max() == 1
    again = walked_scores(3 * walked, size)
    np.testing.assert_allclose(again, scores, rtol=1e-6)


def test_enlarged_by_hand():
    """Bilinear, four times: between the two centres, a step from 0 to 1 has the values 1/8, 3/8, 5/8 and 7/8."""
    scores = walked_scores(np.array([[[0.0, 1.0]]]), (4, 8))
    np.testing.assert_allclose(scores[0, 0], [0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1])
    cropped = walked_scores(np.array([[[0.0, 1.0]]]), (4, 5))  # the maximum after cropping
    np.testing.assert_allclose(cropped[0, 0], [0, 0, 1 / 5, 3 / 5, 1], rtol=1e-6)


def test_a_closed_map_has_no_scores():
    scores, _ = example(4, 5)
    walked = random_walk(scores, torch.ones(4, 5))
    assert (walked_scores(walked, (16, 20)) == 0).all()
    assert (walked_scores(random_walk(torch.zeros(1, 4, 5), torch.zeros(4, 5)), (16, 20)) == 0).all()


def test_bad_input_is_named():
    scores, boundary = example(4, 5)
    with pytest.raises(ValueError, match=r"\(2, 4, 5\) and boundary \(5, 4\)"):
        random_walk(scores, boundary.T)
    with pytest.raises(ValueError, match=r"\(4, 5\)"):
        random_walk(scores[0], boundary)
    with pytest.raises(ValueError, match="nan"):
        random_walk(torch.full_like(scores, math.nan), boundary)
    with pytest.raises(ValueError, match="inf"):
        random_walk(torch.full_like(scores, math.inf), boundary)
    with pytest.raises(ValueError, match="scores range from -1"):
        random_walk(-torch.ones_like(scores), boundary)
    with pytest.raises(ValueError, match="boundary ranges from nan"):
        random_walk(scores, torch.full_like(boundary, math.nan))
    with pytest.raises(ValueError, match="after the sigmoid"):
        random_walk(scores, 2 + boundary)
    with pytest.raises(ValueError, match=r"expected \[n, 5, 5\]"):
        walked_scores(scores, (17, 20))
