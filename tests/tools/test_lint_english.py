import json

import pytest

from tools.english_patterns import PATTERNS
from tools.lint_english import main, problems_of, summary

# Written in two parts, so that the check does not read it as a marker of this file.
ALLOW = "english: " + "allow"

# For each pattern a sentence that it refuses, and a plain one that it lets pass.
EXAMPLES = {
    "clause-as-noun": ("What is pooled are the maps.", "What does RIB change?"),
    "what-it-has": ("Reads the file and what it holds.", "Reads the file and its contents."),
    "that-of": ("The threshold is that of the preset.", "The threshold is the preset's. We think that, of course."),
    "where-for-if": ("Where masks are missing, a rule is needed.", "Where G is the gain, the score is 1."),
    "fronted-of": ("Of each folder the first image is shown.", "Of course, the 0.3 is a choice."),
    "fronted-of-colon": ("Of a run: the images.", "The images of a run: a list."),
    "is-no": ("A wide gap is no proof.", "There is no proof, and it is no longer needed."),
    "of-which": ("Two numbers, of which one is zero.", "The page on which it is shown."),
    "is-of-those": ("A dash is of what is missing.", "It is of that type."),
    "such-as-do": ("Images such as have a mask.", "Classes such as cats."),
    "make-of": ("See what one threshold makes of maps.", "The bar is made of parts."),
    "so-many": ("It runs in so many processes.", "With so few images the interval is wide."),
    "let-alone": ("No mask, let alone a box.", "It is alone."),
    "rather-than-too": ("It is rather too narrow.", "Narrow rather than wide."),
    "an-own": ("The own views are mirrored.", "The image's own views have their own size."),
    "holds": ("An interval that holds zero.", "It holds that x is 1. This process holds the lock."),
    "holds-for": ("It holds for what was measured.", "It holds for all x."),
    "held-against": ("The maps are held against the masks.", "The claim holds. Against it we say."),
    "stands": ("The number stands in the table.", "It stands for the mean and stands in for a file."),
    "lies": ("The file lies in the folder.", "The value lies in the range 0 to 1."),
    "hang-on": ("The result hangs on the seed.", "The program hangs."),
    "go-on": ("A killed run goes on.", "The label goes on the x axis."),
    "go-round": ("It goes round the classes.", "It is round."),
    "told-apart": ("Classes that are told apart.", "We cannot tell RIB from the CAM."),
    "says-so": ("It stops and says so.", "It says why."),
    "say-of": ("The gain says little of the object.", "It says little about the object."),
    "know-of": ("It knows nothing of the classes.", "It knows the classes."),
    "has-say": ("The rest has no say.", "The rest has no effect. They say it has."),
    "comes-to": ("It comes to predict background.", "It comes to 3 GiB."),
    "does-without": ("The network can do without.", "It works without a network."),
    "mends": ("It mends the notebook.", "We recommend it."),
    "forbids": ("A type forbids it.", "The policy is `forbid`."),
    "part": ("The paper and its code part here.", "The second part of the paper."),
    "stand-under": ("The code stands under the licence.", "The code is under the licence."),
    "behind": ("The CRF comes behind the walk.", "The idea behind the method."),
    "beside": ("The legend is beside the axis.", "The legend is next to it."),
    "besides": ("It is slow besides.", "It is slow in addition."),
    "anew": ("It is drawn anew.", "It is drawn again."),
    "by-lot": ("They are drawn by lot.", "They are drawn by hand."),
    "but-for": ("Equal but for the order.", "Not for you but for me, and not but for the fun."),
    "for-the-time": ("One run, for the time that it takes.", "For the first time."),
    "one-would": ("What is it that one would write?", "One can write it."),
    "second-hand": ("Quoted at second hand.", "The second hand."),
    "in-small": ("RIB in small.", "RIB in small steps."),
    "be-it": ("Masks, be it of others.", "Let it be."),
    "otherwise": ("A choice is made otherwise.", "Otherwise it is made."),
    "place-of": ("It is in the place of a value.", "A place of interest."),
    "not-there": ("A file that is not there.", "The file is not there yet."),
    "thereof": ("The maps and sums thereof.", "The maps and their sums."),
    "lest": ("Copied lest it changes.", "The fewest."),
    "hitherto": ("Hitherto unknown.", "Here and there, higher."),
}


