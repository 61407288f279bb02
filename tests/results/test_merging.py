"""`haepo-bench merge`: results folders made into one, with nothing lost and nothing chosen silently."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import Outcome, run_here
from synthetic_runs import folder_of, put, put_plan, record

from haepo_bench.results.code import of_own_files
from haepo_bench.results.merging import merge
from haepo_bench.results.record import Failure, RunRecord
from haepo_bench.results.store import Store

EARLIER, LATER = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"


def folder(place: Path, name: str, *runs: RunRecord, seeds: int = 3, plan: bool = True, **changes: Any) -> Path:
    """A results folder with runs and a plan of their cells."""
    store = Store(place / name)
    put(store, *runs)
    if plan:
        put_plan(store, list(runs), list(range(seeds)), **changes)
    return store.root


def made(node: str, seed: int, **changes: Any) -> RunRecord:
    provenance = {"started": EARLIER, "node": node, "cpu": f"cpu of {node}", **changes.pop("provenance", {})}
    return record(seed=seed, provenance=provenance, **changes)


def contents(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in (".lock", ".index.sqlite3")
    }


def stored(root: Path) -> dict[int, dict[str, Any]]:
    return {(run := json.loads(path.read_text()))["seed"]: run for path in root.glob("*--*/seed-*.json")}


def merged(capsys: pytest.CaptureFixture[str], place: Path, *arguments: str) -> Outcome:
    return run_here(capsys, "merge", *arguments, "--into", str(place / "into"))


def test_disjoint_runs_are_copied_byte_by_byte_and_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = folder(tmp_path, "a", made("a", 0), made("a", 1))
    b = folder(tmp_path, "b", made("b", 2))
    for root in (a, b):
        (cell,) = root.glob("*--*")
        (cell / "code.txt").write_text("module x\ty\n")
        (root / "logs" / cell.name).mkdir(parents=True)
    (cell / "seed-2.npz").write_bytes(b"policy")
    (b / "logs" / cell.name / "seed-2.log").write_text("training\n")
    sources = contents(a) | contents(b)
    done = merged(capsys, tmp_path, str(a), str(b))
    assert (done.code, done.err) == (0, "")
    assert "3 runs added" in done.out
    into = contents(tmp_path / "into")
    assert json.loads(into["plan.json"][1])["cells"][0]["seeds"] == [0, 1, 2]
    copied = {name: content for name, (_, content) in into.items() if name != "plan.json"}
    assert copied == {name: content for name, (_, content) in sources.items() if name != "plan.json"}
    again = merged(capsys, tmp_path, str(b), str(a), str(tmp_path / "a"))
    assert (again.code, contents(tmp_path / "into")) == (0, into)
    assert "there already" in again.out
    assert "missing" not in again.out


def test_equal_results_are_kept_once_whatever_the_clocks_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = Failure(status="failed", type="WorkerDied", message="killed", started=EARLIER)
    one = made("a", 0)
    other = made("b", 0, attempts=[failure], provenance={"started": LATER})
    other = other.model_copy(
        update={
            "curve": {**other.curve, "wall_seconds": [9.0, 10.0, 11.0, 12.0, 13.0]},
            "cost": {**other.cost, "wall_seconds": 99.0, "peak_memory_bytes": 5},
        }
    )
    a, b = folder(tmp_path, "a", one, seeds=2), folder(tmp_path, "b", other, seeds=2)
    done = merged(capsys, tmp_path, str(a), str(b))
    assert (done.code, done.err) == (0, "")
    assert "1 run of the plan still missing" in done.out
    run = stored(tmp_path / "into")[0]
    assert run["provenance"]["node"] == "a"
    assert run["curve"] == one.curve
    assert run["attempts"] == [failure.model_dump()]
    before = contents(tmp_path / "into")
    assert merged(capsys, tmp_path, str(a), str(b)).code == 0
    assert contents(tmp_path / "into") == before


@pytest.mark.parametrize(
    "change",
    [
        {"curve": {**record().curve, "eval_return": [0.0, 0.5, 1.0, 1.5, 2.0000000000000004]}},
        {"curve": {**record().curve, "loss": [0.0] * 5}},
        {"final": {"eval_return": 2.0, "eval_return_greedy": 2.0}},
        {"cost": {**record().cost, "gradient_steps": 9}},
    ],
)
def test_unequal_results_are_both_kept_and_nothing_is_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    one, other = made("a", 0), made("b", 0).model_copy(update=change)
    a, b = folder(tmp_path, "a", one, seeds=1), folder(tmp_path, "b", other, seeds=1)
    for _ in range(2):  # again, which changes nothing
        done = merged(capsys, tmp_path, str(a), str(b))
        assert done.code == 3
        assert "kept that of a, cpu of a; that of b, cpu of b is in conflicts/" in done.err
        assert "--prefer" in done.err
        into = tmp_path / "into"
        (aside,) = (into / "conflicts").rglob("*.json")
        assert RunRecord.from_json(aside.read_bytes()) == other
        assert stored(into) == {0: json.loads(one.to_json())}
    # A report does not see what is set aside.
    report = run_here(capsys, "report", str(into), "--format", "json")
    assert report.code == 0
    assert "conflicts" not in report.out + report.err
    # A third machine agrees with the second, a fourth with none.
    third = made("c", 0).model_copy(update=change)
    fourth = made("d", 0).model_copy(update={"final": {"eval_return": 1.0, "eval_return_greedy": 1.0}})
    c, d = folder(tmp_path, "c", third, seeds=1), folder(tmp_path, "d", fourth, seeds=1)
    assert merged(capsys, tmp_path, str(c), str(d)).code == 3
    asides = sorted(path.name for path in (into / "conflicts").rglob("*.json"))
    assert asides == ["seed-0.2.json", "seed-0.json"]
    # What a merged folder has set aside goes along when it is merged itself.
    assert run_here(capsys, "merge", str(into), "--into", str(tmp_path / "next")).code == 0
    assert sorted(path.name for path in (tmp_path / "next" / "conflicts").rglob("*.json")) == asides


@pytest.mark.parametrize("before", [True, False])
def test_a_person_may_prefer_one(tmp_path: Path, capsys: pytest.CaptureFixture[str], before: bool) -> None:
    one = made("a", 0)
    other = made("b", 0).model_copy(update={"final": {"eval_return": 1.0, "eval_return_greedy": 1.0}})
    a, b = folder(tmp_path, "a", one, seeds=1), folder(tmp_path, "b", other, seeds=1)
    (a / folder_of(one) / "seed-0.npz").write_bytes(b"of a")
    (b / folder_of(one) / "seed-0.npz").write_bytes(b"of b")
    into = tmp_path / "into"
    if before:
        assert merged(capsys, tmp_path, str(a), str(b)).code == 3
    for _ in range(2):
        assert merged(capsys, tmp_path, str(a), str(b), "--prefer", str(b)).code == 0
        assert stored(into)[0]["provenance"]["node"] == "b"
        assert (into / folder_of(one) / "seed-0.npz").read_bytes() == b"of b"
        asides = [RunRecord.from_json(path.read_bytes()) for path in sorted((into / "conflicts").rglob("*.json"))]
        assert sorted(run.provenance["node"] for run in asides) == (["a", "b"] if before else ["a"])
    unknown = merged(capsys, tmp_path, str(a), "--prefer", str(tmp_path / "b"))
    assert unknown.code == 4
    assert "is not one of the folders that are merged" in unknown.err


def test_a_result_takes_the_place_of_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def without(seed: int, status: str, started: str) -> RunRecord:
        failure = Failure(status=status, type="Some", message=status, started=started)
        return made("b", seed, status=status, provenance={"started": started}).model_copy(update={"error": failure})

    a = folder(tmp_path, "a", made("a", 0), without(1, "failed", EARLIER), without(2, "interrupted", LATER))
    b = folder(tmp_path, "b", without(0, "timed_out", LATER), made("b", 1), without(2, "failed", EARLIER))
    (a / folder_of(made("a", 2)) / "seed-2.checkpoint").write_bytes(b"state")
    (b / folder_of(made("a", 2)) / "seed-0.checkpoint").write_bytes(b"state")
    for order in ((a, b), (b, a)):
        into = tmp_path / f"into-{order[0].name}"
        done = run_here(capsys, "merge", *map(str, order), "--into", str(into))
        assert done.code == 0
        runs = stored(into)
        assert {seed: run["status"] for seed, run in runs.items()} == {0: "done", 1: "done", 2: "failed"}
        assert [attempt["status"] for attempt in runs[0]["attempts"]] == ["timed_out"]
        assert [attempt["status"] for attempt in runs[1]["attempts"]] == ["failed"]
        assert runs[2]["attempts"] == []
        assert [path.name for path in into.rglob("*.checkpoint")] == ["seed-2.checkpoint"]


def test_plans_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = folder(tmp_path, "a", made("a", 0), seeds=1)
    b = folder(tmp_path, "b", made("b", 1), made("b", 1, algorithm="grpo"), seeds=2, written=LATER)
    assert merged(capsys, tmp_path, str(a), str(b)).code == 0
    plan = json.loads((tmp_path / "into" / "plan.json").read_text())
    assert [(cell["algorithm"], cell["seeds"]) for cell in plan["cells"]] == [("reinforce", [0, 1]), ("grpo", [0, 1])]
    assert plan["written"] == LATER


def test_other_code_is_kept_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = folder(tmp_path, "a", made("a", 0), seeds=2)
    b = folder(tmp_path, "b", made("b", 1, code_hash="d" * 64), seeds=2)
    done = merged(capsys, tmp_path, str(a), str(b))
    assert done.code == 3
    assert f"other code: reinforce on bandit/10-arm: the runs of {b} are kept" in done.err
    assert len(list((tmp_path / "into").glob("*--*/seed-*.json"))) == 2


@pytest.mark.parametrize("torch", ["1.0", "2.0"])
def test_what_differs_between_the_code_of_two_folders_is_named_once_for_an_algorithm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], torch: str
) -> None:
    """Of a search, whose shards have all cells in their plans and runs of some."""
    search = {"trials": 2, "seeds": 1, "replicates": [0, 1], "measure": "area"}
    search["spaces"] = {"median": {"clip": {"log": [0.1, 1.0]}}}
    names = [f"median.{replicate}.{trial}" for replicate in (0, 1) for trial in (0, 1)]
    places = []
    for number, (code, version) in enumerate([("c", "1.0"), ("d", torch)]):
        runs = [made("a", 0, algorithm=name, uses="./median.py", code_hash=code * 64) for name in names]
        place = folder(tmp_path, code, *runs[2 * number : 2 * number + 2])
        put_plan(Store(place), runs, [0], search=search)
        for cell in place.glob("*--*"):
            (cell / "code.txt").write_text(f"local algorithm file\t{code}\npackage torch\t{version}\n")
        places.append(str(place))
    done = merged(capsys, tmp_path, *places)
    assert done.code == 3
    alike = torch == "1.0"
    differ = "algorithm file" if alike else "algorithm file, torch 1.0 -> 2.0"
    assert done.err.splitlines() == [
        f"other {'files' if alike else 'code'}: median on bandit/10-arm: the runs of {places[1]} are kept, and not "
        f"shown with those of {places[0]}; they differ in: {differ}",
        f"  {'run one of the two again, with the same files' if alike else 'install the same versions on all machines'}"
        ", or merge these folders apart",
    ]


def test_folders_of_two_engines_are_told_to_name_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = folder(tmp_path, "a", made("a", 0), seeds=2, engine="compiled")
    b = folder(tmp_path, "b", made("b", 1, code_hash="d" * 64), seeds=2, engine="torch")
    done = merged(capsys, tmp_path, str(a), str(b))
    assert done.code == 3
    assert f"other engine: reinforce on bandit/10-arm: the runs of {b} are kept" in done.err
    assert "name one engine on all machines: --engine torch" in done.err
    assert "versions" not in done.err


def test_shards_are_found_in_their_folder(tmp_path: Path) -> None:
    for number in range(1, 12):
        folder(tmp_path / "made-up" / "shards", f"{number}-of-11", made("a", number), seeds=12)
    (merged,) = merge([tmp_path / "made-up" / "shards"], tmp_path / "made-up")
    assert (merged.added, merged.missing) == (11, 1)
    # Stages of a gate, each a suite's folder, are merged stage by stage.
    for number in (1, 2):
        for stage in ("identity", "fresh"):
            folder(tmp_path / "gate" / "shards" / f"{number}-of-2", stage, made("a", number))
    assert len(merge([tmp_path / "gate" / "shards"], tmp_path / "gate")) == 2
    assert sorted(path.parent.parent.name for path in (tmp_path / "gate").glob("*/*--*/seed-*.json")) == [
        *["fresh"] * 2,
        *["identity"] * 2,
    ]


def test_what_cannot_be_merged_stops_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = folder(tmp_path, "a", made("a", 0))
    other = folder(tmp_path, "other", made("a", 1, suite="another"), suite="another")
    newer = folder(tmp_path, "newer", made("a", 1))
    (file,) = newer.glob("*/seed-1.json")
    file.write_text(file.read_text().replace('"format_version": 1', '"format_version": 2'))
    (tmp_path / "empty").mkdir()
    for source, says in (
        (other, f"{other}: holds runs of the suite 'another', and {a} of 'made-up'"),
        (newer, "written by a newer version of haepo-bench"),
        (tmp_path / "nothing", "there is no such folder"),
        (tmp_path / "empty", "there are no results in this folder"),
        (file, "Not a directory"),
        (tmp_path / "into", "there is no such folder"),
    ):
        done = merged(capsys, tmp_path, str(a), str(source))
        assert done.code == 4, (source, done)
        assert says in done.err
        assert not (tmp_path / "into").exists()
    done = run_here(capsys, "merge", str(a), "--into", str(a))
    assert done.code == 4
    assert "cannot be merged into itself" in done.err


def test_damaged_files_stay_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = folder(tmp_path, "a", made("a", 0), made("a", 1), seeds=2)
    file = a / folder_of(made("a", 1)) / "seed-1.json"
    whole = file.read_text()
    file.write_text(whole[:100])
    done = merged(capsys, tmp_path, str(a))
    assert done.code == 0
    assert f"left where it is: {file}: damaged" in done.err
    assert "1 run of the plan still missing" in done.out
    there = tmp_path / "into" / file.relative_to(a)
    there.write_text("{")
    file.write_text(whole)
    assert merged(capsys, tmp_path, str(a)).code == 0
    assert there.read_text() == whole
    assert there.with_name("seed-1.json.damaged").read_text() == "{"


def test_logs_of_one_name_are_both_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = {}
    for name in ("a", "b"):
        root = folder(tmp_path, name, made(name, 0))
        logs[name] = root / "logs" / folder_of(made(name, 0)) / "seed-0.log"
        logs[name].parent.mkdir(parents=True)
        logs[name].write_text(f"of {name}\n")
    names = [str(tmp_path / name) for name in logs]
    for _ in range(2):
        assert merged(capsys, tmp_path, *names).code == 0
        found = sorted(path.read_text() for path in (tmp_path / "into" / "logs").rglob("*.log"))
        assert found == ["of a\n", "of b\n"]
    logs["a"].write_text("of a\nand more\n")
    assert merged(capsys, tmp_path, *names).code == 0
    found = sorted(path.read_text() for path in (tmp_path / "into" / "logs").rglob("*.log"))
    assert found == ["of a\nand more\n", "of b\n"]


def test_a_folder_stands_for_the_shards_below_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A suite's folder that holds nothing but shards, and a folder of such suites beside whole ones."""
    results = tmp_path / "results"
    folder(results / "sharded" / "shards", "10-of-10", made("a", 0))
    folder(results / "sharded" / "shards", "2-of-10", made("b", 1))
    folder(results, "whole", made("c", 2))
    one = merged(capsys, tmp_path, str(results / "sharded"))
    assert (one.code, set(stored(tmp_path / "into"))) == (0, {0, 1})
    several = run_here(capsys, "merge", str(results), "--into", str(tmp_path / "all"))
    assert several.code == 0
    assert {name: set(stored(tmp_path / "all" / name)) for name in ("sharded", "whole")} == {
        "sharded": {0, 1},
        "whole": {2},
    }
    above = run_here(capsys, "merge", str(tmp_path), "--into", str(tmp_path.parent / "above"))
    assert above.code == 4
    assert "there are no results in this folder" in above.err
    assert "newer" not in above.err


