"""How an algorithm's results moved over the versions of code and settings whose runs are in one folder."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.report.document_history import (
    HISTORY_ALPHA,
    AlgorithmHistory,
    ChangeOutcome,
    HistoryChange,
    HistoryMeasure,
    HistoryVersion,
    VersionHistory,
)
from haepo_bench.report.numbers.estimates import estimate_of, intervals_of
from haepo_bench.results.code import changes, read_code
from haepo_bench.results.frames import frames
from haepo_bench.results.identity import CellKey
from haepo_bench.results.not_shown import OTHER_CODE, OTHER_SETTINGS, NotShown
from haepo_bench.results.sameness import shared_seeds
from haepo_bench.results.selection import SelectedCell, Selection
from haepo_bench.results.settings_changes import settings_changes
from haepo_bench.results.store import Store
from haepo_bench.statistics.comparisons import holm, least_two_sided_p, two_sided_p
from haepo_bench.statistics.intervals import difference_interval
from haepo_bench.text import plain
from haepo_bench.verdicts.declared import Range
from haepo_bench.verdicts.measured import Columns, by_cell, number, numbers

Array = NDArray[Any]
#: What is to be tested: [seed] of a version, and of the one before.
Tests = list[tuple[Array, Array]]

#: The tests draw the same rearrangements every time: the same folder gives the same numbers.
_SEED = 20_240_817
_IN_HISTORY = (OTHER_SETTINGS, OTHER_CODE)
_SCORES, _RETURNS = ("final_score", "area"), ("final_return", "area_return")
#: Behind every known start.
_UNKNOWN = "~"


class _Version(NamedTuple):
    """One version's runs, and their rows of the run frame."""

    cell: SelectedCell
    runs: Columns
    shown: bool

    @property
    def starts(self) -> list[str]:
        """Of its runs, as far as they are known, in ascending order."""
        found = (run.record.provenance.get("started") for run in (*self.cell.runs, *self.cell.unfinished))
        return sorted(each for each in found if isinstance(each, str) and each)

    def values(self, measure: str) -> Array:
        """[run with a result], NaN where undefined."""
        return np.asarray(self.runs[measure][self.has_result], dtype=float)

    @property
    def has_result(self) -> Array:
        """[seed asked for]."""
        return np.isin(self.runs["status"], ["done", "diverged"])


def history(selection: Selection, store: Store, bounds: Mapping[str, Range]) -> VersionHistory | None:
    """The versions of each algorithm that has several; None where none has.

    Args:
        bounds: of scores, by task.
    """
    earlier: dict[CellKey, list[SelectedCell]] = defaultdict(list)
    for cell in selection.earlier:
        earlier[cell.key].append(cell)
    now = [cell for cell in selection.cells if cell.key in earlier]
    if not now:
        return None
    every = [each for cell in now for each in (*earlier[cell.key], cell)]
    versions: dict[CellKey, list[_Version]] = defaultdict(list)
    for cell, runs in zip(every, by_cell(every, frames(every))[0], strict=True):
        versions[cell.key].append(_Version(cell, runs, cell in now))
    tests: Tests = []
    found = [
        _algorithm(sorted(own, key=_order), store, bounds.get(key.task), tests)
        for key, own in versions.items()
    ]  # fmt: skip
    return _adjusted(found, tests)


def left_out(selection: Selection) -> list[NotShown]:
    """The runs that neither the report nor its history shows."""
    folders = {cell.folder for cell in selection.earlier}
    return [each for each in selection.not_shown if each.reason not in _IN_HISTORY or each.folder not in folders]


def _order(version: _Version) -> tuple[str, bool, str]:
    return (version.starts or [_UNKNOWN])[0], version.shown, version.cell.folder


def _algorithm(versions: Sequence[_Version], store: Store, bounds: Range | None, tests: Tests) -> AlgorithmHistory:
    references = [version.cell.sample.references for version in versions if version.cell.sample]
    scored = bool(references) and references[0] is not None and all(each == references[0] for each in references)
    measures = _SCORES if scored else _RETURNS
    before = [None, *versions[:-1]]
    return AlgorithmHistory(
        task=plain(versions[0].cell.task),
        algorithm=plain(versions[0].cell.algorithm),
        versions=[
            _version(old, new, measures, store, bounds, tests) for old, new in zip(before, versions, strict=True)
        ],
    )  # fmt: skip


def _version(
    before: _Version | None,
    version: _Version,
    measures: Sequence[str],
    store: Store,
    bounds: Range | None,
    tests: Tests,
) -> HistoryVersion:
    cell, starts = version.cell, version.starts
    shown = version.has_result
    intervals = intervals_of(cell, version.runs, shown, bounds)
    why = _not_comparable(before, version) if before else ""
    settings, code = ([], None) if before is None else _differences(before, version, store)
    return HistoryVersion(
        settings_hash=plain(cell.settings_hash),
        code_hash=plain(cell.code_hash),
        shown=version.shown,
        first=plain(starts[0]) if starts else "",
        last=plain(starts[-1]) if starts else "",
        commits=_commits(cell),
        seeds=version.runs["seed"][shown].tolist(),
        planned=len(cell.seeds),
        diverged=int((version.runs["status"] == "diverged").sum()),
        settings_changes=settings,
        code_changes=code,
        not_comparable=why,
        measures=[
            HistoryMeasure(
                measure=name,
                estimate=estimate_of(version.values(name), intervals.get(name)),
                values=numbers(version.values(name)),
                change=_change(before, version, name, tests, tested=not why) if before else None,
            )
            for name in measures
        ],
    )


