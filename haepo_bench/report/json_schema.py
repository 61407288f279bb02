"""The JSON Schema of the report as `--format json` prints it: docs/reference/report.schema.json."""

import json

from haepo_bench.report.document import ReportDocument


def report_json_schema() -> str:
    """The JSON Schema (draft 2020-12) as text; docs/reference/report-format.md says what the fields mean."""
    schema = ReportDocument.model_json_schema(mode="serialization")
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
