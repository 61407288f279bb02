"""From curves as they were logged to run records at shared evaluation points."""

import hashlib
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench import __version__
from haepo_bench.errors import UserError
from haepo_bench.exchange.alignment import at_marks, regular_marks, shared_marks
from haepo_bench.exchange.files import read_stored
from haepo_bench.exchange.formats import CONVENTIONS
from haepo_bench.exchange.logged import CUMULATIVE
from haepo_bench.exchange.mapping import AlgorithmOptions, Mapping, TaskOptions
from haepo_bench.exchange.series import Series
from haepo_bench.results.hashing import digest
from haepo_bench.results.record import Failure, Information, Number, References, RunRecord, Status, finite
from haepo_bench.wording import many

Array = NDArray[Any]

#: Where neither mapping nor files say how often, a budget is divided into this many parts, as in suites.
DEFAULT_MARKS = 20
MAX_MARKS = 10_000
#: Raised when files that were read rightly would give other numbers: part of an imported run's identity.
IMPORTER_VERSION = 1
FOOTNOTE = "imported: not run by haepo-bench"

_WHOLE = ("gradient_steps", "episodes")


class TaskMarks(NamedTuple):
    """What all runs on a task share.

    Args:
        marks: [point] env steps from 0 to the budget.
        every: as said, else as found: env steps between evaluation points, or the points themselves where they are
            irregular.
    """

    marks: Array
    every: int | list[int]


