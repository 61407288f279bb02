"""Suite files that are right: what the keys mean, overrides and filters."""

import contextlib
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import haepo_bench
from haepo_bench.errors import UserError
from haepo_bench.suite.document import SuiteError, parse, render
from haepo_bench.suite.loading import load_suite
from haepo_bench.suite.overrides import selected
from haepo_bench.suite.schema import Suite
from haepo_bench.suite.shipped import find_suite, list_suites

TEXT = """\
name: small
seeds: 3
budget: {env_steps: 1_000}
evaluation: {every: 100, episodes: 7}
tasks:
  - bandit/10-arm
  - {id: gym/CartPole-v1, budget: {env_steps: 2e3}, evaluation: {every: 500}, time_limit: 100}
algorithms:
  - haepo
  - {use: grpo, name: wide, params: {learning_rate: 3e-3}, seeds: [7, 3]}
execution: {workers: 2, timeout: 1.5h}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    return file


def suite(path: Path, *sets: str) -> Suite:
    return load_suite(path, sets).suite


def test_values(path: Path) -> None:
    loaded = suite(path)
    assert loaded.seeds == (0, 1, 2)
    first, second = loaded.tasks
    assert (first.id, loaded.budget_of(first), loaded.evaluation_of(first)) == ("bandit/10-arm", 1000, (100, 7))
    assert (loaded.budget_of(second), loaded.evaluation_of(second), second.time_limit) == (2000, (500, 7), 100)
    assert loaded.algorithms[1].params == {"learning_rate": 0.003}
    assert loaded.algorithms[1].seeds == (7, 3)
    assert loaded.execution.workers == 2
    assert loaded.execution.timeout == 5400.0


def test_defaults(path: Path) -> None:
    path.write_text("name: x\nseeds: [5]\nbudget: {env_steps: 1001}\ntasks: [a/b]\nalgorithms: [c]\n")
    loaded = suite(path)
    # A twentieth of the budget, rounded up, so that there are never more than twenty marks after the start.
    assert loaded.evaluation_of(loaded.tasks[0]) == (51, 20)
    assert (loaded.execution.workers, loaded.execution.device, loaded.execution.timeout) == (None, "auto", 3600.0)


def test_a_key_with_nothing_behind_it_is_not_there(path: Path) -> None:
    path.write_text(
        TEXT.replace("params: {learning_rate: 3e-3}", "params: ").replace("{workers: 2, timeout: 1.5h}", "")
    )
    assert suite(path).algorithms[1].params == {}


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("90", 90.0), ("45s", 45.0), ("30m", 1800.0), ("1.5h", 5400.0), ("2d", 172_800.0)]
)
def test_durations(path: Path, timeout: str, seconds: float) -> None:
    assert suite(path, f"execution.timeout={timeout}").execution.timeout == seconds


def test_byte_order_mark_and_windows_line_ends(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert suite(path).seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("assignment", "check"),
    [
        ("seeds=2", lambda s: s.seeds == (0, 1)),
        ("seeds=[4, 9]", lambda s: s.seeds == (4, 9)),
        ("tasks[1].budget.env_steps=1e4", lambda s: s.tasks[1].budget.env_steps == 10_000),
        ("tasks.1.budget.env_steps=70", lambda s: s.tasks[1].budget.env_steps == 70),
        ("tasks[0].time_limit=9", lambda s: (s.tasks[0].id, s.tasks[0].time_limit) == ("bandit/10-arm", 9)),
        ("algorithms[0].params.score=mean", lambda s: s.algorithms[0].params == {"score": "mean"}),
        ("algorithms[0]=ppo", lambda s: s.algorithms[0].use == "ppo"),
        ("algorithms=[dpo]", lambda s: [a.use for a in s.algorithms] == ["dpo"]),
        ("algorithms[1].params.note=a=b", lambda s: s.algorithms[1].params["note"] == "a=b"),
        ("algorithms[1].params.max_gradient_norm=null", lambda s: s.algorithms[1].params["max_gradient_norm"] is None),
        ("algorithms[1].params.label='5'", lambda s: s.algorithms[1].params["label"] == "5"),
        ("algorithms[1].per_task[gym/CartPole-v1].params.x=1", lambda s: "gym/CartPole-v1" in s.algorithms[1].per_task),
        ("description=a: b", None),
        ("description='a: b'", lambda s: s.description == "a: b"),
        ("execution=", lambda s: s.execution.workers is None),
    ],
)
def test_set(path: Path, assignment: str, check: object) -> None:
    if callable(check):
        assert check(suite(path, assignment))
    else:  # `description=a: b` is a mapping
        with pytest.raises(SuiteError, match="--set description: must be text, got a mapping"):
            suite(path, assignment)


def test_later_assignments_win(path: Path) -> None:
    assert suite(path, "seeds=2", "seeds=4").seeds == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("seeds", "--set seeds: not KEY=VALUE"),
        ("=5", "not KEY=VALUE"),
        ("a..b=5", "not KEY=VALUE"),
        ("tasks[5].id=x", "--set tasks[5].id: tasks is a list and has no entry '5'"),
        ("tasks[-1].id=x", "no entry '-1'"),
        ("tasks.first=x", "no entry 'first'"),
        ("name.x=5", "--set name.x: name holds a single value"),
        ("seeds=[1, 1]", "--set seeds: the seed 1 is named more than once"),
        ("seeds=[1", "--set seeds: not valid YAML"),
        ("seeds={a: 1, a: 2}", "--set seeds: a: the key is there twice"),
        ("seeds=!!python/name:os", "--set seeds: the tag"),
        ("budgett.env_steps=5", "--set budgett.env_steps: budgett: unknown key\n  did you mean 'budget'?"),
        ("tasks[0].budget.env_step=5", "tasks[0].budget.env_step: unknown key\n  did you mean 'env_steps'?"),
        ("tasks[0]={id: a/b, bugdet: 1}", "--set tasks[0]: tasks[0].bugdet: unknown key"),
    ],
)
def test_bad_set(path: Path, assignment: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        suite(path, assignment)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], True),
        (["gym/*"], True),
        (["*CartPole*"], True),
        (["ppo"], True),
        (["gym/*:ppo"], True),
        (["bandit*", "pp?"], True),
        (["bandit*:ppo"], False),
        (["PPO"], False),
        (["pp"], False),
    ],
)
def test_selected(patterns: list[str], expected: bool) -> None:
    assert selected("gym/CartPole-v1", "ppo", patterns) is expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_whatever_stands_anywhere_is_taken_or_refused(data: st.DataObject) -> None:
    """Any value in any place of a good suite leads to a suite or to a message, never to another error."""
    document = parse(TEXT, "x", lambda line: f"x:{line}")
    key = render(data.draw(st.sampled_from([path for path in document.places if path])))
    value = data.draw(json_values)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.yaml"
        file.write_text(TEXT)
        with contextlib.suppress(UserError):
            load_suite(file, [f"{key}={yaml.dump(value, default_flow_style=True, width=10_000)}"])


def test_suites_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel has its suites as package data; without them (an editable installation) they lie beside the package."""
    package = tmp_path / "haepo_bench"
    monkeypatch.setattr(haepo_bench, "__file__", str(package / "__init__.py"))
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "beside.yaml").write_text(TEXT)
    assert list(list_suites()) == ["beside"]
    (package / "shipped_suites").mkdir(parents=True)
    (package / "shipped_suites" / "inside.yaml").write_text(TEXT)
    assert list(list_suites()) == ["inside"]


def test_find_suite(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    assert find_suite("small.yaml").read_text() == TEXT
    assert find_suite("quickstart") == list_suites()["quickstart"]
    for name in ("quickstrat", "suites/quickstrat.yaml", "x" * 5000, "a\0b"):
        with pytest.raises(UserError, match="quickstart"):
            find_suite(name)
    # A file goes before a shipped suite of that name.
    path.rename(path.parent / "quickstart")
    assert find_suite("quickstart").read_text() == TEXT
