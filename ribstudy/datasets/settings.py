"""Which data set, and which of its images."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, Strict, model_validator

from ribstudy.settings import Count, Section, Seed, Share


class TiedBackground(Section):
    """A background that comes with a class: what a classifier can mistake for it."""

    class_name: str = Field(description="the class, by its name in MiniVOC")
    probability: Share = Field(description="share of the images of the class that get the background")
    elsewhere: Share = Field(0.0, description="share of the images without the class that get it")


class MiniVocSettings(Section):
    """The drawn data set (`datasets/minivoc.py`)."""

    num_train: Count = Field(description="images with masks that results are reported on; they are part of train_aug too")
    num_train_aug: Count = Field(description="images the classifier is trained on; at least num_train")
    num_val: Count = Field(description="images that choices are made on")
    image_size: Annotated[int, Field(ge=64)] = Field(description="side of the square images in pixels")
    seed: Seed = Field(description="seed of the drawing; apart from the study's seed, so that seeds share one data set")
    tied: TiedBackground | None = Field(None, description="a background that comes with one class; None: with none")

    @model_validator(mode="after")
    def _train_is_part_of_train_aug(self):
        if self.num_train_aug < self.num_train:
            raise ValueError(f"num_train_aug ({self.num_train_aug}) must be at least num_train ({self.num_train})")
        return self


class DataSettings(Section):
    name: Literal["minivoc", "voc12", "coco14", "folder"] = Field(
        description="MiniVOC, which is drawn; a published data set; or a folder of your own images"
    )
    root: Annotated[Path, Strict(False)] | None = Field(None, description="folder of the data; None: drawn (MiniVOC)")
    minivoc: MiniVocSettings | None = Field(None, description="needed where name is minivoc")
    max_side: Annotated[int, Field(ge=32)] | None = Field(
        None, description="of a folder: an image whose longer side has more pixels is shrunk to this many; None: never"
    )

    @model_validator(mode="after")
    def _minivoc_is_described(self):
        if self.name == "minivoc" and self.minivoc is None:
            raise ValueError("data.minivoc is missing: name minivoc needs its sizes and seed")
        if self.max_side is not None and self.name != "folder":
            raise ValueError(f"data.max_side = {self.max_side}: only images of name folder are shrunk")
        return self


class ImageSelection(Section):
    """Which images something is computed for, or learnt from."""

    split: Literal["train", "val", "train_aug", "test"] = Field("train", description="the data set's list of images")
    skip: Annotated[int, Field(ge=0)] = Field(0, description="without the first so many of these images")
    limit: Count | None = Field(None, description="only so many of them; None: all")
    masked: bool = Field(False, description="only images that have a mask, those that maps can be scored on")
    class_name: str | None = Field(
        None, description="only images that show this class, counted before skip and limit; None: any"
    )

    def covers(self, other: "ImageSelection") -> bool:
        """Whether every image of `other` is one of these, whatever the data set."""
        same_list = (self.split, self.masked, self.class_name) == (other.split, other.masked, other.class_name)
        return same_list and self.skip <= other.skip and self._end >= other._end

    @property
    def _end(self) -> float:
        return float("inf") if self.limit is None else self.skip + self.limit

    def __str__(self) -> str:
        """As `--images` takes it."""
        values = self.model_dump(exclude_defaults=True)
        return ",".join(f"{name}={value}" for name, value in {"split": self.split, **values}.items())

    @classmethod
    def parse(cls, text: str) -> "ImageSelection":
        return cls(**{k: yaml.safe_load(v) for k, v in (part.split("=") for part in text.split(","))})
