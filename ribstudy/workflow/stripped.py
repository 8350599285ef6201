"""The part of a notebook that git keeps and that identifies it: its cells, without the traces of an editor that saves it.

Outputs, counts, identifiers of cells and the metadata of kernels and editors are replaced, so saving an executed notebook
changes nothing for git. ::

    python -m ribstudy.workflow.stripped                       the filter that `make setup` hands to git: from stdin to stdout
    python -m ribstudy.workflow.stripped book/04_rib.ipynb     strip files in place

`make setup` also tells JupyterLab to call `after_save` (profiles/jupyterlab).
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEPT = ("tags", "mystnb")  # metadata of a cell that the study uses
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def stripped(text: str) -> str:
    """The notebook as git keeps it. Raises ValueError if the text is not JSON."""
    notebook = json.loads(text)
    notebook["metadata"] = METADATA
    for place, cell in enumerate(notebook["cells"]):
        source = cell["source"]
        cell["source"] = (source if isinstance(source, str) else "".join(source)).splitlines(keepends=True)
        cell["id"] = str(place)
        cell["metadata"] = {name: value for name, value in cell["metadata"].items() if name in KEPT and value}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def after_save(model: Mapping[str, Any], os_path: str, **_: Any) -> None:
    """Tells git that a saved notebook is unchanged, if what git keeps of it is.

    Git takes a file of another size for changed without looking into it, so `git status` would list every notebook with new
    outputs. A notebook with other changes, or outside a git checkout, stays as it is.

    Args:
        model, os_path: of the saved file, from Jupyter's `post_save_hook`.
    """
    path = Path(os_path)
    if model["type"] != "notebook":
        return
    kept = _git(path, "rev-parse", f":./{path.name}")
    if kept and kept == _git(path, "hash-object", path.name):
        _git(path, "update-index", "--", path.name)


def _git(path: Path, *arguments: str) -> str:
    """The output of a git command in the folder of a file; "" if it fails."""
    try:
        run = subprocess.run(["git", *arguments], cwd=path.parent, capture_output=True, text=True)
    except FileNotFoundError:  # no git
        return ""
    return run.stdout if run.returncode == 0 else ""


def main(files: list[str]) -> None:
    """Strips files in place, or without files, the standard input."""
    if not files:
        sys.stdout.buffer.write(stripped(sys.stdin.buffer.read().decode()).encode())
    for path in map(Path, files):
        text, new = path.read_text(), stripped(path.read_text())
        if new != text:
            path.write_text(new)


if __name__ == "__main__":
    main(sys.argv[1:])
