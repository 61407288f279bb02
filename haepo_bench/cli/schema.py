"""`haepo-bench schema`."""

import typer


def schema() -> None:
    """Print the JSON Schema of suite files, for editors."""
    from haepo_bench.suite.json_schema import suite_json_schema

    typer.echo(suite_json_schema(), nl=False)
