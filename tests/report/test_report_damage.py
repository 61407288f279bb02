"""Stores that are damaged, and texts that are hostile, through the program as a user runs it."""

import csv
import html
import io
import json
import re
from pathlib import Path

import pytest
from cli_support import run_apart
from synthetic_runs import KINDS, folder_of, put, put_plan, record

from haepo_bench.report.latex_text import DEFINITION
from haepo_bench.results.store import Store

FORMS = ("json", "md", "csv", "latex", "html")
FOLDER = folder_of(record())

#: File below the suite's folder: what must be said of it.
SAID = {
    f"{FOLDER}/seed-2.json": "not JSON, perhaps cut off",
    f"{FOLDER}/seed-3.json": "valid integer",
    f"{FOLDER}/seed-4.json": "unequal lengths",
    f"{FOLDER}/seed-5.json": "NaN",
    f"{FOLDER}/seed-6.json": "Infinity",
    f"{FOLDER}/seed-7.json": "newer version",
    f"{FOLDER}/seed-8.json": "not a run record",
    f"{FOLDER}/seed-9.json": "not JSON, perhaps cut off",
    f"{FOLDER}/notes.json": "not a run record",
    "stranger.json": "no run belongs here",
}


def spoiled(root: Path) -> Path:
    """A results folder with a spoiled suite, an empty folder, and runs of two suites in one."""
    store = Store(root / "made-up")
    put(store, *(record(seed=seed) for seed in range(2)), *(record(algorithm="grpo", seed=seed) for seed in range(3)))
    put(store, record(task="random-walk/20", suite="another"))
    put_plan(store, [record(), record(algorithm="grpo")], list(range(10)))
    whole = json.loads(record().to_json())
    texts = {
        "seed-2.json": record().to_json()[:300],
        "seed-3.json": json.dumps({**whole, "seed": "three"}),
        "seed-4.json": json.dumps({**whole, "seed": 4, "curve": {**whole["curve"], "eval_return": [1.0]}}),
        "seed-5.json": json.dumps({**whole, "seed": 5, "final": {"eval_return": float("nan")}}),
        "seed-6.json": json.dumps({**whole, "seed": 6, "cost": {"wall_seconds": float("inf")}}),
        "seed-7.json": json.dumps({**whole, "seed": 7, "format_version": 7, "more": 1}),
        "seed-8.json": json.dumps({"what": "is this"}),
        "seed-9.json": "",
        "notes.json": "[1, 2]",
    }
    for name, text in texts.items():
        (store.root / FOLDER / name).write_text(text)
    (store.root / "stranger.json").write_text("{}")
    (root / "empty").mkdir()
    return root


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The report on a damaged store in every format."""
    root = spoiled(tmp_path_factory.mktemp("results"))
    texts = {}
    for form in FORMS:
        out = tmp_path_factory.mktemp(form)
        done = run_apart("report", str(root), "--format", form, *(["--out", str(out)] if form == "html" else []))
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
        for name in SAID:
            assert name in done.err
        texts[form] = (out / "report.html").read_text() if form == "html" else done.out
    return texts


def unescaped(text: str, form: str) -> str:
    """What a reader sees, without an escape of that format."""
    if form == "html":
        return html.unescape(re.sub(r"<[^>]*>", "", text))
    if form in ("md", "latex"):
        text = html.unescape(
            text.replace(r"\textquotedbl{}", '"').replace("-{}-", "--").replace(r"\textasciigrave{}", "`")
        )
        return re.sub(r"\\(?=[^A-Za-z])", "", text)
    return text.replace('""', '"') if form == "csv" else text


@pytest.mark.parametrize("form", FORMS)
def test_every_damaged_file_is_named_with_its_reason(reports: dict[str, str], form: str) -> None:
    text = unescaped(reports[form], form)
    if form == "json":
        found = {file["file"]: file["reason"] for suite in json.loads(text)["suites"] for file in suite["damaged"]}
        assert set(found) == set(SAID)
        for name, says in SAID.items():
            assert says in found[name]
        return
    for name, says in SAID.items():
        state = "newer" if "newer" in says else "damaged"
        lines = [line for line in text.splitlines() if f"{name}: {state}: " in line]
        assert lines, name
        assert says in lines[0].split(f"{name}: {state}: ")[1]


@pytest.mark.parametrize("form", FORMS)
def test_the_rest_is_reported(reports: dict[str, str], form: str) -> None:
    text = unescaped(reports[form], form)
    if form == "json":
        empty, suite = json.loads(text)["suites"]
        assert (empty["suite"], empty["runs_planned"]) == ("empty", 0)
        ours, theirs = suite["tasks"][0]["algorithms"]
        assert (ours["seeds"]["shown"], theirs["seeds"]["shown"]) == ([0, 1], [0, 1, 2])
        assert [run["status"] for run in ours["seeds"]["missing"]] == ["damaged"] * 5 + ["newer"] + ["damaged"] * 2
        assert [(left["runs"], left["reason"]) for left in suite["not_shown"]] == [(1, "of the suite 'another'")]
        return
    assert "of the suite 'another'" in text
    if form == "csv":
        rows = [row for row in csv.DictReader(io.StringIO(reports["csv"])) if row["measure"] == "final_score"]
        assert [(row["algorithm"], row["n"], row["planned"]) for row in rows] == [
            ("reinforce", "2", "10"),
            ("grpo", "3", "10"),
        ]
        assert 0 <= float(rows[0]["if_missing_lowest"]) < float(rows[0]["mean"])
    else:
        assert "2/10" in text
        assert "3/10" in text
        assert "had the missing seeds been the lowest or the highest seen on the task: final score" in text


def test_nothing_left_is_exit_code_2_and_says_what_there_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    put_plan(store, [record()], [0, 1])
    (store.root / FOLDER).mkdir()
    (store.root / FOLDER / "seed-0.json").write_text("{")
    done = run_apart("report", str(tmp_path))
    assert (done.code, done.out) == (2, "")
    for text in ("nothing to report", "seed-0.json: damaged: not JSON", "seed 1: missing (no file)"):
        assert text in done.err
    assert "Traceback" not in done.err


def test_the_folder_of_a_cell_is_no_suite(tmp_path: Path) -> None:
    put(Store(tmp_path / "made-up"), record())
    done = run_apart("report", str(tmp_path / "made-up" / FOLDER))
    assert (done.code, done.out) == (4, "")
    assert "the folder of one algorithm on one task" in done.err
    assert str(tmp_path / "made-up") in done.err


SCRIPT = "<script>alert(1)</script>"
HOSTILE = {
    "formula": "=cmd()|' /C calc'!A0",
    "script": f'{SCRIPT}"onload=x',
    "latex": r"50% $x^2$ & #1 _u_ \input{/etc/passwd} ~ {",
    "markdown": "a|b `c` *d* [e](javascript:f) ![g](h) <b>",
    "emoji": "😀 👩‍🔬 日本",
    "long": "very-long-" * 40,
    "control": "\x1b[31mred\x07 \u202edesrever",
}
HOSTILE_TASKS = (HOSTILE["script"] + HOSTILE["markdown"], HOSTILE["formula"] + HOSTILE["latex"] + HOSTILE["long"])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Reports on a suite in which every text is hostile, and each algorithm another way."""
    root = tmp_path_factory.mktemp("results")
    store, texts, cells = Store(root / "made-up"), {}, []
    for i, (key, text) in enumerate(HOSTILE.items()):
        kind = KINDS["haepo-weighted" if i < 2 else "grpo"]
        information = kind.model_copy(update={"label": text, "footnote": f"note {text}"})
        task = HOSTILE_TASKS[i % 2]
        fields = {
            "algorithm": text,
            "uses": f"haepo-{i}" if i < 2 else text,
            "notes": [text],
            "information": information,
        }
        for seed in range(2):
            run = record(task, seed=seed, status="diverged" if seed else "done", error=text if seed else None)
            path = store.path(f"{key}--b--c", seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(run.model_copy(update=fields).to_json())
        hashes = {"settings_hash": run.settings_hash, "code_hash": run.code_hash}
        cell = {"folder": f"{key}--b--c", "task": task, "algorithm": text, "uses": fields["uses"], "seeds": [0, 1, 2]}
        cells.append(cell | hashes)
    document = {"format_version": 1, "suite": HOSTILE["script"], "description": HOSTILE["latex"], "source": SCRIPT}
    (store.root / "plan.json").write_text(json.dumps({**document, "cells": cells}))
    for form in FORMS:
        out = tmp_path_factory.mktemp(form)
        # Files, which come with figures, only where there is more in them than what is printed.
        with_files = form in ("html", "csv")
        done = run_apart("report", str(root), "--format", form, *(["--out", str(out)] if with_files else []))
        assert done.code == 0, done.err
        texts[form] = (out / f"report.{form}").read_text() if with_files else done.out
        if form == "csv":
            texts |= {path.name: path.read_text() for path in out.glob("*.csv")}
    return texts


def shown(text: str) -> str:
    """As the report writes it: control and direction characters as Python writes them."""
    return re.sub(r"[\x00-\x1f\u202e]", lambda match: ascii(match[0])[1:-1], text)


@pytest.mark.parametrize("form", FORMS)
def test_hostile_names_appear_as_text(hostile: dict[str, str], form: str) -> None:
    text = hostile[form]
    if form == "json":
        names = {
            result["algorithm"] for task in json.loads(text)["suites"][0]["tasks"] for result in task["algorithms"]
        }
        assert names == set(map(shown, HOSTILE.values()))
    elif form == "csv":
        for name, table in hostile.items():
            if name.endswith("csv"):
                cells = [cell for row in csv.reader(io.StringIO(table)) for cell in row]
                assert not [cell for cell in cells if cell[:1] in ("=", "+", "@")], name
        names = {row["algorithm"] for row in csv.DictReader(io.StringIO(text))}
        assert {f"'{value}" if value[0] == "=" else value for value in map(shown, HOSTILE.values())} == names - {""}
    elif form == "html":
        assert SCRIPT not in text
        assert html.escape(SCRIPT) in text
        page = unescaped(text, form)
        for value in (*HOSTILE.values(), *HOSTILE_TASKS):
            assert " ".join(shown(value).split()) in " ".join(page.split())
    elif form == "md":
        assert "<script" not in text
        assert re.search(r"(?<!\\)\]\(javascript", text) is None
        tables = re.findall(r"^\|.*\|$", text, flags=re.MULTILINE)
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables if "Final score, sampled" in line}
        rows = [line for line in tables if "Final score" not in line and "no critic" in line]
        assert len(rows) == len(HOSTILE)
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == widths
        for value in (*HOSTILE.values(), *HOSTILE_TASKS):
            assert shown(value) in unescaped(text, form)
    else:
        # A line that is a comment says what is missing; no name may end it early or begin one.
        body = "\n".join(
            line
            for line in text.replace("{%\n", "{\n").replace(DEFINITION, "").splitlines()
            if not line.startswith("% ")
        )
        # Within brackets, as intervals are, spaces do not break.
        body = re.sub(r"\[[^\[\]]*\]", lambda found: found[0].replace("~", " "), body)
        assert re.search(r"(?<!\\)[$#_%^~]", body) is None
        assert r"\input" not in text
        assert r"\textbackslash{}input\{/etc/passwd\}" in text
        assert "😀" in text
