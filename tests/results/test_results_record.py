"""The run record: what is stored can be read back, and what is damaged is refused by name."""

import json
from typing import Any

import numpy as np
import pytest
from synthetic_runs import record

from haepo_bench.results.record import References, RunRecord, finite


def test_round_trip() -> None:
    run = record(status="diverged", error="NaN", returns=[0.0, 0.1, None, None, None], notes=['ü "quoted" \\ 😀'])
    assert RunRecord.from_json(run.to_json()) == run
    assert json.loads(run.to_json())["curve"]["eval_return"] == [0.0, 0.1, None, None, None]


def test_whole_numbers_stay_whole() -> None:
    text = record().to_json()
    assert '"env_steps": [0, 25, 50, 75, 100]' in text
    assert RunRecord.from_json(text).to_json() == text


def damaged(**changes: Any) -> str:
    return json.dumps({**json.loads(record().to_json()), **changes})


CURVE = json.loads(record().to_json())["curve"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        (record().to_json()[:200], "Unterminated|Expecting"),
        ("[]", "not a run record"),
        ("{}", "not a run record"),
        ("[" * 100_000, "nested too deeply|not a run record|Expecting"),
        (b"\xff\xfe\x00", "utf-8|decode|Expecting|Invalid"),
        (damaged(format_version=2), "newer version of haepo-bench"),
        (damaged(format_version=99, unheard_of=1), "newer version of haepo-bench"),
        (damaged(format_version=0), "no such format version"),
        (damaged(format_version="1"), "format_version"),
        (damaged(status="excellent"), "status"),
        (damaged(seed=-1), "seed"),
        (damaged(seed="0"), "seed"),
        (damaged(surprise=1), "surprise"),
        (damaged(curve=[1, 2]), "curve"),
        (damaged(curve={}), "without a curve"),
        (damaged(curve={**CURVE, "eval_return": [1.0]}), "unequal lengths"),
        (damaged(curve={**CURVE, "eval_return": ["1", 1.0, 1.0, 1.0, 1.0]}), "eval_return"),
        (damaged(curve={**CURVE, "eval_return": [True, 1.0, 1.0, 1.0, 1.0]}), "eval_return"),
        (damaged(curve={**CURVE, "eval_return": [None, 1.0, 1.0, 1.0, 1.0]}), "at every evaluation point"),
        (damaged(curve={**CURVE, "env_steps": [0, 50, 25, 75, 100]}), "do not increase"),
        (damaged(curve={**CURVE, "env_steps": [0, None, 50, 75, 100]}), "do not increase"),
        (damaged(curve={**CURVE, "loss": [float("nan")] * 5}), "NaN"),
        (damaged(curve={**CURVE, "loss": [float("inf")] * 5}), "Infinity"),
        (damaged(curve={**CURVE, "loss": [0, 0, 0, 0, 5]}).replace("5]", "1e999]"), "curve.loss"),
        (damaged(cost={"env_steps_collected": 10**400}), "cost.env_steps_collected"),
        (damaged(final={}), "evaluation return"),
        (damaged(references={"random": 1.0, "solved": 1.0, "source": ""}), "no score"),
    ],
)
def test_damage_is_named(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RunRecord.from_json(text)


def test_score_is_not_clipped() -> None:
    references = References(random=20.0, solved=500.0, source="made up")
    assert references.score(20.0) == 0.0
    assert references.score(500.0) == 1.0
    assert references.score(-76.0) == pytest.approx(-0.2)


def test_finite() -> None:
    assert [finite(value) for value in (1.0, 0.0, None, float("nan"), float("-inf"))] == [1.0, 0.0, None, None, None]


def test_numbers_are_read_to_the_last_bit() -> None:
    """By whichever parser: subnormal and huge ones, and those whose nearest float is hard to find."""
    rng = np.random.default_rng(0)
    floats = rng.integers(0, 2**64, size=20_000, dtype=np.uint64).view(np.float64)
    floats = floats[np.isfinite(floats)]
    hard = [5e-324, 2.2250738585072011e-308, 9007199254740993.0, 8.98846567431158e307, 0.1, -0.0]
    values = [*floats.tolist(), *hard]
    run = record(returns=values, marks=list(range(len(values))))
    again = RunRecord.from_json(run.to_json())
    assert [value.hex() for value in again.curve["eval_return"] if value is not None] == [v.hex() for v in values]


def test_failures_of_before_there_were_remedies_are_read() -> None:
    document = json.loads(record(status="failed", error="no number").to_json())
    assert document["error"].pop("remedy") == ""
    read = RunRecord.from_json(json.dumps(document))
    assert read.error is not None
    assert (read.error.message, read.error.remedy) == ("no number", "")
