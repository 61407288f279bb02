"""What of stored runs is compared with a baseline: digests, curves, areas and costs, and the settings they had."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.regression.baseline import (
    AREA_DIGITS,
    COLUMN_DIGITS,
    DIGITS,
    NO_COLUMN,
    BaselineCell,
    BaselineRun,
    ReturnScale,
    rounded,
)
from haepo_bench.results.declared_columns import clocks
from haepo_bench.results.hashing import digest
from haepo_bench.results.record import References
from haepo_bench.results.sameness import COUNTS
from haepo_bench.results.selection import Run
from haepo_bench.statistics.curves import area_under_curve, random_once_diverged

Array = NDArray[Any]

#: Provenance of a run: CPU seconds of the reference job in its session, and the seeds of its job.
REFERENCE_KEY, JOB_KEY = "reference_seconds", "seeds"

_SHOWN = 6


#: Columns without which two runs are not called the same.
_ESSENTIAL = frozenset({"env_steps", "eval_return"})


def digest_of(run: Run) -> str:
    """16 hexadecimal digits of the SHA-256 of all numbers of a run but those of clocks and memory."""
    return digest(_numbers_of(run))[:16]


def columns_of(run: Run) -> dict[str, str]:
    """The same, column by column: names (`cost.<name>` for counts) to the digests of their numbers."""
    document = _numbers_of(run)
    curve, final = document["curve"], document["final"]
    columns = {name: [curve.get(name), final.get(name)] for name in {**curve, **final}}
    columns |= {f"cost.{name}": value for name, value in document["counts"].items()}
    return {name: digest(value)[:COLUMN_DIGITS] for name, value in columns.items()}


class Sameness(NamedTuple):
    """Whether runs are those of a baseline.

    Args:
        same: in all numbers that both have.
        added, gone: columns that only the runs, and that only the baseline has.
    """

    same: bool
    added: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def compared(cell: BaselineCell, runs: Sequence[Run]) -> Sameness:
    """Compares runs with a baseline's, seed by seed, in the columns that both sides have."""
    known = {run.seed: run for run in cell.runs}
    added: dict[str, None] = {}
    gone: dict[str, None] = {}
    for run in runs:
        old, now = known.get(run.record.seed), columns_of(run)
        if old is None or old.status != run.record.status:
            return Sameness(False)
        if not cell.columns or set(now) == set(cell.columns):
            if old.digest != digest_of(run):
                return Sameness(False)
            continue
        parts = map("".join, zip(*[iter(old.column_digests)] * COLUMN_DIGITS, strict=True))
        before = {name: part for name, part in zip(cell.columns, parts, strict=True) if part != NO_COLUMN}
        both = before.keys() & now.keys()
        if not both >= _ESSENTIAL or any(before[name] != now[name] for name in both):
            return Sameness(False)
        added |= dict.fromkeys(name for name in now if name not in before)
        gone |= dict.fromkeys(name for name in before if name not in now)
    return Sameness(True, tuple(added), tuple(gone))


def _numbers_of(run: Run) -> dict[str, Any]:
    """All that must be equal of two runs of the same code."""
    clock = clocks(run.record.provenance)
    return {
        "status": run.record.status,
        "curve": {name: _numbers(column) for name, column in run.curve.items() if name not in clock},
        "final": {name: _number(value) for name, value in run.record.final.items()},
        "counts": {name: _number(run.record.cost.get(name)) for name in COUNTS},
    }


def curves_of(runs: Sequence[Run], scale: ReturnScale) -> Array:
    """[run, point] returns, also of runs that diverged (`random_once_diverged`)."""
    returns = np.array([run.curve["eval_return"] for run in runs], dtype=float)
    diverged = [[run.record.status == "diverged"] for run in runs]
    return random_once_diverged(returns, diverged, scale.zero)


def areas_of(runs: Sequence[Run], scale: ReturnScale) -> Array:
    """[run] returns: the areas under the curves, divided by the budget, rounded as in the baseline."""
    areas = area_under_curve(curves_of(runs, scale), runs[0].curve["env_steps"])
    return np.array(rounded(areas, AREA_DIGITS), dtype=float)


