"""Compressed files: what they unpack to is bounded before it is unpacked, and damage is named."""

import gzip
import io
import resource
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cli_support import run_apart

from haepo_bench.errors import UserError
from haepo_bench.exchange.bounded import gunzip, load_npz
from haepo_bench.exchange.own_tables import read_own

NAMES = ("timesteps", "results")


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **{name: np.asarray(array) for name, array in arrays.items()})
    return file.getvalue()


def header(shape: str, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


@contextmanager
def little_memory(mebibytes: int) -> Iterator[None]:
    """Room for so much more than this process has now: what is unpacked beyond it is a MemoryError."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + mebibytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_only_the_arrays_asked_for_are_read() -> None:
    found = load_npz(npz(timesteps=[10, 20], results=[[1.0, 2.0], [3.0, 4.5]], more=["text"]), "f.npz", NAMES)
    assert {name: array.tolist() for name, array in found.items()} == {
        "timesteps": [10, 20],
        "results": [[1.0, 2.0], [3.0, 4.5]],
    }
    assert load_npz(npz(more=[1]), "f.npz", NAMES) == {}


def test_an_array_larger_than_the_bound_is_refused_before_it_is_unpacked() -> None:
    content = zipped(timesteps=header("(1,)") + bytes(8), results=header("(50000000, 2)") + bytes(800_000_000))
    assert len(content) < 10**6
    with little_memory(100), pytest.raises(UserError, match="unpacks to more than 512 MiB"):
        load_npz(content, "f.npz", NAMES)


@pytest.mark.parametrize(
    ("shape", "dtype"), [("(1099511627776,)", "<f8"), ("(7, 1000000000000)", "<f8"), ("(100000,)", "<U100000")]
)
def test_a_header_that_promises_more_than_follows_costs_no_memory(shape: str, dtype: str) -> None:
    with little_memory(100), pytest.raises(UserError, match="shorter than its header says"):
        load_npz(zipped(results=header(shape, dtype) + bytes(100)), "f.npz", NAMES)


@pytest.mark.parametrize("signs", [500, 9_000, 50_000])
def test_a_header_that_takes_pythons_parser_all_memory_is_not_parsed(signs: int) -> None:
    with pytest.raises(UserError, match="is not an npz file"):
        load_npz(zipped(results=header(f"({'-' * signs}1,)") + bytes(100)), "f.npz", NAMES)


def test_a_directory_that_promises_less_than_follows_unpacks_no_more_than_it_says() -> None:
    content = bytearray(zipped(results=header("(25000000,)") + bytes(200_000_000)))
    true_size = (len(header("(25000000,)")) + 200_000_000).to_bytes(4, "little")
    place = content.rindex(true_size)
    content[place : place + 4] = (1000).to_bytes(4, "little")
    with little_memory(100), pytest.raises(UserError, match="is not an npz file"):
        load_npz(bytes(content), "f.npz", NAMES)


def test_pickled_objects_are_never_loaded() -> None:
    content = npz(timesteps=[1], results=np.array([[{"a": 1}]], dtype=object))
    with pytest.raises(UserError, match="pickled objects, which are never loaded"):
        load_npz(content, "f.npz", NAMES)


def test_damaged_npz_files_are_named_or_read() -> None:
    content = npz(timesteps=[10, 20], results=[[1.0, 2.0], [3.0, 4.5]])
    generator = np.random.default_rng(0)
    named = 0
    for _ in range(1500):
        broken = bytearray(content[: generator.integers(len(content))] if generator.random() < 0.3 else content)
        for _ in range(generator.integers(1, 6)):
            if broken:
                broken[generator.integers(len(broken))] = generator.integers(256)
        try:
            load_npz(bytes(broken), "f.npz", NAMES)
        except UserError as error:
            named += error.where == "f.npz"
    assert named > 1000


def test_gunzip_reads_all_members() -> None:
    assert gunzip(gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n") + bytes(5), "f.csv.gz") == b"a,b\n1,2\n3,4\n"
    assert gunzip(gzip.compress(b""), "f.csv.gz") == b""
    assert gunzip(gzip.compress(bytes(100)), "f.csv.gz", limit=100) == bytes(100)


def test_gunzip_stops_at_the_bound() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(10**7)
    content = b"".join([*(packer.compress(block) for _ in range(80)), packer.flush()])
    with pytest.raises(UserError, match="unpacks to more than 101 bytes"):
        gunzip(gzip.compress(bytes(102)), "f.csv.gz", limit=101)
    with little_memory(200), pytest.raises(UserError, match="unpacks to more than 50 MiB"):
        gunzip(content, "f.csv.gz", limit=50 * 2**20)


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b\n", gzip.compress(b"a,b\n1,2\n")[:-3], gzip.compress(b"x")[:8] + b"Z" * 9],
    ids=["empty", "text", "cut off", "damaged"],
)
def test_gunzip_names_what_is_no_gzip_file(content: bytes) -> None:
    with pytest.raises(UserError, match=r"f\.csv\.gz: is not a whole gzip file"):
        gunzip(content or b"\x1f", "f.csv.gz")


def test_import_refuses_an_npz_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    """2.8 GiB, written without ever holding it."""
    path = tmp_path / "evaluations.npz"
    count = 2_800 * 2**20 // 8
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("timesteps.npy", header("(1,)") + bytes(8))
        with archive.open("results.npy", "w", force_zip64=True) as member:
            member.write(header(f"(1, {count})"))
            block = bytes(8 * 2**20)
            for _ in range(count * 8 // len(block)):
                member.write(block)
    done = run_apart(
        "import", str(path), "--suite", "s", "--task", "gym/X-v0", "--algorithm", "a", "--seed", "0", cwd=tmp_path
    )
    assert (done.code, done.out) == (4, "")
    assert "evaluations.npz: unpacks to more than 512 MiB" in done.err


def test_a_parquet_table_larger_than_the_bound_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A column of equal cells takes no room in the file."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    names = ("suite", "task", "algorithm", "status", "settings")
    column = pa.DictionaryArray.from_arrays(pa.array(bytes(10**7), pa.int8()), ["x" * 1000])
    path = tmp_path / "runs.parquet"
    parquet.write_table(pa.table(dict.fromkeys(names, column) | {"seed": column}), path)
    parquet.write_table(pa.table({"suite": ["x"]}), tmp_path / "curves.parquet")
    assert path.stat().st_size < 10**7
    with pytest.raises(UserError, match="has more than 50,000,000 cells"):
        read_own(path, None)
