"""docs/reference/results-format.md and docs/reference/report-format.md name every field there is."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from benchmark_scripts import load
from cli_support import run_here

from haepo_bench.report import document
from haepo_bench.report.csv_files import more_csv
from haepo_bench.report.document import ReportDocument
from haepo_bench.results.columns import COLUMNS, COST_COLUMNS
from haepo_bench.results.frames import MEASURES
from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.results.record import Failure, Information, References, RunRecord

DOCS = Path(__file__).parent.parent.parent / "docs" / "reference"
TEXT = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("results-format.md", "report-format.md"))
PROSE = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
NAMED = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", PROSE))))


def test_every_field_of_the_record_and_the_plan_is_described() -> None:
    for model in (RunRecord, References, Information, Failure, PlanFile, PlannedCell):
        assert set(model.model_fields) <= NAMED, model.__name__


def test_every_field_of_the_report_is_described() -> None:
    schema = ReportDocument.model_json_schema(mode="serialization")
    models = {"ReportDocument": schema, **schema["$defs"]}
    assert document.AlgorithmResult.__name__ in models
    for name, model in models.items():
        assert set(model.get("properties", {})) <= NAMED, name


def test_the_published_schema_is_that_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    published = (DOCS / "report.schema.json").read_text(encoding="utf-8")
    jsonschema.Draft202012Validator.check_schema(json.loads(published))
    assert run_here(capsys, "schema", "report") == (0, published, ""), "run: haepo-bench schema report > docs/..."


def test_every_csv_file_is_described() -> None:
    assert {name.removesuffix(".csv") for name in more_csv(ReportDocument(haepo_bench_version="", suites=[]))} <= NAMED


def test_every_column_is_described() -> None:
    assert {*COST_COLUMNS, *COLUMNS, *MEASURES} <= NAMED


def test_the_tables_of_columns_are_those_of_the_code() -> None:
    tables = load("column_tables")
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.with_tables(page) == page, "run: python tools/column_tables.py"
    # Once for all that declare it, and with what the objective's own file says.
    assert page.count("| `pair_accuracy` |") == 1
    assert "that the search found (`bapo`)" in page
