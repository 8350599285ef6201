"""A check that a figure can be read on a phone."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure


def is_readable(figure: Figure) -> bool:
    """Whether it is as narrow as a phone, has labels on both axes of the lowest panel, and no text below 10 points."""
    figure.canvas.draw()
    texts = [text for axis in figure.axes for text in axis.findobj(plt.Text) if text.get_visible() and text.get_text()]
    lowest = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"][-1]
    named = lowest.get_xlabel() and lowest.get_ylabel()
    return bool(named) and figure.get_figwidth() <= 5 and min(text.get_fontsize() for text in texts) >= 10