def _differences(before: _Version, version: _Version, store: Store) -> tuple[list[str], list[str] | None]:
    """Settings, and what of the code where both versions have it stored."""
    samples = [each.cell.sample for each in (before, version)]
    settings = []
    if all(samples) and before.cell.settings_hash != version.cell.settings_hash:
        found = settings_changes(*(sample.settings for sample in samples if sample))
        settings = [f"{key}: {was or 'absent'} -> {now or 'absent'}" for key, was, now in found]
    if before.cell.code_hash == version.cell.code_hash:
        return settings, []
    documents = [read_code(store, each.cell.folder) for each in (before, version)]
    if documents[0] is None or documents[1] is None:
        return settings, None
    return settings, [plain(each) for each in changes(documents[0], documents[1])]


def _not_comparable(before: _Version, version: _Version) -> str:
    if not before.cell.runs or not version.cell.runs:
        return "no result on one side"
    points = [each.cell.runs[0].curve["env_steps"] for each in (before, version)]
    if points[0][-1] != points[1][-1]:
        return f"the budgets differ: {points[0][-1]:,.0f} and {points[1][-1]:,.0f} env steps"
    tasks = [each.cell.runs[0].record.settings.get("task") for each in (before, version)]
    found = [plain(str(task.get("version"))) if isinstance(task, Mapping) else "" for task in tasks]
    return f"the task's versions differ: {found[0]} and {found[1]}" if found[0] != found[1] else ""


def _change(before: _Version, version: _Version, measure: str, tests: Tests, *, tested: bool) -> HistoryChange:
    """Without its p-value, and what follows from it: `tests` gets the values that are to be tested."""
    runs = before.cell.runs, version.cell.runs
    points = [own[0].curve["env_steps"].tobytes() if own else b"" for own in runs]
    # An area averages over the intervals between evaluation points.
    comparable = tested and (points[0] == points[1] or not measure.startswith("area"))
    shared, identical = shared_seeds(*runs)
    old, new = (each.values(measure) for each in (before, version))
    old, new = old[np.isfinite(old)], new[np.isfinite(new)]
    if not comparable or not len(old) or not len(new):
        return _untested(None, "not tested")
    if identical == shared > 0:
        return _untested(0.0, "identical")
    interval = difference_interval(new, old)
    enough = min(len(old), len(new)) > 1
    if enough:
        tests.append((new, old))
    return HistoryChange(
        difference=number(interval.estimate),
        low=number(interval.low),
        high=number(interval.high),
        p_permutation=None,
        p_adjusted=None,
        outcome="no difference shown" if enough else "not tested",
    )


def _untested(difference: float | None, outcome: ChangeOutcome) -> HistoryChange:
    return HistoryChange(
        difference=difference, low=None, high=None, p_permutation=None, p_adjusted=None, outcome=outcome
    )


def _adjusted(found: Sequence[AlgorithmHistory], tests: Tests) -> VersionHistory:
    """With p-values, also adjusted for all tests there are (Holm), and outcomes."""
    p_values = _p_values(tests)
    # Holm's adjusted p-values fall with each p-value: of the least ones it makes the least that there can be.
    least = holm([least_two_sided_p(len(new), len(old)) for new, old in tests])
    after = iter(zip(p_values, holm(p_values), least, strict=True))
    done = [
        own.model_copy(update={"versions": [_with_changes(version, after) for version in own.versions]})
        for own in found
    ]  # fmt: skip
    return VersionHistory(tests=len(tests), algorithms=done)


def _p_values(tests: Tests) -> Array:
    """[test]: those of equal numbers of seeds share their rearrangements, which are most of the work."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, (new, old) in enumerate(tests):
        groups[len(new), len(old)].append(place)
    p_values = np.empty(len(tests))
    for places in groups.values():
        new, old = (np.stack([tests[place][side] for place in places], axis=1) for side in (0, 1))
        p_values[places] = two_sided_p(new, old, np.random.default_rng(_SEED))
    return p_values


def _with_changes(version: HistoryVersion, after: Iterator[tuple[float, float, float]]) -> HistoryVersion:
    measures = [
        m.model_copy(update={"change": _decided(m.change, *next(after))})
        if m.change and m.change.outcome == "no difference shown"
        else m
        for m in version.measures
    ]
    return version.model_copy(update={"measures": measures})


def _decided(change: HistoryChange, p: float, adjusted: float, least: float) -> HistoryChange:
    """
    Args:
        least: p-value, adjusted, that so many seeds could have had at best.
    """
    outcome: ChangeOutcome = "too few seeds" if least >= HISTORY_ALPHA else change.outcome
    if adjusted < HISTORY_ALPHA:
        outcome = "better" if (change.difference or 0.0) > 0 else "worse"
    return change.model_copy(update={"p_permutation": number(p), "p_adjusted": number(adjusted), "outcome": outcome})


def _commits(cell: SelectedCell) -> list[str]:
    gits = (run.record.provenance.get("git") for run in (*cell.runs, *cell.unfinished))
    found = {
        plain(f"{git['commit']}{' with changes' if git.get('dirty') else ''}")
        for git in gits
        if isinstance(git, Mapping) and git.get("commit")
    }
    return sorted(found)
