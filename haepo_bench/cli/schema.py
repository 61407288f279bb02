"""`haepo-bench schema`."""

import typer

from haepo_bench.suite.json_schema import suite_json_schema


def schema() -> None:
    """Print the JSON Schema of suite files, for editors."""
    typer.echo(suite_json_schema(), nl=False)
