from tools.lint_sizes import MAX_FILE_LINES, MAX_FUNCTION_LINES, problems_of


def function(num_lines: int, indent: str = "") -> str:
    """A function with `num_lines` lines, `def` included."""
    return f"{indent}def long():\n" + f"{indent}    x = 1\n" * (num_lines - 1)


def test_limits_themselves_are_allowed():
    assert problems_of("x = 1\n" * MAX_FILE_LINES, "a.py") == []
    assert problems_of(function(MAX_FUNCTION_LINES), "a.py") == []


def test_long_file_is_named():
    assert problems_of("x = 1\n" * 351, "a.py") == ["a.py:1: the file has 351 lines, at most 350 are allowed"]


def test_long_function_is_named_with_its_line():
    assert problems_of("\n" + function(41), "a.py") == ["a.py:2: long has 41 lines, at most 40 are allowed"]
    assert problems_of("async " + function(41), "a.py") == ["a.py:1: long has 41 lines, at most 40 are allowed"]


def test_methods_and_inner_functions_count_too():
    assert problems_of("class A:\n" + function(41, "    "), "a.py") == ["a.py:2: long has 41 lines, at most 40 are allowed"]
    outer = "def outer():\n" + function(41, "    ")
    assert [problem.split()[1] for problem in problems_of(outer, "a.py")] == ["outer", "long"]


def test_decorators_do_not_count():
    assert problems_of("@cache\n@other\n" + function(40), "a.py") == []
