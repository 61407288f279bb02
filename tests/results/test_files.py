"""Only regular files are opened, everywhere, and nothing that is read can run code."""

import ast
import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
from special_files import KINDS, make, within

import haepo_bench
from haepo_bench.errors import UserError
from haepo_bench.files import NotRegular, list_folder, open_in_place, open_regular, read_regular, reason_of
from haepo_bench.results.writing import write_atomically

PACKAGE = Path(haepo_bench.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_regular_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "file", kind)
    for action in (open_regular, read_regular):
        with within(5), pytest.raises(OSError, match=re.escape(KINDS[kind])) as caught:
            action(path)
        assert reason_of(caught.value) == KINDS[kind]
        assert not isinstance(caught.value, FileNotFoundError)
    if kind != "dangling":  # a log may be made behind a link
        with within(5), pytest.raises(OSError, match=re.escape(KINDS[kind])):
            open_in_place(path)


def test_regular_files_are_read_through_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").symlink_to(tmp_path)
    assert read_regular(tmp_path / "folder" / "link") == b"content"
    with open_in_place(tmp_path / "link") as file:
        file.write(b", more")
        file.seek(0)
        assert file.read() == b"content, more"
    with open_in_place(tmp_path / "new") as file:
        file.write(b"new")
    assert read_regular(tmp_path / "new", most=3) == b"new"
    with pytest.raises(OSError, match="larger than") as caught:
        read_regular(tmp_path / "new", most=2)
    assert caught.value.errno == errno.EFBIG


def test_absent_is_told_from_out_of_reach(tmp_path: Path) -> None:
    for action in (read_regular, list_folder):
        with pytest.raises(FileNotFoundError):
            action(tmp_path / "none" / "file")
        make(tmp_path / "link", "dangling")
        with pytest.raises(NotRegular, match="'link' is a link to something that is not there"):
            action(tmp_path / "link" / "below" / "file")
        (tmp_path / "plain").touch()
        with pytest.raises(NotADirectoryError):
            action(tmp_path / "plain" / "file")
        with pytest.raises(NotRegular):
            action(tmp_path / "a\0b")


def test_a_file_that_is_swapped_for_a_pipe_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    true_open = os.open

    def swapped(path: Path, *arguments: Any) -> int:
        make(Path(path), "fifo")
        return true_open(path, *arguments)

    monkeypatch.setattr(os, "open", swapped)
    with within(5), pytest.raises(NotRegular, match="named pipe"):
        open_regular(tmp_path / "file")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dangling"])
def test_only_files_are_replaced(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "out.txt", kind)
    before = os.lstat(path)
    with within(5), pytest.raises(UserError, match="cannot write: "):
        write_atomically(path, "text", option="--out")
    assert os.lstat(path) == before
    assert list(tmp_path.iterdir()) == [path]


#: Modules that open files otherwise: what for.
OTHERWISE = {
    "files.py": "the one place",
    "exchange/bounded.py": "members of an archive that is open",
    "terminal.py": "/dev/null, to be written to",
    "report/page/charts.py": "own package data, through importlib.resources",
    "suite/identity.py": "sources that the interpreter has imported",
    "execution/provenance.py": "/proc",
    "execution/slurm/queue.py": "/proc",
    "publishing/publish.py": "the package's own licence, through importlib.metadata",
    "engine/build.py": "own sources and what was built from them",
    "engine/library.py": "/proc, and the own library",
    "cli/main.py": "/dev/null, to be written to",
    "cli/init.py": "makes a new file",
    "cli/view.py": "a browser, not a file",
    "cli/new.py": "makes new files",
    "cli/fault.py": "makes a new file",
    "live/reporting.py": "what the report's process says, in a folder of its own",
    "live/server.py": "own package data, through importlib.resources",
    "loggers/event_files.py": "makes new files",
    "results/store.py": "makes new files",
    "results/writing.py": "makes new files",
    "results/lock.py": "a folder",
    "tasks/lm/reward_model.py": "a library does, after files_in",
}
READERS = {"read_bytes", "read_text", "open", "fdopen", "safe_open", "load_file", "read_csv", "load", "loadtxt"}


def is_reading(call: ast.Call) -> bool:
    """Whether a call may open a file by its name: by a method or function that is known to."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in {"open", "safe_open", "load_file"}
    if not isinstance(function, ast.Attribute) or function.attr not in READERS:
        return False
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    if function.attr in {"load", "loadtxt"}:  # np.load(path), torch.load(path); json.load takes an open file
        return owner in {"np", "numpy", "torch", "joblib", "pickle"}
    return not (function.attr == "read_csv" and owner != "pd")


def test_every_reader_passes_through_one_function() -> None:
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and is_reading(node) and not takes_bytes(node):
                found.setdefault(name, []).append(ast.unparse(node))
    assert {name: calls for name, calls in found.items() if name not in OTHERWISE} == {}
    assert "files.py" in found


def takes_bytes(call: ast.Call) -> bool:
    """Whether what is loaded was read or opened before."""
    text = ast.unparse(call.args[0]) if call.args else ""
    return text.startswith("io.BytesIO(") or text == "content"


def test_the_search_for_readers_finds_them() -> None:
    def found(code: str) -> bool:
        return is_reading(ast.parse(code, mode="eval").body)  # type: ignore[arg-type]

    for code in ("open(p)", "p.open('rb')", "p.read_bytes()", "(a / b).read_text()", "np.load(p)", "os.open(p, 0)"):
        assert found(code)
    assert not found("read_regular(p)")


def test_nothing_that_is_loaded_can_run_code() -> None:
    seen = 0
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}, path
            if isinstance(node, ast.Call):
                code, options = ast.unparse(node.func), {keyword.arg: keyword.value for keyword in node.keywords}
                if code == "torch.load":
                    seen += 1
                    assert ast.unparse(options["weights_only"]) == "True", path
                assert "allow_pickle" not in options or ast.unparse(options["allow_pickle"]) == "False", path
                assert code not in {"eval", "exec", "yaml.load", "yaml.unsafe_load"}, path
    assert seen == 1
