"""How the values of options are read: paths, and settings as NAME=VALUE or in braces."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ribstudy.config import given_settings
from ribstudy.runtime.paths import expanded
from ribstudy.runtime.strict_yaml import parse_value

log = logging.getLogger(__name__)


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
    """The settings of --set, by dotted name. Of two for the same setting, the later one holds, and the log tells it."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.strip()):
            raise ValueError(f"--set {text}: expected NAME=VALUE, such as rib.tau=0.5")
        given = given_settings({name.strip(): _value(value, f"--set {text}")}, f"--set {text}")
        for setting in given:
            replaced = [found.pop(earlier) for earlier in list(found) if _overlap(earlier, setting)]
            if any(value != given[setting] for value in replaced):
                log.warning("--set: %s is given twice, and the later value holds: %s", setting, given[setting])
        found |= given
    return found


def _overlap(setting: str, other: str) -> bool:
    """Whether two dotted names stand for the same setting, or for a section and a part of it."""
    return f"{setting}.".startswith(f"{other}.") or f"{other}.".startswith(f"{setting}.")


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
