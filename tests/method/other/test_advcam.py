import numpy as np
import pytest
import torch
from helpers.networks import tiny_net

from ribstudy.config import load_settings
from ribstudy.datasets.transforms import views
from ribstudy.method.cam import compute_cam
from ribstudy.method.other.advcam import climb, compute_advcam, objective
from ribstudy.method.settings import AdvCamSettings

IMAGE = np.random.default_rng(0).integers(0, 256, (33, 46, 3), dtype=np.uint8)
LABEL = np.array([True, False, True])
FEW = AdvCamSettings(iterations=4)


def view_of(net):
    return views(IMAGE, (1.0,), net.normalization)[0]


def test_objective_by_hand():
    # in both views, the maps of classes 0 and 1 are [3, -1] and [1, 1]
    signed = torch.tensor([[[[3.0, -1.0]], [[1.0, 1.0]]]]).repeat(2, 1, 1, 1)
    now, first = torch.tensor([[6.0, 1.0]]), torch.tensor([[4.0, 9.0]])
    settings = AdvCamSettings(regularization=10.0, tau=0.5, rectified=True)
    # rectified means of a view: 1.5 for class 0, 1 for class 1; only the first position is above half of 6, drift 2
    assert objective(signed, 0, now, first, settings).item() == pytest.approx(2 * 1.5 - 2 * 1 - 10 * 2)
    plain = settings.model_copy(update={"rectified": False})
    assert objective(signed, 0, now, first, plain).item() == pytest.approx(2 * 1.0 - 2 * 1 - 10 * 2)


def test_the_first_map_is_the_cam():
    net = tiny_net()
    (cam,) = compute_cam(net, [view_of(net)], LABEL, (33, 46)).steps
    found = compute_advcam(net, [view_of(net)], LABEL, (33, 46), FEW)
    np.testing.assert_allclose(found.steps[0][0], cam[0], rtol=1e-5, atol=1e-7)
    assert found.steps[0].shape == (4, *cam.shape[1:])
    np.testing.assert_allclose(found.maps()[0], found.steps[0].sum(axis=0))


def slow_climb(net, view, key, settings):
    """The same equations class by class and view by view, without the code under test."""
    x, maps = view.clone(), []
    for _ in range(settings.iterations):
        x = x.detach().requires_grad_()
        signed = net.classifier(net.trained(net.frozen(x)))
        now = signed[0, key].clamp(min=0) + signed[1, key].clamp(min=0).flip(-1)
        maps.append(now.detach())
        total = 0.0
        for c in range(signed.shape[1]):
            y = sum(signed[side, c].clamp(min=0).mean() for side in (0, 1))
            total = total + (y if c == key else -y)
        high = (now > settings.tau * now.max()).float()
        total = total - settings.regularization * (high * (now - maps[0]).abs()).sum()
        total.backward()
        step = settings.step_size * x.grad / x.grad.abs().max()
        x = torch.minimum(torch.maximum(x + step, view.min()), view.max())
    return torch.stack(maps)


@pytest.mark.parametrize("regularization", [0.0, 7.0])
def test_climb_against_a_slow_version(regularization):
    net = tiny_net()
    settings = AdvCamSettings(iterations=5, regularization=regularization)
    found = climb(net, view_of(net), 2, settings)
    torch.testing.assert_close(found, slow_climb(tiny_net(), view_of(net), 2, settings), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found[0], found[-1], rtol=0.05)


def test_climbing_raises_the_logit_and_regularization_keeps_the_peak():
    net = tiny_net()
    free = climb(net, view_of(net), 2, AdvCamSettings(iterations=8, regularization=0.0))
    held = climb(net, view_of(net), 2, AdvCamSettings(iterations=8, regularization=50.0))
    assert free[-1].mean() > free[0].mean()
    high = free[0] > 0.5 * free[0].max()
    assert (held[-1] - held[0])[high].abs().mean() < (free[-1] - free[0])[high].abs().mean()


def test_one_iteration_is_the_cam_and_takes_no_gradient(monkeypatch):
    net = tiny_net()
    monkeypatch.setattr(torch.autograd, "grad", None)
    assert len(climb(net, view_of(net), 0, AdvCamSettings(iterations=1))) == 1


def test_weights_gradients_and_view_stay():
    net = tiny_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    view = view_of(net)
    same = view.clone()
    first = climb(net, view, 2, FEW)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert torch.equal(view, same)
    assert not view.requires_grad
    assert torch.equal(first, climb(net, view, 2, FEW))  # nothing remains of the first ascent


def test_a_caller_in_inference_mode_gets_the_same_maps():
    net = tiny_net()
    expected = climb(net, view_of(net), 0, FEW)
    with torch.inference_mode():
        assert torch.equal(climb(net, view_of(net), 0, FEW), expected)


def test_every_class_climbs_from_the_original_image():
    net = tiny_net()
    (both,) = compute_advcam(net, [view_of(net)], LABEL, (33, 46), FEW).steps
    (alone,) = compute_advcam(net, [view_of(net)], np.array([False, False, True]), (33, 46), FEW).steps
    np.testing.assert_array_equal(both[:, 1], alone[:, 0])


def test_image_without_a_class():
    found = compute_advcam(tiny_net(), [], np.zeros(3, bool), (33, 46), FEW)
    assert found.normalized().shape == (0, 33, 46)


def test_settings_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"advcam\.step_size = 0"):
        load_settings("study", {"advcam.step_size": 0.0})
