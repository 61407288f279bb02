"""Checkpoints that changed on disk: never gone on from, never lost, and the run ends as if there had been none."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_support import Vowels, small_tiny_model, texts
from training_support import without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import UserError
from haepo_bench.execution.checkpoints import FileCheckpoints
from haepo_bench.results.sealing import BrokenSeal, seal, unseal
from haepo_bench.training.language.models import find_source
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.language.start import cache_folder, starting_model
from haepo_bench.training.recorder import BadCheckpoint, Recorder, SeedResult

IDENTITY = "settings code"


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small_tiny_model(tmp_path_factory.mktemp("cache")):
        yield


def checkpoints(path: Path, seed: int = 0, identity: str = IDENTITY) -> FileCheckpoints:
    return FileCheckpoints({seed: path}, {seed: f"{identity} seed {seed}"}, 0.0)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "seed-0.checkpoint"
    assert checkpoints(path).read(0) is None
    checkpoints(path).write([0], lambda _: b"state\nand more")
    assert checkpoints(path).read(0) == b"state\nand more"


def test_no_bit_may_change(tmp_path: Path) -> None:
    path = tmp_path / "seed-0.checkpoint"
    checkpoints(path).write([0], lambda _: b"state\n" * 3)
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(BadCheckpoint):
            checkpoints(path).read(0)
    for cut in (0, 1, 30, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadCheckpoint):
            checkpoints(path).read(0)
    path.write_bytes(whole + b"\0")
    with pytest.raises(BadCheckpoint, match="digest"):
        checkpoints(path).read(0)


def test_nor_may_it_be_another_runs(tmp_path: Path) -> None:
    path = tmp_path / "seed-0.checkpoint"
    checkpoints(path).write([0], lambda _: b"state")
    for other in (checkpoints(path, identity="settings other"), checkpoints(path, seed=1)):
        with pytest.raises(BadCheckpoint, match="first line"):
            other.read(next(iter(other._paths)))
    # As version 0.1 wrote them, without a digest.
    path.write_bytes(b"haepo-bench checkpoint 1 settings code\nstate")
    with pytest.raises(BadCheckpoint):
        checkpoints(path).read(0)


def test_one_that_cannot_be_read_is_no_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "seed-0.checkpoint"
    path.symlink_to(path.name)
    with pytest.raises(UserError, match="cannot be read: Too many levels"):
        checkpoints(path).read(0)
    assert path.is_symlink()


def test_seals() -> None:
    data = seal("title 1", b"content")
    assert unseal("title 1", data) == b"content"
    assert unseal("title 1", seal("title 1", b"")) == b""
    for title, wrong in (("title 2", data), ("title 1", data[:-1]), ("title", data), ("title 1", b"")):
        with pytest.raises(BrokenSeal):
            unseal(title, wrong)


class Broken(Exception):
    pass


class Breaking(FileCheckpoints):
    """The process dies after so many checkpoints."""

    left = 0

    def due(self) -> bool:
        return True

    def write(self, seeds: Sequence[int], state: Callable[[int], bytes]) -> None:
        super().write(seeds, state)
        self.left -= 1
        if not self.left:
            raise Broken


def run(checkpoints: Any = None) -> SeedResult:
    task = Vowels()
    made = catalogue.algorithm_on(task, "grpo").configure({"prompts": 4, "completions": 4, "learning_rate": 1e-2}, task)
    results: list[SeedResult] = []
    recorder = Recorder([7], budget=360, every=120, episodes=6, on_finished=results.append, checkpoints=checkpoints)
    made.train(task, [7], recorder, device="cpu")
    return results[0]


@pytest.fixture(scope="module")
def whole(cache: None) -> SeedResult:
    return run()


def broken_off(path: Path, after: int = 3) -> bytes:
    breaking = Breaking({7: path}, {7: f"{IDENTITY} seed 7"}, 0.0)
    breaking.left = after
    with pytest.raises(Broken):
        run(breaking)
    return path.read_bytes()


def flipped(data: bytes, *, seed: int) -> bytes:
    """Two bits flipped somewhere."""
    changed = bytearray(data)
    for place in np.random.default_rng(seed).integers(0, len(data), 2):
        changed[place] ^= 1 << int(place % 8)
    return bytes(changed)


class Opened:
    """What pickle runs when nobody forbids it."""

    def __reduce__(self) -> Any:
        return (print, ("code was run",))


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_a_record_says_where_a_run_went_on(tmp_path: Path, whole: SeedResult) -> None:
    path = tmp_path / "seed-7.checkpoint"
    broken_off(path)
    again = run(checkpoints(path, seed=7))
    assert without_clocks(again) == without_clocks(whole)
    (entry,) = again.provenance["resumed"]
    assert set(entry) == {"at", "iteration", "env_steps", "mark"}
    assert entry["iteration"] == 3
    assert 0 < entry["env_steps"] < 360
    assert entry["mark"] in (0, 120, 240)
    assert entry["mark"] < entry["env_steps"] <= entry["mark"] + 120
    assert "checkpoints_put_aside" not in again.provenance
    assert whole.provenance == {}


def test_and_where_it_went_on_again(tmp_path: Path, whole: SeedResult) -> None:
    path = tmp_path / "seed-7.checkpoint"
    broken_off(path, 3)
    broken_off(path, 2)
    again = run(checkpoints(path, seed=7))
    assert without_clocks(again) == without_clocks(whole)
    assert [entry["iteration"] for entry in again.provenance["resumed"]] == [3, 5]


BAD = {
    "flipped bits": (lambda data: flipped(data, seed=1), "digest"),
    "cut off": (lambda data: data[: len(data) // 2], "digest"),
    "empty": (lambda data: b"", "first line"),
    "of another seed": (lambda data: data.replace(b" seed 7 ", b" seed 8 ", 1), "first line"),
    "no state": (lambda data: sealed(b"not a state at all"), "does not load"),
    "part of a state": (
        lambda data: sealed(saved({"iteration": 3, "state": {"tokens": 100, "renewed": None}, "recorded": "{}"})),
        "does not load",
    ),
    "code": (lambda data: sealed(saved({"iteration": Opened()})), "does not load"),
    "another recorder": (lambda data: sealed(other_recorder(data)), "does not load"),
}


def sealed(state: bytes) -> bytes:
    return seal(f"haepo-bench checkpoint 2 {IDENTITY} seed 7", state)


def other_recorder(data: bytes) -> bytes:
    """All of the state is taken over before this is found to be wrong."""
    state = torch.load(io.BytesIO(data.partition(b"\n")[2]), weights_only=True)
    state["recorded"] = '{"unheard_of": 1}'
    return saved(state)


@pytest.mark.parametrize("what", BAD)
def test_one_that_is_no_good_is_kept_and_the_run_starts_from_its_beginning(
    tmp_path: Path, whole: SeedResult, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    spoil, says = BAD[what]
    path = tmp_path / "seed-7.checkpoint"
    spoiled = spoil(broken_off(path))
    path.write_bytes(spoiled)
    capsys.readouterr()
    again = run(checkpoints(path, seed=7))
    assert without_clocks(again) == without_clocks(whole)
    assert (again.final, again.status) == (whole.final, whole.status)
    assert (tmp_path / "seed-7.checkpoint.damaged").read_bytes() == spoiled
    (entry,) = again.provenance["checkpoints_put_aside"]
    assert entry["file"] == "seed-7.checkpoint.damaged"
    assert says in entry["reason"]
    assert "resumed" not in again.provenance
    said = capsys.readouterr()
    assert said.out.count("starts from its beginning") == 1
    assert says in said.out
    assert "code was run" not in said.out
    assert "weights_only" not in said.out + said.err + str(again.provenance)


def test_a_machine_out_of_memory_makes_no_checkpoint_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "seed-7.checkpoint"
    kept = broken_off(path)

    def none_left(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "load", none_left)
    with pytest.raises(torch.OutOfMemoryError):
        run(checkpoints(path, seed=7))
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_starting_policy_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is in the user's cache, and every run starts from it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def start() -> bytes:
        model = starting_model(Vowels(), find_source("tiny"), texts(), LanguageSettings(), "cpu")
        return b"".join(p.detach().numpy().tobytes() for p in model.parameters())

    first = start()
    (file,) = cache_folder().glob("*.policy")
    whole = file.read_bytes()
    file.write_bytes(flipped(whole, seed=2))
    assert start() == first
    assert file.read_bytes() == whole
    assert file.with_name(f"{file.name}.damaged").read_bytes() == flipped(whole, seed=2)
    assert "made again" in capsys.readouterr().out
