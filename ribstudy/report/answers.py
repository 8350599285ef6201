"""The answers of the study: a verdict on each question for each data set, from the records of the chapters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler

from ribstudy.evaluation.statistics import NOT_RUN, Estimate
from ribstudy.evaluation.verdicts import CANNOT_TELL, NO, YES, cannot_tell_much, verdict, word_of
from ribstudy.report import toy_findings
from ribstudy.report.answer_box import answer_box, basis_sentence, compared_sentence
from ribstudy.report.differences import noted_differences
from ribstudy.report.power import COMPARISONS, EFFECT, LABELS
from ribstudy.report.shown import Shown
from ribstudy.runtime.words import counted

NOT_COMPARED = "not compared"  # in place of a verdict, if the chapter has reasons against one
RIB_CHAPTER, METHODS_CHAPTER, COSTS_CHAPTER = "04_rib", "08_other_methods", "costs"
TOY_CHAPTER, POWER_CHAPTER = "01_toy", "power"


@dataclass(frozen=True)
class Question:
    """A question that the sign of a difference in mIoU answers.

    Args:
        text: the question.
        chapter, name: the difference in the records.
        opposite: whether the noted difference is the other way round.
        methods: the methods whose time is stated, of `SECONDS`.
    """

    text: str
    chapter: str
    name: str
    opposite: bool = False
    methods: tuple[str, ...] = ()


# The end of the name of the note `seconds_...` in the records of the chapters on RIB and on other methods, by method.
SECONDS = {"RIB": "rib", "CAM, blurred": "blur", "LayerCAM": "layercam", "AdvCAM": "advcam"}
QUESTIONS = (
    Question("Are RIB's maps better than the CAM's, as the code does it?", RIB_CHAPTER, "gain_rib", methods=("RIB",)),
    Question("Are they better than the CAM's, as the paper writes it?", RIB_CHAPTER, "gain_as_written"),
    Question("Is the CAM better after a blur, which costs nothing?", RIB_CHAPTER, "gain_blur", methods=("CAM, blurred",)),
    Question("Is RIB better than the blurred CAM?", RIB_CHAPTER, "rib_less_blur"),
    Question("Is RIB better than the CAM if both are blurred?", RIB_CHAPTER, "gain_blurred_rib"),
    Question("Is a single, longer step of RIB (the fast mode) better than the CAM?", COSTS_CHAPTER, "gain_fast"),
    Question("Is it better than all steps of RIB?", COSTS_CHAPTER, "less_rib_fast"),
    Question("After the CRF: are RIB's masks better than the CAM's?", "05_masks", "gain_seeds_crf"),
    Question("After the CRF: better than the blurred CAM's?", "05_masks", "blur_seeds_crf"),
    Question("After the random walk: better than the CAM's?", "05_masks", "gain_walk"),
    Question("After the random walk: better than the blurred CAM's?", "05_masks", "blur_walk"),
    Question("After walk and CRF: better than the CAM's?", "05_masks", "gain_walk_crf"),
    Question("After walk and CRF: better than the blurred CAM's?", "05_masks", "blur_walk_crf"),
    Question("Does DeepLab learn more from RIB's masks than from the CAM's?", "06_segmentation", "gain_rib_crf"),
    Question("Is RIB better than fine-tuning that keeps the sigmoid?", "07_ablations", "difference_bce", opposite=True),
    Question("Is RIB better with GNDRP than with average pooling?", "07_ablations", "difference_gap", opposite=True),
    Question("Is LayerCAM better than the CAM?", METHODS_CHAPTER, "difference_layercam", methods=("LayerCAM",)),
    Question("Is AdvCAM better than the CAM?", METHODS_CHAPTER, "difference_advcam", methods=("AdvCAM",)),
    Question("Is RIB better than LayerCAM?", METHODS_CHAPTER, "rib_less_layercam", methods=("RIB", "LayerCAM")),
    Question("Is RIB better than AdvCAM?", METHODS_CHAPTER, "rib_less_advcam", methods=("RIB", "AdvCAM")),
)
REACH = "How far from the peak of the CAM does RIB find more of the object?"
REACH_AFTER = "gain_blurred_rib"  # the question before it
# The differences of the box on the front page, with their labels.
MINUTE = {
    "gain_rib": "maps: RIB − CAM",
    "gain_blur": "maps: blurred CAM − CAM",
    "rib_less_blur": "maps: RIB − blurred CAM",
    "gain_blurred_rib": "maps, both blurred: RIB − CAM",
    "less_rib_fast": "maps: one step of RIB − all steps",
    "gain_walk_crf": "masks: RIB − CAM",
    "gain_rib_crf": "networks trained on masks: RIB − CAM",
}
# Of the questions of the chapter on the toy experiment (`toy_findings.QUESTIONS`).
TOY = (
    "extra_fall_sigmoid",
    "difference_sigmoid_untrained",
    "difference_sigmoid_none",
    "difference_bce_rib",
    "bits_marker_lost",
)


@dataclass(frozen=True)
class Answer:
    """The answer to a question for one data set.

    Args:
        word: the verdict, "not compared" or "not run".
        estimate: the estimate that gives it.
        warning: its limits, which precede it.
        depends: what depends on the rule for thresholds, as in `Verdict`.
        counts: the numbers of images and trainings.
        basis: other numbers.
    """

    word: str
    estimate: str = ""
    warning: str = ""
    depends: str = ""
    counts: str = ""
    basis: tuple[str, ...] = ()

    def html(self, *, usual: str = "") -> str:
        """The lines of a cell of the table, without its counts if they are the `usual` ones, which the column's title says."""
        sign = f"the {self.depends} depends on the rule" if self.depends else ""
        counts = self.counts if self.counts != usual else ""
        small = (f"<small>{line}</small>" if line else "" for line in (self.warning, sign, counts, *self.basis))
        warning, *others = small
        return "<br>".join(filter(None, (warning, f"<b>{self.word}</b> {self.estimate}".strip(), *others)))


