"""Finds the English in the repository's files: Markdown, notebooks, Python and YAML.

The functions take the text of a file and return passages. A passage is a paragraph, a docstring, a block of comments or a
message. It keeps its line breaks, so that a position in it leads to a line of the file. Code, equations and roles become `X`.
"""

import ast
import io
import json
import re
import textwrap
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CODE_DIRECTIVES = re.compile(r"\{(eval-rst|bibliography|settings-table|math|code|code-block|code-cell|glue|toctree)\}")
# Markup of Markdown and reStructuredText, and its replacement. The order matters.
MARKUP = tuple(
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"<!--.*?-->", ""),
        (r"\$\$.*?\$\$", "X"),
        (r"\{[a-z:]+\}`[^`]*`", "X"),  # a role of MyST: {glue:text}`name`
        (r":[a-z:]+:`[^`]*`", "X"),  # a role of reStructuredText: :math:`x`
        (r"``.+?``|`[^`]*`", "X"),
        (r"\$[^$\n]+\$", "X"),
        (r"!?\[([^\]]*)\]\([^)]*\)", r"\1"),  # a link or an image keeps its words
        (r"<https?://[^>]*>|https?://\S+", "X"),
        (r"</?[a-zA-Z][^>\n]*>", ""),
        (r"\*\*|__(?=\w)|(?<=\w)__", ""),
    )
)
NO_PROSE = re.compile(r"#\s*(noqa|type:|fmt:|ruff:|pragma|!|english:)")
RULE = re.compile(r"^[-=\s|:]+$|^-{3,}|-{3,}$")


@dataclass(frozen=True)
class Passage:
    """Connected text, and the numbers of its first and last line in the file."""

    text: str
    line: int
    end: int
    cell: int | None = None  # of a notebook; the lines are then counted within the cell

    def line_of(self, position: int) -> int:
        """The line of the file for a position in the text."""
        return min(self.line + self.text.count("\n", 0, position), self.end)


def passages_of(text: str, suffix: str) -> list[Passage]:
    """The passages of a file. suffix: ".md", ".ipynb" or ".py"; any other file is read for its # comments."""
    readers = {".md": markdown_passages, ".ipynb": notebook_passages, ".py": python_passages}
    return readers.get(suffix, comment_passages)(text)


def markdown_passages(text: str, cell: int | None = None) -> list[Passage]:
    """Paragraphs, list items, headings and cells of tables."""
    passages: list[Passage] = []
    block: list[str] = []
    start = 0

    def close(number: int) -> None:
        if block:
            passages.append(Passage(plain("\n".join(block)), start, number - 1, cell))
            block.clear()

    for number, line in _prose_lines(text):
        stripped = line.strip()
        begins = re.match(r"([-*+]|\d+\.|>|#+|:) ", stripped)
        if not stripped or begins or stripped.startswith("|"):
            close(number)
        if stripped.startswith("|") and not RULE.match(stripped):
            passages += [Passage(plain(part.strip()), number, number, cell) for part in stripped.split("|") if part.strip()]
        elif stripped and not RULE.match(stripped):
            start = start if block else number
            block.append(stripped[begins.end() :] if begins else stripped)
        if stripped.startswith("#"):
            close(number + 1)
    close(len(text.splitlines()) + 1)
    return passages


