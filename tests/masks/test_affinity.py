import math

import numpy as np
import pytest
import torch

from ribstudy.masks.affinity import (
    TERMS,
    affinity_labels,
    affinity_loss,
    affinity_sums,
    pair_paths,
    path_affinity,
    total_affinity_loss,
)


def positions_between(start, end):
    """The definition: inside the bounding box of both, at a distance below 1 from the line through them."""
    (y0, x0), (y1, x1) = start, end
    length = math.dist(start, end)
    return [
        (y, x)
        for y in range(min(y0, y1), max(y0, y1) + 1)
        for x in range(min(x0, x1), max(x0, x1) + 1)
        if abs((y1 - y0) * (x - x0) - (x1 - x0) * (y - y0)) / length < 1 - 1e-9
    ]


def slow_terms(logits, labels, radius):
    """The loss as a sum over pairs of positions, each counted once, from the upper position or from the left one in a row."""
    costs = {term: [] for term in TERMS}
    images, height, width = labels.shape
    for image in range(images):
        boundary = logits[image, 0].sigmoid()
        for y in range(height - (radius - 1)):
            for x in range(radius - 1, width - (radius - 1)):
                for end_y in range(height):
                    for end_x in range(width):
                        later = end_y > y or (end_y == y and end_x > x)
                        if not later or math.dist((y, x), (end_y, end_x)) >= radius:
                            continue
                        first, second = int(labels[image, y, x]), int(labels[image, end_y, end_x])
                        if 255 in (first, second):
                            continue
                        path = positions_between((y, x), (end_y, end_x))
                        affinity = 1 - max(boundary[position] for position in path)
                        if first != second:
                            costs["negative"].append(-torch.log(1 + 1e-5 - affinity))
                        else:
                            term = "fg_positive" if first else "bg_positive"
                            costs[term].append(-torch.log(affinity + 1e-5))
    zero = logits.sum() * 0
    return {term: (zero + sum(values)) / (len(values) + 1e-5) for term, values in costs.items()}, {
        term: len(values) for term, values in costs.items()
    }


def batch(seed=0, size=(2, 8, 10), classes=(0, 0, 1, 2, 255)):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(size[0], 1, *size[1:], generator=generator, dtype=torch.float64)
    blocks = torch.tensor(classes)[
        torch.randint(len(classes), (size[0], -(-size[1] // 3), -(-size[2] // 3)), generator=generator)
    ]
    labels = blocks.repeat_interleave(3, 1).repeat_interleave(3, 2)[:, : size[1], : size[2]]
    return logits, labels.contiguous()


@pytest.mark.parametrize(("radius", "count"), [(2, 4), (5, 34), (10, 152)])
def test_directions_fill_the_upper_half_disc(radius, count):
    directions = list(pair_paths(radius))
    assert len(directions) == count
    assert directions[: radius - 1] == [(0, x) for x in range(1, radius)]
    assert directions[radius - 1 :] == sorted(directions[radius - 1 :])
    both = {*directions, *((-y, -x) for y, x in directions)}
    disc = {(y, x) for y in range(-9, 10) for x in range(-9, 10) if 0 < y * y + x * x < radius**2}
    assert both == disc


def test_paths_follow_the_definition():
    for direction, path in pair_paths(10).items():
        assert path[0] == direction
        assert path[-1] == (0, 0)
        assert sorted(path) == positions_between((0, 0), direction)


def test_the_disc_without_its_rim_is_open():
    assert (0, 5) not in pair_paths(5)
    assert (3, 4) not in pair_paths(5)  # at a distance of exactly 5
    with pytest.raises(ValueError, match="radius 1"):
        pair_paths(1)


@pytest.mark.parametrize("radius", [2, 4])
def test_loss_and_gradient_equal_a_loop_over_pairs(radius):
    logits, labels = batch()
    slow_logits = logits.clone().requires_grad_()
    logits.requires_grad_()
    slow, counts = slow_terms(slow_logits, labels, radius)
    fast = affinity_loss(logits, labels, radius)
    assert tuple(fast) == TERMS
    assert min(counts.values()) > 0
    assert affinity_sums(logits, labels, radius)[1].tolist() == list(counts.values())
    for term in TERMS:
        torch.testing.assert_close(fast[term], slow[term])
    total_affinity_loss(fast).backward()
    total_affinity_loss(slow).backward()
    torch.testing.assert_close(logits.grad, slow_logits.grad)


def test_total_by_hand():
    terms = {"bg_positive": torch.tensor(1.0), "fg_positive": torch.tensor(3.0), "negative": torch.tensor(4.0)}
    assert total_affinity_loss(terms).item() == 3


def test_two_positions_by_hand():
    """A 2 x 3 map has one start for radius 2, above. Its pairs are to the right, below left, below and below right."""
    boundary = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], dtype=torch.float64)
    labels = torch.tensor([[[255, 1, 1], [255, 1, 0]]])
    terms = affinity_loss(boundary.logit()[None, None], labels, radius=2)
    assert terms["bg_positive"].item() == 0
    assert terms["fg_positive"].item() == pytest.approx((-math.log(0.7 + 1e-5) - math.log(0.5 + 1e-5)) / (2 + 1e-5))
    assert terms["negative"].item() == pytest.approx(-math.log(0.6 + 1e-5) / (1 + 1e-5))


def test_unsure_labels_cost_nothing():
    logits, labels = batch(size=(1, 6, 8))
    logits.requires_grad_()
    sums, counts = affinity_sums(logits, torch.full_like(labels, 255), 3)
    assert counts.tolist() == [0, 0, 0]
    terms = affinity_loss(logits, torch.full_like(labels, 255), 3)
    assert [term.item() for term in terms.values()] == [0, 0, 0]
    total_affinity_loss(terms).backward()
    assert logits.grad.abs().max() == 0
    assert sums.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("label", "term"), [(0, "bg_positive"), (3, "fg_positive")])
