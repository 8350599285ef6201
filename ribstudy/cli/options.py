"""How the values of options are read: paths, and settings as NAME=VALUE or in braces."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ribstudy.config import given_settings
from ribstudy.runtime.paths import expanded
from ribstudy.runtime.strict_yaml import parse_value


def path(text: str) -> Path:
    """The absolute path that the value of an option means; the type of an argparse argument."""
    try:
        return expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def photograph(text: str) -> Path:
    """The path of an image file; if there is no such file, the text, which may be the name of an installed photograph."""
    return found if (found := path(text)).exists() else Path(text)


def add_config(command: argparse.ArgumentParser) -> None:
    """Adds an option that takes the folder of the data as the Snakefile does, with a command line for both."""
    command.add_argument(
        "--config",
        dest="data_root",
        action=_RootOfConfig,
        nargs="+",
        metavar="NAME=VALUE",
        help="values for the Snakefile, of which this command uses data_root",
    )


class _RootOfConfig(argparse.Action):
    """Stores the folder of the data from values such as data_root=/data shards=8."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        given = dict(text.partition("=")[::2] for text in values)
        if "data_root" not in given:
            return
        try:
            namespace.data_root = path(given["data_root"])
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from None


def settings(texts: Sequence[str]) -> dict[str, Any]:
    """The settings of --set, by dotted name. Raises ValueError if one is given twice."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not (equals and name):
            raise ValueError(f"--set {text}: expected NAME=VALUE, such as rib.tau=0.5")
        if name in found:
            raise ValueError(f"--set {text}: {name} is given twice; remove one of the two values")
        found[name] = _value(value, f"--set {text}")
    return given_settings(found, "--set")


def settings_of_run(text: str) -> dict[str, Any]:
    """The settings of --each, by dotted name, and possibly "images". Raises ValueError if one is given twice."""
    what = f"--each {text}"
    values = _value(text, what)
    if not isinstance(values, dict):
        raise ValueError(f"{what}: expected settings by name, such as {{rib.tau: 0.5}}")
    return given_settings(values, what)


def _value(text: str, what: str) -> Any:
    try:
        return parse_value(text, what)
    except ValueError as error:
        raise ValueError(f"{error} (this value is not YAML: a number, a word, true, null, [1.0, 0.5])") from None
