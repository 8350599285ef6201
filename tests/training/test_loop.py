"""The training loop on a network of one weight, whose steps can be computed by hand."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from ribstudy.datasets.base import DataError
from ribstudy.runtime import ranks as launch
from ribstudy.training.loop import CHECKPOINT, check_batch, train, training_batches

NUM_IMAGES = 10


def load(indices, rngs):
    """The images of these indices: a number each, with a little noise that only their generator decides."""
    return (
        torch.tensor([[index + rng.uniform(0, 0.1)] for index, rng in zip(indices, rngs, strict=True)], dtype=torch.float32),
    )


def losses_of(net, numbers):
    return {"loss": (net(numbers) - 1).square().mean(), "mean": numbers.mean()}


def run_training(folder, *, accumulation=1, num_steps=6, interval=2, watch=lambda step, losses: None, batch_size=4):
    torch.manual_seed(0)
    net = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    with launch.accelerated("cpu", gradient_accumulation_steps=accumulation) as accelerator:
        history = train(
            net,
            optimizer,
            batches=lambda steps: training_batches(load, NUM_IMAGES, batch_size, steps, seed=3, accelerator=accelerator),
            losses_of=losses_of,
            num_steps=num_steps,
            interval=interval,
            poly_power=0.9,
            folder=folder,
            settings={"kept": True},
            accelerator=accelerator,
            watch=watch,
        )
    return net, history


def batches_of(steps, *, batch_size=4, accumulation=1, num_workers=0, load=load):
    with launch.accelerated("cpu", gradient_accumulation_steps=accumulation) as accelerator:
        return list(
            training_batches(load, NUM_IMAGES, batch_size, steps, seed=3, accelerator=accelerator, num_workers=num_workers)
        )


def test_an_epoch_shows_every_image_at_most_once_and_epochs_differ():
    first, second = ([int(x) for (batch,) in batches_of(steps) for x in batch[:, 0]] for steps in (range(2), range(2, 4)))
    assert len(set(first)) == len(first) == 8  # two full batches of ten images
    assert first != second


def test_a_step_shows_the_same_wherever_one_begins_and_however_many_decode():
    whole = batches_of(range(5))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[3:], batches_of(range(3, 5)), strict=True))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole, batches_of(range(5), num_workers=1), strict=True))


def test_accumulated_parts_make_the_same_batch_and_the_same_weights(tmp_path):
    (whole,), parts = batches_of(range(1)), batches_of(range(1), accumulation=2)
    assert torch.equal(torch.cat([part[0] for part in parts]), whole[0])
    (net, history), (other, other_history) = (run_training(tmp_path / str(n), accumulation=n) for n in (1, 2))
    assert torch.allclose(net.weight, other.weight, rtol=1e-5)
    np.testing.assert_allclose(history["loss"], other_history["loss"], rtol=1e-5)


def test_rates_fall_polynomially_and_rows_are_means_over_an_interval(tmp_path):
    seen = {}
    _, history = run_training(tmp_path, num_steps=5, watch=lambda step, losses: seen.update({step: losses["loss"]}))
    assert history["step"].tolist() == [2, 4, 5]
    np.testing.assert_allclose(history["learning_rate"], [1e-3 * (1 - step / 5) ** 0.9 for step in (2, 4, 5)])
    np.testing.assert_allclose(history["loss"], [np.mean([seen[1], seen[2]]), np.mean([seen[3], seen[4]]), seen[5]])


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(tmp_path):
    def stop(step, losses):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "resumed", watch=stop)
    kept = torch.load(tmp_path / "resumed" / CHECKPOINT, weights_only=True)
    assert kept["history"][-1]["step"] == 4
    assert kept["settings"] == {"kept": True}
    resumed, history = run_training(tmp_path / "resumed")
    whole, expected = run_training(tmp_path / "whole")
    assert torch.equal(resumed.weight, whole.weight)
    assert history.equals(expected)
    assert (tmp_path / "resumed" / "history.csv").read_text() == (tmp_path / "whole" / "history.csv").read_text()


def test_a_loss_that_is_not_a_number_is_named(tmp_path):
    def grow(net, numbers):
        return {"loss": net(numbers).mean() * float("nan")}

    with pytest.raises(FloatingPointError, match="step 1: the loss is nan"), launch.accelerated("cpu") as accelerator:
        net = nn.Linear(1, 1)
        train(
            net,
            torch.optim.SGD(net.parameters(), lr=1.0),
            batches=partial(training_batches, load, NUM_IMAGES, 4, seed=0, accelerator=accelerator),
            losses_of=grow,
            num_steps=2,
            interval=1,
            poly_power=0.9,
            folder=tmp_path,
            settings={},
            accelerator=accelerator,
        )


def broken(indices, rngs):
    raise DataError("picture.jpg: is empty")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_unreadable_image_ends_the_training_with_its_name(num_workers):
    with pytest.raises(DataError, match=r"picture\.jpg"):
        batches_of(range(1), num_workers=num_workers, load=broken)


def test_batches_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match="3 training images are fewer than a batch of 4"):
        check_batch(3, 4, 1)
    with pytest.raises(ValueError, match="a batch of 10 cannot be divided into 4 equal parts"):
        check_batch(20, 10, 4)
