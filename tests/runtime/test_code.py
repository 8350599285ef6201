"""The code that a definition reaches, in small packages."""

import pytest

from ribstudy.runtime.code import reach

# `start` reaches `scaled` through a decorator, an imported module, a re-export and imports inside functions.
STUDY = {
    "__init__": "",
    "main": """
import numpy as np
from study import science
from study.tools import logged, unused


@logged
def start(image):
    return science.Model(image).scaled(), np.zeros(3)


def neighbour():
    return 1
""",
    "science/__init__": "from study.science.model import Model, OTHER",
    "science/model": """
from study.tools import logged as wrapped

SCALE = 2.0
OTHER = 3.0


class Base:
    pass


class Model(Base):
    '''A model.'''

    size: int = 3
    name: str

    def __init__(self, image):
        self.image = image

    def scaled(self):
        from study.science.late import shift

        return shift(self.image) * SCALE

    def not_called(self):
        return wrapped
""",
    "science/late": "import study.tools\n\n\ndef shift(image):\n    return image + study.tools.STEP\n",
    "tools": """
STEP = 1
UNUSED = 2


def logged(function):
    return function


def unused():
    return UNUSED
""",
}
REACHED = {"main.start", "tools.logged", "tools.STEP", "science.late.shift"} | {
    f"science.model.{name}" for name in ("Base", "Model", "SCALE")
}


@pytest.fixture
def code_of(tmp_path):
    """The code that `study.main.start` reaches after some modules are edited: {module: (old text, new text)}."""
    copies = iter(range(100))

    def of(edits=None, start="study.main.start", **options):
        folder = tmp_path / str(next(copies)) / "study"
        for name, text in STUDY.items():
            old, new = (edits or {}).get(name, ("", ""))
            assert old in text
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            folder.joinpath(f"{name}.py").write_text(text.replace(old, new, 1))
        return reach(folder, start, **options)

    return of


def test_decorators_reexports_classes_and_late_imports_are_followed_and_nothing_else(code_of):
    assert code_of().keys() == {f"study.{name}" for name in REACHED}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("science/model", "SCALE = 2.0", "SCALE = 2.5"),  # two modules away
        ("tools", "STEP = 1", "STEP = 2"),
        ("tools", "return function", "return print(function)"),  # a decorator
        ("main", "@logged\n", ""),
        ("science/model", "class Base:\n    pass", "class Base:\n    bias = 1"),
        ("science/model", "return wrapped", "return None"),  # a class counts as a whole
        ("science/model", "    name: str\n", ""),  # a field of a data class
        ("science/model", "size: int = 3", "size = 3"),
        ("science/late", "image + ", "image - "),
        ("science/__init__", "Model, OTHER", "OTHER, Base as Model"),  # another definition under the old name
        ("main", "import numpy as np", "import torch as np"),
    ],
)
def test_a_change_of_the_computation_changes_the_code(code_of, module, old, new):
    assert sorted(code_of({module: (old, new)}).values()) != sorted(code_of().values())


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("science/model", "'''A model.'''", "'''Another text.'''\n    # and a comment"),
        ("science/model", "size: int = 3", "size: float = 3"),
        ("science/model", "SCALE = 2.0", "SCALE: float = (\n    2.0\n)"),
        ("science/model", "class Base:\n    pass", "class Base:\n    '''Nothing.'''"),
        ("science/late", "def shift(image):", "\n\ndef shift(image: list[int]) -> 'int':"),
        ("science/late", "import study.tools\n\n\ndef shift(image):\n", "def shift(image):\n    import study.tools\n"),
        (
            "science/late",
            "import study.tools\n\n\ndef shift(image):\n    return image + study.tools.STEP",
            "def shift(image):\n    from study.tools import STEP as step\n\n    return image + step",
        ),
        ("main", "import numpy as np\n", "import numpy as np, math\n"),
        ("main", "return 1", "return 2"),  # not reached
        ("tools", "UNUSED = 2", "UNUSED = 3"),
    ],
)
def test_any_other_change_does_not(code_of, module, old, new):
    assert sorted(code_of({module: (old, new)}).values()) == sorted(code_of().values())


