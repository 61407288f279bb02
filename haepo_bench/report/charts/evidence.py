"""The evidence on each claim, seed by seed, as a chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log10

from haepo_bench.report.charts.description import ChartAlgorithm
from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_scorecard import ClaimResult, Evidence, Reading
from haepo_bench.report.styles import Styles
from haepo_bench.report.tables.per_task import Footnotes, kind

#: Evidence beyond a hundred times what is needed says no more.
_BEYOND = 2.0


@dataclass(frozen=True)
class EvidenceLine:
    """One direction of a variant's verdict.

    Args:
        height: [pair] decimal logarithm of the greatest evidence so far, from 0 pairs on; negative where it is against
            the claim.
        needed: where it is decided, likewise.
        decided_after: pairs; None where it is not.
    """

    algorithm: str
    height: tuple[float, ...]
    needed: float
    decided_after: int | None


@dataclass(frozen=True)
class EvidencePanel:
    """A claim: evidence for it above zero, against it below."""

    title: str
    lines: tuple[EvidenceLine, ...]

    @property
    def thresholds(self) -> list[float]:
        """Every height at which something is or was decided, on both sides."""
        return sorted({sign * round(abs(line.needed), 9) for line in self.lines for sign in (-1, 1)})

    @property
    def y_view(self) -> tuple[float, float]:
        """Thresholds on both sides, and the evidence as far as it says anything."""
        most = max(map(abs, self.thresholds))
        reach = max([abs(value) for line in self.lines for value in line.height] + [most])
        top = 1.12 * min(max(reach, most), most + _BEYOND)
        return -top, top

    @property
    def pairs(self) -> int:
        """Of the longest line."""
        return max(len(line.height) for line in self.lines) - 1


@dataclass(frozen=True)
class EvidenceChart:
    """A panel per claim; `title` and `notes` as in `LineChart`."""

    title: str
    algorithms: tuple[ChartAlgorithm, ...]
    panels: tuple[EvidencePanel, ...]
    notes: tuple[str, ...] = ()


def evidence_chart(suite: SuiteResult, styles: Styles) -> EvidenceChart | None:
    """The verdicts over all tasks, a panel per claim that can be assessed; None where there is none."""
    card = suite.scorecard
    panels = [panel for claim in card.claims if (panel := _panel(claim))] if card else []
    if card is None or not panels:
        return None
    results = {r.algorithm: r for task in suite.tasks for r in task.algorithms if r.algorithm in card.candidates}
    footnotes = Footnotes(results.values())
    notes = [
        "Evidence for each claim above the middle, against it below, after each seed that is complete on both sides: "
        "the greatest so far. Dotted: what is needed. Grey: decided. Within each direction the chance of a wrong "
        f"decision is at most {100 * card.level:g} % per claim, at whatever moment one stops.",
    ]
    if card.exploratory:
        notes.append(f"Exploratory: {card.exploratory}.")
    return EvidenceChart(
        title=f"Evidence on the claims of {suite.suite}, seed by seed",
        algorithms=tuple(
            ChartAlgorithm(name, styles.of(name), footnotes.marker(result), kind(result))
            for name, result in results.items()
        ),
        panels=tuple(panels),
        notes=(*notes, *footnotes.lines),
    )


def _panel(claim: ClaimResult) -> EvidencePanel | None:
    lines = []
    for reading in claim.readings:
        both = [_line(reading.algorithm, side, sign) for side, sign in _sides(reading) if side.log_evidence]
        # Of a direction in which nothing was won the middle says it all.
        lines += [line for line in both if any(line.height)] or both
    return EvidencePanel(claim.claim, tuple(lines)) if lines else None


def _sides(reading: Reading) -> list[tuple[Evidence, int]]:
    return [(reading.for_claim, 1), (reading.against_claim, -1)]


def _line(algorithm: str, side: Evidence, sign: int) -> EvidenceLine:
    heights = [0.0, *_decimal(side.log_evidence)]
    return EvidenceLine(algorithm, tuple(sign * h for h in heights), sign * log10(side.needed), side.decided_after)


def _decimal(logs: Sequence[float]) -> list[float]:
    return [value / log(10) for value in logs]
