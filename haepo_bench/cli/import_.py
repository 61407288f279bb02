"""`haepo-bench import`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.terminal import echo

_PANEL = "How files are read (as in a mapping file, docs/how-to/import.md)"


def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="A mapping file (.yaml), or files and folders of a known format.",
            show_default=False,
        ),
    ],
    results: Annotated[Path, typer.Option(help="Folder of all results; runs go to RESULTS/SUITE.")] = Path("results"),
    suite: Annotated[str | None, typer.Option(help="Name of the suite.")] = None,
    task: Annotated[str | None, typer.Option(help="The task's address, where the files do not state it.")] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="The algorithm's name, where the files do not state it.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The seed, where neither files nor paths state it.")] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Env steps per run; the end of all runs if left out.")
    ] = None,
    every: Annotated[int | None, typer.Option(min=1, help="Env steps between evaluation points.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be imported; write nothing.")] = False,
    # Names and values of the following are those of `haepo_bench.exchange.mapping.Settings`, which checks them.
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="Format of the files, such as csv.", rich_help_panel=_PANEL),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OURS=THEIRS",
            help="Their name for one of our columns, such as return=mean_return; repeatable.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW", help="Another name for an algorithm or a task; repeatable.", rich_help_panel=_PANEL
        ),
    ] = None,
    step_size: Annotated[
        float | None, typer.Option(help="Env steps per step of the files.", rich_help_panel=_PANEL)
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="Number of logged returns that a return is the mean of.", rich_help_panel=_PANEL)
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="sampled|greedy", help="Which policy was evaluated.", rich_help_panel=_PANEL),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="random|first|error", help="Returns before the first value.", rich_help_panel=_PANEL),
    ] = None,
    short: Annotated[
        str | None,
        typer.Option(metavar="interrupted|hold|error", help="Runs before the budget's end.", rich_help_panel=_PANEL),
    ] = None,
    nan: Annotated[
        str | None,
        typer.Option(metavar="error|diverged|missing", help="Returns that are not finite.", rich_help_panel=_PANEL),
    ] = None,
    repeated: Annotated[
        str | None,
        typer.Option(metavar="error|first|last|mean", help="Several values at one step.", rich_help_panel=_PANEL),
    ] = None,
    resumed: Annotated[
        str | None,
        typer.Option(
            metavar="error|continued|restarted",
            help="Runs whose steps go back, or that are in several files: their steps go on, or begin again at 0.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    decimal: Annotated[
        str | None,
        typer.Option(
            metavar=".|,", help="Decimal sign of numbers that may have thousands separators.", rich_help_panel=_PANEL
        ),
    ] = None,
) -> None:
    """Import curves from elsewhere, or tables that `export` wrote, as runs of a suite."""
    from haepo_bench.exchange.event_files import CUT_OFF
    from haepo_bench.exchange.importing import Said, import_runs
    from haepo_bench.exchange.series import ALGORITHM_IN_FILE
    from haepo_bench.text import plain
    from haepo_bench.wording import many, named_seeds

    settings = {
        "format": form,
        "columns": _pairs(column, "--column") if column else None,
        "rename": _pairs(rename, "--rename", at_last=True) if rename else None,
        "step_size": step_size,
        "window": window,
        "policy": policy,
        "start": start,
        "short": short,
        "nan": nan,
        "repeated": repeated,
        "resumed": resumed,
        "decimal": decimal,
    }
    said = Said(
        suite=suite,
        task=task,
        algorithm=algorithm,
        seed=seed,
        budget=budget,
        every=every,
        settings={name: value for name, value in settings.items() if value is not None},
    )
    for done in import_runs(paths, said, results, dry=dry_run):
        verb = "would import" if dry_run else "imported"
        known = f", {done.known} already there" if done.known else ""
        echo(f"{verb} {many(done.new, 'run')} to {done.folder}{known}")
        cells: dict[tuple[str, str], list[int]] = {}
        for record in done.records:
            cells.setdefault((record.task, record.algorithm), []).append(record.seed)
        for (on, name), seeds in cells.items():
            echo(f"  {name} on {on}: {named_seeds(seeds)}")
        called = {
            record.provenance[ALGORITHM_IN_FILE]: record.algorithm
            for record in done.records
            if ALGORITHM_IN_FILE in record.provenance
        }
        for theirs, ours in called.items():
            echo(f"  '{plain(theirs)}' is called {ours}; another name: --rename OLD=NEW", err=True)
        for record in done.records:
            if record.error is not None and record.status != "done":
                what = f"{record.status.replace('_', ' ')}: {plain(record.error.message)}"
                echo(f"  {record.algorithm} on {record.task}, seed {record.seed}: {what}", err=True)
        for file in dict.fromkeys(file for record in done.records for file in record.provenance.get(CUT_OFF, ())):
            echo(f"  {plain(file)}: read up to there", err=True)
        for cell in done.replaced:
            echo(f"  {cell}: reports now show the imported runs; those that were shown stay stored", err=True)


def _pairs(texts: Sequence[str], option: str, *, at_last: bool = False) -> dict[str, str]:
    """LEFT=RIGHT, LEFT=RIGHT, ... as a table.

    Args:
        at_last: whether the last of several equals signs parts the two, else the first.

    Raises:
        UserError: a text has no two sides, or a left side comes twice.
    """
    from haepo_bench.errors import UserError

    pairs: dict[str, str] = {}
    for text in texts:
        left, equals, right = text.rpartition("=") if at_last else text.partition("=")
        if not equals or not left or not right:
            raise UserError(f"'{text}' is not two names with an equals sign between them", where=option)
        if left in pairs:
            raise UserError(f"'{left}' comes twice", where=option)
        pairs[left] = right
    return pairs
