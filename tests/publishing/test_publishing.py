"""A published folder says nothing of people and machines, is whole, and can be checked."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cli_support import run_apart
from search_support import noise, play
from synthetic_runs import put, put_plan, record

from haepo_bench.publishing.cleaning import Cleaner, users_in
from haepo_bench.publishing.publish import publish
from haepo_bench.results.record import Failure
from haepo_bench.results.store import Store
from haepo_bench.search.tuning import Tuning
from haepo_bench.suite.resolve import load_plan

SECRETS = ("gpu-17", "gpu-18", "alice", "/home/", "/data/secret", "C:\\\\Users")
TRACEBACK = (
    'Traceback (most recent call last):\n  File "/home/alice/my project/env.py", line 3, in step\n'
    '  File "/home/alice/.venv/lib/python3.11/site-packages/gymnasium/core.py", line 8, in step\n'
    "OSError: /data/secret/models/m.bin on gpu-17.example.org: alice has no access"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see /home/alice/work/a.py:12", "see .../a.py:12"),
        ("'/srv/my data/x.json' is gone", "'.../x.json' is gone"),
        ("in /usr/lib/python3.11/site-packages/torch/nn/f.py", "in .../torch/nn/f.py"),
        ("log=/tmp/a/b, next", "log=.../b, next"),
        ("C:\\Users\\alice\\x.py failed", ".../x.py failed"),
        ("~/runs/one", ".../one"),
        ("on gpu-17.example.org and gpu-17", "on node-1 and node-1"),
        ("by alice, not by malice", "by user, not by malice"),
        # What only looks like a path stays.
        ("https://arxiv.org/abs/2508.18884", "https://arxiv.org/abs/2508.18884"),
        ("12/20 seeds, and/or, n/N, 1/2/3", "12/20 seeds, and/or, n/N, 1/2/3"),
        ("noise(gym/CartPole-v1,5); ./maze.py:make/7", "noise(gym/CartPole-v1,5); ./maze.py:make/7"),
        ("bob is too short a name to be told from a word", "bob is too short a name to be told from a word"),
    ],
)  # fmt: skip
def test_cleaning(text: str, expected: str) -> None:
    cleaner = Cleaner(["gpu-17.example.org"], ["alice", "me", "root"])
    assert cleaner.text(text) == expected
    assert cleaner.text(expected) == expected
    assert users_in("/home/alice/x /Users/bert/y") == {"alice", "bert"}


def test_fields_and_keys_are_cleaned(tmp_path: Path) -> None:
    cleaner = Cleaner(["vm"], [])
    document = {"node": "vm", "/srv/a/b": ["vm is short: a word", {"node": "vm"}, 3, None]}
    assert cleaner.document(document) == {
        "node": "node-1",
        ".../b": ["vm is short: a word", {"node": "node-1"}, 3, None],
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    store = Store(tmp_path / "results" / "made-up")
    runs = [
        record("bandit/10-arm", name, seed, provenance={"node": f"gpu-{17 + seed % 2}.example.org", "started": "2026"})
        for name in ("reinforce", "grpo")
        for seed in range(3)
    ]
    error = Failure(
        status="failed", type="OSError", message="cannot open /data/secret/models/m.bin", traceback=TRACEBACK
    )
    runs.append(
        record("bandit/10-arm", "dpo", 0, status="failed").model_copy(update={"error": error, "attempts": [error]})
    )
    source = "name: made-up\n# by alice on gpu-17\ntasks: [{id: lm/preferences, data: /data/secret/pairs/a.jsonl}]\n"
    put_plan(store, runs, [0, 1, 2], source=source)
    put(store, *runs)
    logs = store.root / "logs" / "cell"
    logs.mkdir(parents=True)
    (logs / "seed-0.log").write_text(TRACEBACK)
    return store.root.parent


def texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".png"
    }


def test_publish_and_verify(results: Path, tmp_path: Path) -> None:
    licence = tmp_path / "terms.txt"
    licence.write_text("CC BY 4.0\n")
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    out = tmp_path / "public" / "site"
    done = run_apart("report", "results", "--publish", str(out), "--with-logs", "--licence", "terms.txt", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "published 7 runs" in done.out
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before
    found = texts(out)
    for name, text in found.items():
        assert not [secret for secret in SECRETS if secret in text], name
    wanted = {"index.html", "report.json", "README.md", "LICENSE", "LICENSE-haepo-bench", "digests.sha256",
              "tables/report.csv", "tables/runs.csv", "suites/made-up.yaml", "runs/made-up/plan.json",
              "runs/made-up/logs/cell/seed-0.log"}  # fmt: skip
    assert wanted <= found.keys()
    assert {path.name for path in (out / "runs/made-up").iterdir() if "--" in path.name} == {
        path.parent.name for path in before if path.name == "seed-0.json"
    }
    failed = json.loads(next(text for name, text in found.items() if "--dpo--" in name))
    assert failed["error"]["message"] == "cannot open .../m.bin"
    assert "gymnasium/core.py" in failed["attempts"][0]["traceback"]
    # Runs of one machine stay together.
    nodes = [json.loads(text)["provenance"].get("node") for name, text in found.items() if "--grpo--" in name]
    assert nodes == ["node-1", "node-2", "node-1"]
    # The folder makes the same report again.
    again = run_apart("report", str(out / "runs"), "--format", "json", cwd=tmp_path)
    assert again.out == found["report.json"]

    digest = hashlib.sha256((out / "digests.sha256").read_bytes()).hexdigest()
    for arguments in ((), ("--digest", digest.upper())):
        checked = run_apart("verify", str(out), *arguments)
        assert (checked.code, checked.out.split()[-1]) == (0, digest)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "digests.sha256"], cwd=out, check=True)
    assert run_apart("verify", str(out), "--digest", "0" * 64).code == 3
    run = next(path for path in (out / "runs/made-up").rglob("seed-1.json"))
    run.write_text(run.read_text().replace("1", "2", 1))
    (out / "tables/runs.csv").unlink()
    (out / "more.html").write_text("")
    checked = run_apart("verify", str(out))
    assert checked.code == 3
    assert checked.out.splitlines() == [
        f"changed: {run.relative_to(out).as_posix()}", "missing: tables/runs.csv", "not published: more.html",
    ]  # fmt: skip


def test_logs_stay_unless_asked_for_and_nothing_is_written_over(results: Path, tmp_path: Path) -> None:
    done = run_apart("report", "results", "--publish", "site", cwd=tmp_path)
    assert done.code == 0
    assert not list((tmp_path / "site").rglob("*.log"))
    assert "No terms of use" in (tmp_path / "site/README.md").read_text()
    again = run_apart("report", "results", "--publish", "site", cwd=tmp_path)
    assert again.code == 4
    assert "is not empty" in again.err
    assert run_apart("verify", "site", cwd=tmp_path).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "site"], "no half of a folder stays"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("report", "results", "--publish", "x", "--format", "md"), "leave out --out and --format"),
        (("report", "results", "--with-logs"), "name the folder with --publish"),
        (("report", "results", "--publish", "x", "--licence", "none.txt"), "--licence names a file"),
        (("report", "empty", "--publish", "x"), "empty"),
        (("report", "results", "--publish", "results/made-up/plan.json"), "plan.json"),
        (("verify", "results"), "there is no digests.sha256"),
        (("verify", "bad"), "is not a list of digests"),
        (("verify", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_published_or_checked(
    results: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/digests.sha256").write_text("nonsense\n")
    done = run_apart(*arguments, cwd=tmp_path)
    assert done.code in (2, 4)
    assert says in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "x").exists()


def test_a_search_is_published_under_the_name_of_what_was_searched(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        "name: two\nseeds: 2\nbudget: {env_steps: 100}\nevaluation: {every: 25}\ntasks: [random-walk/4]\n"
        "algorithms: [reinforce, uniform]\nsearch: {trials: 2, seeds: 1, replicates: 2}\n"
    )
    plan = load_plan(tmp_path / "suite.yaml", tune=True)
    store = Store(tmp_path / "results" / "two" / "search")
    play(Tuning(plan, store), lambda cell, seed: 0.5 + 0.01 * noise(cell, seed))
    assert publish(store.root, tmp_path / "out").runs == len(list(store.root.glob("*--*/seed-*.json*")))
    assert (tmp_path / "out" / "suites" / "two-search.yaml").is_file()
    assert "two-search" in (tmp_path / "out" / "README.md").read_text()
    assert run_apart("verify", str(tmp_path / "out")).code == 0
