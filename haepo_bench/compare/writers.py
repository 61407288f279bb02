"""A comparison as Markdown for a pull request, and as text for a terminal."""

import io
from collections.abc import Sequence

from haepo_bench.compare import tables as words
from haepo_bench.compare.document import CellComparison, CompareDocument
from haepo_bench.text import markdown, markdown_list, markdown_table
from haepo_bench.wording import many

#: GitHub takes 65,536 characters a comment.
MAX_CHARACTERS = 60_000
_COLUMNS = ["Task", "Algorithm", "n/N A", "n/N B", "A", "B", "B − A", "p", "Area B − A", "p", "Outcome"]


def to_markdown(document: CompareDocument) -> str:
    """A headline, a table of what changed, and the rest behind a fold; short enough for a comment."""
    first = [cell for cell in words.cells(document) if words.changed(cell)]
    rest = [cell for cell in words.cells(document) if not words.changed(cell)]
    blocks = [
        f"### haepo-bench compare: {markdown(document.a.label)} (A) → {markdown(document.b.label)} (B)",
        f"**{markdown(words.headline(document))}** {markdown(words.settings_summary(document))}",
    ]
    blocks.append(_table(first) if first else "Nothing is better or worse.")
    omissions = words.omission_lines(document)
    if omissions:
        blocks.append(markdown_list(_first(omissions, 20)))
    blocks += _folded(many(len(rest), "other cell"), _table(rest)) if rest else []
    lines = [line for cell in words.cells(document) for line in words.cell_lines(cell)]
    blocks += _folded("Settings, missing and diverged runs", markdown_list(_first(lines, 100))) if lines else []
    blocks += _folded("Cost", _cost_table(words.cells(document)))
    blocks += _folded(
        "Where this comes from, and how to read it",
        markdown_list([*words.source_lines(document), *words.method_lines(document)]),
    )
    text = "\n\n".join(blocks) + "\n"
    if len(text) <= MAX_CHARACTERS:
        return text
    short = [*blocks[:2], _table(first[:60]) if first else blocks[2]]
    left = many(len(words.cells(document)) - min(len(first), 60), "more cell")
    left += " left out here: see --format json or html."
    return "\n\n".join([*short, left, markdown_list(words.source_lines(document))]) + "\n"


def _first(lines: list[str], n: int) -> list[str]:
    return lines if len(lines) <= n else [*lines[:n], f"... and {len(lines) - n} more"]


def _folded(title: str, content: str) -> list[str]:
    return [f"<details><summary>{markdown(title)}</summary>", content, "</details>"]


def _table(cells: Sequence[CellComparison]) -> str:
    return markdown_table(_COLUMNS, [[*map(markdown, row(cell))] for cell in cells], right=range(2, len(_COLUMNS) - 1))


def row(cell: CellComparison) -> list[str]:
    """A cell's numbers as text, one for each of the table's columns."""
    places = words.decimals(cell)
    return [
        cell.task,
        cell.algorithm,
        words.seeds(cell.a),
        words.seeds(cell.b),
        words.value(cell.final.a.mean, places),
        words.value(cell.final.b.mean, places),
        words.difference(cell.final, places),
        words.p_value(cell.final),
        words.difference(cell.area, places),
        words.p_value(cell.area),
        words.outcome_text(cell),
    ]


def _cost_table(cells: Sequence[CellComparison]) -> str:
    titles = ["Task", "Algorithm", *(f"{title} B / A" for title in words.COST_RATIOS.values()), "Detectable, final"]
    return markdown_table(titles, [[*map(markdown, cost_row(cell))] for cell in cells], right=range(2, len(titles)))


def cost_row(cell: CellComparison) -> list[str]:
    """A cell's cost ratios and the final difference that could have been seen."""
    ratios = [words.ratio(getattr(cell.cost_ratios, name)) for name in words.COST_RATIOS]
    return [cell.task, cell.algorithm, *ratios, words.value(cell.final.smallest_detectable, words.decimals(cell))]


def to_text(document: CompareDocument, *, width: int) -> str:
    """Tables as wide as a terminal.

    Args:
        width: characters per line.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, legacy_windows=False)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    for line in words.source_lines(document):
        say(line)
    say(f"{words.headline(document)} {words.settings_summary(document)}")
    for (task, _), group in words.by_task(document).items():
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(task), title_justify="left", title_style="bold")
        names = words.TITLES[group[0].final.measure], words.TITLES[group[0].area.measure]
        for title in ("Algorithm", "n/N", f"{names[0]} B − A", "p", f"{names[1]} B − A", "p", "Seconds", "Outcome"):
            table.add_column(title, overflow="fold", justify="left" if title in ("Algorithm", "Outcome") else "right")
        for cell in group:
            full = row(cell)
            seeds = full[2] if full[2] == full[3] else f"{full[2]}, {full[3]}"
            seconds = words.ratio(cell.cost_ratios.wall_seconds)
            texts = [full[1], seeds, full[6], full[7], full[8], full[9], seconds, full[10]]
            table.add_row(*(Text(text) for text in texts))
        console.print(table)
    lines = [line for cell in words.cells(document) for line in words.cell_lines(cell)]
    for line in [*_first(lines, 40), *words.omission_lines(document)]:
        say(line)
    say("")
    for line in words.method_lines(document):
        say(line)
    return out.getvalue()