def _prose_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line; lines of code blocks, of equations and of directives without prose are empty."""
    fence, hidden = "", False
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r"\s*(`{3,}|~{3,}|:{3,}|\$\$)(.*)", line)
        if not found:
            option = fence and re.match(r"\s*:[a-z-]+:", line)
            yield number, "" if hidden else (line.split(":", 2)[2] if option else line)
            continue
        mark, rest = found.groups()
        yield number, ""
        if fence and line.strip().startswith(fence):
            fence, hidden = "", False
        elif not fence and not (mark == "$$" and rest.rstrip().endswith("$$")):
            fence, hidden = mark, not rest.startswith("{") or bool(CODE_DIRECTIVES.match(rest))


def plain(text: str) -> str:
    """Markdown or reStructuredText without its markup; line breaks stay."""
    for pattern, replacement in MARKUP:
        text = pattern.sub(lambda found, to=replacement: found.expand(to) + "\n" * _lost_breaks(found, to), text)
    return text


def _lost_breaks(found: re.Match, replacement: str) -> int:
    return found[0].count("\n") - found.expand(replacement).count("\n")


def notebook_passages(text: str) -> list[Passage]:
    """Markdown cells, comments of code cells, and alternative texts of figures."""
    passages = []
    for number, cell in enumerate(json.loads(text)["cells"], 1):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            passages += markdown_passages(source, number)
            continue
        passages += [Passage(found.text, found.line, found.end, number) for found in comment_passages(source)]
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        passages += [Passage(alt, 1, 1, number)] if alt else []
    return passages


def comment_passages(text: str) -> list[Passage]:
    """Comments after `#` of YAML, of a Snakefile or of a code cell: neighbouring lines of comments are one passage."""
    comments = []
    for number, line in enumerate(text.splitlines(), 1):
        found = re.search(r"(?:^|\s)(#.*)$", line)
        if found:
            comments.append((number, found.start(1), found[1], not line[: found.start(1)].strip()))
    return _joined(comments)


def python_passages(text: str) -> list[Passage]:
    """Docstrings, comments, texts passed as help= or description=, and messages of errors."""
    nodes = list(ast.walk(ast.parse(text)))
    comments = [
        (token.start[0], token.start[1], token.string, not token.line[: token.start[1]].strip())
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]
    return sorted([*_joined(comments), *_docstrings(nodes), *_messages(nodes)], key=lambda found: found.line)


def _joined(comments: list[tuple[int, int, str, bool]]) -> list[Passage]:
    """Passages of comments (line, column, text, whether it has the line to itself)."""
    blocks: list[list[tuple[int, int, str, bool]]] = []
    for comment in comments:
        line, column, text, alone = comment
        if NO_PROSE.match(text):
            continue
        before = blocks[-1][-1] if blocks else None
        if before and alone and before[3] and (before[0], before[1]) == (line - 1, column):
            blocks[-1].append(comment)
        else:
            blocks.append([comment])
    passages = []
    for block in blocks:
        words = "\n".join(RULE.sub("", comment[2].lstrip("#").strip()).strip() for comment in block)
        passages.append(Passage(_ended(plain(words)), block[0][0], block[-1][0]))
    return passages


def _ended(text: str) -> str:
    """The text with a full stop: a comment counts as a sentence even if it has none."""
    return text if not text or text[-1] in ".!?:;" else f"{text}."


def _docstrings(nodes: Sequence[ast.AST]) -> Iterator[Passage]:
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            holder = node.body[0].value
            first, *others = holder.value.split("\n")
            lines = "\n".join([first.strip(), *(textwrap.dedent("\n".join(others)).split("\n") if others else [])])
            yield Passage(plain(_without_code(lines)), holder.lineno, holder.end_lineno)


def _without_code(docstring: str) -> str:
    """Examples, equations and other indented blocks after a line that ends with `::` or begins with `..` become empty."""
    lines, block = [], False
    for line in docstring.split("\n"):
        indented = line.startswith((" ", "\t"))
        if line.startswith("..") or line.rstrip().endswith("::"):
            block = True
        elif line.strip() and not indented:
            block = False
        is_code = line.strip().startswith((">>>", "...")) or line.startswith("..") or (indented and (block or "  #" in line))
        lines.append("" if is_code else line.strip())
    return "\n".join(lines)


def _messages(nodes: Sequence[ast.AST]) -> Iterator[Passage]:
    for node in nodes:
        if isinstance(node, ast.Call):
            texts = [keyword.value for keyword in node.keywords if keyword.arg in ("help", "description")]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            texts = node.exc.args
        else:
            continue
        for text in texts:
            words = _words(text)
            if words:
                yield Passage(words, text.lineno, text.end_lineno)


def _words(node: ast.expr) -> str:
    """The literal text of a string or of an f-string, whose fields become `X`; empty for other expressions."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
    return ""
