"""`haepo-bench schema`."""

from enum import StrEnum
from typing import Annotated

import typer

from haepo_bench.terminal import echo


class Described(StrEnum):
    """What there is a JSON Schema of."""

    suite = "suite"
    report = "report"


def schema(
    of: Annotated[
        Described, typer.Argument(help="Suite files, or what `report --format json` prints.", show_default=True)
    ] = Described.suite,
) -> None:
    """Print the JSON Schema of suite files, for editors, or of reports, for other programs."""
    if of is Described.report:
        from haepo_bench.report.json_schema import report_json_schema

        echo(report_json_schema(), nl=False)
        return
    from haepo_bench.suite.json_schema import suite_json_schema

    echo(suite_json_schema(), nl=False)
