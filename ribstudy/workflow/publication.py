"""Publishing: the items and files that the chapters of a preset read, and the weights for the spot check, go to `published/`.

A result is published only if today's code computed it, or if a recheck finds that today's code computes the same.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ribstudy.config import load_settings, preset_name
from ribstudy.published import MANIFEST, Bundle, Published, merged_entries, write_bundle
from ribstudy.runtime.files import atomic, emptied, file_digest, locked, write_json
from ribstudy.stages import ItemStage, Run
from ribstudy.stages.source import other_code, source_digest
from ribstudy.store import Result, Store, git_state
from ribstudy.workflow.batch import root_of
from ribstudy.workflow.book import chapters_of
from ribstudy.workflow.contents import (
    Content,
    PublicationError,
    add_choices,
    add_weights,
    add_weights_for_missing,
    finished,
    merged,
    read_by_chapters,
    reads_file,
)
from ribstudy.workflow.costs import cost_of, write_costs
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.planned import PlannedResult, planned_results
from ribstudy.workflow.spot_check import differing_files, recompute, today

# The largest size of the folder. It holds scores, example maps and weights of two data sets with several trainings each, and a
# clone of this size takes seconds.
MAX_BYTES = 110_000_000


@dataclass(frozen=True)
class Outcome:
    """The outcome of a publication.

    Args:
        results: the number of results of the preset.
        num_bytes: the size of the folder.
        changed, removed: the names of results.
    """

    results: int
    num_bytes: int
    changed: list[str]
    removed: list[str]


@dataclass(frozen=True)
class Publication:
    """A preset that is to be published.

    Args:
        preset: its name or path.
        store: the results, and the folder of the published results.
        chapters: the chapters whose headline numbers are written.
        planned: all results of the preset's chapters, by name (`planned_results`).
        contents: the published part of each result, by name.
        stay: the names of results of the preset that stay published as they are if `contents` leaves them or parts of them out.
    """

    preset: str
    chapters: Sequence[str]
    store: Store
    planned: Mapping[str, PlannedResult]
    contents: Mapping[str, Content]
    stay: frozenset[str]

    @classmethod
    def of(
        cls, preset: str, store: Store, data_root: Path | None = None, chapters: Sequence[str] | None = None
    ) -> "Publication":
        """The publication of some chapters of a preset; None: of all.

        Raises PublicationError for a chapter that does not exist, was not run, or was run with other settings.
        """
        chapters = _known(chapters_of(preset) if chapters is None else chapters, preset)
        overrides = root_of(preset, data_root)
        run = Run(load_settings(preset, overrides), store=store)
        planned = planned_results(preset, overrides, run)
        contents = read_by_chapters(chapters, preset, run, planned)
        weights = add_weights(contents, planned, run)
        add_choices(contents, planned, weights)
        stay = () if set(chapters) >= set(chapters_of(preset)) else planned  # other chapters need them
        return cls(preset, chapters, store, planned, contents, frozenset(stay))

    @classmethod
    def of_finished(cls, preset: str, store: Store, data_root: Path | None = None) -> "Publication":
        """The publication of all finished results that chapters show, also if a chapter lacks others and cannot run yet.

        With what the chapters that were run have read, and with the weights of the trainings that missing results need, so that
        another machine computes only the rest. Parts that are published already are left as they are, also if other code
        computed them.
        """
        overrides = root_of(preset, data_root)
        run = Run(load_settings(preset, overrides), store=store)
        planned = planned_results(preset, overrides, run)
        shown = [chapter for chapter in chapters_of(preset) if reads_file(chapter, preset, run).is_file()]
        contents = merged(finished(preset, overrides, run), read_by_chapters(shown, preset, run, planned))
        add_weights_for_missing(contents, planned, preset, overrides, run)
        add_weights(contents, planned, run)
        old = Published.of(store.published_folder)
        new = {name: content for name, content in contents.items() if not _contains(old.bundle(name), content)}
        return cls(preset, shown, store, planned, new, frozenset(planned))

    def write(self, *, recheck: int = 0, seed: int | None = None, max_bytes: int = MAX_BYTES) -> Outcome:
        """Writes the folder of published results. If nothing has changed, no byte changes.

        Published results of other presets stay, and so do those that other chapters of this preset need. Those that only this
        preset used, and that it no longer reads, are removed.

        Args:
            recheck: the number of random items to compute again of each result of other code, which is published if they
                are equal to the bit, and the number of random trainings to compute again, as a whole, for each stage and
                each other code. 0: such results are refused.
            seed: of these draws; None: the day's date as a number.
            max_bytes: the largest size of the folder.

        Raises PublicationError before anything is written.
        """
        commit = _clean_commit()
        _collect(self._require_finished, self.contents)
        rng = random.Random(today() if seed is None else seed)
        other = [name for name in self.contents if other_code(self.planned[name].stage, self._result(name))]
        chosen = self._chosen_trainings(other, recheck, rng)
        rechecked = _collect(lambda name: self._recheck(name, recheck, chosen.get(name, [name]), rng), other)
        folder = self.store.published_folder
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock", "the published results"), emptied(folder / ".new") as temporary:
            old = Published.of(folder)
            new = {name: self._write_new(name, temporary, old, rechecked.get(name, {}), commit) for name in self.contents}
            manifest = merged_entries(old.manifest, new, preset_name(self.preset), self.stay)
            _require_size(manifest, max_bytes)
            done = _replace(old, manifest, temporary, len(new))
            self._copy_records(folder / "records")
            write_costs(folder, self.planned, preset_name(self.preset))
            return done

    def _copy_records(self, published: Path) -> None:
        """Copies the headline numbers of chapters with results, so that the study computed again can be compared with them."""
        settings = load_settings(self.preset)
        for chapter in (chapter for chapter in self.chapters if CHAPTERS[chapter](settings)):
            name = f"{chapter}.{preset_name(self.preset)}.json"
            source, target = self.store.root / "records" / name, published / name
            if source.is_file():
                with atomic(target) as temporary:
                    shutil.copyfile(source, temporary)
            else:
                target.unlink(missing_ok=True)

    def _result(self, name: str) -> Result:
        planned = self.planned[name]
        return planned.runs[0].result(planned.stage)

    def _require_finished(self, name: str) -> None:
        result, content = self._result(name), self.contents[name]
        lacking = result.missing_items(sorted(content.items))
        lacking += [file for file in sorted(content.files) if not result.has_file(file)]
        if lacking or not result.finished:
            what = f"lacks {len(lacking)} items or files, such as {lacking[0]}" if lacking else "is not finished"
            raise PublicationError(f"{name}: {what}; run its chapters again")

    def _chosen_trainings(self, names: Sequence[str], recheck: int, rng: random.Random) -> dict[str, list[str]]:
        """For each training among `names`, the random ones of its stage and code that are computed again for all of them."""
        groups: dict[tuple, list[str]] = {}
        for name in sorted(names):
            if not isinstance(self.planned[name].stage, ItemStage):
                groups.setdefault((self.planned[name].stage.name, *self._result(name).codes()), []).append(name)
        drawn = [(group, sorted(rng.sample(group, min(recheck, len(group))))) for group in groups.values()]
        return {name: chosen for group, chosen in drawn for name in group}

    def _recheck(self, name: str, recheck: int, chosen: Sequence[str], rng: random.Random) -> dict:
        """The entry that says how a result of other code was rechecked; chosen: the results that are computed again for it."""
        planned, result, content = self.planned[name], self._result(name), self.contents[name]
        now = source_digest(planned.stage)
        what = f"{name}: other code computed it ({', '.join(result.codes())}; today's is {now}); recompute it (remove "
        what += f"{result.folder}, and run its chapters with RIBSTUDY_PUBLISHED=none)"
        if not recheck:
            raise PublicationError(f"{what}, or accept it if today's code computes the same (--recheck 3)")
        trainings = [(training, self.planned[training]) for training in sorted(planned.trainings)]
        missing = [training for training, trained in trainings if not trained.runs[0].is_finished(trained.stage)]
        if content.items and missing:
            raise PublicationError(f"{what}; it cannot be rechecked, because the weights of {missing[0]} are not here")
        about = {"code": now, "items": 0, "files": 0, "date": _now()}
        if name not in chosen:
            return {"rechecked": {**about, "instead": list(chosen)}}
        drawn = rng.sample(sorted(content.items), min(recheck, len(content.items)))
        with TemporaryDirectory(prefix="ribstudy-recheck-") as scratch:
            if unequal := _unequal(planned, drawn, sorted(content.files), Path(scratch)):
                raise PublicationError(f"{what}; today's code computes something else: {unequal[0]}")
        return {"rechecked": {**about, "items": len(drawn), "files": len(content.files)}}

    def _write_new(self, name: str, folder: Path, old: Published, rechecked: dict, commit: str) -> dict:
        """Writes the file of a result into a folder and returns its entry; only the old entry if the result has not changed."""
        stage, result, before = self.planned[name].stage, self._result(name), old.bundle(name)
        content = self._with_content_of_others(name, before)
        arrays = stage.format.to_arrays if isinstance(stage, ItemStage) else dict
        path = folder / f"{name}.zip"
        items = {item: arrays(result.read_item(item)) for item in sorted(content.items)}
        write_bundle(path, items, {file: _read(result, file) for file in sorted(content.files)})
        codes, digest = result.codes(), file_digest(path)
        if before is not None and before.record["code"] == codes and before.parts == Bundle(path, {"sha256": digest}).parts:
            path.unlink()
            return {**before.record, **rechecked}
        about = {"code": codes, "sessions": _condensed(result.sessions()), "published": {"date": _now(), "commit": commit}}
        size = {"sha256": digest, "bytes": path.stat().st_size}
        # An earlier recheck still holds for the part that other code computed, if today's code only added to it.
        earlier = {"rechecked": before.record["rechecked"]} if before is not None and "rechecked" in before.record else {}
        return {**result.record(), **about, **size, **earlier, **rechecked}

    def _with_content_of_others(self, name: str, before: Bundle | None) -> Content:
        """The content of a result, with the part of it that is published for other presets or for chapters left out."""
        content = self.contents[name]
        if before is None or not (set(before.record["presets"]) - {preset_name(self.preset)} or name in self.stay):
            return content
        return Content(content.items | set(before.items), content.files | before.files)


def _collect(work: Callable[[str], Any], names: Iterable[str]) -> dict[str, Any]:
    """work(name) by name. Raises one PublicationError with the messages of all that fail."""
    done, problems = {}, []
    for name in names:
        try:
            done[name] = work(name)
        except PublicationError as error:
            problems.append(str(error))
    if problems:
        raise PublicationError("\n".join(problems))
    return done


def _contains(bundle: Bundle | None, content: Content) -> bool:
    """Whether a published result has these items and files."""
    return bundle is not None and content.items <= set(bundle.items) and content.files <= bundle.files


def _clean_commit() -> str:
    git = git_state()
    if git["commit"] is None:
        raise PublicationError("this is not a git checkout, so the commit that published cannot be named")
    if git["dirty"]:
        raise PublicationError("there are uncommitted changes (git status): commit them, so that the results have a commit")
    return git["commit"]


def _known(chapters: Sequence[str], preset: str) -> tuple[str, ...]:
    known = chapters_of(preset)
    if unknown := [chapter for chapter in chapters if chapter not in known]:
        raise PublicationError(f"{unknown[0]!r} is not a chapter that shows the preset {preset}; known: {', '.join(known)}")
    return tuple(chapters)


def _unequal(planned: PlannedResult, items: Sequence[str], files: Sequence[str], scratch: Path) -> list[str]:
    """The items and files of a result that today's code computes otherwise, one sentence for each."""
    checks = [recompute(planned.stage, planned.run_of[item], item, scratch) for item in items]
    differing = [str(check) for check in checks if check.difference.size > 0]
    return differing + (differing_files(planned.stage, planned.runs[0], files, scratch) if files else [])


