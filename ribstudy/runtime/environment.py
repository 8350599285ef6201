"""The environment variables that the study reads. One that is empty counts as not set, as tools for containers pass it on."""

import os


def text(name: str) -> str | None:
    """The value of a variable, without white space at its ends; None if it is empty or not set."""
    return os.environ.get(name, "").strip() or None


def number(name: str, *, least: int) -> int | None:
    """The whole number in a variable; None if it is empty or not set.

    Raises ValueError for another text, and for a number below `least`.
    """
    value = text(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ValueError(f"the environment variable {name} = {value!r}: expected a whole number of {least} or more")
    return int(value)
