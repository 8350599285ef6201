"""Citations that open their reference."""

from bs4 import BeautifulSoup

from tools.citations import citation


def test_the_button_opens_the_reference():
    soup = BeautifulSoup(citation("Tan & Le, 2019", "A <title>.", "index.html#id7", identifier="citation-0"), "html.parser")
    button, opened = soup.find("button"), soup.find("span")
    assert button.get_text() == "Tan & Le, 2019"
    assert button["popovertarget"] == opened["id"]
    assert opened.has_attr("popover")
    assert opened.get_text() == "A <title>. List of references"
    assert opened.a["href"] == "index.html#id7"
