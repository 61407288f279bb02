"""Ways to damage what is stored, for damaged_stores.py and damaged_checkpoints.py."""

import json
import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: JSON that no field expects.
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1e300, -1e308, 10**400, 2**63, "", "three", "\ud800", "\x1b[31m", [], [[]], {}, {"a": {}},
    [None] * 3, "9" * 5_000, 0.1,
)  # fmt: skip


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """One to eight bits, anywhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Written to the disk in part."""
    return data[: rng.randrange(len(data) + 1)]


def overwrite(data: bytes, rng: random.Random) -> bytes:
    """A block of zeros or noise, as after a crash of the machine."""
    start, length = rng.randrange(len(data) + 1), rng.choice((1, 512, 4096))
    block = bytes(length) if rng.random() < 0.5 else rng.randbytes(length)
    return data[:start] + block + data[start + length :]


def noise(data: bytes, rng: random.Random) -> bytes:
    """Nothing of it is left."""
    return rng.randbytes(rng.choice((0, 1, 100, 10_000)))


def other_values(data: bytes, rng: random.Random) -> bytes:
    """Valid JSON with wrong types, huge numbers, missing or unknown keys."""
    document = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        _change(document, rng)
    text = json.dumps(document)
    if rng.random() < 0.1:
        text = "[" * 100_000 if rng.random() < 0.5 else text.replace("0.", "NaN, 0.", 1)
    return text.encode()


def newer(data: bytes, rng: random.Random) -> bytes:
    """A later format, in which anything may be."""
    document = json.loads(data)
    _change(document, rng)
    return json.dumps(
        {**document, "surprise": rng.choice(ODD[:8]), "format_version": rng.choice((2, 3, 10**9))}
    ).encode()


#: How content is damaged. It can be read afterwards, and whoever reads it can know that it is wrong, or newer.
CONTENTS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bits flipped": flip_bits,
    "cut off": cut,
    "overwritten": overwrite,
    "noise": noise,
    "other values": other_values,
    "newer": newer,
}


def _change(node: Any, rng: random.Random) -> None:
    """Somewhere in a JSON document."""
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = rng.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.7:
            node = node[key]
            continue
        if isinstance(node, dict) and rng.random() < 0.3:
            if rng.random() < 0.5:
                del node[key]
            else:
                node[rng.choice(("surprise", f"{key}_", key.upper()))] = rng.choice(ODD)
        else:
            node[key] = rng.choice(ODD)
        return


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket may have 107 characters
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("something of a user's")


#: What is put in a file's place, or a folder's. It cannot be read.
SPECIAL: dict[str, Callable[[Path], None]] = {
    "named pipe": _fifo,
    "socket": _socket,
    "folder": _folder,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("unmounted/disk"),
    "closed": lambda path: _closed(path),
    "larger than memory": lambda path: _sparse(path),
}


def _closed(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def replace(path: Path, kind: str) -> None:
    """Puts something special in the place of what is at `path`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    SPECIAL[kind](path)
