"""`haepo-bench import`."""

from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.terminal import echo


def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="A mapping file (.yaml), or files and folders that say what they are.",
            show_default=False,
        ),
    ],
    results: Annotated[Path, typer.Option(help="Folder of all results; runs go to RESULTS/SUITE.")] = Path("results"),
    suite: Annotated[str | None, typer.Option(help="Name of the suite.")] = None,
    task: Annotated[str | None, typer.Option(help="The task's address, where the files do not say it.")] = None,
    algorithm: Annotated[str | None, typer.Option(help="The algorithm's name, where the files do not say it.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The seed, where neither files nor paths say it.")] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Env steps a run; where all runs end if left out.")] = None,
    every: Annotated[int | None, typer.Option(min=1, help="Env steps between marks.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be imported; write nothing.")] = False,
) -> None:
    """Makes runs of a suite from other people's curves, or from tables that `export` wrote."""
    from haepo_bench.exchange.event_files import CUT_OFF
    from haepo_bench.exchange.importing import Said, import_runs
    from haepo_bench.text import plain
    from haepo_bench.wording import many, named_seeds

    said = Said(suite=suite, task=task, algorithm=algorithm, seed=seed, budget=budget, every=every)
    for done in import_runs(paths, said, results, dry=dry_run):
        verb = "would import" if dry_run else "imported"
        known = f", {done.known} already there" if done.known else ""
        echo(f"{verb} {many(done.new, 'run')} to {done.folder}{known}")
        cells: dict[tuple[str, str], list[int]] = {}
        for record in done.records:
            cells.setdefault((record.task, record.algorithm), []).append(record.seed)
        for (on, name), seeds in cells.items():
            echo(f"  {name} on {on}: {named_seeds(seeds)}")
        for record in done.records:
            if record.error is not None and record.status != "done":
                what = f"{record.status.replace('_', ' ')}: {plain(record.error.message)}"
                echo(f"  {record.algorithm} on {record.task}, seed {record.seed}: {what}", err=True)
        for file in dict.fromkeys(file for record in done.records for file in record.provenance.get(CUT_OFF, ())):
            echo(f"  {plain(file)}: read up to there", err=True)
        for cell in done.replaced:
            echo(f"  {cell}: reports now show the imported runs; those that were shown stay stored", err=True)
