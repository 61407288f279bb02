"""What was claimed when: the order of declarations, their levels, and which runs precede them."""

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from synthetic_runs import declaration_of, put, put_plan, record

from haepo_bench.errors import UserError
from haepo_bench.results.claims import DeclaredClaims, ScoreBounds, seed_order
from haepo_bench.results.declarations import Declarations, declare, join, read_declarations
from haepo_bench.results.history import declaration_number
from haepo_bench.results.index import INDEX_FILE, refresh
from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.results.selection import select
from haepo_bench.results.store import FileState, Store, Unusable
from haepo_bench.statistics.verdicts import declaration_level

CLAIMS = DeclaredClaims(candidates=["haepo-weighted"], baselines=["grpo"], margin=0.1, threshold=0.9)
NAMES = ("haepo-weighted", "grpo")


def cells(seeds: int = 4, **changes: Any) -> list[PlannedCell]:
    return [
        PlannedCell.of(run.identity, uses=run.uses, seeds=range(seeds))
        for run in (record(algorithm=name, **changes) for name in NAMES)
    ]


def plan(claims: DeclaredClaims = CLAIMS, own: list[PlannedCell] | None = None, **more: Any) -> PlanFile:
    made = PlanFile(suite="made-up", claims=claims, cells=cells() if own is None else own, **more)
    return made.model_copy(update={"declaration": made.declared})


def hashes(store: Store) -> list[str]:
    found = read_declarations(store)
    assert not isinstance(found, Unusable)
    return [each.hash for each in found]


def test_what_changes_a_declaration_and_what_does_not() -> None:
    before = plan().declared
    other = CLAIMS.model_copy
    for claims in (other(update={"margin": 0.2}), other(update={"rule": "wins"}), other(update={"dependence": "any"})):
        assert plan(claims).declared != before
    for change in ({"settings_hash": "6" * 64}, {"code_hash": "d" * 64}):
        assert plan(own=cells(**change)).declared != before
    assert plan(bounds={"bandit/10-arm": ScoreBounds(low=0, high=1)}).declared != before
    # More seeds, other algorithms, and the order in which a suite has its entries are no other claim.
    assert plan(own=cells(40)).declared == before
    assert (
        plan(own=[*cells(), PlannedCell.of(record(algorithm="dpo").identity, uses="dpo", seeds=[3])]).declared == before
    )
    assert plan(own=cells()[::-1]).declared == before
    assert [seed_order(seeds, whole=False) for seeds in ([0, 1, 2], [7, 8], [2, 1], [0, 2])] == [
        "0, 1, ...", "7, 8, ...", "2, 1", "0, 2"]  # fmt: skip
    fixed = other(update={"rule": "fixed"})
    assert plan(fixed, cells(10)).declared != plan(fixed, cells(11)).declared


def test_lines_are_added_once_and_never_changed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = plan(), plan(CLAIMS.model_copy(update={"margin": 0.2}))
    declare(store, plan(own=[]).model_copy(update={"claims": None}))
    assert not store.declarations_path.exists()
    texts = []
    for each in (first, second, first, second):
        declare(store, each)
        texts.append(store.declarations_path.read_text())
    assert hashes(store) == [first.declaration, second.declaration]
    assert texts[1].startswith(texts[0])
    assert texts[1] == texts[2] == texts[3]
    line = json.loads(texts[0])
    assert (line["claims"]["rule"], line["cells"][0][:3]) == ("betting", ["bandit/10-arm", "grpo", "grpo"])


def test_a_line_that_cannot_be_read_stays_and_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    bad = b'{"declaration": "x", "cla\xff\nnull\n[[[[[\n{"declaration": 3, "claims": {}}'
    store.declarations_path.write_bytes(bad)
    declare(store, plan())
    assert store.declarations_path.read_bytes().startswith(bad + b"\n")
    assert hashes(store) == ["", "", "", "", plan().declaration]
    found = read_declarations(store)
    assert isinstance(found, Declarations)
    assert found.number(plan().declaration, ["haepo-weighted"], []) == 5


