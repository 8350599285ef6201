"""The project's folders, so that notebooks and commands work from any working directory, and how paths are read.

`DATA`, `RESULTS` and `PUBLISHED` are folders of the project, unless the environment variables RIBSTUDY_DATA, RIBSTUDY_RESULTS
and RIBSTUDY_PUBLISHED name others. A relative path in these variables is relative to the project, because a notebook and a
command have different working directories.
"""

import os
import re
from pathlib import Path

from ribstudy.runtime import environment

PROJECT = Path(__file__).resolve().parents[2]
MNIST = PROJECT / "data" / "mnist_2_8.npz"
IN_PROJECT = {"DATA": "data", "RESULTS": "results", "PUBLISHED": "published"}
WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def __getattr__(name: str) -> Path:
    """DATA, RESULTS or PUBLISHED. They are read when they are used, so that a bad variable is an error of the command."""
    if name not in IN_PROJECT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    variable = f"RIBSTUDY_{name}"
    value = environment.text(variable)
    if value is None:
        return _of_project(name, variable)
    try:
        return expanded(value, PROJECT)
    except ValueError as error:
        raise ValueError(f"the environment variable {variable} = {value!r}: {error}") from None


def _of_project(name: str, variable: str) -> Path:
    if name != "PUBLISHED" and not (PROJECT / "pyproject.toml").is_file():
        raise ValueError(f"ribstudy is installed without its project, so set the environment variable {variable} to a folder")
    return PROJECT / IN_PROJECT[name]


def expanded(path: str | Path, folder: Path | None = None) -> Path:
    """The absolute path that a user means: `~` is the home folder, and a relative path is relative to `folder`.

    Args:
        path: as the user wrote it. Every other character stands for itself, also a space, `$` and `#`.
        folder: None: the working directory.

    Raises:
        ValueError: an empty path, a control character such as a line end, a path of Windows on another system, or no home.
    """
    text = str(path)
    if not text.strip():
        raise ValueError("the path is empty")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("the path contains a control character, such as a line end or a tab")
    if os.name != "nt" and WINDOWS.match(text):
        raise ValueError("this is a path of Windows; under WSL, C:\\data is /mnt/c/data")
    try:
        if text.split("/")[0] == "~" and os.environ.get("HOME") == "":  # Python takes the root folder for the home then
            raise RuntimeError
        return (folder or Path.cwd()) / Path(text).expanduser()
    except RuntimeError:
        raise ValueError("the home folder that ~ stands for is not known; write the path in full") from None


def beside(path: str | Path, folder: Path) -> Path:
    """The path that a file in `folder` means. A relative one is looked up in this folder, and then in the working directory.

    Raises ValueError as `expanded` does.
    """
    here = expanded(path, folder)
    return here if here.exists() else expanded(path)
