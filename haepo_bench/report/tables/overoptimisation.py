"""Gold and proxy reward at the start, at the peak of gold and at the end, as a table."""

from collections.abc import Sequence

from haepo_bench.report.document import AlgorithmResult, Overoptimisation, TaskResult
from haepo_bench.report.tables.per_task import (
    UNDEFINED,
    Footnotes,
    Table,
    TableCell,
    absences,
    count,
    estimate_cell,
    name_cell,
    return_decimals,
    seeds_cell,
)
from haepo_bench.wording import fixed

#: How the axes of pictures are labelled.
DISTANCE = "√KL to the initial policy (KL in nats per response)"
GOLD, PROXY = "gold reward (evaluation)", "proxy reward (the reward of training)"
ORDER_NOTE = "Lines go from evaluation point to evaluation point; √KL, a mean over seeds too, need not grow on the way."

READING_NOTE = (
    "Gold: what evaluation counts and training never sees. Proxy: the reward of training, on the same held-out "
    "responses. √KL: square root of the KL divergence from the initial policy (nats per response), mean over seeds of "
    "each seed's root."
)
PEAK_NOTE = (
    "Peak: the evaluation point at which the mean gold reward is highest. The highest of several noisy means flatters: "
    "on average it is above the true peak, and the fall since then is too large; neither interval corrects "
    "for that choice."
)
GAP_NOTE = (
    "Gap at the end: how far the proxy has risen since the start, minus how far gold has, each in standard deviations "
    "over the initial policy's responses."
)
DIVERGED_NOTE = (
    "A diverged run counts in gold as in the learning curves; √KL, proxy and gap use only the seeds that are done."
)


def optimised(task: TaskResult) -> list[tuple[AlgorithmResult, Overoptimisation]]:
    """The algorithms of a task that have a proxy reward and a KL to the initial policy."""
    return [(result, result.overoptimisation) for result in task.algorithms if result.overoptimisation]


def overoptimisation_table(task: TaskResult) -> Table | None:
    """None where no algorithm has what it shows."""
    results = optimised(task)
    if not results:
        return None
    footnotes = Footnotes(result for result, _ in results)
    places = [at for _, found in results for at in (found.start, found.peak, found.end)]
    gold, proxy = return_decimals([at.gold for at in places]), return_decimals([at.proxy for at in places])
    columns = ["Algorithm", "Seeds n/N", "Gold at the start", "Gold at its peak", "Peak at √KL"]
    columns += ["Gold at the end", "Fall since the peak", "√KL at the end", "Gap at the end (standard deviations)"]
    columns += ["Proxy at the start", "Proxy at gold's peak", "Proxy at the end"]
    rows = [
        [
            name_cell(result, footnotes),
            seeds_cell(result),
            estimate_cell(found.start.gold, gold),
            estimate_cell(found.peak.gold, gold),
            _distance(found.peak.sqrt_kl, f"at {count(found.peak.env_steps)} steps"),
            estimate_cell(found.end.gold, gold),
            estimate_cell(found.fall, gold) if found.fall else TableCell("none", "highest at the end"),
            _distance(found.end.sqrt_kl),
            estimate_cell(found.gap, 2),
            *(estimate_cell(at.proxy, proxy) for at in (found.start, found.peak, found.end)),
        ]
        for result, found in results
    ]
    notes = [*footnotes.lines, READING_NOTE, PEAK_NOTE, GAP_NOTE, *divergence_notes(results)]
    unknown = [result.algorithm for result, found in results if not found.gap.n]
    if unknown:
        notes.append(
            f"No gap is known of {', '.join(unknown)}: a standard deviation is not recorded, or 0, or no seed is done."
        )
    return Table(f"{task.task}: over-optimisation of the training reward", columns, rows, [*notes, *absences(task)])


def divergence_notes(results: Sequence[tuple[AlgorithmResult, Overoptimisation]]) -> list[str]:
    """What becomes of diverged runs, where there are any."""
    return [DIVERGED_NOTE] if any(result.seeds.diverged for result, _ in results) else []


def _distance(value: float | None, detail: str = "") -> TableCell:
    return TableCell(UNDEFINED if value is None else fixed(value, 2), detail)