def test_the_policy_of_a_run_that_gives_way_is_not_left_beside_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = folder(tmp_path, "a", made("a", 0))
    b = folder(tmp_path, "b", made("b", 0, final={"eval_return": 0.25}))
    (policy,) = (path.with_suffix(".npz") for path in a.glob("*--*/seed-0.json"))
    policy.write_bytes(b"of a")
    assert merged(capsys, tmp_path, str(a), str(b)).code == 3
    assert merged(capsys, tmp_path, str(a), str(b), "--prefer", str(b)).code == 0
    (kept,) = (tmp_path / "into").glob("*--*/seed-0.json")
    assert not kept.with_suffix(".npz").exists()
    assert b"of a" in [path.read_bytes() for path in (tmp_path / "into").rglob("seed-0*npz*")]


SEARCH = {
    "trials": 1,
    "seeds": 1,
    "replicates": [0],
    "measure": "area",
    "spaces": {"haepo": {"learning_rate": {"log": [1e-4, 1e-2]}}},
}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ({"search": SEARCH}, "holds a search, and"),
        ({"tuned": "abc", "tuned_source": "x"}, "holds runs with the settings that a search found, and"),
    ],
)
def test_a_search_and_other_runs_are_never_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: dict[str, Any], said: str
) -> None:
    into = folder(tmp_path, "into", made("a", 0))
    shard = folder(tmp_path, "into/search/shards/1-of-2", made("b", 1), **kind)
    before = contents(into)
    done = merged(capsys, tmp_path, str(shard.parent))
    assert (done.code, done.out) == (4, "")
    assert f"{shard}: {said} {into} holds runs with the suite's own settings" in done.err
    assert "made-up/search for the search, made-up-tuned for runs with the settings it found" in done.err
    assert contents(into) == before
    # Its own folder takes it.
    own = run_here(capsys, "merge", str(shard.parent), "--into", str(into / "search"))
    assert (own.code, own.err) == (0, "")
    assert "1 run added" in own.out


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("local algorithm file", True),
        ("data maze.json", True),
        ("data haepo_bench.tasks.probe/sets/one.npz", False),
        ("module haepo_bench.objectives.grpo", False),
    ],
)
def test_whose_file_differs(name: str, own: bool) -> None:
    """Data of the package comes with its version, and is no file that somebody edited."""
    assert of_own_files({name: "a", "package torch": "2"}, {name: "b", "package torch": "2"}) == own
    assert not of_own_files({name: "a"}, {name: "a"})
