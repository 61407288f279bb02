"""The suite file's JSON Schema, for editors: docs/reference/suite.schema.json."""

import json
from typing import Any

from haepo_bench.suite.schema import Suite


def suite_json_schema() -> str:
    """The JSON Schema (draft 2020-12) as text; what it cannot say (references between entries) validation checks."""
    schema = _plain(Suite.model_json_schema(mode="validation"))
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _plain(schema: Any) -> Any:
    """Without generated titles, and without defaults: those are of the validated form, not of what people write."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    # Below `properties` stand keys of the suite, which may have any name.
    return {
        key: {name: _plain(part) for name, part in value.items()} if key in {"properties", "$defs"} else _plain(value)
        for key, value in schema.items()
        if key not in {"title", "default"}
    }
