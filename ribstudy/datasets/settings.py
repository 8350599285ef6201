"""Settings that choose a data set, and images of it."""

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ribstudy.settings import Count, GivenPath, PositiveShare, Section, Seed, Share, validate


class TiedBackground(Section):
    """A background that co-occurs with a class, so that a classifier can mistake it for the class."""

    class_name: str = Field(description="name of the class in MiniVOC")
    probability: Share = Field(description="share of the images with the class that get the background")
    elsewhere: Share = Field(0.0, description="share of the images without the class that get the background")


class MiniVocSettings(Section):
    """The drawn data set MiniVOC (`datasets/minivoc.py`)."""

    num_train: Count = Field(description="images with masks on which results are reported; they are also in train_aug")
    num_train_aug: Count = Field(description="images on which the classifier is trained; at least num_train")
    num_val: Count = Field(description="held-out images, on which choices are made")
    image_size: Annotated[int, Field(ge=64)] = Field(description="side of the square images in pixels")
    seed: Seed = Field(description="seed of the images; separate from the study's seed, so that all seeds share one data set")
    part_share: PositiveShare = Field(
        0.15, description="area of an object's discriminative part, as a share of the area of the body that classes share"
    )
    part_place: Literal["fixed", "anywhere"] = Field(
        "fixed", description="where the part is: at the widest place of the body, or anywhere away from its outline"
    )
    tied: TiedBackground | None = Field(None, description="a background that co-occurs with one class; None: there is none")

    @model_validator(mode="after")
    def _train_is_part_of_train_aug(self):
        if self.num_train_aug < self.num_train:
            raise ValueError(f"num_train_aug ({self.num_train_aug}) must be at least num_train ({self.num_train})")
        return self


class DataSettings(Section):
    """The data set."""

    name: Literal["minivoc", "voc12", "coco14", "folder"] = Field(description="the data set; folder: a folder of own images")
    root: GivenPath | None = Field(None, description="folder of the data; None: MiniVOC's own folder")
    minivoc: MiniVocSettings | None = Field(None, description="needed if name is minivoc")
    listed: str | None = Field(
        None, description="list of the package that names the images, such as voc12-third; None: any images"
    )
    max_side: Annotated[int, Field(ge=32)] | None = Field(None, description="longer images of a folder are shrunk to this side")

    @model_validator(mode="after")
    def _fits_the_data_set(self):
        if self.name == "minivoc" and self.minivoc is None:
            raise ValueError("data.minivoc is missing: name minivoc needs its sizes and seed")
        if self.max_side is not None and self.name != "folder":
            raise ValueError(f"data.max_side = {self.max_side}: only images of a folder are shrunk (data.name = folder)")
        if self.listed is not None and self.name not in ("voc12", "coco14"):
            raise ValueError(f"data.listed = {self.listed!r}: there are only lists of voc12 and coco14")
        return self


class ImageSelection(Section):
    """The images of a data set to compute something for, or to train on (see `datasets/selection.py`).

    As a text, for command lines and notebooks: "split=val,limit=2,masked=true,class_name=cat". A field whose text contains a
    comma is quoted as in a CSV file: 'split=val,"class_name=beetle, black"'.
    """

    split: Literal["train", "val", "train_aug", "test"] = Field("train", description="name of the list of images")
    skip: Annotated[int, Field(ge=0)] = Field(0, description="number of images to leave out, the first of a random order")
    limit: Count | None = Field(None, description="maximum number of images, a random sample; None: all")
    masked: bool = Field(False, description="only images with a mask, on which maps can be scored")
    class_name: str | None = Field(None, description="only images that show this class, before skip and limit; None: any")

    def covers(self, other: "ImageSelection") -> bool:
        """Whether this selection includes every image of `other`, in any data set."""
        same_list = (self.split, self.masked, self.class_name) == (other.split, other.masked, other.class_name)
        return same_list and self.skip <= other.skip and self._end >= other._end

    @property
    def _end(self) -> float:
        return float("inf") if self.limit is None else self.skip + self.limit

    @classmethod
    def parse(cls, text: str) -> Self:
        """The selection that a text describes. Fields that it leaves out have their default.

        Raises ValueError for a text of another form, unknown or repeated fields, and bad values.
        """
        what = f"images {text!r}"
        rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
        fields = [cell.partition("=") for row in rows for cell in row]
        names = [name.strip() for name, _, _ in fields]
        if not fields or not all(separator for _, separator, _ in fields):
            raise ValueError(f"{what}: expected fields such as split=val,limit=2; known: {', '.join(cls.model_fields)}")
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{what}: {repeated[0]} is given more than once")
        texts = dict(zip(names, (value for _, _, value in fields), strict=True))
        return validate(cls, {name: _value(name, value) for name, value in texts.items()}, what=what)

    def __str__(self) -> str:
        """The text that `parse` reads. Fields with their default value are left out, except split."""
        values = {"split": self.split, **self.model_dump(exclude_defaults=True)}
        return _csv_line([f"{name}={'true' if value is True else value}" for name, value in values.items()])


def _value(name: str, text: str) -> bool | int | str:
    """The value of a field: a bool for true and false, an int for integers, otherwise the text. A class name is a text."""
    if name == "class_name":
        return text
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        return text


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n")
