"""The report as CSV tables, numbers in full precision, empty where undefined."""

from collections.abc import Iterable, Sequence
from typing import Any

from haepo_bench.report.csv_cells import csv_table, estimate_cells
from haepo_bench.report.csv_versions import history_csv, side_by_side_csv
from haepo_bench.report.document import AlgorithmResult, Improvement, ReportDocument, SuiteResult, TaskResult
from haepo_bench.report.document_scorecard import ClaimResult, Comparison, Evidence, Reading
from haepo_bench.report.tables.per_task import absences, omissions
from haepo_bench.report.tables.side_by_side import matched
from haepo_bench.results.columns import COLUMNS, MEASURED
from haepo_bench.results.declared_columns import in_order
from haepo_bench.results.frames import COSTS, MEASURES
from haepo_bench.wording import many


def to_csv(document: ReportDocument) -> str:
    """The main table: one row for each task, algorithm and measure that has a value.

    Diagnostics and costs are measures, too. Files and folders that are not in the report come last in each suite, with
    no task, named under `absent`.
    """
    rows: list[Sequence[Any]] = []
    for suite in document.suites:
        rows += [row for task in suite.tasks for result in task.algorithms for row in _tidy(suite, task, result)]
        rows += [[suite.suite, *[None] * (len(_TIDY) - 4), text, None, suite.results] for text in omissions(suite)]
    return csv_table(_TIDY, rows)


_TIDY = ["suite", "task", "algorithm", "label", "measure", "mean", "low", "high", "n", "planned"]
_TIDY += ["if_missing_lowest", "if_missing_highest", "absent", "footnote", "results"]


def _tidy(suite: SuiteResult, task: TaskResult, result: AlgorithmResult) -> list[list[Any]]:
    seeds = result.seeds
    absent = "; ".join(absences(task.model_copy(update={"algorithms": [result]})))
    start, end = [suite.suite, task.task, result.algorithm, result.label], [absent, result.footnote, suite.results]
    rows: list[list[Any]] = []
    for measure in MEASURES:
        estimate, ends = getattr(result, measure), result.if_missing.get(measure)
        if estimate and estimate.mean is not None:
            extremes = [ends.lowest, ends.highest] if ends else [None, None]
            rows.append([*start, measure, *estimate_cells(estimate), len(seeds.planned), *extremes, *end])
    for name, estimate in result.diagnostics.items():
        if estimate and estimate.mean is not None:
            rows.append([*start, name, *estimate_cells(estimate), len(seeds.planned), None, None, *end])
    for name in COSTS:
        if result.cost[name] is not None:
            numbers = [result.cost[name], None, None, len(seeds.shown), len(seeds.planned)]
            rows.append([*start, name, *numbers, None, None, *end])
    # One without any result is named nonetheless.
    return rows or [[*start, None, None, None, None, 0, len(seeds.planned), None, None, *end]]


def _wide(document: ReportDocument) -> str:
    """One row for each algorithm on each task, with everything that is known about it."""
    found = [column.name for suite in document.suites for task in suite.tasks for column in task.diagnostic_columns]
    # Those of the registry always, so that the table of one report can be read like that of another.
    diagnostics = in_order([*(name for name in COLUMNS if name not in MEASURED), *found])
    columns = csv_columns(diagnostics)
    rows: list[Sequence[Any]] = []
    for suite in document.suites:
        rows += [_result_row(suite, task, result, diagnostics) for task in suite.tasks for result in task.algorithms]
        for text in omissions(suite):
            left_out = dict.fromkeys(columns, None) | {"suite": suite.suite, "absent": text}
            rows.append(list(left_out.values()))
    return csv_table(columns, rows)


def more_csv(document: ReportDocument) -> dict[str, str]:
    """{file name: text}: what no single table can hold beside the main one."""
    return {
        "wide.csv": _wide(document),
        "runs.csv": _runs(document),
        "missing.csv": _missing(document),
        "aggregates.csv": _aggregates(document),
        "profiles.csv": _profiles(document),
        "improvement.csv": _improvement(document),
        "claims.csv": _claims(document),
        "evidence.csv": _evidence(document),
        "pairs.csv": _pairs(document),
        "overoptimisation.csv": _overoptimisation(document),
        "history.csv": history_csv(document),
        **({"side_by_side.csv": side_by_side_csv(document)} if matched(document) else {}),
    }


def csv_columns(diagnostics: Iterable[str]) -> list[str]:
    """The header of the wide table."""
    names = ["suite", "task", "algorithm", "uses", "label", "told", "critic", "discount", "n", "planned", "diverged"]
    names += ["exploratory", "common_seconds", "common_clock"]
    for measure in MEASURES:
        names += [
            f"{measure}_{part}" for part in ("mean", "low", "high", "n", "if_missing_lowest", "if_missing_highest")
        ]
    for diagnostic in diagnostics:
        names += [f"{diagnostic}_{part}" for part in ("mean", "low", "high", "n")]
    return [*names, *COSTS, "absent", "notes", "footnote", "settings_hash", "code_hash"]


