"""timm's classifiers as `CamNet`s: their maps and logits, and what is refused."""

import pytest
import safetensors.torch
import timm
import torch

from ribstudy.models import imagenet_classifiers
from ribstudy.models.cam_net import build_imagenet_cam_net

IMAGES = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))


def saved(name: str, path) -> torch.nn.Module:
    """A network of timm with random weights, also those of batch norm, that is saved as a state dict."""
    network = timm.create_model(name).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * max(parameter[0].numel(), 4) ** -0.5)
    torch.save(network.state_dict(), path)
    return network


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_byobnet"])
def test_the_mean_of_the_maps_is_the_logit_without_its_bias(name, tmp_path):
    network = saved(name, tmp_path / "weights.pt")
    net = build_imagenet_cam_net(name, tmp_path / "weights.pt")
    network = timm.create_model(name, output_stride=16).eval()
    network.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    with torch.no_grad():
        maps, expected = net(IMAGES), network(IMAGES) - network.get_classifier().bias
    assert maps.shape == (2, 1000, 6, 8)
    torch.testing.assert_close(maps.mean(dim=(2, 3)), expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_layers_after_the_pooling_are_applied_to_each_position(tmp_path):
    network = saved("test_convnext", tmp_path / "weights.pt")
    net = build_imagenet_cam_net("test_convnext", tmp_path / "weights.pt")
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = network.forward_features(image)
        assert features.shape[-2:] == (1, 1)  # with a single position, pooling changes nothing
        network.get_classifier().bias.zero_()
        head = net.classifier(net.trained.head(features))
    torch.testing.assert_close(head[:, :, 0, 0], network.forward_head(features))


def test_the_part_up_to_stride_8_is_frozen(tmp_path):
    saved("test_resnet", tmp_path / "weights.pt")
    net = build_imagenet_cam_net("test_resnet", tmp_path / "weights.pt")
    assert net.features(IMAGES).shape[-2:] == (12, 16)
    assert not any(parameter.requires_grad for parameter in net.frozen.parameters())
    assert all(parameter.requires_grad for parameter in net.trained.parameters())


def test_weights_as_safetensors_are_the_same(tmp_path):
    network = saved("test_resnet", tmp_path / "weights.pt")
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    nets = [build_imagenet_cam_net("test_resnet", tmp_path / f"weights.{suffix}") for suffix in ("pt", "safetensors")]
    assert all(torch.equal(a, b) for a, b in zip(*(net.state_dict().values() for net in nets), strict=True))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5", "is unknown to timm; did you mean resnet5"),
        ("test_vit", "a convolutional classifier is needed, such as resnet50"),
        ("test_resnet.none", "model 'test_resnet.none': Invalid pretrained tag"),
    ],
)
def test_other_models_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        build_imagenet_cam_net(name)


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), (b"no weights", "not readable as")])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_missing_and_damaged_weights_are_named(tmp_path, content, message, suffix):
    path = tmp_path / f"weights.{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\.{suffix}': {message}"):
        build_imagenet_cam_net("test_resnet", path)


def test_weights_of_another_model_are_refused(tmp_path):
    saved("test_efficientnet", tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="do not fit test_resnet"):
        build_imagenet_cam_net("test_resnet", tmp_path / "weights.pt")


def test_without_a_network_the_error_says_how_to_bring_the_weights(monkeypatch):
    def fail(*arguments, pretrained=False, **options):
        if pretrained:
            raise OSError("no route to host")
        return create_model(*arguments, **options)

    create_model = timm.create_model
    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(
        ValueError, match=r"'test_resnet' could not be downloaded \(no route to host\).*torch\.save.*as weights"
    ):
        build_imagenet_cam_net("test_resnet")
    assert imagenet_classifiers.PACKAGED == "tf_efficientnet_lite0"  # its weights are installed
