"""Sections of a page that a command writes, between two comments that name the section."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Args:
        page: the file of the page.
        name: the name of the section.
        command: the command that writes it.
    """

    page: Path
    name: str
    command: str

    @property
    def marks(self) -> tuple[str, str]:
        """The comments before and after the section."""
        return f"<!-- {self.name}: written by {self.command} -->", f"<!-- end of {self.name} -->"

    def read(self) -> str:
        begin, end = self.marks
        return self.page.read_text().partition(begin)[2].partition(end)[0].strip()

    def write(self, content: str) -> None:
        text, (begin, end) = self.page.read_text(), self.marks
        self.page.write_text(f"{text.partition(begin)[0]}{begin}\n{content}\n{end}{text.partition(end)[2]}")