def answer(question: Question, shown: Shown) -> Answer:
    """The answer to a question, from the records of one data set."""
    record = shown.of(question.chapter)
    differences = noted_differences(record, question.name)
    if not differences:
        return Answer(NOT_RUN)
    headline = next(iter(differences.values()))
    if isnan(headline.value):
        return Answer(NOT_COMPARED, basis=("the chapter says why",))
    if question.opposite:
        differences = {rule: found.negative for rule, found in differences.items()}
    judged = verdict(differences)
    basis = (_adjusted(record, question), *(_seconds(shown, method) for method in question.methods))
    counts = _counts(headline, record)
    return Answer(judged.word, judged.headline.text(), _warning(headline), judged.depends, counts, basis)


def _warning(found: Estimate) -> str:
    """The smallest difference that could have been told, if it is so large that the comparison says little; "" otherwise."""
    if not cannot_tell_much(found):
        return ""
    return "unknown power" if found.detectable is None else f"low power: detects {found.detectable:.3f}"


def _place(chapter: str) -> str:
    number, _, _ = chapter.partition("_")
    return f"chapter {int(number)}" if number.isdigit() else f"chapter on {chapter}"


def _counts(found: Estimate, record: Mapping[str, Estimate]) -> str:
    """The numbers of images and trainings, and whether the interval leaves trainings out because there is only one."""
    seeds = record["num_seeds"].value if "num_seeds" in record else 0
    trainings = "1 training, which the interval leaves out" if seeds == 1 else counted(seeds, "training") if seeds else ""
    return ", ".join(filter(None, ("" if found.n is None else counted(found.n, "image"), trainings)))


def _adjusted(record: Mapping[str, Estimate], question: Question) -> str:
    """The p-value of an ablation, adjusted for the number of variants; "" for another question."""
    found = record.get(question.name.replace("difference_", "adjusted_")) if "difference_" in question.name else None
    return "" if found is None else f"adjusted p = {found.value:.3f}" if found.value >= 0.001 else "adjusted p &lt; 0.001"


def _seconds(shown: Shown, method: str) -> str:
    """The time that a method takes, from the chapter on other methods or, where that was not run, from the one on RIB."""
    known = {**shown.of(RIB_CHAPTER), **shown.of(METHODS_CHAPTER)}
    found = known.get(f"seconds_{SECONDS[method]}")
    return "" if found is None or isnan(found.value) else f"{method}: {found.value:.2f} s for an image"


def reach_answer(shown: Shown) -> Answer:
    """The distance from the peak up to which RIB finds more of the objects than the CAM."""
    record = shown.of(RIB_CHAPTER)
    by_rule = noted_differences(record, "reach")
    if not by_rule:
        return Answer(NOT_RUN)
    texts = {
        rule: "nowhere" if isnan(found.value) else f"up to {found.value:.2f} object sizes" for rule, found in by_rule.items()
    }
    headline, *others = texts.values()
    differ = [f"{rule}: {text}" for rule, text in texts.items()] if set(others) - {headline} else []
    return Answer(headline, counts=_counts(next(iter(by_rule.values())), record), basis=tuple(differ[1:]))


def answers(shown: Sequence[Shown]) -> dict[str, list[Answer]]:
    """The answers by question, for each data set."""
    found = {}
    for question in QUESTIONS:
        found[question.text] = [answer(question, of_data) for of_data in shown]
        if question.name == REACH_AFTER:
            found[REACH] = [reach_answer(of_data) for of_data in shown]
    return found


def answered(shown: Sequence[Shown]) -> list[Shown]:
    """The data sets on which a question was asked; all of them if there is none."""
    asked = [of_data for of_data in shown if any(found.word != NOT_RUN for (found,) in answers([of_data]).values())]
    return asked or list(shown)


def answers_table(shown: Sequence[Shown]) -> Styler:
    """The table of all answers: a row for each question with its chapter, and a column for each of the `answered` data sets."""
    shown = answered(shown)
    chapters = {question.text: question.chapter for question in QUESTIONS} | {REACH: RIB_CHAPTER}
    rows = {f"{text}<br><small>{_place(chapters[text])}</small>": found for text, found in answers(shown).items()}
    return _styled(rows, [of_data.title for of_data in shown], "answers")