def _result_row(suite: SuiteResult, task: TaskResult, result: AlgorithmResult, diagnostics: Sequence[str]) -> list[Any]:
    information, seeds = result.information, result.seeds
    row: list[Any] = [suite.suite, task.task, result.algorithm, result.uses, result.label, information.told]
    row += [information.critic, information.discount]
    row += [len(seeds.shown), len(seeds.planned), len(seeds.diverged), len(seeds.exploratory)]
    row += [task.common_seconds, task.common_clock]
    for measure in MEASURES:
        ends = result.if_missing.get(measure)
        row += [*estimate_cells(getattr(result, measure)), *((ends.lowest, ends.highest) if ends else (None, None))]
    for diagnostic in diagnostics:
        row += estimate_cells(result.diagnostics.get(diagnostic))
    row += [result.cost[name] for name in COSTS]
    own = task.model_copy(update={"algorithms": [result]})
    return [
        *row,
        "; ".join(absences(own)),
        "; ".join(result.notes),
        result.footnote,
        result.settings_hash,
        result.code_hash,
    ]


def _runs(document: ReportDocument) -> str:
    header = ["suite", "task", "algorithm", "seed", "status", "exploratory", *MEASURES, *COSTS]
    return csv_table(
        header,
        (
            [suite.suite, task.task, result.algorithm, run.seed, run.status, run.exploratory]
            + [run.measures[name] for name in MEASURES]
            + [run.cost[name] for name in COSTS]
            for suite in document.suites
            for task in suite.tasks
            for result in task.algorithms
            for run in result.runs
        ),
    )


def _missing(document: ReportDocument) -> str:
    """Runs without a result, files that cannot be used, and runs that are left out."""
    rows: list[list[Any]] = []
    for suite in document.suites:
        for task in suite.tasks:
            for result in task.algorithms:
                at = [suite.suite, task.task, result.algorithm]
                rows += [[*at, run.seed, "", run.status, run.reason] for run in result.seeds.missing]
                rows += [[*at, run.seed, "", "diverged", run.reason] for run in result.seeds.diverged]
        rows += [[suite.suite, "", "", None, file.file, file.state, file.reason] for file in suite.damaged]
        rows += [
            [suite.suite, "", "", None, left.folder, f"{many(left.runs, 'run')} not shown", left.reason]
            for left in suite.not_shown
        ]
    return csv_table(["suite", "task", "algorithm", "seed", "file", "status", "reason"], rows)


def _aggregates(document: ReportDocument) -> str:
    header = ["suite", "statistic", "algorithm", "value", "low", "high", "runs", "planned"]
    header += ["lowest_without", "lowest_without_task", "highest_without", "highest_without_task"]
    header += ["if_missing_lowest", "if_missing_highest", "tasks"]
    rows = []
    for suite in document.suites:
        for aggregate in suite.aggregates:
            for each in aggregate.values:
                row = [suite.suite, aggregate.statistic, each.algorithm, each.value, each.low, each.high]
                row += [each.runs.shown, each.runs.planned]
                for without in (each.lowest_without, each.highest_without):
                    row += [without.value, without.task] if without else [None, None]
                row += [each.if_missing.lowest, each.if_missing.highest] if each.if_missing else [None, None]
                rows.append([*row, "; ".join(suite.basis.tasks) if suite.basis else ""])
    return csv_table(header, rows)


def _profiles(document: ReportDocument) -> str:
    return csv_table(
        ["suite", "algorithm", "threshold", "share", "low", "high", "runs", "planned"],
        (
            [suite.suite, each.algorithm, *numbers, each.runs.shown, each.runs.planned]
            for suite in document.suites
            for each in suite.profiles
            for numbers in zip(each.thresholds, each.band.mean, each.band.low, each.band.high, strict=True)
        ),
    )


def _improvement(document: ReportDocument) -> str:
    def row(suite: SuiteResult, task: str, each: Improvement) -> list[Any]:
        runs = (each.candidate_runs, each.baseline_runs)
        return [
            *(suite.suite, task, each.candidate, each.baseline, each.measure, each.probability, each.low, each.high),
            *(each.lowest, each.highest, *(n for side in runs for n in (side.shown, side.planned))),
            "; ".join(each.tasks),
        ]

    header = ["suite", "task", "candidate", "baseline", "measure", "probability", "low", "high"]
    header += ["if_missing_lowest", "if_missing_highest"]
    header += ["candidate_runs", "candidate_planned", "baseline_runs", "baseline_planned", "tasks"]
    rows = []
    for suite in document.suites:
        rows += [row(suite, "", each) for each in suite.improvement]
        rows += [row(suite, task.task, each) for task in suite.tasks for each in task.improvement]
    return csv_table(header, rows)


