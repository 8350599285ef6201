"""An input whose files are mutated."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Refused(ValueError):
    """The library refuses the input. The message is what the user reads."""


@dataclass(frozen=True)
class Given:
    """An input.

    Args:
        write: writes it into a folder that does not exist.
        read: reads it with the library. Raises ValueError, with the message for the user, if the library refuses the input.
        slow: reads it with code that shares nothing with the library; raises any error if this is not possible.
        agree: compares the two: (by the library, by other code) -> whether both are the same.
    """

    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    slow: Callable[[Path], Any]
    agree: Callable[[Any, Any], bool] = lambda found, right: found == right
