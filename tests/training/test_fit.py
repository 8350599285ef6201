"""The training loop on a network of one weight, whose steps can be computed by hand."""

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.numbers import NUM_EXAMPLES, load
from torch import nn

from ribstudy.training.files import CHECKPOINT, WEIGHTS
from ribstudy.training.fit import Training, fit, new_net
from ribstudy.training.settings import ClassifierSettings

SETTINGS = ClassifierSettings(
    backbone="resnet50",
    weights=None,
    epochs=1,
    batch_size=4,
    learning_rate=1e-3,
    head_lr_factor=10,
    momentum=0.9,
    weight_decay=0,
    poly_power=0.9,
    long_side=(8, 8),
    crop_size=8,
)


def losses_of(net, numbers):
    return {"loss": (net(numbers) - 1).square().mean(), "mean": numbers.mean()}


def run_training(folder, *, losses_of=losses_of, num_steps=6, **options):
    torch.manual_seed(0)
    net = nn.Linear(1, 1)
    training = Training(
        settings=SETTINGS,
        parameters=net.parameters(),
        load=load,
        num_examples=options.pop("num_examples", NUM_EXAMPLES),
        losses_of=losses_of,
        num_steps=num_steps,
        interval=2,
        **options,
    )
    return net, fit(net, training, seed=3, folder=folder, device="cpu")


def test_a_step_is_computed_as_by_hand(tmp_path):
    net, history = run_training(tmp_path, num_steps=1, losses_of=lambda net, numbers: {"loss": net(numbers).sum()})
    torch.manual_seed(0)
    before = nn.Linear(1, 1)
    assert net.bias.item() == pytest.approx(before.bias.item() - 1e-3 * 4)  # the gradient is the batch size
    assert history["step"].tolist() == [1]
    assert torch.equal(safetensors.torch.load_file(tmp_path / WEIGHTS)["weight"], net.weight)


def test_accumulated_parts_give_the_same_weights(tmp_path):
    (net, history), (other, other_history) = (run_training(tmp_path / str(n), accumulation=n) for n in (1, 2))
    assert torch.allclose(net.weight, other.weight, rtol=1e-5)
    np.testing.assert_allclose(history["loss"], other_history["loss"], rtol=1e-5)


def test_rates_fall_polynomially_and_rows_are_means_over_an_interval(tmp_path):
    seen = {}
    _, history = run_training(tmp_path, num_steps=5, watch=lambda step, losses: seen.update({step: losses["loss"]}))
    assert history["step"].tolist() == [2, 4, 5]
    np.testing.assert_allclose(history["learning_rate"], [1e-3 * (1 - step / 5) ** 0.9 for step in (2, 4, 5)])
    np.testing.assert_allclose(history["loss"], [np.mean([seen[1], seen[2]]), np.mean([seen[3], seen[4]]), seen[5]])


def test_a_resumed_training_ends_like_an_uninterrupted_one(tmp_path):
    def stop(step, losses):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "resumed", watch=stop)
    kept = torch.load(tmp_path / "resumed" / CHECKPOINT, weights_only=True)
    assert kept["history"][-1]["step"] == 4
    assert kept["settings"] == SETTINGS.model_dump(mode="json")
    resumed, history = run_training(tmp_path / "resumed")
    whole, expected = run_training(tmp_path / "whole")
    assert torch.equal(resumed.weight, whole.weight)
    assert history.equals(expected)
    assert (tmp_path / "resumed" / "history.csv").read_text() == (tmp_path / "whole" / "history.csv").read_text()


def test_a_loss_that_is_not_a_number_is_named(tmp_path):
    with pytest.raises(FloatingPointError, match="step 1: the loss is nan"):
        run_training(tmp_path, losses_of=lambda net, numbers: {"loss": net(numbers).mean() * float("nan")})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"num_examples": 3}, "3 training images are fewer than a batch of 4"), ({"accumulation": 3}, "into 3 equal parts")],
)
def test_impossible_batches_are_refused_before_the_first_step(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run_training(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_new_net_depends_on_the_seed_only():
    first, second, other = (new_net(lambda: nn.Conv2d(3, 4, 3), seed=seed, device="cpu") for seed in (1, 1, 2))
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, other.weight)
