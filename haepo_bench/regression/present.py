"""A verdict for people: as text for terminals, as Markdown for pull requests; and the words that all formats share."""

from collections import Counter
from collections.abc import Sequence
from math import isfinite

from haepo_bench.errors import ExitCode
from haepo_bench.regression.baseline import Baseline
from haepo_bench.regression.check import THRESHOLD, CellVerdict, Explanation, Verdict
from haepo_bench.regression.recording import drop_since_first
from haepo_bench.regression.verdict import MEANINGS, MIN_EFFECT, Judgement, Mark
from haepo_bench.text import markdown, markdown_table, plain

#: What needs attention comes first.
_ORDER = (
    Mark.WORSE,
    Mark.FAILED,
    Mark.TOO_FEW,
    Mark.NOT_COMPARABLE,
    Mark.BETTER,
    Mark.NOT_DISTINGUISHABLE,
    Mark.IDENTICAL,
)
_HEADER = ("", "Task", "Algorithm", "Baseline", "Now", "Change", "p", "Could show", "Seeds")
_HEADLINES = {
    ExitCode.OK: "no regression",
    ExitCode.REGRESSION: "regression",
    ExitCode.RUN_FAILED: "not measured, or too few seeds to decide",
    ExitCode.NOT_COMPARABLE: "not comparable with the baseline",
    ExitCode.USAGE: "some results cannot be read",
    ExitCode.INTERRUPTED: "interrupted: not everything was measured",
}


def headline(verdict: Verdict) -> str:
    """`regression: 1 worse, 9 identical`."""
    counts = Counter(cell.mark for cell in verdict.cells)
    parts = [f"{counts[mark]} {MEANINGS[mark]}" for mark in _ORDER if counts[mark]]
    slow = sum(bool(cell.slow) and cell.cost_comparable for cell in verdict.cells)
    parts += [f"{slow} slower"] if slow else []
    parts += [f"{len(verdict.new)} new"] if verdict.new else []
    return f"{_HEADLINES[verdict.exit_code]}: {', '.join(parts) or 'no cell'}"


def in_order(verdict: Verdict) -> list[CellVerdict]:
    """The cells, those first that need attention."""
    return sorted(verdict.cells, key=lambda cell: (_ORDER.index(cell.mark), not cell.slow))


def details(cell: CellVerdict, verdict: Verdict) -> list[str]:
    """What is below a cell's numbers: one line each, printable."""
    lines = [cell.remark] if cell.remark and cell.mark is not Mark.IDENTICAL else []
    if cell.confirmation is not None and cell.judgement is not None:
        said = "confirmed by" if cell.mark is Mark.WORSE else "not confirmed by"
        lines.append(f"{said} a second batch of seeds: {change(cell.confirmation)}, p {p_text(cell.confirmation)}")
    if cell.slow:
        lines.append(cell.slow)
    elif cell.slowdown is not None and verdict.max_slowdown is not None:
        lines.append(f"training cost {cell.slowdown:.2f} times the baseline's")
    found = cell.explanation
    if found is not None:
        lines.append(
            f"final {found.baseline_final:.3f} -> {found.current_final:.3f}; "
            f"env steps to {THRESHOLD:g}: {_times(found)}; "
            + (
                f"worst drop along the curve {found.worst_drop:.3f} at {found.worst_drop_at:,} env steps"
                if found.worst_drop > 0
                else "no drop anywhere along the curve"
            )
        )
    if cell in verdict.ratcheted():
        lines.append(ratchet(cell))
    return lines


def _times(found: Explanation) -> str:
    """`524 -> 1,310 (4 of 10 seeds reached it by 2,000)`, `524 -> not reached by 2,000`."""
    if not found.baseline_reached and not found.current_reached:
        return f"not reached by {found.budget:,}"
    texts = []
    for time, reached, runs in (
        (found.baseline_time, found.baseline_reached, found.baseline_runs),
        (found.current_time, found.current_reached, found.current_runs),
    ):
        some = f" ({reached} of {runs} seeds reached it by {found.budget:,})" if reached < runs else ""
        texts.append(f"{time:,.0f}{some}" if reached else f"not reached by {found.budget:,}")
    return " -> ".join(texts)


def ratchet(cell: CellVerdict) -> str:
    """What is said of a baseline that has sunk."""
    return f"the baseline itself is {cell.drop_since_first:.3f} below the first recording of this cell"


def change(judgement: Judgement) -> str:
    """`-0.208 [-0.260, -0.152]`."""
    evidence = judgement.evidence
    interval = f" [{evidence.low:+.3f}, {evidence.high:+.3f}]" if isfinite(evidence.low) else ""
    return f"{evidence.effect:+.3f}{interval}"


