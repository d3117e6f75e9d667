"""Machines that have booted and have the product installed, to start others from.

Under emulation that takes minutes of a processor, and is the same for each module of tests: so it
is done once a release, and kept below .build/vm until the product or these tests change.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from tests.lab import Lab

from .image import CACHE, REPOSITORY, files, image, locked
from .machine import Machine


@dataclass(frozen=True)
class Snapshot:
    """A machine that was stopped in the middle of its work; nothing writes to it."""

    disk: Path
    memory: Path


def snapshot(release: str, kind: str, prepare: Callable[[Machine], None]) -> Snapshot:
    """The machine of a release that has booted and been prepared; made now if there is none."""
    name = f"snapshot-{kind}-{release}"
    directory = CACHE / f"{name}-{_key(release, kind)}"
    with locked(name):
        if not directory.exists():
            for old in CACHE.glob(f"{name}-*"):
                shutil.rmtree(old)
            fresh = CACHE / f"{name}-new"
            fresh.mkdir()
            _make(release, kind, prepare, fresh)
            fresh.rename(directory)
    return Snapshot(directory / "disk.qcow2", directory / "memory")


def _key(release: str, kind: str) -> str:
    """What changes with all that a snapshot depends on."""
    digest = hashlib.sha256(str(image(release, kind).disk).encode())
    for name in files():
        # The tests themselves come later, and nobody in a machine reads.
        ours = not name.startswith("tests/") or name.startswith(("tests/lab/", "tests/vm/"))
        if ours and not name.endswith(".md") and not Path(name).name.startswith("test_"):
            digest.update(name.encode() + b"\0" + (REPOSITORY / name).read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _make(release: str, kind: str, prepare: Callable[[Machine], None], directory: Path) -> None:
    """Boot a machine, prepare it, and stop it."""
    with Lab(machine=True) as lab:
        machine = Machine(lab, release, kind=kind)
        try:
            failed = machine.boot()
            if failed:
                raise RuntimeError(f"failed at boot: {' '.join(failed)}")
            prepare(machine)
            machine.save(directory / "disk.qcow2", directory / "memory")
        finally:
            machine.close()
