"""Data frames against numbers worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from synthetic_runs import put, put_plan, record

from haepo_bench.results.frames import Frames, frames
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store


def of(tmp_path: Path, *runs, seeds: list[int]) -> Frames:
    store = Store(tmp_path / "made-up")
    put(store, *runs)
    put_plan(store, list(runs), seeds)
    return frames(select(store).cells)


def test_a_done_run(tmp_path: Path) -> None:
    run = record(returns=[1.0, 2.0, 3.0, 4.0, 5.0], references=(1.0, 5.0))
    row = of(tmp_path, run, seeds=[0]).runs.iloc[0]
    assert row["final_return"] == 5.0
    assert row["final_return_greedy"] == pytest.approx(5.05)
    assert row["final_score"] == 1.0
    assert row["final_score_greedy"] == pytest.approx(4.05 / 4)
    assert row["area"] == pytest.approx((0 + 0.25 + 0.5 + 0.75) / 4)
    assert row["area_return"] == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert row["env_steps_collected"] == 104
    assert row["wall_seconds"] == 2.0


def test_a_diverged_run_scores_as_the_random_policy_from_then_on(tmp_path: Path) -> None:
    run = record(status="diverged", returns=[3.0, 5.0, None, None, None], references=(1.0, 5.0), error="NaN")
    data = of(tmp_path, run, seeds=[0])
    assert data.curves["score"].tolist() == [0.5, 1.0, 0.0, 0.0, 0.0]
    assert data.curves["return_filled"].tolist() == [3.0, 5.0, 1.0, 1.0, 1.0]
    row = data.runs.iloc[0]
    assert (row["status"], row["reason"]) == ("diverged", "NaN")
    assert (row["final_score"], row["final_return"], row["final_return_greedy"]) == (0.0, 1.0, 1.0)
    assert row["area"] == pytest.approx((0.5 + 1.0) / 4)


def test_a_run_that_diverged_before_any_evaluation(tmp_path: Path) -> None:
    run = record(status="diverged", returns=[None] * 5, curve={"env_steps": [0, 25, 50, 75, 100]})
    row = of(tmp_path, run, seeds=[0]).runs.iloc[0]
    assert (row["final_score"], row["area"]) == (0.0, 0.0)


def test_without_references_there_is_no_score(tmp_path: Path) -> None:
    done = record(returns=[-4.0, -3.0, -2.0, -1.0, -0.5], references=None)
    diverged = record(seed=1, status="diverged", returns=[-4.0, -3.0, None, None, None], references=None)
    data = of(tmp_path, done, diverged, seeds=[0, 1]).runs
    assert data[["final_score", "final_score_greedy", "area"]].isna().all(axis=None)
    assert data["area_return"].tolist()[0] == pytest.approx(-2.5)
    assert np.isnan(data["final_return"][1])
    assert np.isnan(data["area_return"][1])


def test_runs_without_a_result_are_rows_without_numbers(tmp_path: Path) -> None:
    failed = record(seed=1, status="failed", error="boom")
    data = of(tmp_path, record(), failed, seeds=[0, 1, 2])
    assert data.runs["status"].tolist() == ["done", "failed", "missing"]
    assert data.runs["reason"].tolist() == ["", "RuntimeError: boom", "no file"]
    assert data.runs.loc[1:, "final_score":].isna().all(axis=None)
    assert set(data.curves["seed"]) == {0}


def test_curves_are_long_and_complete(tmp_path: Path) -> None:
    weighted = record(algorithm="haepo-weighted")
    weighted = weighted.model_copy(
        update={"curve": {**weighted.curve, "effective_sample_size": [None, 0.8, 0.6, 0.4, None]}}
    )
    data = of(tmp_path, record(seed=1), record(seed=0), weighted, seeds=[0, 1])
    curves = data.curves
    assert len(curves) == 15
    assert curves["seed"].tolist() == [0] * 5 + [1] * 5 + [0] * 5
    assert curves["effective_sample_size"].isna().sum() == 12
    np.testing.assert_allclose(curves["score"], (curves["eval_return"] - 0.0) / 2.0)
    assert data.runs["effective_sample_size"].tolist()[2] == 0.4


def test_nothing_at_all(tmp_path: Path) -> None:
    data = of(tmp_path, seeds=[])
    assert len(data.runs) == len(data.curves) == 0
    assert "final_score" in data.runs
    assert "score" in data.curves
