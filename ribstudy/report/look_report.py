"""The report of `look`: one HTML file without anything to load, with a slider over the steps of each map.

Without JavaScript, the sliders do nothing, and each map is the sum of all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ribstudy.report.figures.inline import picture_address
from ribstudy.report.figures.look import CONTOUR, overlay, step_title, title

if TYPE_CHECKING:
    from ribstudy.report.look import Explanation

OVERSHOT = 0.9  # share of the largest pooled logit; see LOOK_SETTINGS, whose learning rate keeps above it

INTRODUCTION = (
    f"A map is bright where it is near its maximum, and the line is at {CONTOUR} of it. Move a slider, with the mouse, a "
    "finger or the arrow keys, to see the sum of the maps grow from step to step. There are no true masks of these "
    "photographs, so the pictures illustrate the methods and measure nothing."
)

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; overflow-wrap: anywhere; }
"""

# Scoped to the class, because a notebook shows the same part between other content.
PART_STYLE = """
.look { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1rem; margin: 1rem 0; }
.look figure { margin: 0; } .look img { width: 100%; display: block; border-radius: 4px; }
.look img[hidden] { display: none; }
.look input { width: 100%; height: 2rem; margin: .25rem 0 0; } .look output { font-weight: 600; }
@media print {
  .look input { display: none; }
  .look figure img[hidden]:first-child { display: block; margin-bottom: .5rem; }
  .look [data-first]::before { content: "Above, " attr(data-first) ". Below, "; }
}
"""

# Shows the picture and the text of the step that the slider has.
SHOW = (
    "const f=this.closest('figure');"
    "f.querySelectorAll('img').forEach((image,step)=>image.hidden=step!=this.value);"
    "const t=f.querySelectorAll('img')[this.value].alt;"
    "f.querySelector('output').textContent=t;this.setAttribute('aria-valuetext',t)"
)


def page(found: Sequence[tuple[str, Explanation]], *, model: str) -> str:
    """The report as an HTML document.

    Args:
        found: the name of the photograph and its explanation; the explanations of a photograph come one after another.
        model: the name of the classifier.
    """
    sections = []
    for name, group in groupby(found, key=lambda pair: pair[0]):
        parts = "".join(f"<h3>{escape(_heading(explanation))}</h3>{part(explanation)}" for _, explanation in group)
        sections.append(f"<section><h2>{escape(Path(name).name)}</h2>{parts}</section>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Where the classifier looks</title>'
        f"<style>{STYLE}</style></head><body><h1>Where the classifier looks</h1>"
        f"<p>Classifier: {escape(model)}, trained on ImageNet. {INTRODUCTION}</p>"
        f"{''.join(sections)}</body></html>\n"
    )


def part(explanation: Explanation) -> str:
    """The photograph next to its map, with a slider over the steps, as HTML that a page or a notebook can contain."""
    maps, last = explanation.maps, len(explanation.maps) - 1
    texts = [f"{step_title(explanation, step + 1)}: {_covered(heat)}" for step, heat in enumerate(maps)]
    sources = [picture_address(overlay(explanation.image, heat), "jpeg") for heat in maps]
    pictures = "".join(
        f'<img src="{source}" alt="{escape(text)}"{"" if step == last else " hidden"}>'
        for step, (source, text) in enumerate(zip(sources, texts, strict=True))
    )
    label = escape(f"steps of {explanation.method} for {title(explanation)}")
    slider = (
        f'<input type="range" min="0" max="{last}" value="{last}" autocomplete="off" aria-label="{label}" '
        f'aria-valuetext="{escape(texts[-1])}" oninput="{SHOW}">'
    )
    first = f' data-first="{escape(texts[0])}"' if last else ""  # on paper, both ends of the slider
    return (
        f'<style>{PART_STYLE}</style><div class="look">'
        f'<figure><img src="{picture_address(explanation.image, "jpeg")}" alt="the photograph"></figure>'
        f"<figure>{pictures}{slider if last else ''}"
        f"<figcaption{first}><output>{escape(texts[-1])}</output></figcaption></figure>"
        f"</div>{_warning(explanation)}"
    )


def _heading(explanation: Explanation) -> str:
    return f"{title(explanation)}, {explanation.method}"


def _covered(heat: np.ndarray) -> str:
    return f"{(heat > CONTOUR).mean():.0%} of the photograph inside the line"


def _warning(explanation: Explanation) -> str:
    """A sentence if the pooled logit has fallen far below its peak, so that the last steps may have gone too far."""
    scores = explanation.scores
    if len(scores) == 0 or scores[-1] >= OVERSHOT * scores.max():
        return ""
    return (
        f"<p>The logit that the adaptation raises ends at {scores[-1]:.1f}, below its peak of {scores.max():.1f} at step "
        f"{int(scores.argmax()) + 1}. The later steps may have gone too far: compare them with the earlier ones, or "
        "lower the learning rate.</p>"
    )
