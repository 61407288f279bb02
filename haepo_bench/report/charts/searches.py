"""What is reached after more and more configurations, as a chart."""

from haepo_bench.report.charts.description import ChartAlgorithm, ChartAxis, ChartLine, LineChart, LinePanel
from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_numbers import Band
from haepo_bench.report.styles import Styles
from haepo_bench.report.tables.claim_words import MEASURE_TITLES
from haepo_bench.report.tables.per_task import Footnotes

TRIALS = ChartAxis("trials", "configurations tried", "configurations", "Trials", 0)
SEARCH_SECONDS = ChartAxis(
    "search_seconds", "CPU seconds of the search", "CPU seconds", "CPU seconds", from_zero=True, log=True
)
_SCORE = ChartAxis("score", "score of the best so far", "score", "Score", 3)


def search_budget(suite: SuiteResult, styles: Styles) -> LineChart | None:
    """Expected score of the best of m configurations; None where nothing was searched, or with one tuning seed."""
    search = suite.search
    found = (
        [own for own in search.algorithms if any(each.score.mean is not None for each in own.best_of)] if search else []
    )
    if search is None or not found:
        return None
    results = {each.algorithm: each for task in suite.tasks for each in task.algorithms}
    shown = [own for own in found if own.algorithm in results]
    footnotes = Footnotes(results[own.algorithm] for own in shown)
    lines = []
    for own in shown:
        scores = [each.score for each in own.best_of]
        x = {"trials": [float(each.trials) for each in own.best_of]}
        if all(each.cpu_seconds is not None for each in own.best_of):
            x["search_seconds"] = [each.cpu_seconds or 0.0 for each in own.best_of]
        band = Band(
            mean=[each.mean for each in scores],
            low=[each.low for each in scores],
            high=[each.high for each in scores],
            n=[each.n for each in scores],
            seeds=[],
        )
        lines.append(ChartLine(own.algorithm, x, {"score": band}))
    return LineChart(
        title=f"Expected score of the best of m configurations, {suite.suite}",
        algorithms=tuple(
            ChartAlgorithm(
                own.algorithm,
                styles.of(own.algorithm),
                footnotes.marker(results[own.algorithm]),
                counted=f"{own.replicates}/{search.replicates} searches",
            )
            for own in shown
        ),
        panels=(LinePanel(f"Best of m: {suite.suite}", (TRIALS, SEARCH_SECONDS), (_SCORE,), tuple(lines)),),
        notes=(
            f"By {MEASURE_TITLES[search.measure]}. Chosen by one tuning seed, scored by the others; mean over "
            "replicates with its 95 % interval.",
            *footnotes.lines,
        ),
        end_labels=False,
    )
