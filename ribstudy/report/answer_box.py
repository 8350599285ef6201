"""The box below the question of a chapter: its findings as sentences, and the intervals that they follow from as a picture."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import isnan

from IPython.display import HTML
from myst_nb import glue

from ribstudy import datasets
from ribstudy.evaluation.statistics import NOT_RUN, Estimate
from ribstudy.evaluation.verdicts import NO, YES, verdict
from ribstudy.report.chapter import Chapter
from ribstudy.report.differences import noted_differences
from ribstudy.runtime.progress import is_live
from ribstudy.runtime.words import capitalized, counted

POINTS = 100  # an mIoU is told in points, its hundredths
SINGLE = "With one training, the intervals leave out how trainings differ"
WIDTH, HEIGHT = 240, 18  # pixels of the picture of an interval


def compared_sentence(first: str, second: str, differences: Mapping[str, Estimate], *, ending: str = "") -> str:
    """The finding of a comparison of two mIoUs, such as "RIB's maps score 2.5 points higher than the CAM's (0.9 to 3.9)."

    Args:
        first, second: what is compared, in the plural; `ending` follows the second, such as "after the CRF".
        differences: first minus second by rule, the headline first; {} if the comparison was not run.
    """
    ending = f" {ending}" if ending else ""
    if not differences:
        return f"Not run: {first} against {second}{ending}."
    if isnan(next(iter(differences.values())).value):
        return f"Not compared: {first} with {second}{ending}."
    judged = verdict(differences)
    found = judged.headline
    if judged.word == YES or (judged.word == NO and found.excludes_zero):
        size = found if judged.word == YES else found.negative
        direction = "higher" if judged.word == YES else "lower"
        text = f"{first} score {_points(size)} points {direction} than {second}{ending} ({_interval(size)})."
    elif judged.word == NO:
        text = f"{first} and {second} score the same within a point{ending}: {_signed(found)}."
    else:
        text = f"This study cannot tell whether {first} or {second} score higher{ending}: {_signed(found)} points."
        if found.detectable is not None:
            text += f" It detects a true difference of {POINTS * found.detectable:.1f} points with a probability of 80 %."
    text = capitalized(text)
    return f"{text} {judged.limit.capitalize()}." if judged.limit else text


def _points(found: Estimate) -> str:
    return f"{POINTS * found.value:.1f}"


def _interval(found: Estimate) -> str:
    return f"{POINTS * found.low:.1f} to {POINTS * found.high:.1f}"


def _signed(found: Estimate) -> str:
    return Estimate(*(None if x is None else POINTS * x for x in (found.value, found.low, found.high))).text(1)


def by_sign(found: Estimate, above: str, below: str, neither: str, *, tell: Callable[[Estimate], str]) -> str:
    """The text for an interval above zero, below zero, or neither, followed by the estimate; "not run" for nan."""
    if isnan(found.value):
        return f"{NOT_RUN.capitalize()}."
    text = neither if not found.excludes_zero else above if found.value > 0 else below
    return f"{text} ({tell(found)})."


def bars_sentence(found: Mapping[str, Estimate]) -> str:
    """Which intervals exclude zero, such as "The bars of A and B exclude zero. The bar of C contains it."

    Args:
        found: the differences by label; those without an interval are left out.
    """
    groups: dict[bool, list[str]] = {True: [], False: []}
    for label, estimate in found.items():
        if estimate.low is not None:
            groups[estimate.excludes_zero].append(label)
    verbs = {True: ("excludes zero", "exclude zero"), False: ("contains zero", "contain zero")}
    return " ".join(
        f"The bar{'s' if len(labels) > 1 else ''} of {_listed(labels)} {verbs[excludes][len(labels) > 1]}."
        for excludes, labels in groups.items()
        if labels
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def basis_sentence(record: Mapping[str, Estimate]) -> str:
    """The numbers of images and trainings that a chapter notes, such as "200 images, 3 trainings, ...".

    With a single training, it adds `SINGLE`.
    """
    parts = (
        ("num_images", "", "image"),
        ("num_seeds", "", "training"),
        ("num_choices", "thresholds chosen on ", "other image"),
    )
    counts = ", ".join(before + counted(record[name].value, noun) for name, before, noun in parts if name in record)
    single = "num_seeds" in record and record["num_seeds"].value == 1
    return f"{counts}. {SINGLE}" if single else counts


def miou_text(found: Estimate) -> str:
    """A difference in mIoU, in points; a narrow page does not tear the unit off the number."""
    return f"{_signed(found)}\N{NO-BREAK SPACE}points"


def answer_box(
    sentences: Sequence[str],
    rows: Mapping[str, Estimate],
    *,
    basis: str,
    tell: Callable[[Estimate], str] = miou_text,
    title: str = "Answer",
) -> HTML:
    """The box: sentences, the intervals on one axis with a line at zero, and the numbers of observations.

    Args:
        sentences: the findings, the most important one first.
        rows: estimates by label, all in the same unit; those without an interval are left out of the picture.
        basis: the numbers of observations, and on what choices were made.
        tell: the text of an estimate.
        title: of the box.
    """
    first, *others = map(escape, sentences)
    shown = {label: found for label, found in rows.items() if found.low is not None}
    bounds = [0.0, *(bound for found in shown.values() for bound in (found.low, found.high))]
    lines = "".join(
        f'<tr><th scope="row">{escape(label)}</th><td>{_picture(found, min(bounds), max(bounds))}</td>'
        f"<td>{escape(tell(found))}</td></tr>"
        for label, found in shown.items()
    )
    table = f'<table class="dataframe intervals"><tbody>{lines}</tbody></table>' if lines else ""
    note = f"{basis}. Intervals: 95 %." if lines else f"{basis}."
    return HTML(
        f'<div class="admonition tip answer"><p class="admonition-title">{escape(title)}</p><p><strong>{first}</strong> '
        f"{' '.join(others)}</p>{table}<p><small>{escape(note)}</small></p></div>"
    )


def _picture(found: Estimate, low: float, high: float) -> str:
    """A line for the interval, a dot for the value and a thin line at zero, on an axis from `low` to `high`."""
    margin, span = 6, (high - low) or 1.0

    def place(number: float) -> str:
        return f"{margin + (WIDTH - 2 * margin) * (number - low) / span:.1f}"

    middle = HEIGHT / 2
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true" stroke="currentColor" '
        f'style="max-width:30vw"><line x1="{place(0)}" x2="{place(0)}" y1="0" y2="{HEIGHT}" stroke-opacity="0.5"/>'
        f'<line x1="{place(found.low)}" x2="{place(found.high)}" y1="{middle}" y2="{middle}" stroke-width="3"/>'
        f'<circle cx="{place(found.value)}" cy="{middle}" r="4" fill="currentColor"/></svg>'
    )


def glue_answer(
    chapter: Chapter,
    sentences: Sequence[str],
    rows: Mapping[str, str],
    *,
    basis: str | None = None,
    tell: Callable[[Estimate], str] = miou_text,
) -> None:
    """Makes the box available to the page as `answer`, from the notes of the chapter, and shows it to an editor.

    Args:
        sentences: the findings.
        rows: the name of a note by its label; "-name" shows the opposite difference. A row without a note reads "not run".
        basis: the numbers of observations; None: the data and the `basis_sentence` of the notes.
    """
    estimates = {}
    for label, name in rows.items():
        if name.removeprefix("-") in chapter.notes:
            estimates[label] = _noted(chapter, name)
        else:
            sentences = [*sentences, f"{label}: {NOT_RUN}."]
    box = answer_box(sentences, estimates, basis=basis or _basis_of(chapter), tell=tell)
    glue("answer", box, display=is_live())


def _basis_of(chapter: Chapter) -> str:
    return f"{capitalized(datasets.title(chapter.settings.data))}: {basis_sentence(chapter.notes)}"


def told(chapter: Chapter, first: str, second: str, name: str, *, ending: str = "") -> str:
    """`compared_sentence` of a difference that the chapter has noted; "-name" is the opposite difference."""
    noted = noted_differences(chapter.notes, name.removeprefix("-"))
    found = {rule: of_rule.negative if name.startswith("-") else of_rule for rule, of_rule in noted.items()}
    return compared_sentence(first, second, found, ending=ending)


def _noted(chapter: Chapter, name: str) -> Estimate:
    found = chapter.notes[name.removeprefix("-")]
    return found.negative if name.startswith("-") else found