def toy_table(shown: Sequence[Shown]) -> Styler:
    """The answers of the simulated experiment, which has data of its own."""
    record = next((record for of_data in shown if (record := of_data.of(TOY_CHAPTER))), {})
    rows = {toy_findings.QUESTIONS[name]: [_toy_answer(name, record)] for name in TOY}
    return _styled(rows, ["digits with markers"], "toy-answers")


def _toy_answer(name: str, record: Mapping[str, Estimate]) -> Answer:
    if name not in record:
        return Answer(NOT_RUN)
    found = record[name]
    paper = record.get("extra_fall_paper") if name == TOY[0] else None
    basis = () if paper is None else (f"the paper's figure: {paper.value:+.2f}",)
    return Answer(word_of(found), found.text(2), counts=f"{found.n} seeds", basis=basis)


def _styled(rows: Mapping[str, Sequence[Answer]], titles: Sequence[str], name: str) -> Styler:
    """The table as HTML whose cells have several lines. The title of a column has the counts of most of its answers."""
    columns = {}
    for title, found in zip(titles, zip(*rows.values(), strict=True), strict=True):
        counts = Counter(one.counts for one in found if one.counts).most_common(1)
        usual = counts[0][0] if counts else ""
        columns[f"{title}<br><small>{usual}</small>" if usual else title] = [one.html(usual=usual) for one in found]
    layout = {"selector": "th, td", "props": "text-align: left; vertical-align: top"}
    questions = {"selector": "tbody th", "props": "font-weight: normal"}
    table = pd.DataFrame(columns, index=list(rows))
    return table.style.set_uuid(name).set_table_attributes('class="dataframe"').set_table_styles([layout, questions])


def minute(shown: Sequence[Shown]) -> HTML:
    """The answer of the front page: for each data set with results a box with three findings and up to seven intervals."""
    boxes = [_minute_box(of_data).data for of_data in shown if of_data.of(RIB_CHAPTER)]
    return HTML("".join(boxes) or f"<p>{NOT_RUN}</p>")


def _minute_box(of_data: Shown) -> HTML:
    asked = {
        "gain_rib": ("RIB's maps", "the CAM's", ""),
        "rib_less_blur": ("RIB's maps", "the CAM's after a mere blur", ""),
        "gain_walk_crf": ("masks made from RIB's maps", "masks made from the CAM's", "after all steps"),
    }
    differences = {of.name: noted_differences(of_data.of(of.chapter), of.name) for of in QUESTIONS}
    sentences = [
        compared_sentence(first, second, differences[name], ending=ending) for name, (first, second, ending) in asked.items()
    ]
    rows = {label: next(iter(found.values())) for name, label in MINUTE.items() if (found := differences[name])}
    return answer_box(sentences, rows, basis=basis_sentence(of_data.of(RIB_CHAPTER)), title=f"In one minute: {of_data.title}")


def counts_text(shown: Sequence[Shown]) -> str:
    """How many questions have which answer, a sentence for each data set."""
    asked = answered(shown)
    sentences = [f"{of_data.title}: {NOT_RUN}." for of_data in shown if of_data not in asked]
    for place, of_data in enumerate(asked):
        found = [of_question[place] for text, of_question in answers(asked).items() if text != REACH]
        words = {word: sum(one.word == word for one in found) for word in (YES, NO, CANNOT_TELL, NOT_RUN, NOT_COMPARED)}
        told = [f"{words[YES]} have the answer yes", f"{words[NO]} no"]
        told += [f"{count} {word}" for word, count in list(words.items())[2:] if count]
        answer, sign = (sum(one.depends == what for one in found) for what in ("answer", "sign"))
        sentences.append(
            f"{of_data.title}: of {len(found)} questions about a difference, {', '.join(told)}. "
            f"By another rule for thresholds, {answer} of them have another answer, and {sign} only another sign."
        )
    return " ".join(sentences)


def size_table(shown: Sequence[Shown]) -> pd.DataFrame:
    """For each comparison of methods and each data set: the difference that is told, and the images that `EFFECT` needs."""
    columns = {of_data.title: [_size(name, of_data.of(POWER_CHAPTER)) for name in COMPARISONS] for of_data in answered(shown)}
    return pd.DataFrame(columns, index=pd.Index(LABELS.values(), name="comparison"))


def _size(name: str, record: Mapping[str, Estimate]) -> str:
    told, needed = (record.get(f"{what}_{name}") for what in ("told", "images_for"))
    if told is None or needed is None or isnan(told.value):
        return NOT_RUN
    needs = "cannot be told by more images" if needed.value == float("inf") else f"needs {needed.value:,.0f} images"
    counts = _counts(Estimate(0, n=int(record["num_reported"].value)), record)
    return f"{counts}: tell {told.value:.3f}; {EFFECT:.2f} {needs}"
