"""YAML to plain data: the rules of scalars, what is refused, and where things stand."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from haepo_bench.suite.document import MAX_ENTRIES, Document, SuiteError, parse, render, scalar


def read(text: str) -> Document:
    return parse(text, "x.yaml", lambda line: f"x.yaml:{line}")


def refusal(text: str) -> str:
    with pytest.raises(SuiteError) as caught:
        read(text)
    return str(caught.value)


@given(st.integers(min_value=-(10**18), max_value=10**18))
def test_integers_with_and_without_underscores(n: int) -> None:
    assert scalar(str(n)) == n
    assert scalar(f"{n:_}") == n
    assert type(scalar(f"{n:_}")) is int


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_notation_of_a_float(x: float) -> None:
    for text in (repr(x), f"{x:e}", f"{x:E}", f"{x:.17g}"):
        assert scalar(text) == float(text)
    if x:  # an exponent without a point, which YAML 1.1 takes for text
        mantissa, exponent = math.frexp(x)
        text = f"{1 if mantissa > 0 else -1}e{exponent % 300}"
        assert scalar(text) == float(text)
        assert type(scalar(text)) is float


@given(st.text(alphabet=st.characters(categories=["L"]), min_size=1))
def test_words_are_text(text: str) -> None:
    words = {"null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"}
    assert (scalar(text) == text) == (text not in words)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-3", 0.003),
        ("1e-4", 1e-4),
        ("50_000", 50_000),
        ("1_000.5", 1000.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("+7", 7),
        ("-0", 0),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("off", "off"),
        ("2026-01-01", "2026-01-01"),
        ("1__0", "1__0"),
        ("_1", "_1"),
        ("1_", "1_"),
        ("1e", "1e"),
        ("e5", "e5"),
        ("nan", "nan"),
        ("30m", "30m"),
        ("١٢", "١٢"),
        ("true", True),
        ("~", None),
        ("", None),
    ],
)
def test_plain_scalars(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.INF", "1e999", "9" * 101])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        scalar(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(-1e9, 1e9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


class QuotingDumper(yaml.SafeDumper):
    """Quotes all text: what must be quoted differs between YAML 1.1, which PyYAML writes, and 1.2."""


QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


@given(json_values)
def test_what_yaml_writes_comes_back(value: object) -> None:
    assert read(yaml.dump({"value": value}, Dumper=QuotingDumper)).data == {"value": value}


def test_quoted_text_stays_text() -> None:
    assert read("a: '5'\nb: \"true\"\nc: |\n  5\n").data == {"a": "5", "b": "true", "c": "5\n"}


def test_every_entry_has_its_line() -> None:
    document = read("a:\n  b: [1,\n    {c: 2}]\nd: &x\n  e: 3\nf: *x\n")
    lines = {render(path): int(place.partition(":")[2]) for path, place in document.places.items() if path}
    assert lines == {"a": 1, "a.b": 2, "a.b[0]": 2, "a.b[1]": 3, "a.b[1].c": 3, "d": 4, "d.e": 5, "f": 6, "f.e": 5}


def test_a_place_is_that_of_the_nearest_entry() -> None:
    document = read("tasks:\n  - name\n  - {id: x}\n")
    assert document.where(("tasks", 1, "budget", "env_steps")) == "x.yaml:3: tasks[1].budget.env_steps"
    assert document.where(("tasks", 0, "id")) == "x.yaml:2: tasks[0]"
    assert document.where(("seeds",)) == "x.yaml: seeds"
    assert document.where(("tasks", 1, "a.b")) == "x.yaml:3: tasks[1][a.b]"


def test_aliases_are_copies() -> None:
    data = read("a: &x [1]\nb: *x\n").data
    data["a"].append(2)
    assert data["b"] == [1]


def test_duplicate_keys_are_all_found() -> None:
    document = read("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert [(render(p.path), document.where(p.path)) for p in document.problems] == [
        ("b.c", "x.yaml:2: b.c"),
        ("a", "x.yaml:3: a"),
    ]
    assert "first on line 1" in document.problems[1].problem


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("", ["is empty", "haepo-bench init"]),
        ("# only a comment\n", ["is empty"]),
        ("a: !!python/object/apply:os.system [ls]", ["x.yaml:1", "!!python/object/apply:os.system"]),
        ("a: 1\nb: !mine 2", ["x.yaml:2", "!mine"]),
        ("a: 1\n\tb: 2", ["x.yaml:2", "spaces, not with tabs"]),
        ("a: [1, 2\nb: 3", ["x.yaml:2", "not valid YAML"]),
        ("a: 'open", ["not valid YAML"]),
        ("a: *nowhere", ["x.yaml:1", "undefined alias"]),
        ("a: 1\n---\nb: 2", ["x.yaml:2", "single document"]),
        ("a: \0", ["not a text file"]),
        ("a: 1\nb: \x07", ["x.yaml:2", "U+0007"]),
        ("a: 1\n2: b", ["x.yaml:2", "'2' as a key"]),
        ("? [a]\n: b", ["as a key"]),
        ("a: &a [*a]", ["levels deep"]),
        ("[" * 100_000, ["levels deep"]),
        ("{a: " * 50 + "1" + "}" * 50, ["levels deep"]),
        ("a: " + "x" * 300_000, ["larger than 256 KiB"]),
    ],
    ids=range(17),
)
def test_refused(text: str, fragments: list[str]) -> None:
    message = refusal(text)
    assert all(fragment in message for fragment in fragments), message


def test_a_bomb_of_aliases_is_refused_before_it_goes_off() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]"
        for before, after in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert f"more than {MAX_ENTRIES:,} entries" in refusal("\n".join(lines))
