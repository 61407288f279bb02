"""The suite file's JSON Schema, for editors: docs/suite.schema.json."""

import json

from haepo_bench.suite.schema import Suite


def suite_json_schema() -> str:
    """The JSON Schema (draft 2020-12) as text; what it cannot say (references between entries) validation checks."""
    schema = Suite.model_json_schema(mode="validation")
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
