"""The batches of a training on numbers in place of images."""

import pytest
import torch
from helpers.numbers import NUM_EXAMPLES, load

from ribstudy.datasets.base import DataError
from ribstudy.runtime import ranks
from ribstudy.training.batches import check_batch, training_batches


def batches_of(steps, *, batch_size=4, accumulation=1, num_workers=0, load=load):
    with ranks.accelerated("cpu", gradient_accumulation_steps=accumulation) as accelerator:
        return list(
            training_batches(load, NUM_EXAMPLES, batch_size, steps, seed=3, accelerator=accelerator, num_workers=num_workers)
        )


def test_an_epoch_shows_every_example_at_most_once_and_epochs_differ():
    first, second = ([int(x) for (batch,) in batches_of(steps) for x in batch[:, 0]] for steps in (range(2), range(2, 4)))
    assert len(set(first)) == len(first) == 8  # two full batches of ten examples
    assert first != second


def test_a_step_has_the_same_batch_from_any_start_and_with_any_number_of_workers():
    whole = batches_of(range(5))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[3:], batches_of(range(3, 5)), strict=True))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole, batches_of(range(5), num_workers=1), strict=True))


def test_accumulated_parts_make_the_same_batch():
    (whole,), parts = batches_of(range(1)), batches_of(range(1), accumulation=2)
    assert torch.equal(torch.cat([part[0] for part in parts]), whole[0])


def broken(indices, rngs):
    raise DataError("picture.jpg: is empty")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_unreadable_image_ends_the_training_with_its_name(num_workers):
    with pytest.raises(DataError, match=r"picture\.jpg"):
        batches_of(range(1), num_workers=num_workers, load=broken)


def test_impossible_batches_are_refused():
    with pytest.raises(ValueError, match="3 training images are fewer than a batch of 4"):
        check_batch(3, 4)
    with pytest.raises(ValueError, match="a batch of 10 cannot be divided into 4 equal parts"):
        check_batch(20, 10, parts=4)
