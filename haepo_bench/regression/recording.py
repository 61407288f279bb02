"""A new baseline from stored runs: what it takes, and what of the old one it keeps."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import ValidationError

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.regression.baseline import (
    Baseline,
    BaselineCell,
    BaselineError,
    First,
    Recording,
    rounded,
)
from haepo_bench.regression.cells import baseline_run, columns_of, scale_of
from haepo_bench.results.record import ENGINE_KEY, Engine
from haepo_bench.results.selection import Run, SelectedCell, Selection
from haepo_bench.text import plain
from haepo_bench.wording import many

#: Paid once; 5 runs against 50 can reach p = 3e-7, against 5 only 0.004 (docs/how-to/regression.md).
SEEDS = 50

_SHOWN = 10


def record_baseline(
    selection: Selection,
    *,
    reason: str,
    before: Baseline | None = None,
    min_seeds: int = SEEDS,
    allow_dirty: bool = False,
    date: str = "",
) -> Baseline:
    """Stored runs as a baseline.

    Args:
        reason: why; one line a reader of the history understands.
        before: what the file holds now: its history and first values are kept.
        min_seeds: every cell must have so many runs.
        allow_dirty: take runs that were made while files differed from the commit.
        date: ISO 8601, UTC; now where left out.

    Raises:
        UserError: no reason; failed or missing runs; a dirty tree; too few seeds; a baseline of another suite.
    """
    said = plain(reason)
    if not said:
        raise UserError(
            "no reason is given", where="--reason", remedy="say why this baseline is recorded, in a sentence"
        )
    if before is not None and before.suite != selection.name:
        raise BaselineError(
            f"holds the baseline of the suite '{plain(before.suite)}', not of '{plain(selection.name)}'",
            where="--out",
            remedy="choose another file: a baseline is never replaced by that of another suite",
        )
    _check_complete(selection)
    _check_seeds(selection.cells, min_seeds)
    runs = [run for cell in selection.cells for run in cell.runs]
    dirty = _dirty(runs)
    if dirty and not allow_dirty:
        raise UserError(
            "the runs were made while files differed from the commit, so that they cannot be made again",
            where=f"suite {plain(selection.name)}",
            remedy="commit, run the suite again, and record that; or --allow-dirty",
        )
    now = date or datetime.now(UTC).isoformat(timespec="seconds")
    commits = _commits(runs)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            cells = sorted((_cell(cell, before) for cell in selection.cells), key=lambda cell: cell.key)
            return Baseline(
                suite=selection.name,
                engine=engine_of(runs),
                history=[*(before.history if before else ()), _recording(now, said, cells, runs, commits, dirty)],
                first=_firsts(cells, before, now, commits[-1] if commits else None),
                cells=cells,
            )
    except ValidationError as error:
        found = error.errors()[0]
        raise UserError(
            f"the runs cannot be recorded: {'.'.join(map(str, found['loc']))}: {found['msg']}",
            where=f"suite {plain(selection.name)}",
            remedy="are there returns beyond all bounds?",
        ) from None


def _check_complete(selection: Selection) -> None:
    if not selection.cells:
        raise _unmeasured("there is no run in it", f"suite {plain(selection.name)}", "run the suite first")
    lines = [
        f"{cell.algorithm} on {cell.task}, seed {run.seed}: {run.status.replace('_', ' ')} ({run.reason})"
        for cell in selection.cells
        for run in cell.absent
    ]
    if lines:
        more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise _unmeasured(
            f"{len(lines)} of {many(sum(len(cell.seeds) for cell in selection.cells), 'run')} without a result",
            f"suite {plain(selection.name)}",
            "\n  ".join([*map(plain, lines[:_SHOWN]), *more, "run the suite again (--retry-failed for failed runs)"]),
            ExitCode.USAGE if selection.unreadable else ExitCode.RUN_FAILED,
        )
    lost = [cell for cell in selection.cells if all(run.record.status == "diverged" for run in cell.runs)]
    if lost:
        raise _unmeasured("every run diverged, so that nothing could be worse", plain(str(lost[0].key)), "fix it first")
    short = [cell for cell in selection.cells if len(cell.runs[0].curve["env_steps"]) < 2]
    if short:
        raise _unmeasured("a curve with fewer than two evaluation points has no area", plain(str(short[0].key)), "")


def _unmeasured(problem: str, where: str, remedy: str, code: ExitCode = ExitCode.RUN_FAILED) -> UserError:
    error = UserError(problem, where=where, remedy=remedy)
    error.exit_code = code
    return error


def _check_seeds(cells: Sequence[SelectedCell], least: int) -> None:
    few = [cell for cell in cells if len(cell.runs) < max(least, 2)]
    if few:
        raise UserError(
            f"{many(len(few[0].runs), 'seed')}, {max(least, 2)} are asked for"
            + (f" (and {many(len(few) - 1, 'more cell')})" if len(few) > 1 else ""),
            where=plain(str(few[0].key)),
            remedy=f"run more (haepo-bench run SUITE --set seeds={max(least, 2)}): they cost time only once, and few "
            "seeds can show little; or say with --min-seeds how many are enough",
        )


def _dirty(runs: Iterable[Run]) -> bool | None:
    """Whether any run was made from changed files; None where no run says."""
    said = [git.get("dirty", True) for run in runs if isinstance(git := run.record.provenance.get("git"), Mapping)]
    # Git that does not answer is not a clean tree.
    return any(dirty is not False for dirty in said) if said else None


def engine_of(runs: Iterable[Run]) -> Engine:
    """The compiled engine where any run was made with it: it computes all that it can."""
    said = [run.record.provenance.get(ENGINE_KEY) for run in runs]
    return "compiled" if any(isinstance(one, Mapping) and one.get("name") == "compiled" for one in said) else "torch"


def _commits(runs: Iterable[Run]) -> list[str]:
    """Commits of the runs, in the order of their starts."""
    found: dict[str, str] = {}
    for run in runs:
        git = run.record.provenance.get("git")
        if isinstance(git, Mapping) and isinstance(git.get("commit"), str):
            started = str(run.record.provenance.get("started", ""))
            found[git["commit"]] = min(found.get(git["commit"], started), started)
    return sorted(found, key=lambda commit: (found[commit], commit))


def _cell(cell: SelectedCell, before: Baseline | None) -> BaselineCell:
    record = cell.runs[0].record
    old = before.cell(cell.key) if before else None
    scale = scale_of(cell.runs, record.references)
    if old is not None and old.settings_hash == cell.settings_hash and old.scale.source == scale.source == "learned":
        scale = old.scale  # units must not wander with each recording
    columns = list(dict.fromkeys(name for run in cell.runs for name in columns_of(run)))
    return BaselineCell(
        task=cell.task,
        algorithm=cell.algorithm,
        uses=cell.uses,
        settings_hash=cell.settings_hash,
        code_hash=cell.code_hash,
        settings=record.settings,
        scale=scale,
        marks=[int(mark) for mark in cell.runs[0].curve["env_steps"]],
        columns=columns,
        runs=[baseline_run(run, scale, columns) for run in cell.runs],
    )


def _firsts(cells: Sequence[BaselineCell], before: Baseline | None, now: str, commit: str | None) -> list[First]:
    kept = list(before.first) if before else []
    known = {(entry.key, entry.settings_hash) for entry in kept}
    added = [_first(cell, now, commit) for cell in cells if (cell.key, cell.settings_hash) not in known]
    return sorted([*kept, *added], key=lambda entry: (entry.key, entry.date, entry.settings_hash))


def _first(cell: BaselineCell, now: str, commit: str | None) -> First:
    areas = np.array([run.area for run in cell.runs])
    mean, sd = (float(f"{value:.9g}") for value in (areas.mean(), areas.std(ddof=1)))
    return First(
        task=cell.task,
        algorithm=cell.algorithm,
        settings_hash=cell.settings_hash,
        date=now,
        commit=commit,
        mean=mean,
        sd=sd,
        seeds=len(areas),
        scale=cell.scale,
    )


def drop_since_first(cell: BaselineCell, baseline: Baseline) -> float | None:
    """How far the baseline's mean has sunk below that of the first recording, in units of the span then."""
    first = baseline.first_of(cell)
    if first is None:
        return None
    mean = float(np.mean([run.area for run in cell.runs]))
    return float(first.scale.units(np.array(first.mean)) - first.scale.units(np.array(mean)))


def _recording(
    now: str, reason: str, cells: Sequence[BaselineCell], runs: Sequence[Run], commits: list[str], dirty: bool | None
) -> Recording:
    means: dict[str, dict[str, float]] = {}
    for cell in cells:
        (mean,) = rounded([float(cell.areas().mean())])
        means.setdefault(cell.task, {})[cell.algorithm] = float(mean or 0.0)
    versions = [run.record.provenance.get("versions") for run in runs]
    return Recording(
        date=now,
        reason=reason,
        commits=commits,
        dirty=dirty,
        package_versions=_distinct(run.record.provenance.get("package_version") for run in runs),
        versions={
            str(name): _distinct(each.get(name) for each in versions if isinstance(each, Mapping))
            for name in sorted({str(name) for each in versions if isinstance(each, Mapping) for name in each})
        },
        machines=_distinct(run.record.provenance.get("cpu") for run in runs),
        cells=len(cells),
        runs=len(runs),
        means=means,
    )


def _distinct(values: Iterable[Any]) -> list[str]:
    return sorted({str(value) for value in values if value is not None})
