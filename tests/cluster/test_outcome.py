"""The tables of book/cluster.md."""

import pytest
from cluster.outcome import note, rows, section, table


@pytest.mark.parametrize("kind", ["trials", "jobs"])
def test_the_page_shows_the_last_outcomes_and_all_are_right(kind):
    assert section(kind).read() == table(rows(kind))
    assert "trial failed" not in {row.get("outcome") for row in rows(kind).values()}


def test_a_row_is_replaced_where_it_is(tmp_path):
    file, page = tmp_path / "outcome.json", tmp_path / "page.md"
    begin, end = section("trials", page).marks
    page.write_text(f"before\n\n{begin}\nold\n{end}\n\nafter\n")
    for test, outcome in [("one", "failed"), ("two", "done"), ("one", "as it should")]:
        note("trials", test, {"trial": test, "outcome": outcome}, file=file, page=page)
    assert list(rows("trials", file)) == ["one", "two"]
    shown = "| trial | outcome |\n| --- | --- |\n| one | as it should |\n| two | done |"
    assert page.read_text() == f"before\n\n{begin}\n{shown}\n{end}\n\nafter\n"
