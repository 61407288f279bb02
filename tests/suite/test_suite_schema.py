"""The published JSON Schema of suite files agrees with what the program accepts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_support import GOOD, ROOT, run_here
from jsonschema import Draft202012Validator
from test_identity import leaves
from test_plan import ISSUE_EXAMPLE

from haepo_bench.cli.init import STARTER
from haepo_bench.suite.document import parse
from haepo_bench.suite.json_schema import suite_json_schema
from haepo_bench.suite.loading import load_suite
from haepo_bench.suite.schema import Suite
from haepo_bench.suite.shipped import list_suites

PUBLISHED = ROOT / "docs" / "reference" / "suite.schema.json"


def read(text: str) -> Any:
    return parse(text, "x", str).data


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(PUBLISHED.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_published_schema_is_that_of_the_code() -> None:
    remedy = "run: haepo-bench schema > docs/reference/suite.schema.json"
    assert PUBLISHED.read_text() == suite_json_schema(), remedy


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "schema") == (0, PUBLISHED.read_text(), "")


@pytest.mark.parametrize("name", list_suites())
def test_it_takes_the_shipped_suites(name: str, validator: Draft202012Validator) -> None:
    validator.validate(read(list_suites()[name].read_text()))


@pytest.mark.parametrize("text", [ISSUE_EXAMPLE, STARTER, GOOD], ids=["example", "starter", "small"])
def test_it_takes_good_suites(text: str, validator: Draft202012Validator) -> None:
    validator.validate(read(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: good", "name: a/b"),
        ("name: good\n", ""),
        ("seeds: 2", "seeds: 0"),
        ("seeds: 2", "seeds: []"),
        ("seeds: 2", "seeds: [-1]"),
        ("seeds: 2", "seeds: true"),
        ("seeds: 2", "seed: 2"),
        ("100", "-100"),
        ("100", "100.5"),
        ("100", "'100'"),
        ("- bandit/10-arm", "- {id: bandit/10-arm, budgets: {}}"),
        ("tasks:\n  - bandit/10-arm", "tasks: []"),
        ("- reinforce", "- {name: mine}"),
        ("- reinforce", "- {use: reinforce, per_task: {bandit/10-arm: {parms: {}}}}"),
        ("seeds: 2", "seeds: 2\nexecution: {device: gpu}"),
        ("seeds: 2", "seeds: 2\nexecution: {workers: 0}"),
        ("seeds: 2", "seeds: 2\nexecution: {timeout: long}"),
    ],
)
def test_both_refuse(old: str, new: str, validator: Draft202012Validator, tmp_path: Path) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    assert not validator.is_valid(read(text))
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(Exception, match=r"bad\.yaml"):
        load_suite(path)


def test_the_reference_names_every_key_and_its_example_is_good(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "reference" / "suite-reference.md").read_text()
    keys = {part for leaf in leaves(Suite) for part in leaf.split(".")}
    assert not {key for key in keys if not re.search(rf"`(\w+\.)*{key}(\.\w+)*`", text)}
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    assert example[1] == ISSUE_EXAMPLE
    (tmp_path / "example.yaml").write_text(example[1])
    load_suite(tmp_path / "example.yaml")


def test_every_key_is_described() -> None:
    document = json.loads(suite_json_schema())
    sections = [document, *document["$defs"].values()]
    keys = [(section["description"], key, spec) for section in sections for key, spec in section["properties"].items()]
    assert len(keys) > 20
    assert not [(section, key) for section, key, spec in keys if not spec.get("description")]