def _read(result: Result, file: str) -> bytes:
    with result.open(file) as opened:
        return opened.read()


def _condensed(sessions: Sequence[dict]) -> list[dict]:
    """One session for all: the first start, all devices, and the sums of items, of seconds, and of what they cost."""
    if not sessions:
        return []
    sums = {name: sum(session.get(name, 0) for session in sessions) for name in ("items", "seconds")}
    sums |= cost_of(sessions)
    devices = ", ".join(sorted({session["device"] for session in sessions}))
    return [{"started": min(session["started"] for session in sessions), "device": devices, **sums}]


def _require_size(manifest: Mapping[str, dict], max_bytes: int) -> None:
    total = _num_bytes(manifest)
    if total > max_bytes:
        largest = sorted(manifest, key=lambda name: -manifest[name]["bytes"])[:5]
        sizes = ", ".join(f"{name} {manifest[name]['bytes'] / 1e6:.1f} MB" for name in largest)
        raise PublicationError(f"{total / 1e6:.1f} MB would be published; at most {max_bytes / 1e6:.1f} MB may be: {sizes}")


def _num_bytes(manifest: Mapping[str, dict]) -> int:
    return sum(entry["bytes"] for entry in manifest.values()) + len(json.dumps(manifest, indent=1))


def _replace(old: Published, manifest: Mapping[str, dict], new: Path, results: int) -> Outcome:
    """Moves the new files into the folder, then writes the manifest, and then removes the files that it does not name."""
    changed = sorted(path.stem for path in new.glob("*.zip"))
    for name in changed:
        (new / f"{name}.zip").replace(old.folder / f"{name}.zip")
    if manifest != old.manifest:
        write_json(old.folder / MANIFEST, manifest)
    removed = [path for path in sorted(old.folder.glob("*.zip")) if path.stem not in manifest]
    for path in removed:
        path.unlink()
    return Outcome(results, _num_bytes(manifest), changed, [path.stem for path in removed])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
