import pytest
import torch
from torch import nn

from ribstudy.models.affinity_net import boundary, build_affinity_net

EFFICIENTNET = "tf_efficientnet_lite0"


def images(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=["resnet50", EFFICIENTNET])
def net(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_affinity_net(request.param).eval()


@pytest.mark.parametrize("size", [(64, 80), (37, 50), (33, 16), (1, 1), (5, 129)])
def test_logits_have_stride_4(net, size):
    height, width = size
    with torch.no_grad():
        assert net(images(2, 3, *size)).shape == (2, 1, -(-height // 4), -(-width // 4))


def test_features_have_strides_up_to_16(net):
    shapes = [tuple(feature.shape[1:]) for feature in net.features(images(1, 3, 64, 96))]
    if net.normalization[0][0] == 0.5:  # the EfficientNet
        assert shapes == [(16, 32, 48), (24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 4, 6)]
    else:
        assert shapes == [(64, 16, 24), (256, 16, 24), (512, 8, 12), (1024, 4, 6), (2048, 4, 6)]


def test_branches_have_the_order_of_irn():
    """Every branch is normalised, then resized, then rectified, then cropped."""
    net = build_affinity_net("resnet50").eval()
    for stage in net.stages:
        for module in stage.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)  # the initial weight 0 would disable the residual branches
    view = images(1, 3, 50, 70)
    with torch.no_grad():
        stem, layer1, layer2, layer3, layer4 = net.features(view)
        parts = []
        for feature, factor, branch in zip((stem, layer1, layer2, layer3, layer4), (1, 1, 2, 4, 4), net.branches, strict=True):
            part = nn.functional.group_norm(branch[0](feature), 4, branch[1].weight, branch[1].bias)
            part = nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=False)(part)
            parts.append(part.clamp(min=0)[:, :, :13, :18])
        torch.testing.assert_close(net(view), net.merge(torch.cat(parts, dim=1)))
    assert [branch[0].weight.shape[1] for branch in net.branches] == [64, 256, 512, 1024, 2048]
    assert all(branch[0].bias is None for branch in net.branches)
    assert net.merge.weight.shape == (1, 160, 1, 1)
    assert net.merge.bias is not None


def test_a_step_changes_only_the_branches():
    net = build_affinity_net(EFFICIENTNET).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.trained_parameters(), lr=0.1, weight_decay=0.1)
    net(images(2, 3, 48, 64)).square().mean().backward()
    assert {p for p in net.parameters() if p.requires_grad} == set(net.trained_parameters())
    assert all(p.grad is not None for p in net.trained_parameters())
    assert all(p.grad is None for p in net.stages.parameters())
    optimizer.step()
    changed = {name.split(".")[0] for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"branches", "merge"}


def test_training_mode_changes_nothing(net):
    view = images(2, 3, 40, 48)
    with torch.no_grad():
        logits = net.eval()(view)
        assert torch.equal(net.train()(view), logits)
    assert net.branches.training
    assert not any(module.training for module in net.stages.modules())
    net.eval()


def test_an_image_does_not_depend_on_its_batch(net):
    views = images(3, 3, 40, 48)
    with torch.no_grad():
        torch.testing.assert_close(net(views)[1:2], net(views[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "pad_to"), [((48, 64), None), ((37, 50), None), ((37, 50), 64), ((48, 80), 64)])
def test_a_mirrored_image_has_the_mirrored_boundary(net, size, pad_to):
    image = images(3, *size)
    found = boundary(net, image, pad_to)
    assert found.shape == ((size[0] - 1) // 4 + 1, (size[1] - 1) // 4 + 1)
    assert not found.requires_grad
    assert 0 < found.min() < found.max() < 1
    torch.testing.assert_close(boundary(net, image.flip(-1), pad_to), found.flip(-1), rtol=1e-4, atol=1e-5)


def test_the_boundary_is_the_mean_of_both_views(net):
    image = images(3, 48, 64)
    with torch.no_grad():
        plain, mirrored = net(image[None])[0, 0], net(image.flip(-1)[None])[0, 0].flip(-1)
    torch.testing.assert_close(boundary(net, image, None), ((plain + mirrored) / 2).sigmoid(), rtol=1e-4, atol=1e-5)


def test_only_short_sides_are_padded_with_zeros(net):
    image = images(3, 37, 80)
    padded = torch.zeros(2, 3, 64, 80)
    padded[0, :, :37], padded[1, :, :37] = image, image.flip(-1)
    with torch.no_grad():
        plain, mirrored = net(padded)[:, 0, :10]
    torch.testing.assert_close(boundary(net, image, 64), ((plain + mirrored.flip(-1)) / 2).sigmoid(), rtol=1e-4, atol=1e-5)
    assert torch.equal(boundary(net, image, 30), boundary(net, image, None))


def test_a_trained_net_is_restored_from_its_state_dict(tmp_path):
    net = build_affinity_net(EFFICIENTNET, "imagenet")
    torch.save(net.state_dict(), tmp_path / "net.pt")
    restored = build_affinity_net(EFFICIENTNET)
    image = images(3, 32, 32)
    assert not torch.allclose(boundary(restored, image, None), boundary(net, image, None))
    restored.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(boundary(restored, image, None), boundary(net, image, None))


def test_bad_input_is_named(tmp_path, net):
    with pytest.raises(ValueError, match="backbone 'resnet5' is unknown"):
        build_affinity_net("resnet5")
    with pytest.raises(ValueError, match="no such file"):
        build_affinity_net("resnet50", tmp_path / "none.pth")
    with pytest.raises(ValueError, match="do not fit resnet50: missing"):
        build_affinity_net("resnet50", {})
    with pytest.raises(ValueError, match=r"image \(1, 3, 8, 8\)"):
        boundary(net, images(1, 3, 8, 8), None)
