"""The campaigns of damaged stores and checkpoints, in small: that they run, and that they would notice."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import ROOT

from haepo_bench.execution.checkpoints import FileCheckpoints
from haepo_bench.training.recorder import BadCheckpoint

sys.path.insert(0, str(ROOT / "trials"))
import damaged_checkpoints
import damaged_stores


@pytest.mark.slow
def test_a_few_damaged_stores() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "trials" / "damaged_stores.py"), "--stores", "3"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 stores, 0 promises broken" in done.stdout


def test_a_broken_promise_is_noticed(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    run = whole / "whole" / "trial" / "a--one--b-c" / "seed-0.json"
    run.parent.mkdir(parents=True)
    run.write_text('{"what": "a run"}')
    (whole / "whole" / "trial" / "plan.json").write_text("{}")
    (whole / "whole" / "second").mkdir()
    (whole / "whole" / "trial" / "logs").mkdir()
    for number in range(20):  # some of which leave the run alone
        folder = tmp_path / str(number)
        folder.mkdir()
        store = damaged_stores.Store(number, whole, folder, 0)
        if store.untouched:
            break
    before = damaged_stores.content(store.results)
    (store.results / run.relative_to(whole / "whole")).write_text("something else")
    store._after_run(damaged_stores.Ended(2, "", ""), before, damaged_stores.content(store.results))
    assert any("was changed" in promise for promise in store.broken)
    assert any("was lost" in promise for promise in store.broken)


@pytest.mark.parametrize("what", sorted(damaged_checkpoints.DAMAGES.keys() - {"nothing", "another state, sealed"}))
def test_damage_is_damage(tmp_path: Path, what: str) -> None:
    path = tmp_path / "seed-4.checkpoint"
    kept = FileCheckpoints({4: path}, {4: "settings code seed 4"}, 0.0)
    state = b"a state of training" * 10
    kept.write([4], lambda _: state)
    whole, changed = path.read_bytes(), 0
    for number in range(20):
        spoiled = damaged_checkpoints.DAMAGES[what](whole, random.Random(number))
        path.write_bytes(spoiled)
        if spoiled == whole:
            continue
        changed += 1
        if what.startswith("sealed"):  # what is wrong shows when it is loaded
            assert kept.read(4) != state
        else:
            with pytest.raises(BadCheckpoint):
                kept.read(4)
    assert changed > 10
