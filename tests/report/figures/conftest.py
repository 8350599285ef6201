import matplotlib.pyplot as plt
import pytest

from ribstudy.report.figures.common import use_style


@pytest.fixture
def style():
    """The style of the book's figures; every figure is closed afterwards."""
    with plt.rc_context():
        use_style()
        yield
        plt.close("all")
