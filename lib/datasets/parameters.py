"""Which images a study is about, as its YAML says it."""

import os
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lib import InputError
from lib.datasets import folder
from lib.schedule import Strict

# Known without loading them: classes, training images, test images.
KNOWN = {"cifar100": (100, 50_000, 10_000), "cifar10": (10, 50_000, 10_000), "mini": (10, 5_000, 1_000)}


class Data(Strict):
    name: Literal["cifar100", "cifar10", "mini", "folder"]
    root: Annotated[str, Field(pattern=r"^[^\x00]+$"), AfterValidator(os.path.expanduser)] = "data"
    side: Literal[32, 64] = 32  # pixels; pictures of a folder are resized

    @model_validator(mode="after")
    def the_folder_is_there(self) -> Self:
        if self.name != "folder":
            if self.side != 32:
                raise InputError(f"The images of {self.name!r} have 32 × 32 pixels: a side of {self.side} is for a "
                                 "folder.")
        elif self.root == "data":
            raise InputError("A folder of pictures needs its place, as root.")
        else:
            self.listing  # noqa: B018  it is read here, and refused where it does not fit
        return self

    @cached_property
    def listing(self) -> folder.Listing:
        """What is in the folder; looked up once."""
        return folder.listing(self.root)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Classes, training images, test images."""
        if self.name != "folder":
            return KNOWN[self.name]
        return len(self.listing.classes), *(len(self.listing.pictures[split]) for split in folder.SPLITS)

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """What decides numbers: not where a folder lies, but what is in it."""
        if self.name != "folder":
            return {"data": self.name}
        return {"data": self.name, "pictures": {"side": self.side, "digest": self.listing.digest()}}