def scale_of(runs: Sequence[Run], references: References | None) -> ReturnScale:
    """The task's references, else a scale learned from the runs that are to be the baseline."""
    if references is not None:
        return ReturnScale(zero=references.random, one=references.solved, source="references")
    curves = np.array([run.curve["eval_return"] for run in runs], dtype=float)
    alive = curves[:, ~np.isnan(curves).all(axis=0)]
    means = np.nanmean(alive, axis=0)
    # Where training moves less than seeds differ, a drop is measured by how they differ.
    span = max(float(np.ptp(means)), float(np.nanstd(alive, axis=0).max())) or 1.0
    zero, one = rounded([means[0], means[0] + span])
    if zero is None or one is None or zero == one:
        zero, one = float(means[0]), float(means[0]) + span
    return ReturnScale(zero=zero, one=one, source="learned")


def baseline_run(run: Run, scale: ReturnScale, columns: Sequence[str]) -> BaselineRun:
    """A stored run as a line of a baseline; `columns`: of all runs of its cell."""
    cost, relative = run.record.cost, relative_cost(run)
    steps = cost.get("env_steps_collected")
    cpu, ratio = rounded([cost.get("cpu_seconds"), relative])
    (area,) = areas_of([run], scale)
    digests = columns_of(run)
    return BaselineRun(
        seed=run.record.seed,
        status="diverged" if run.record.status == "diverged" else "done",
        area=float(area),
        digest=digest_of(run),
        column_digests="".join(digests.get(name, NO_COLUMN) for name in columns),
        env_steps=None if steps is None else int(steps),
        cpu_seconds=cpu,
        relative_cost=ratio,
        job_seeds=job_seeds(run),
        curve=rounded(run.curve["eval_return"], DIGITS),
    )


def relative_cost(run: Run) -> float | None:
    """CPU seconds of training over those of the reference job that was timed in the same session."""
    seconds, reference = run.record.cost.get("cpu_seconds"), run.record.provenance.get(REFERENCE_KEY)
    if seconds is None or not isinstance(reference, int | float) or not reference > 0:
        return None
    return seconds / reference


def job_seeds(run: Run) -> int | None:
    """How many runs shared the job, and where seeds train as one batch its cost."""
    seeds = run.record.provenance.get(JOB_KEY)
    return len(seeds) if isinstance(seeds, list) and seeds else None


def why_not_comparable(
    baseline: BaselineCell, settings_hash: str, settings: Mapping[str, Any] | None, references: References | None
) -> str:
    """What differs between a baseline's cell and runs with these settings; empty where they can be compared.

    Args:
        settings: None where no record says them.
    """
    if settings_hash != baseline.settings_hash:
        return (
            differing_settings(baseline.settings, settings) if settings else "other settings, and no run to say which"
        )
    if settings is None:
        return ""
    declared = references is not None
    if declared != (baseline.scale.source == "references"):
        return "the task has reference returns now" if declared else "the task has no reference returns any more"
    if references is not None and (references.random, references.solved) != (baseline.scale.zero, baseline.scale.one):
        return (
            f"reference returns differ: random {_text(baseline.scale.zero)} -> {_text(references.random)}, "
            f"solved {_text(baseline.scale.one)} -> {_text(references.solved)}"
        )
    return ""


def differing_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """`algorithm.parameters.learning_rate: 0.003 -> 0.01`, at most six of them."""
    old, new = _flat(before), _flat(after)
    names = [name for name in dict.fromkeys([*old, *new]) if old.get(name, _ABSENT) != new.get(name, _ABSENT)]
    lines = [f"{name}: {old.get(name, _ABSENT)} -> {new.get(name, _ABSENT)}" for name in names]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "; ".join(lines[:_SHOWN] + more) or "the settings' hashes differ, though their documents are equal"


_ABSENT = "(none)"


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = _text(value)
    return flat


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _numbers(column: Array) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in column]


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