def _claims(document: ReportDocument) -> str:
    """Every comparison with the verdict that it is part of, over all tasks (task empty) and task by task."""

    def side(each: Evidence) -> list[Any]:
        reached = each.log_evidence[-1] if each.log_evidence else 0.0
        return [reached, each.needed, each.decided_after, each.bound]

    def row(each: Comparison) -> list[Any]:
        runs = (each.candidate_runs, each.baseline_runs)
        return [
            *(
                each.baseline,
                each.counts,
                each.reason,
                each.pairs,
                each.seeds,
                each.ended_by,
                each.failed,
                each.clipped,
            ),
            *(each.candidate, each.against, each.difference, each.low, each.high, each.supporting, each.opposing),
            *(each.named, each.worse, *(n for side in runs for n in (side.shown, side.planned)), "; ".join(each.tasks)),
        ]

    header = ["suite", "claim", "measure", "margin", "rule", "status", "exploratory", "declaration"]
    header += [
        "algorithm",
        "task",
        "feedback",
        "verdict",
        "state",
        "better",
        "verdict_reason",
        "verdict_pairs",
        "more_seeds",
    ]
    for name in ("for", "against"):
        header += [f"{name}_{part}" for part in ("log_evidence", "needed", "decided_after", "bound")]
    header += ["baseline", "counts", "reason", "pairs", "seeds", "ended_by", "failed", "clipped"]
    header += ["candidate", "against", "difference", "low", "high", "supporting", "opposing", "named", "worse"]
    header += ["candidate_runs", "candidate_planned", "baseline_runs", "baseline_planned", "tasks"]
    rows = []
    for suite in document.suites:
        card = suite.scorecard
        for claim in card.claims if card else []:
            start = [suite.suite, claim.claim, claim.measure, claim.margin, claim.rule]
            start += [card.status, card.exploratory, card.declaration] if card else []
            for reading, task in _readings(claim):
                own: list[Any] = [
                    reading.algorithm,
                    task,
                    reading.feedback,
                    reading.verdict,
                    reading.state,
                    reading.better,
                    reading.reason,
                ]
                own += [reading.pairs, reading.more_seeds, *side(reading.for_claim), *side(reading.against_claim)]
                rows += [[*start, *own, *row(each)] for each in reading.comparisons]
    return csv_table(header, rows)


def _readings(claim: ClaimResult) -> list[tuple[Reading, str]]:
    """Every verdict on a claim, with the task that it is about; empty where it is over all."""
    over_all = [*claim.readings, *claim.by_feedback]
    return [*((reading, "") for reading in over_all), *((reading, reading.tasks[0]) for reading in claim.by_task)]


def _evidence(document: ReportDocument) -> str:
    """The evidence of every verdict after each pair, in either direction."""
    rows: list[list[Any]] = []
    for suite in document.suites:
        for claim in suite.scorecard.claims if suite.scorecard else []:
            for reading, task in _readings(claim):
                for name, each in (("for", reading.for_claim), ("against", reading.against_claim)):
                    start = [suite.suite, claim.claim, reading.algorithm, task, reading.feedback, name]
                    rows += [[*start, n, value, each.needed] for n, value in enumerate(each.log_evidence, 1)]
    return csv_table(
        ["suite", "claim", "algorithm", "task", "feedback", "direction", "pairs", "log_evidence", "needed"], rows
    )


def _pairs(document: ReportDocument) -> str:
    header = ["suite", "algorithm", "other", "measure", "pairs", "difference", "low", "log_evidence", "needed"]
    header += ["decided", "reason", "tasks"]
    return csv_table(
        header,
        (
            [
                *(suite.suite, each.algorithm, each.other, suite.pairwise.measure, each.pairs, each.difference),
                *(each.low, each.log_evidence, each.needed, each.decided, each.reason, "; ".join(each.tasks)),
            ]
            for suite in document.suites
            if suite.pairwise
            for each in suite.pairwise.comparisons
        ),
    )


def _overoptimisation(document: ReportDocument) -> str:
    parts = ("mean", "low", "high", "n")
    header = ["suite", "task", "algorithm"]
    for place in ("start", "peak", "end"):
        header += [f"{place}_env_steps", f"{place}_sqrt_kl"]
        header += [f"{place}_{reward}_{part}" for reward in ("gold", "proxy") for part in parts]
    header += [f"{name}_{part}" for name in ("fall", "gap") for part in parts]
    rows = []
    for suite in document.suites:
        for task in suite.tasks:
            for result in task.algorithms:
                found = result.overoptimisation
                if found is None:
                    continue
                row: list[Any] = [suite.suite, task.task, result.algorithm]
                for at in (found.start, found.peak, found.end):
                    row += [at.env_steps, at.sqrt_kl, *estimate_cells(at.gold), *estimate_cells(at.proxy)]
                rows.append([*row, *estimate_cells(found.fall), *estimate_cells(found.gap)])
    return csv_table(header, rows)
