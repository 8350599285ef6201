"""Pooling and the RIB objective against their definitions and cases computed by hand."""

import pytest
import torch

from ribstudy.method.losses import rib_objective, target_logits
from ribstudy.method.pooling import gap, gndrp

# One image and one class with maximum 10: tau = 0.4 keeps the values below 4, which are -2, 1 and 3.
MAP = torch.tensor([[[[10.0, 4.0, 3.0], [1.0, -2.0, 9.0]]]])
PRESENT = torch.ones(1, 1)


def slow_gndrp(maps, labels, tau, denominator):
    """The definition, position by position."""
    images, classes, height, width = maps.shape
    pooled = torch.zeros(images, classes, dtype=maps.dtype)
    for n in range(images):
        for c in range(classes):
            values = maps[n, c].flatten().tolist()
            kept = [v for v in values if labels[n, c] == 0 or v / max(values) < tau]
            pooled[n, c] = sum(kept) / (height * width if denominator == "map" else max(len(kept), 1))
    return pooled


def test_hand_computed():
    assert gap(MAP).item() == pytest.approx(25 / 6)
    assert gndrp(MAP, PRESENT, 0.4).item() == pytest.approx(2 / 6)
    assert gndrp(MAP, PRESENT, 0.4, denominator="region").item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("denominator", ["map", "region"])
@pytest.mark.parametrize("num_classes", [1, 20, 80])
def test_equals_the_definition_for_any_number_of_classes(denominator, num_classes):
    generator = torch.Generator().manual_seed(num_classes)
    maps = torch.randn(2, num_classes, 5, 4, generator=generator, dtype=torch.float64)
    labels = (torch.rand(2, num_classes, generator=generator) < 0.5).float()
    labels[0, -1] = 1  # also the last class: the reference code is wrong from class 20 on
    torch.testing.assert_close(gndrp(maps, labels, 0.4, denominator), slow_gndrp(maps, labels, 0.4, denominator))
    assert not torch.allclose(gndrp(maps, labels, 0.4)[0, -1], gap(maps)[0, -1])


def test_absent_classes_are_average_pooled():
    torch.testing.assert_close(gndrp(MAP, torch.zeros(1, 1), 0.4), gap(MAP))


def test_tau_above_one_is_gap():
    maps = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    labels = torch.ones(3, 4)
    assert (maps.amax((2, 3)) > 0).all()
    torch.testing.assert_close(gndrp(maps, labels, 1.001), gap(maps))
    torch.testing.assert_close(gndrp(maps, labels, 1.001, denominator="region"), gap(maps))


def test_positive_scale_leaves_the_region():
    torch.testing.assert_close(gndrp(7 * MAP, PRESENT, 0.4), 7 * gndrp(MAP, PRESENT, 0.4))


@pytest.mark.parametrize("denominator", ["map", "region"])
def test_all_negative_map_gives_zero_without_gradient(denominator):
    maps = torch.full((1, 1, 2, 2), -3.0, requires_grad=True)
    pooled = gndrp(maps, PRESENT, 0.4, denominator)
    pooled.sum().backward()
    assert pooled.item() == 0
    assert maps.grad.abs().sum() == 0


def test_gradient_flows_through_the_region_only():
    maps = MAP.clone().requires_grad_()
    gndrp(maps, PRESENT, 0.4).sum().backward()
    assert (maps.grad * 6).flatten().tolist() == pytest.approx([0, 0, 1, 1, 1, 0])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        gndrp(MAP, torch.ones(1, 2), 0.4)
    with pytest.raises(ValueError, match="denominator 'area'"):
        gndrp(MAP, PRESENT, 0.4, denominator="area")


def test_objective_by_hand():
    logits = torch.tensor([[2.0, 700.0], [5.0, -1.0]])
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    assert target_logits(logits, labels).item() == 701
    assert rib_objective(logits, labels).item() == -701
    assert rib_objective(logits, labels, margin=600).item() == -601


def test_a_clamped_logit_has_no_gradient():
    logits = torch.tensor([[2.0, 700.0]], requires_grad=True)
    rib_objective(logits, torch.ones(1, 2), margin=600).backward()
    assert logits.grad.tolist() == [[-1.0, 0.0]]
