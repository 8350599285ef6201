"""Runs all checks of the house style that ruff does not know: `python -m tools.lint`. `make lint` calls it.

The checks: lengths (`lint_sizes`), imports (`lint_imports`), chapters (`lint_notebooks`) and English (`lint_english`).
"""

import sys

from tools import lint_english, lint_imports, lint_notebooks, lint_sizes

CHECKS = {"sizes": lint_sizes, "imports": lint_imports, "notebooks": lint_notebooks, "english": lint_english}


def main() -> int:
    """Prints all problems and, in the last line, how many each check found."""
    counts = {}
    for name, check in CHECKS.items():
        problems = [str(problem) for problem in check.all_problems()]
        counts[name] = len(problems)
        if problems:
            print("\n".join([f"-- {name}", *problems]))
    print("problems: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    return 1 if any(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