def test_the_module_of_a_definition_does_not_matter(code_of):
    moved = {"tools": ("STEP = 1\n", "")}
    moved["science/late"] = (STUDY["science/late"], "STEP = 1\n\n\ndef shift(image):\n    return image + STEP\n")
    assert code_of(moved).keys() != code_of().keys()
    assert sorted(code_of(moved).values()) == sorted(code_of().values())


def test_what_is_outside_is_not_reached_nor_what_only_it_reaches(code_of):
    names = code_of(outside=["study.science.late", "study.science.model.Base"]).keys()
    assert names == {f"study.{name}" for name in REACHED - {"science.late.shift", "science.model.Base", "tools.STEP"}}
    assert code_of(outside=["study.science"]).keys() == {"study.main.start", "study.tools.logged"}


def test_of_some_definitions_only_arguments_are_followed(code_of):
    stages = """
from study.tools import STEP, UNUSED, logged

FIRST = dict(work=logged, format=STEP)
SECOND = dict(work=lambda: FIRST, format=UNUSED)
"""
    edits = {"main": (STUDY["main"], stages)}
    code = code_of(edits, "study.main.SECOND", partly=["study.main.FIRST"], arguments=["format"])
    assert code.keys() == {"study.main.SECOND", "study.tools.UNUSED", "study.tools.STEP"}
    alone = code_of(edits, "study.main.FIRST", arguments=["format"])
    assert alone.keys() == {"study.main.FIRST", "study.tools.logged", "study.tools.STEP"}


def test_a_module_that_is_passed_on_counts_with_all_its_definitions(code_of):
    code = code_of({"main": (STUDY["main"], "from study import tools\n\nstart = print(tools)\n")})
    assert code.keys() == {"study.main.start", *(f"study.tools.{name}" for name in ("STEP", "UNUSED", "logged", "unused"))}


def test_every_statement_that_binds_a_name_counts(code_of):
    text = "start = 1\nif __debug__:\n    start += 2\n"
    (code,) = code_of({"main": (STUDY["main"], text)}).values()
    (changed,) = code_of({"main": (STUDY["main"], text.replace("2", "4"))}).values()
    assert code != changed


def test_texts_for_help_do_not_count(code_of):
    def text(arguments):
        return list(code_of({"main": (STUDY["main"], f"start = dict({arguments})")}).values())

    assert text("help='a', description='b', name='c'") == text("help='d', name='c'") != text("name='d'")


def test_methods_that_check_data_do_not_count(code_of):
    check = "def not_called(self):\n        return wrapped", "def check(self):\n        return {}"
    without, one, other = (
        list(code_of({"science/model": (check[0], text)}).values())
        for text in ("pass", check[1].format("wrapped"), check[1].format("OTHER"))
    )
    assert without == one == other != list(code_of().values())


def test_messages_and_refusals_do_not_count(code_of):
    def text(body):
        return list(code_of({"main": (STUDY["main"], f"def start(x):\n    {body}\n    return x\n")}).values())

    plain = text("pass")
    assert text("if x < 0:\n        raise ValueError(f'{x} is below 0')") == plain
    assert text("if x < 0:\n        x = 0") != plain
    used_later = "if (y := {}) < 0:\n        raise ValueError\n    x = y"
    assert text(used_later.format("x")) != text(used_later.format("2 * x"))
    unknown = "try:\n        x = x[0]\n    except KeyError:\n        raise {}"
    assert text(unknown.format("ValueError('a') from None")) == text(unknown.format("ValueError('b', x) from None"))
    assert text(unknown.format("ValueError('a')")) != text(unknown.format("TypeError('a')"))