def patterns_in(text: str, name: str = "a.md") -> list[str]:
    return [problem.pattern for problem in problems_of(text, name)]


def notebook(*lines: str) -> str:
    """A notebook with one Markdown cell, as Jupyter writes it."""
    cell = {"cell_type": "markdown", "metadata": {}, "source": [f"{line}\n" for line in lines]}
    return json.dumps({"cells": [cell]}, indent=1)


def test_every_pattern_has_an_example():
    assert list(EXAMPLES) == [pattern.name for pattern in PATTERNS]
    assert len(set(EXAMPLES)) == len(PATTERNS)


@pytest.mark.parametrize("pattern", EXAMPLES)
def test_pattern_refuses_the_odd_and_passes_the_plain(pattern):
    odd, plain = EXAMPLES[pattern]
    assert pattern in patterns_in(odd)
    assert patterns_in(plain) == []


def test_words_over_two_lines_are_found_in_the_first():
    (problem,) = problems_of("First.\n\nThe name, and that\nof the file.\n", "a.md")
    assert str(problem).startswith('a.md:3: "that of the')
    assert "better: repeat the noun" in str(problem)


def test_places_in_a_notebook_name_the_cell():
    (problem,) = problems_of(notebook("Good.", "Drawn anew."), "a.ipynb")
    assert str(problem).startswith("a.ipynb:cell 1, line 2: ")


def test_code_is_not_read():
    assert patterns_in("Call `that of the` and\n\n```\ndrawn anew\n```\n") == []
    assert patterns_in('x = "drawn anew"\n', "a.py") == []
    assert patterns_in('parser.add_argument("x", help="drawn anew")\n', "a.py") == ["anew"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"<!-- {ALLOW} behind: the moon is really behind it -->\nThe moon is behind the hill.\n", "a.md"),
        (f"# The moon is behind the hill.  {ALLOW} behind: it really is\n", "a.yml"),
        (f'def f():\n    """The moon is behind the hill."""  # {ALLOW} behind: it really is\n', "a.py"),
        (f"# {ALLOW} behind: it really is\n# The moon is behind the hill.\n", "a.py"),
        (notebook(f"<!-- {ALLOW} behind: it really is -->", "The moon is behind the hill."), "a.ipynb"),
    ],
)
def test_exception_with_a_reason_is_allowed(text, name):
    assert patterns_in(text, name) == []


def test_markers_must_have_a_reason_and_a_use():
    without = problems_of(f"# {ALLOW} behind\n# The moon is behind the hill.\n", "a.py")
    assert [str(problem) for problem in without] == [f"a.py:1: allows behind without a reason: {ALLOW} behind: REASON"]
    unused = problems_of(f"# {ALLOW} behind: it really is\n# The moon.\n", "a.py")
    assert "which does not occur here" in str(unused[0])
    other = patterns_in(f"# {ALLOW} anew: a reason\n# The moon is behind the hill.\n", "a.py")
    assert other == ["behind", "marker"]


def test_many_clauses_with_what_are_one_problem():
    clause = "It reads what is stored.\n\n"
    assert patterns_in(clause * 2) == []
    assert patterns_in("But what is stored?\n\n" * 9) == []
    (problem,) = problems_of(clause * 3, "a.md")
    assert str(problem).startswith('a.md:1: "what" as a noun 3 times in 15 words, at most 2: name the things (lines 1, 3, 5)')
    assert patterns_in(clause * 3 + "word " * 750) == []


def test_summary_counts_by_pattern_and_file():
    problems = problems_of("Drawn anew.\n\nDrawn anew, by lot.\n", "a.md")
    assert summary(problems).split("\n") == ["by pattern", "     2 anew", "     1 by-lot", "by file", "     3 a.md"]


def test_command_reads_the_files_it_is_given(tmp_path, capsys):
    path = tmp_path / "a.md"
    path.write_text("Drawn anew.\n")
    assert main([str(path)]) == 1
    assert "a.md:1:" in capsys.readouterr().out
    assert main(["--count", str(path)]) == 1
    assert "     1 anew" in capsys.readouterr().out
    path.write_text("Drawn again.\n")
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == "english: no problems\n"
