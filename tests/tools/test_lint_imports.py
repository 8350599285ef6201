import pytest

from tools.lint_imports import imports_of, problems_of, read_sources


def test_imports_down_the_layers_are_allowed():
    sources = {
        "ribstudy": "",
        "ribstudy.datasets": "",
        "ribstudy.datasets.base": "import numpy\n",
        "ribstudy.method": "",
        "ribstudy.method.rib": "from ribstudy.datasets.base import Dataset\nfrom ribstudy.method import pooling\n",
        "ribstudy.method.pooling": "import ribstudy.datasets.base\n",
    }
    assert problems_of(sources) == []


def test_import_up_the_layers_is_named_with_its_line():
    sources = {"ribstudy.masks.crf": "import numpy\nfrom ribstudy.report import look\n", "ribstudy.report.look": ""}
    assert problems_of(sources) == [
        "ribstudy/masks/crf.py:2: masks imports ribstudy.report.look, but report comes after masks in LAYERS"
    ]


def test_new_package_must_be_entered():
    sources = {"ribstudy.newroom.a": "from ribstudy.datasets import base\n", "ribstudy.datasets.base": ""}
    assert problems_of(sources) == ["ribstudy.newroom.a: newroom is not in LAYERS of tools/lint_imports.py: add it"]


def test_cycle_is_spelled_out_once():
    sources = {
        "ribstudy.method.a": "from ribstudy.method.b import x\n",
        "ribstudy.method.b": "import ribstudy.method.c\n",
        "ribstudy.method.c": "from .a import y\n",
        "ribstudy.method.d": "from .a import y\n",
    }
    assert [problem.replace("ribstudy.method.", "") for problem in problems_of(sources)] == [
        "ribstudy/method/a.py:1: a cycle of imports: a -> b -> c -> a"
    ]


def test_cycles_that_share_a_module_are_one_problem():
    sources = {
        "ribstudy.method.a": "from ribstudy.method import b, c, d\n",
        "ribstudy.method.b": "from ribstudy.method import a\n",
        "ribstudy.method.c": "from ribstudy.method import a\n",
        "ribstudy.method.d": "",
    }
    (problem,) = problems_of(sources)
    assert problem.endswith("ribstudy.method.a -> ribstudy.method.b -> ribstudy.method.a (more in this group: 1)")


def test_two_cycles_are_two_problems():
    sources = {f"ribstudy.toy.{a}": f"from ribstudy.toy import {b}\n" for a, b in ("ab", "ba", "cd", "dc")}
    assert len(problems_of(sources)) == 2


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    from ribstudy.store import Store\n",
        "class A:\n    def f(self):\n        if self:\n            import ribstudy.store\n",
        "def f():\n    def g():\n        import ribstudy.store\n",
    ],
)
def test_import_inside_a_function_is_refused(source):
    (problem,) = problems_of({"ribstudy.report.chapter": source, "ribstudy.store": ""})
    assert "imports ribstudy.store inside a function" in problem


@pytest.mark.parametrize("module", ["ribstudy", "ribstudy.cli.main", "ribstudy.stages.maps"])
def test_some_layers_may_import_late(module):
    assert problems_of({module: "def f():\n    import ribstudy.store\n", "ribstudy.store": ""}) == []


def test_a_late_import_keeps_to_the_layers_and_makes_cycles():
    late = "def f():\n    import ribstudy.cli.main\n"
    problems = problems_of({"ribstudy.stages.maps": late, "ribstudy.cli.main": "import ribstudy.stages.maps\n"})
    assert any("stages imports ribstudy.cli.main" in problem for problem in problems)
    assert any("a cycle of imports" in problem for problem in problems)


def test_other_packages_may_be_imported_late():
    assert problems_of({"ribstudy.cli.main": "def f():\n    import timm\n    from ribstudyish import x\n"}) == []


def test_the_package_itself_may_export_lazily():
    sources = {"ribstudy": "def __getattr__(name):\n    from ribstudy.method import rib\n", "ribstudy.method.rib": ""}
    assert problems_of(sources) == []


def test_imports_for_types_follow_no_rule():
    source = "if TYPE_CHECKING:\n    from ribstudy.cli import main\nelse:\n    import ribstudy.store\n"
    sources = {"ribstudy.stages.maps": source, "ribstudy.cli.main": "import ribstudy.stages.maps\n", "ribstudy.store": ""}
    assert problems_of(sources) == []
    assert [found.when for found in imports_of("ribstudy.stages.maps", sources)] == ["typing", "module"]


def test_relative_imports_are_resolved():
    sources = {
        "ribstudy.method": "from . import rib\n",
        "ribstudy.method.rib": "from .pooling import gap\nfrom ..datasets import base\n",
        "ribstudy.method.pooling": "",
        "ribstudy.datasets.base": "",
    }
    assert [found.imported for found in imports_of("ribstudy.method", sources)] == ["ribstudy.method.rib"]
    found = imports_of("ribstudy.method.rib", sources)
    assert [(one.imported, one.line) for one in found] == [("ribstudy.method.pooling", 1), ("ribstudy.datasets.base", 2)]


def test_modules_are_named_as_python_names_them():
    sources = read_sources()
    assert {"ribstudy", "ribstudy.store", "ribstudy.method", "ribstudy.method.rib"} <= set(sources)