def test_a_single_class_has_one_term(label, term):
    logits, labels = batch(size=(1, 6, 8))
    _, counts = affinity_sums(logits, torch.full_like(labels, label), 3)
    num_starts, num_directions = (6 - 2) * (8 - 4), len(pair_paths(3))
    assert dict(zip(TERMS, counts.tolist(), strict=True)) == {**dict.fromkeys(TERMS, 0), term: num_starts * num_directions}


def test_parts_of_a_batch_add_up():
    logits, labels = batch(size=(4, 9, 12))
    sums, counts = affinity_sums(logits, labels, 4)
    parts = [affinity_sums(logits[part], labels[part], 4) for part in (slice(0, 1), slice(1, 4))]
    torch.testing.assert_close(sum(part[0] for part in parts), sums)
    assert torch.equal(sum(part[1] for part in parts), counts)


def test_labels_may_have_any_integer_type_and_logits_any_size():
    logits, labels = batch(size=(1, 6, 8))
    for extreme in (1e4, -1e4):
        large = torch.full_like(logits, extreme).float().requires_grad_()
        loss = total_affinity_loss(affinity_loss(large, labels.to(torch.uint8), 3))
        loss.backward()
        assert loss.isfinite()
        assert large.grad.isfinite().all()
    expected = affinity_loss(logits, labels, 3)
    assert affinity_loss(logits, labels.to(torch.uint8), 3) == expected


def test_a_tie_sends_its_gradient_to_one_position():
    boundary = torch.full((1, 5), 0.5, requires_grad=True)
    path_affinity(boundary, pair_paths(5)[0, 4], (slice(0, 1), slice(0, 1))).sum().backward()
    assert boundary.grad.tolist() == [[0, 0, 0, 0, -1]]


def test_bad_shapes_are_named():
    logits, labels = batch(size=(1, 6, 8))
    with pytest.raises(ValueError, match=r"6 x 8: radius 5 needs at least 5 x 9"):
        affinity_sums(logits, labels, 5)
    with pytest.raises(ValueError, match=r"\(1, 1, 6, 8\) and \(1, 6, 7\)"):
        affinity_sums(logits, labels[:, :, 1:], 3)
    with pytest.raises(ValueError, match=r"\(6, 8\)"):
        affinity_sums(logits[0, 0], labels, 3)


COLOURS = np.repeat(np.repeat(np.array([[[30, 30, 30], [220, 30, 30], [30, 30, 220]]], dtype=np.uint8), 20, 0), 16, 1)


def thirds(*values):
    return np.repeat(np.repeat(np.array([values], dtype=np.float32), 20, 0), 16, 1)


def test_labels_by_hand():
    """An image in three colours: class 4 is confident in the second third and possible in the last."""
    labels = affinity_labels(np.stack([thirds(0.1, 0.9, 0.2), thirds(0.1, 0.1, 0.1)]), np.array([4, 7]), COLOURS)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, thirds(0, 5, 255).astype(np.uint8))


def test_a_score_at_the_threshold_is_background():
    levels = thirds(0.25, 0.5, 0.75)
    np.testing.assert_array_equal(affinity_labels(levels[None], np.array([0]), COLOURS, fg=0.5, bg=0.25), thirds(0, 255, 1))


def test_classes_come_from_the_confident_prediction(monkeypatch):
    """The two CRFs may disagree in any way; an object of the confident one always wins."""
    sure, possible = np.array([[1, 2, 0, 0, 1]]), np.array([[0, 1, 1, 0, 1]])
    answers = iter([sure, possible])
    monkeypatch.setattr("ribstudy.masks.affinity.refine_labels", lambda *_, **__: next(answers))
    labels = affinity_labels(np.zeros((2, 1, 5)), np.array([0, 19]), np.zeros((1, 5, 3), dtype=np.uint8))
    assert labels.tolist() == [[1, 20, 255, 0, 1]]


def test_no_class_is_background():
    labels = affinity_labels(np.zeros((0, 20, 48)), np.zeros(0, dtype=np.int64), COLOURS)
    assert labels.shape == (20, 48)
    assert not labels.any()


def test_the_crf_can_be_set():
    noise = np.random.default_rng(0).random((1, 20, 48)).astype(np.float32)
    strong = affinity_labels(noise, np.array([0]), COLOURS, gt_prob=0.999, gaussian_compat=1e-6, bilateral_compat=1e-6)
    np.testing.assert_array_equal(strong, np.where(noise > 0.35, 1, np.where(noise > 0.17, 255, 0))[0])
    assert not np.array_equal(affinity_labels(noise, np.array([0]), COLOURS), strong)


def test_bad_maps_are_named():
    with pytest.raises(ValueError, match=r"maps \(2, 20, 48\), 1 keys"):
        affinity_labels(np.zeros((2, 20, 48)), np.array([0]), COLOURS)
    with pytest.raises(ValueError, match="254"):
        affinity_labels(np.zeros((1, 20, 48)), np.array([254]), COLOURS)
