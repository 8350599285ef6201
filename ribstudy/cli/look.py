"""The command `look`: maps of photographs by an ImageNet classifier."""

import argparse
import os
import sys
import webbrowser
from pathlib import Path

from ribstudy.cli import options as options_of
from ribstudy.report.look_settings import METHODS

EXAMPLES = """\
examples:
  python -m ribstudy look photo.jpg                         write photo_look.html next to the photograph, and show it
  python -m ribstudy look holiday/ cat.jpg --top 2          a folder and a file; the two most probable classes of each
  python -m ribstudy look photo.jpg --class "Egyptian cat" --class sofa --method rib --method layercam
  python -m ribstudy look --search cat                      the ImageNet classes with "cat" in their names
  python -m ribstudy look photo.jpg --model resnet50        another classifier; timm downloads its weights
  python -m ribstudy look photo.jpg --model resnet50 --weights resnet50.pt
  python -m ribstudy look cat --out cat.png                 a figure instead of a report; cat is an installed photograph
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    look = commands.add_parser(
        "look",
        help="show where an ImageNet classifier looks in your photographs, by RIB and other methods",
        description="Writes a report in one HTML file: the maps of each photograph after every step, with sliders.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    look.add_argument(
        "photos",
        type=options_of.photograph,
        nargs="*",
        metavar="PHOTO",
        help="image files, folders of them, or names of installed photographs, such as cat",
    )
    _add_classes(look)
    look.add_argument(
        "--method",
        dest="methods",
        action="append",
        metavar="NAME",
        help=f"{', '.join(METHODS)}; repeat it to compare several (default: rib)",
    )
    look.add_argument("--model", metavar="NAME", help="a convolutional classifier of timm (default: tf_efficientnet_lite0)")
    look.add_argument("--weights", type=options_of.path, metavar="FILE", help="its weights: a state dict, .pt or .safetensors")
    look.add_argument(
        "--learning-rate", type=float, metavar="RATE", help="of RIB; lower it if a map spreads or its logit falls"
    )
    look.add_argument("--search", metavar="TEXT", help="list the ImageNet classes whose name contains TEXT, and exit")
    look.add_argument(
        "--out",
        type=options_of.path,
        metavar="FILE",
        help="a report (.html), or a figure of a single map (.png, .svg, .pdf); default: *_look.html next to the photograph",
    )
    shown = "open the written file in the browser (default: if a terminal and a screen are there)"
    look.add_argument("--open", action=argparse.BooleanOptionalAction, help=shown)
    look.set_defaults(command=_look)


def _add_classes(look: argparse.ArgumentParser) -> None:
    classes = look.add_mutually_exclusive_group()
    classes.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        metavar="NAME",
        help='an ImageNet class, such as "Egyptian cat"; repeat it for several classes (default: the most probable class)',
    )
    classes.add_argument("--top", type=int, default=1, metavar="N", help="the N most probable classes of each photograph")


def _look(options: argparse.Namespace) -> int:
    from ribstudy.report import look

    if options.search is not None:
        print("\n".join(look.search_classes(options.search)))
        return 0
    if not options.photos:
        raise ValueError("look needs an image file or a folder: python -m ribstudy look photo.jpg")
    if options.weights is not None and options.model is None:
        raise ValueError("--weights: name the model of the weights, such as --model resnet50")
    given = {name: getattr(options, name) for name in ("model", "weights", "methods", "learning_rate")}
    out = look.look(
        options.photos,
        classes=options.classes,
        top=options.top,
        out=options.out,
        **{name: value for name, value in given.items() if value is not None},
    )
    print(out)
    _show(out, options.open)
    return 0


def _show(out: Path, wanted: bool | None) -> None:
    """Opens a file in the browser. Without a screen, the browsers of the terminal would take it over, so it asks for a screen.

    Args:
        wanted: None if the user has not said.
    """
    if wanted or (wanted is None and sys.stdout.isatty() and _has_screen()):
        opened = webbrowser.open(out.resolve().as_uri())
        if wanted and not opened:
            raise ValueError(f"{out}: no browser could be opened; open the file yourself")


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