def p_text(judgement: Judgement) -> str:
    """The adjusted p-value of the direction in which the cell moved."""
    p = judgement.p_better if judgement.mark is Mark.BETTER else judgement.p_worse
    return f"{p:.2g}"


def as_text(verdict: Verdict) -> str:
    """A table with what needs explaining below each cell, the verdict last: the end is what a log shows."""
    rows = [_HEADER, *(_row(cell) for cell in in_order(verdict))]
    texts = _aligned(rows)
    lines = [f"{plain(verdict.suite)} against the baseline of {verdict.against}", "", texts[0]]
    for text, cell in zip(texts[1:], in_order(verdict), strict=True):
        lines += [text, *(f"     {line}" for line in details(cell, verdict))]
    lines.append("")
    lines += _remarks(verdict)
    return "\n".join([*lines, headline(verdict), ""])


def as_markdown(verdict: Verdict) -> str:
    """For a job summary or a comment in a pull request."""
    rows = []
    explained = []
    for cell in in_order(verdict):
        mark, *rest = _row(cell)
        rows.append([f"`{mark}`", *map(markdown, rest)])
        found = details(cell, verdict)
        explained += [f"- `{mark}` **{markdown(plain(str(cell.key)))}**: {markdown('; '.join(found))}"] if found else []
    lines = [
        f"### {markdown(headline(verdict))}",
        "",
        f"Suite **{markdown(plain(verdict.suite))}** against the baseline of {markdown(verdict.against)}",
        "",
        markdown_table(_HEADER, rows),
    ]
    if explained:
        lines += ["", *explained]
    return "\n".join([*lines, "", *(f"{markdown(line)}  " for line in _remarks(verdict)), ""])


def _row(cell: CellVerdict) -> Sequence[str]:
    name = (cell.mark.value, plain(cell.key.task), plain(cell.key.algorithm))
    judgement = cell.judgement
    if judgement is None:
        return (*name, "", "", MEANINGS[cell.mark], "", "", cell.remark if cell.mark is Mark.IDENTICAL else "")
    evidence = judgement.evidence
    return (
        *name,
        f"{evidence.baseline_mean:.3f}",
        f"{evidence.current_mean:.3f}",
        change(judgement),
        p_text(judgement),
        f"{judgement.smallest_drop:.3f}" if isfinite(judgement.smallest_drop) else "nothing",
        f"{evidence.current_seeds} against {evidence.baseline_seeds}",
    )


def _remarks(verdict: Verdict) -> list[str]:
    rule = verdict.rule
    lines = [f"new, not in the baseline: {plain(str(key))}" for key in verdict.new]
    lines += list(verdict.notes)
    if any(cell.judgement is not None for cell in verdict.cells):
        demand = "a drop that large must be ruled out; " if rule.noninferiority else ""
        lines.append(
            f"Area under the curve, 0 the random policy, 1 solved; worse: adjusted p at most {rule.alpha:g} and a drop "
            f"of at least {rule.min_effect:g}; {demand}change with {100 - 200 * rule.alpha:g}% interval; "
            "could show: smallest drop found with power 0.8."
        )
    return lines


def recording_lines(before: Baseline | None, now: Baseline) -> list[str]:
    """What a new recording says of each cell, next to what the file said before and at first."""
    rows = [("Task", "Algorithm", "Seeds", "Area", "Before", "First")]
    warnings = []
    for cell in now.cells:
        old = before.cell(cell.key) if before else None
        comparable = old is not None and old.settings_hash == cell.settings_hash
        drop = drop_since_first(cell, now)
        mean = float(cell.areas().mean())
        rows.append(
            (
                plain(cell.task),
                plain(cell.algorithm),
                str(len(cell.runs)),
                f"{mean:.3f}",
                f"{float(old.areas().mean()):.3f}" if old is not None and comparable else "-",
                f"{mean + drop:.3f}" if drop is not None else "-",
            )
        )
        if drop is not None and drop >= MIN_EFFECT:
            warnings.append(f"warning: {plain(str(cell.key))} is {drop:.3f} below its first recording")
        if mean < MIN_EFFECT:
            warnings.append(
                f"warning: {plain(str(cell.key))} learns so little ({mean:.3f}) that learning nothing is not a drop of "
                f"{MIN_EFFECT:g}: give it a larger budget or an easier task"
            )
    gone = [old for old in before.cells if now.cell(old.key) is None] if before else []
    lines = [f"no longer in it: {plain(str(old.key))}" for old in gone]
    if now.history[-1].dirty is None:
        warnings.append("warning: the runs name no commit, so the code that made them is unknown")
    return [*_aligned(rows), *lines, *warnings]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
