"""Our results next to the published ones: which note of a chapter belongs to which published value, and the tables of both.

Published values come from data/paper_values.csv, in percent. Our values come from the records of the chapters, as shares in
0..1. Nothing is computed here: a value that no record contains is shown as "not run".
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ribstudy.evaluation.statistics import NOT_KNOWN, NOT_RUN, Estimate
from ribstudy.report import paper
from ribstudy.report.paper import Place

Note = tuple[str, str]  # chapter, name in its record
Records = Mapping[str, Mapping[str, Estimate]]  # chapter -> name -> estimate

# table -> place -> our note. A place without a published value belongs to a method whose value nobody has published.
_SEGMENTATION = {
    ("IRN", "val"): ("06_segmentation", "miou_cam_crf"),
    ("RIB", "val"): ("06_segmentation", "miou_rib_crf"),
    ("full supervision, no CRF", "val"): ("06_segmentation", "miou_truth"),
    ("full supervision, CRF", "val"): ("06_segmentation", "miou_truth_crf"),
}
OURS: dict[str, dict[Place, Note]] = {
    "voc12_seeds": {
        ("CAM", "seed"): ("05_masks", "cam_seeds"),
        ("CAM", "crf"): ("05_masks", "cam_seeds_crf"),
        ("CAM", "mask_irn"): ("05_masks", "cam_walk_crf"),
        ("AdvCAM", "seed"): ("08_other_methods", "miou_advcam"),
        ("RIB", "seed"): ("05_masks", "rib_seeds"),
        ("RIB", "crf"): ("05_masks", "rib_seeds_crf"),
        ("RIB", "mask_irn"): ("05_masks", "rib_walk_crf"),
    },
    "voc12_cam_baseline": {
        ("CAM", "FP"): ("03_cam", "over"),
        ("CAM", "FN"): ("03_cam", "under"),
        ("CAM", "mIoU"): ("03_cam", "miou_cam"),
        ("CAM", "precision"): ("03_cam", "precision"),
        ("CAM", "recall"): ("03_cam", "recall"),
    },
    "voc12_segmentation": _SEGMENTATION,
    "coco14_seeds": {
        ("CAM", "seed"): ("05_masks", "cam_seeds"),
        ("CAM", "mask"): ("05_masks", "cam_walk_crf"),
        ("RIB", "seed"): ("05_masks", "rib_seeds"),
        ("RIB", "mask"): ("05_masks", "rib_walk_crf"),
        ("RIB, released code", "seed"): ("05_masks", "rib_seeds"),
        ("RIB, released code", "mask"): ("05_masks", "rib_walk_crf"),
    },
    "coco14_segmentation": _SEGMENTATION,
}


@dataclass(frozen=True)
class Gain:
    """The gain of RIB over a baseline.

    The published gain is the difference of two values in one column of a table; ours is paired over the images.

    Args:
        what: name of the row.
        table, column: place of the published values.
        baseline: row of the published baseline.
        note: place of our gain in the records.
    """

    what: str
    table: str
    column: str
    baseline: str
    note: Note


_GAIN_CRF = Gain("seeds + CRF", "voc12_seeds", "crf", "CAM", ("05_masks", "gain_seeds_crf"))
_GAIN_LABELLED = Gain("seeds, images with a class", "coco14_seeds", "", "CAM", ("04_rib", "gain_rib_labelled"))
GAINS = {
    data: (
        Gain("seeds, thresholds from val", f"{data}_seeds", "seed", "CAM", ("04_rib", "gain_rib")),
        Gain("seeds, each at its best threshold", f"{data}_seeds", "seed", "CAM", ("04_rib", "gain_rib_best")),
        extra,
        Gain("masks", f"{data}_seeds", mask, "CAM", ("05_masks", "gain_walk_crf")),
        Gain("segmentation of val", f"{data}_segmentation", "val", "IRN", ("06_segmentation", "gain_rib_crf")),
    )
    for data, mask, extra in (("voc12", "mask_irn", _GAIN_CRF), ("coco14", "mask", _GAIN_LABELLED))
}

COLUMNS = {
    "seed": "seeds",
    "crf": "seeds + CRF",
    "mask_psa": "masks by PSA",
    "mask_irn": "masks by IRN",
    "mask": "masks by IRN",
}


def chapters() -> set[str]:
    """The chapters whose records the tables need."""
    notes = [note for places in OURS.values() for note in places.values()]
    return {chapter for chapter, _ in (*notes, *(gain.note for gains in GAINS.values() for gain in gains))}


def own_values(table: str, records: Records) -> dict[Place, Estimate | None]:
    """Our values of a table by (row, column), as shares in 0..1; None if the records do not contain a value."""
    return {place: records.get(chapter, {}).get(name) for place, (chapter, name) in OURS.get(table, {}).items()}


def comparison_table(table: str, records: Records) -> pd.DataFrame:
    """A table of published values with our values, in percent; a row for each value.

    The interval of "ours - published" is our interval, because the published values have none. A dash marks a value that this
    study does not compute. Raises ValueError for an unknown table.
    """
    ours = own_values(table, records)
    published = {(row.row, row.column): row for row in paper.values(table).itertuples()}
    rows = []
    for place in dict.fromkeys([*published, *ours]):
        row, own = published.get(place), ours.get(place)
        rows.append(
            {
                "method": place[0],
                "value": COLUMNS.get(place[1], place[1]),
                "published": _as_published(row.value) if row else NOT_KNOWN,
                "status": f"{row.status}, {row.by}" if row else "",
                "ours (95 %)": _percent_or_not_run(own, signed=False) if place in ours else "–",
                "ours − published (95 %)": _minus_published(own, row.value) if row and own else "",
                "images": _num_images(own),
            }
        )
    return pd.DataFrame(rows).set_index(["method", "value"])


def published_table(runs: Mapping[str, Records]) -> pd.DataFrame:
    """All published results with ours (`comparison_table`), a row for each value.

    Args:
        runs: the records by data set.
    """
    tables = {
        data: [comparison_table(table, records) for table in OURS if table.startswith(data)] for data, records in runs.items()
    }
    return pd.concat({data: pd.concat(of_data) for data, of_data in tables.items()}, names=["data"])


def gain_table(data: str, records: Records) -> pd.DataFrame:
    """The gain of RIB over the baseline, published and ours, in percentage points; a row for each entry of GAINS."""
    rows = {}
    for gain in GAINS[data]:
        known = paper.values(gain.table).set_index(["row", "column"])
        pair = [known.loc[(row, gain.column)] for row in (gain.baseline, "RIB") if (row, gain.column) in known.index]
        published = pair[1]["value"] - pair[0]["value"] if len(pair) == 2 else None
        own = records.get(gain.note[0], {}).get(gain.note[1])
        rows[gain.what] = {
            "published": NOT_KNOWN if published is None else f"{published:+.1f}",
            "status": "" if published is None else f"confirmed, {' and '.join(dict.fromkeys(row['by'] for row in pair))}",
            "ours (95 %)": _percent_or_not_run(own, signed=True),
            "ours − published (95 %)": "" if own is None or published is None else _minus_published(own, published),
            "images": _num_images(own),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("RIB − baseline")


def sources_table(*tables: str) -> pd.DataFrame:
    """The source of each published value; a row for each value."""
    rows = pd.concat({table: paper.values(table) for table in tables}, names=["table"])
    return rows.reset_index("table").set_index("table")[["row", "column", "value", "by", "status", "source", "note"]]


def count_values(data: str, records: Records) -> tuple[int, int]:
    """The number of our values that are known in the tables of a data set, and the number that the tables can show."""
    found = [own for table in OURS if table.startswith(f"{data}_") for own in own_values(table, records).values()]
    return sum(own is not None for own in found), len(found)


def count_of_chapter(data: str, chapter: str) -> int:
    """The number of our values in the tables and gains of a data set that a chapter notes."""
    places = [note for table, of in OURS.items() if table.startswith(f"{data}_") for note in of.values()]
    return sum(chapter == of_note for of_note, _ in [*places, *(gain.note for gain in GAINS[data])])


def count_verdicts(data: str, records: Records) -> dict[str, int]:
    """The numbers of our 95 % intervals that are above the published value, contain it ("hold"), or are below it.

    Our values without an interval are left out.
    """
    verdicts = {"above": 0, "hold": 0, "below": 0}
    for table in (table for table in OURS if table.startswith(f"{data}_")):
        published = paper.values(table).set_index(["row", "column"])["value"] / 100
        for place, own in own_values(table, records).items():
            if place in published.index and own is not None and own.low is not None:
                share = published[place]
                verdicts["above" if own.low > share else "below" if own.high < share else "hold"] += 1
    return verdicts


def _percent_or_not_run(own: Estimate | None, *, signed: bool) -> str:
    return NOT_RUN if own is None else own.text(1, signed=signed, percent=True)


def _minus_published(own: Estimate, published: float) -> str:
    bounds = [None if share is None else share - published / 100 for share in (own.low, own.high)]
    return Estimate(own.value - published / 100, *bounds).text(1, percent=True)


def _as_published(value: float) -> str:
    """With as many digits as are published: one or two."""
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"


def _num_images(own: Estimate | None) -> str:
    return f"{own.n:,}" if own is not None and own.n else ""