def test_the_kth_declaration_about_a_candidate_is_tested_at_its_level(tmp_path: Path) -> None:
    store = Store(tmp_path)
    elsewhere = DeclaredClaims(candidates=["grpo"], baselines=["haepo-weighted"], margin=0.1, threshold=0.9)
    made = [plan(), plan(elsewhere), *(plan(CLAIMS.model_copy(update={"margin": m})) for m in (0.2, 0.3))]
    for each in made:
        declare(store, each)
    found = read_declarations(store)
    assert isinstance(found, Declarations)
    own = [found.number(each.declaration, ["haepo-weighted"], []) for each in (made[0], made[2], made[3])]
    assert [(each, declaration_level(each)) for each in own] == [(1, 0.05), (2, 0.025), (3, 0.0125)]
    assert found.number(made[1].declaration, ["grpo"], []) == 1
    # Runs say that there were others, whose lines are gone.
    lost = found.number(made[0].declaration, ["haepo-weighted"], ["lost", "gone", "", made[3].declaration])
    assert lost == 3
    # All levels together are at most 10 %.
    assert sum(declaration_level(found.number("x", [], map(str, range(k)))) for k in range(50)) < 0.1


def test_runs_of_earlier_declarations_precede_and_those_of_later_ones_do_not(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    first, second = plan(), plan(CLAIMS.model_copy(update={"margin": 0.2}))
    for each in (first, second):
        declare(store, each)
    made_under = [first.declaration, second.declaration, "", "lost"]
    for name in NAMES:
        put(
            store,
            *(record(algorithm=name, seed=n, provenance={"declaration": made}) for n, made in enumerate(made_under)),
        )
    put(store, record(algorithm="grpo", settings_hash="7" * 64, provenance={"declaration": first.declaration}))
    seen = {}
    for each in (first, second):
        store.write_plan(each)
        selection = select(store)
        assert selection.declaration_number is not None
        seen[each.declaration] = [cell.preceding for cell in selection.cells], selection.declaration_number
        # Without a curve, from the records as from their index.
        (store.root / INDEX_FILE).unlink(missing_ok=True)
        assert declaration_number(store, each) == selection.declaration_number
        refresh(store)
        assert declaration_number(store, each) == selection.declaration_number
        assert "changed after" in selection.exploratory
        assert [cell.siblings for cell in selection.cells] == [0, 1]
    # The lost declaration counts, too.
    assert seen == {first.declaration: ([(2, 3)] * 2, 2), second.declaration: ([(0, 2, 3)] * 2, 3)}


def test_a_folder_without_the_file_knows_its_runs_by_what_they_say(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    declaration = declaration_of([record(algorithm=name) for name in NAMES], range(2), CLAIMS)
    runs = [record(algorithm=name, seed=n, provenance={"declaration": declaration}) for name in NAMES for n in range(2)]
    put_plan(store, runs, [0, 1], claims=CLAIMS.model_dump(), declaration=declaration)
    put(store, *runs)
    selection = select(store)
    assert selection.declaration_number is not None
    assert (selection.declaration_number, selection.exploratory) == (1, "")
    assert [cell.preceding for cell in selection.cells] == [(), ()]


def test_what_cannot_be_read_stops_a_run_and_shows_in_a_report(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    put(store, record())
    store.write_plan(plan())
    store.declarations_path.mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        declare(store, plan())
    selection = select(store)
    assert [(str(file.path), file.state) for file in selection.damaged] == [
        ("declarations.jsonl", FileState.UNREADABLE)
    ]
    assert selection.declaration_number is None
    assert "cannot be read" in selection.exploratory


def test_folders_that_are_merged_have_all_declarations_in_the_order_of_their_times(tmp_path: Path) -> None:
    stores = [Store(tmp_path / name) for name in "abc"]
    margins = MappingProxyType(
        {"a": [(0.1, "2026-01-02")], "b": [(0.2, "2026-01-01"), (0.1, "2026-01-02")], "c": [(0.3, "2025")]}
    )
    for store, own in zip(stores, margins.values(), strict=True):
        for margin, written in own:
            declare(store, plan(CLAIMS.model_copy(update={"margin": margin}), written=written))
    path = stores[2].declarations_path
    path.write_text(path.read_text() + "not JSON\n")
    into = Store(tmp_path / "into")
    for _ in range(2):  # merging again changes nothing
        join(into, stores)
        lines = into.declarations_path.read_text().splitlines()
        assert lines[0] == "not JSON"
        assert [json.loads(line)["claims"]["margin"] for line in lines[1:]] == [0.3, 0.2, 0.1]
