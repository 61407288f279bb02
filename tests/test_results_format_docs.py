"""docs/results-format.md names every field there is."""

import re
from pathlib import Path

from haepo_bench.report import document
from haepo_bench.report.document import ReportDocument
from haepo_bench.results.frames import COSTS, DIAGNOSTICS, MEASURES
from haepo_bench.results.record import Failure, Information, References, RunRecord
from haepo_bench.results.selection import PlanDocument, PlannedCell

TEXT = (Path(__file__).parent.parent / "docs" / "results-format.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
NAMED = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", PROSE))))


def test_every_field_of_the_record_and_the_plan_is_described() -> None:
    for model in (RunRecord, References, Information, Failure, PlanDocument, PlannedCell):
        assert set(model.model_fields) <= NAMED, model.__name__


def test_every_field_of_the_report_is_described() -> None:
    schema = ReportDocument.model_json_schema(mode="serialization")
    models = {"ReportDocument": schema, **schema["$defs"]}
    assert document.AlgorithmResult.__name__ in models
    for name, model in models.items():
        assert set(model.get("properties", {})) <= NAMED, name


def test_every_column_is_described() -> None:
    assert {*COSTS, *DIAGNOSTICS, *MEASURES} <= NAMED
