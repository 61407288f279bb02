"""The library's file: one that is cut off is refused before it is opened, because opening it would end the process."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from haepo_bench.engine import build

PACKAGE = build.FOLDER.parent
KERNELS = [build.FOLDER / target.library for target in build.TARGETS]


@pytest.mark.skipif(not all(path.is_file() for path in KERNELS), reason="the kernels are not compiled here")
@pytest.mark.parametrize("size", [0, 10, 100, 20_000, None])
def test_a_library_that_is_cut_off_is_named(tmp_path: Path, size: int | None) -> None:
    package = tmp_path / "haepo_bench"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in KERNELS:
        (package / "engine" / path.name).write_bytes(path.read_bytes()[:size])
    script = "from haepo_bench.engine import library; print(library.__file__); print(library.status().reason)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    file, reason = done.stdout.split("\n")[:2]
    assert file.startswith(str(tmp_path))
    assert reason == ("" if size is None else "the kernels' library is cut off")