def task_marks(task: str, runs: Sequence[Series], mapping: Mapping) -> TaskMarks:
    """Marks for all runs on a task.

    Raises:
        UserError: no budget is stated and the runs end at different steps, or there would be too many evaluation
        points.
    """
    options = mapping.tasks.get(task, TaskOptions())
    budget = options.budget or mapping.budget or _common_end(task, runs)
    every = options.every or mapping.every
    if every is None:
        shared = shared_marks([run.steps for run in runs], budget)
        if shared is not None and len(shared) <= MAX_MARKS and bool((shared == shared.round()).all()):
            return TaskMarks(shared, _spacing(shared))
        every = max(1, budget // DEFAULT_MARKS)
    if budget // every > MAX_MARKS:
        raise UserError(
            f"evaluation points every {every:,} of {budget:,} env steps make more than {MAX_MARKS:,}",
            where=f"tasks.{task}",
            remedy="choose a larger `every`",
        )
    return TaskMarks(regular_marks(every, budget), every)


def _common_end(task: str, runs: Sequence[Series]) -> int:
    ends = {float(run.steps[-1]): run for run in runs if run.broken_at is None}
    if len(ends) == 1 and min(ends) >= 1:
        return int(min(ends))
    if not ends:
        raise UserError(f"the budget of {task} is unknown: all of its runs diverged", remedy="say `budget:`")
    short, long = min(ends), max(ends)
    raise UserError(
        f"the runs on {task} end at different steps: {ends[short].place} at {short:,.0f}, "
        f"{ends[long].place} at {long:,.0f}",
        where=f"tasks.{task}.budget",
        remedy="say `budget:` (env steps): runs are cut there, and runs that end before are named as interrupted",
    )


def _spacing(marks: Array) -> int | list[int]:
    widths = np.diff(marks)
    regular = bool((widths[:-1] == widths[0]).all()) and widths[-1] <= widths[0]
    return int(widths[0]) if regular else [int(mark) for mark in marks]


class _Unfinished(NamedTuple):
    """Why a run has no value at the budget.

    Args:
        can_hold: whether there is one before that may stand for it.
    """

    says: str
    remedy: str
    can_hold: bool


def _unfinished(run: Series, marks: Array) -> _Unfinished | None:
    budget = float(marks[-1])
    known = [*run.steps[:1], *([] if run.broken_at is None else [run.broken_at])]
    if min(known) > budget:
        says = f"logged nothing within the budget of {budget:,.0f} env steps: its first return is at {min(known):,.0f}"
        return _Unfinished(says, "say a larger `budget:`, or leave the run out", can_hold=False)
    end = float(run.steps[-1]) if len(run.steps) else 0.0
    # The value at the budget must come from the last stretch before it.
    if run.broken_at is not None or end > marks[-2]:
        return None
    says = f"ends at {end:,.0f} of {budget:,.0f} env steps"
    remedy = "say `short: interrupted` or `short: hold`, or a smaller `budget:`"
    return _Unfinished(says, remedy, can_hold=True)


def run_record(run: Series, shared: TaskMarks, mapping: Mapping) -> RunRecord:
    """The record of one run.

    Raises:
        UserError: it ends before the budget, or begins after step 0, and the mapping says that this is an error.
    """
    options = mapping.algorithms.get(run.algorithm, AlgorithmOptions())
    task = mapping.tasks.get(run.task, TaskOptions())
    references = task.references.references() if task.references else None
    settings = _settings(run, options, references, shared)
    source, budget = run.found.source, float(shared.marks[-1])
    unfinished = _unfinished(run, shared.marks)
    interrupted = unfinished is not None and not (unfinished.can_hold and source.short == "hold")
    if unfinished is not None and interrupted and source.short != "interrupted":
        raise UserError(unfinished.says, where=run.place, remedy=unfinished.remedy)
    status: Status = "interrupted" if interrupted else "done"
    error = None
    if unfinished is not None and interrupted:
        error = Failure(status="interrupted", type="Interrupted", message=unfinished.says)
    curve: dict[str, list[Number]] = {}
    if status == "done":
        curve, broken = _curve(run, shared.marks, references)
        if broken:
            status = "diverged"
            message = f"the return is not finite at {run.broken_at:,.0f} env steps"
            error = Failure(status="diverged", type="Diverged", message=message)
    return RunRecord(
        status=status,
        suite=mapping.suite,
        task=run.task,
        algorithm=run.algorithm,
        uses=options.uses or run.algorithm,
        seed=run.seed,
        settings_hash=digest(settings),
        code_hash=digest({"imported": IMPORTER_VERSION, "code": options.code}),
        settings=settings,
        parameters=options.parameters,
        references=references,
        information=_information(run.label, options),
        curve=curve,
        final=final_values(curve, references),
        cost=_cost(run, curve, budget) if curve else {},
        notes=_notes(run, options, references, held=unfinished is not None and not interrupted),
        provenance={
            **({"code": options.code} if options.code else {}),
            **run.facts,
            "imported": imported_from(run.found.files, run.found.format),
        },
        error=error,
    )


def imported_from(files: Sequence[Path], form: str) -> dict[str, Any]:
    """Provenance of an imported run: its files with their SHA-256, and who read them."""
    hashes = [hashlib.sha256(read_stored(file)).hexdigest() for file in files]
    return {
        "file": ", ".join(str(file) for file in files),
        "sha256": ", ".join(hashes),
        "format": form,
        "importer": f"haepo-bench {__version__}",
        "importer_version": IMPORTER_VERSION,
    }


def _settings(
    run: Series, options: AlgorithmOptions, references: References | None, shared: TaskMarks
) -> dict[str, Any]:
    """What makes two imported runs runs of the same cell: everything that the mapping says and that moves a number."""
    source = run.found.source
    # Left out where they are as they always were, so that runs imported before keep their settings hash.
    later = {
        "repeated": source.repeated if source.repeated != CONVENTIONS[run.found.format].repeated else None,
        "resumed": source.resumed if source.resumed != "error" else None,
        "decimal": source.decimal,
    }
    return {
        "imported": IMPORTER_VERSION,
        "task": {"id": run.task, "references": references.model_dump(exclude={"source"}) if references else None},
        "algorithm": {"id": options.uses or run.algorithm, "parameters": options.parameters},
        "budget": {"env_steps": int(shared.marks[-1])},
        "evaluation": {
            "every": shared.every,
            "return": run.column,
            "policy": "greedy" if run.greedy else "sampled",
            "window": run.window,
            "step_size": source.step_size,
            "start": source.start,
            "nan": source.nan,
            "short": source.short,
            **{name: value for name, value in later.items() if value is not None},
        },
    }


def _information(label: str, options: AlgorithmOptions) -> Information:
    known = options.information
    return Information(
        told=known.told if known else None,
        critic=known.critic if known else None,
        discount=known.discount if known else None,
        label=options.label or label[:200],
        footnote=FOOTNOTE,
    )


def _curve(run: Series, marks: Array, references: References | None) -> tuple[dict[str, list[Number]], bool]:
    """Named columns at the evaluation points, and whether the run broke before the budget."""
    source = run.found.source
    returns = at_marks(run.steps, run.returns, marks)
    early = np.isnan(returns)
    if early.any():
        if source.start == "error":
            raise UserError(
                f"has no return at step 0: its first is at {run.steps[0]:,.0f}" if len(run.steps) else "has no return",
                where=run.place,
                remedy="say `start: random` or `start: first`",
            )
        if source.start == "random" and references is not None:
            returns[early] = references.random
        elif len(run.returns):
            returns[early] = run.returns[0]
    columns: dict[str, Array] = {"env_steps": marks, "eval_return": returns}
    if run.greedy:
        columns["eval_return_greedy"] = returns
    for name, (steps, values) in run.others.items():
        aligned = at_marks(steps, values, marks)
        # Before training nothing was spent.
        columns.setdefault(name, np.where(np.isnan(aligned), 0.0, aligned) if name in CUMULATIVE else aligned)
    gone = np.zeros(len(marks), dtype=bool) if run.broken_at is None else marks >= run.broken_at
    if run.broken_at is not None and run.broken_at > marks[-1]:
        gone[:] = False
    curve: dict[str, list[Number]] = {}
    for name, values in columns.items():
        kept = values if name == "env_steps" else np.where(gone, np.nan, values)
        listed = [finite(value) for value in kept.tolist()]
        whole = name in ("env_steps", *_WHOLE) and all(value is None or value == round(value) for value in listed)
        curve[name] = [int(value) if whole and value is not None else value for value in listed]
    return curve, bool(gone.any()) or None in curve["eval_return"]


def final_values(curve: AnyMapping[str, Sequence[Number]], references: References | None) -> dict[str, Number]:
    """The evaluation at the budget, as the record holds it beside the curve."""
    if not curve:
        return {}
    names = ("eval_return", "eval_return_greedy", "eval_return_std")
    final: dict[str, Number] = {name: curve[name][-1] for name in names if name in curve}
    if references is not None:
        for name, source in (("score", "eval_return"), ("score_greedy", "eval_return_greedy")):
            if source in final:
                value = final[source]
                final[name] = None if value is None else references.score(value)
    return final


def _cost(run: Series, curve: AnyMapping[str, Sequence[Number]], budget: float) -> dict[str, Number]:
    reached = float(run.steps[-1]) if len(run.steps) else 0.0
    cost: dict[str, Number] = {"env_steps_collected": min(int(reached), int(budget))}
    for name in CUMULATIVE:
        known = [value for value in curve.get(name, []) if value is not None]
        if known:
            cost[name] = known[-1]
    return cost


def _notes(run: Series, options: AlgorithmOptions, references: References | None, *, held: bool) -> list[str]:
    source = run.found.source
    notes = [*options.notes]
    if run.window and run.found.format == "monitor":
        notes.append(f"returns are those of training: means over the last {many(run.window, 'episode')}")
    elif run.window:
        notes.append(f"returns are means over the last {run.window} that were logged")
    if run.greedy:
        notes.append("returns are those of the greedy policy")
    if not len(run.steps) or run.steps[0] > 0:
        filled = "the random reference" if source.start == "random" and references else "the first value"
        notes.append(f"evaluation points before the first logged value hold {filled}")
    if source.step_size != 1:
        notes.append(f"one logged step counts as {source.step_size:g} env steps")
    if source.repeated and source.repeated != "error":
        chosen = "their mean" if source.repeated == "mean" else f"the {source.repeated}"
        notes.append(f"of several values at one step {chosen} counts")
    if source.resumed != "error":
        notes.append(f"runs that were resumed are one, their steps {source.resumed}")
    if held:
        notes.append("runs that end before the budget hold their last value")
    return notes
