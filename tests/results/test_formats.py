"""What an older program makes of newer files: it must call them newer, never damaged.

Readers refuse fields that they do not know, because a key in which a bit changed is one. So whatever is new either goes
into a run's `provenance`, where anything may be, or raises the format version.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import reader_of_0_1 as old
from synthetic_runs import folder_of, put, put_plan, record

from haepo_bench.regression import baseline
from haepo_bench.results import claims
from haepo_bench.results.plan_file import PLAN_FORMAT, PlanFile
from haepo_bench.results.record import FORMAT_VERSION, RunRecord
from haepo_bench.results.store import FileState, Store, Unusable, read_record

DATA = Path(__file__).parent.parent / "data"

RAISE = "files of this format have other fields now: raise FORMAT_VERSION, or older programs call them damaged"


def shape(model: Any) -> Any:
    """Fields, types and values that are allowed; what people are told about them left out."""
    return bare(model if isinstance(model, dict) else model.model_json_schema())


def bare(schema: Any) -> Any:
    if isinstance(schema, dict):
        told = ("description", "title")
        return {k: bare(v) for k, v in schema.items() if k not in told or not isinstance(v, str)}
    return [bare(value) for value in schema] if isinstance(schema, list) else schema


def test_a_run_record_has_the_fields_of_its_version() -> None:
    assert (shape(RunRecord) == shape(old.RunRecord)) == (FORMAT_VERSION == old.FORMAT_VERSION), RAISE


def test_a_plan_has_the_claims_of_its_version() -> None:
    """Its other models take fields that they do not know."""
    same = shape(claims.DeclaredClaims) == shape(old.DeclaredClaims)
    assert same == (PLAN_FORMAT == old.FORMAT_VERSION), RAISE


def test_a_baseline_has_the_fields_of_its_version() -> None:
    first = json.loads((DATA / "baseline_format_1.json").read_text())
    assert (shape(baseline.Baseline) == shape(first)) == (baseline.FORMAT_VERSION == 1), RAISE


def read_by_old(text: str, reader: Any) -> str:
    try:
        reader(text)
    except old.NewerFormat:
        return "newer"
    except ValueError as error:
        return f"damaged: {error}"
    return "read"


def test_the_reader_of_0_1_reads_a_new_folder_or_calls_it_newer(tmp_path: Path) -> None:
    store = Store(tmp_path)
    resumed = [{"at": "2026-01-01T00:00:00+00:00", "iteration": 3, "env_steps": 120, "mark": 100}]
    aside = [{"at": "2026-01-01T00:00:00+00:00", "file": "seed-0.checkpoint.damaged", "reason": "why"}]
    run = record(status="diverged")
    origin = {**run.provenance, "resumed": resumed, "checkpoints_put_aside": aside}
    put(store, run.model_copy(update={"provenance": origin}), record(seed=1, status="failed", error="why"))
    put_plan(store, [record()], [0, 1, 2])
    expected = "read" if FORMAT_VERSION == old.FORMAT_VERSION else "newer"
    files = sorted((tmp_path / folder_of(run)).iterdir())
    assert len(files) == 2
    for file in files:
        assert read_by_old(file.read_text(), old.RunRecord.from_json) == expected
    assert read_by_old(store.plan_path.read_text(), old.read_plan) == "newer"


@pytest.mark.parametrize("reader", [old.RunRecord.from_json, RunRecord.from_json], ids=["0.1", "this"])
def test_a_later_format_is_newer_whatever_is_in_it(reader: Any) -> None:
    later = {**json.loads(record().to_json()), "format_version": max(FORMAT_VERSION, old.FORMAT_VERSION) + 1}
    changes: list[dict[str, Any]] = [{}, {"surprise": 1}, {"status": "paused"}, {"curve": [1, 2]}, {"seed": "three"}]
    changes.append({"information": {**later["information"], "told": "demonstrations", "more": 1}})
    for change in changes:
        with pytest.raises(ValueError, match="newer version of haepo-bench"):
            reader(json.dumps({**later, **change}))
    without = {key: value for key, value in later.items() if key in ("format_version", "suite")}
    with pytest.raises(ValueError, match="newer version of haepo-bench"):
        reader(json.dumps(without))


def test_a_newer_run_and_a_newer_plan_are_known_as_such_and_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.path(folder_of(record()), 0)
    path.parent.mkdir()
    newer = {"format_version": PLAN_FORMAT + 1, "cells": "elsewhere"}
    path.write_text(json.dumps(newer))
    store.plan_path.write_text(json.dumps(newer))
    run, plan = read_record(path), store.read_plan()
    assert isinstance(run, Unusable)
    assert isinstance(plan, Unusable)
    assert run.state is plan.state is FileState.NEWER
    for write in (
        lambda: store.write(path.parent.name, record()),
        lambda: store.write_plan(PlanFile(format_version=1, suite="made-up", cells=[])),
    ):
        with pytest.raises(Exception, match=r"newer version(.|\n)*install that version"):
            write()
    assert json.loads(path.read_text()) == json.loads(store.plan_path.read_text()) == newer
    assert len(list(tmp_path.rglob("*.json*"))) == 2
