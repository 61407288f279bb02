"""Two algorithms of one results folder: is either above the other?"""

from collections.abc import Sequence
from math import log
from pathlib import Path

import numpy as np
from pydantic import Field

from haepo_bench import __version__
from haepo_bench.errors import UserError
from haepo_bench.report.document_numbers import DocumentModel
from haepo_bench.report.document_scorecard import PairComparison
from haepo_bench.report.numbers.pairwise import pair_comparison
from haepo_bench.report.tables.claim_words import listed, odds, signed
from haepo_bench.results.claims import DEFAULT_THRESHOLD
from haepo_bench.results.opening import open_results
from haepo_bench.results.selection import Selection
from haepo_bench.statistics.verdicts import LEVEL
from haepo_bench.text import markdown, markdown_list, plain
from haepo_bench.verdicts.all_pairs import MEASURE, judge_pairs
from haepo_bench.verdicts.equal_search import REPLICATES, as_reported
from haepo_bench.verdicts.judging import measured_table
from haepo_bench.wording import fixed, many

ALGORITHMS_FORMAT_VERSION = 1


class AlgorithmsOfSuite(DocumentModel):
    """Two algorithms of one suite, either above the other."""

    suite: str
    at_equal_search: bool = Field(default=False, description="whether what counts as a seed is a replicate of a search")
    overall: list[PairComparison] = Field(description="over all tasks that both were asked for: one family")
    by_task: list[PairComparison] = Field(description="task by task: another family; empty with one task")


class AlgorithmsDocument(DocumentModel):
    """Two algorithms of one results folder."""

    format_version: int = ALGORITHMS_FORMAT_VERSION
    haepo_bench_version: str
    measure: str
    level: float = LEVEL
    algorithms: list[str]
    suites: list[AlgorithmsOfSuite]


def compare_algorithms(results: Path, names: tuple[str, str]) -> AlgorithmsDocument:
    """Compares two algorithms wherever a suite in the folder has both.

    Raises:
        UserError: a folder is not there, the names are one, or no suite has both (exit code 4).
    """
    selections = [as_reported(each) for each in open_results(results, to="compare")]
    if names[0] == names[1]:
        raise _usage(f"--algorithms: '{names[0]}' twice", "name two different algorithms")
    known = {name: None for each in selections for name in _names(each)}
    for name in names:
        if name not in known:
            raise _usage(f"--algorithms: no runs of '{name}' in {results}", f"there are {listed(list(known))}")
    suites = [_suite(each, names) for each in selections if set(names) <= set(_names(each))]
    if not suites:
        raise _usage(f"no suite in {results} has both {names[0]} and {names[1]}", "name two that ran in one suite")
    return AlgorithmsDocument(
        haepo_bench_version=__version__,
        measure=MEASURE.measure,
        algorithms=[plain(name) for name in names],
        suites=suites,
    )


def _usage(message: str, remedy: str) -> UserError:
    return UserError(plain(message), remedy=plain(remedy))


def _names(selection: Selection) -> list[str]:
    return list(dict.fromkeys(cell.algorithm for cell in selection.cells))


def _suite(selection: Selection, names: Sequence[str]) -> AlgorithmsOfSuite:
    with np.errstate(over="ignore", invalid="ignore"):
        table = measured_table(selection, selection.claims.threshold if selection.claims else DEFAULT_THRESHOLD)
        overall, by_task = (
            [pair_comparison(each) for each in judge_pairs(selection, table, names, by_task=single)]
            for single in (False, True)
        )
    return AlgorithmsOfSuite(
        suite=plain(selection.name),
        at_equal_search=selection.search is not None,
        overall=overall,
        by_task=by_task if len(by_task) > 2 else [],
    )


def render_algorithms(document: AlgorithmsDocument, form: str) -> str:
    """As `text`, `md` or `json`."""
    if form == "json":
        return document.model_dump_json(indent=1) + "\n"
    blocks = []
    for suite in document.suites:
        lines = [_sentence(*suite.overall)]
        lines += [_sentence(*suite.by_task[i : i + 2]) for i in range(0, len(suite.by_task), 2)]
        title = f"{suite.suite}: {' and '.join(document.algorithms)}, mean final score"
        title += f", at equal search ({REPLICATES})" if suite.at_equal_search else ""
        if form == "md":
            blocks.append(f"### {markdown(title)}\n\n{markdown_list(lines)}")
        else:
            blocks.append("\n".join([title, *(f"  {line}" for line in lines)]))
    note = (
        "Above: shown, at whatever moment one stops, with a chance of at most "
        f"{100 * document.level:g} % that anything here is wrong over all tasks (and as much task by task). Which two "
        "are compared was not declared before the runs: choosing the pair by its results is not corrected for."
    )
    return "\n\n".join([*blocks, markdown(note) if form == "md" else note]) + "\n"


def _sentence(first: PairComparison, second: PairComparison) -> str:
    """The two directions of one pair in one sentence."""
    where = f"{first.tasks[0]}: " if len(first.tasks) == 1 else f"over {many(len(first.tasks), 'task')}: "
    if not first.tasks or first.difference is None:
        return f"{where if first.tasks else ''}not assessable, {first.reason or 'no seed is complete on both sides'}"
    above = next((each for each in (first, second) if each.decided), None)
    if above is not None and above.low is not None and above.difference is not None:
        return (
            f"{where}{above.algorithm} is above {above.other}: {signed(above.difference)} [at least "
            f"{signed(above.low)} at the level that decides], {many(above.pairs, 'seed')}; {_evidence(above)}"
        )
    higher = first if first.difference >= 0 else second
    gap = fixed(abs(first.difference), 2)
    lead = f"{higher.algorithm} is higher than {higher.other} by {gap}, not decided"
    if higher.log_evidence is None:
        return f"{where}{lead}: {higher.reason}"
    waits = f"; waits for {higher.reason}" if higher.reason else ""
    return f"{where}{lead}: {_evidence(higher)}, {many(higher.pairs, 'seed')}{waits}"


def _evidence(each: PairComparison) -> str:
    needed = odds(log(each.needed)) if each.needed else ""
    return f"evidence {odds(each.log_evidence or 0.0)}, needed {needed}"
