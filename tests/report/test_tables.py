import pandas as pd

from ribstudy.report.tables import as_far_as_run, narrow, searchable, to_html, two_lines


def test_an_interval_has_a_line_of_its_own():
    assert two_lines("+0.012 (-0.003 to +0.027)") == "+0.012<br><small>(-0.003\xa0to\xa0+0.027)</small>"
    assert two_lines("48.8% (47.0% to 50.0%)") == "48.8%<br><small>(47.0%\xa0to\xa050.0%)</small>"
    assert two_lines("0.5 (no interval) & so on") == "0.5 (no interval) &amp; so on"


def test_numbers_and_other_texts_stay():
    html = narrow(pd.DataFrame({"a": ["<b>"], "b": [0.25]}, index=["row"])).data
    assert "&lt;b&gt;" in html
    assert "<td>0.25</td>" in html


def test_columns_in_which_nothing_was_run_are_named_below():
    table = pd.DataFrame(
        {"published": ["48.8", "–"], "ours": ["not run", "–"], "hours": ["not run: make bench", ""]}, index=["a", "b"]
    )
    html = as_far_as_run(table).data
    assert html.count("<th>") == 4  # of the corner, of the column that stays, and of two rows
    assert html.endswith("<p><small>Left out: ours: not run; hours: not run: make bench.</small></p>")
    assert "Left out" not in as_far_as_run(table[["published"]]).data
    assert as_far_as_run(table[["ours"]]).data == "<p>Not run.</p>"


def test_no_header_is_empty():
    table = pd.DataFrame({"a": [1]}, index=pd.Index(["row"], name="method"))
    assert "<th></th>" not in to_html(table)
    assert "<th>method</th>" in to_html(table)


def test_a_searchable_table_can_be_read_without_its_script():
    html = searchable(pd.DataFrame({"a": ["one<br>two"]}, index=["row"])).data
    assert "<td>one<br>two</td>" in html
    assert html.index('type="search"') < html.index("<table")
