"""Steps in a store, and what a stranger may put in the place of a run's files."""

import json
import os
import socket
import threading
from pathlib import Path

import yaml

from paw_stack.artifacts.remote import RemoteCopy, Store
from paw_stack.artifacts.step import Location, Step

NAMES = ("weights.bin", "held_out.csv")


def step_at(done: Path, seed: object = 0, *outputs: str) -> Step:
    return Step("a step", Location(done, outputs), {"seed": seed})


def step_in_store(folder: Path, url: str, seed: int = 0) -> Step:
    done = folder / "run" / "finetune" / "a" / "fold0" / "done.json"
    outputs = ("finetune/a/fold0/*",)
    remote = RemoteCopy(Store(url, folder / "run"), done, outputs)
    return Step("a step", Location(done, outputs, remote), {"seed": seed})


def make(unit: Step, names=NAMES) -> None:
    unit.begin()
    for name in names:
        (unit.folder / name).write_text(f"{name} of {unit.inputs}")
    unit.finish(device="cpu")


LIMIT_S = 60  # what waits for a pipe waits for ever


def pipe(path: Path) -> None:
    os.mkfifo(path)


def there(path: Path) -> None:
    """A socket; its address may have 107 bytes alone, so it is made in its folder."""
    before = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(before)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def replaced(path: Path, plant):
    """`plant` in the place of a file, which comes back."""
    path.unlink()
    plant(path)


def rewritten(path: Path, change) -> None:
    """Another JSON or YAML in its place."""
    facts = yaml.safe_load(path.read_text())
    change(facts)
    path.unlink()
    path.write_text(json.dumps(facts))


def within_limit(work):
    """What `work` gives or raises; a failure where it hangs."""
    found = []

    def asked():
        try:
            found.append((work(), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=asked, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    assert found, "it still waits"
    given, error = found[0]
    if error:
        raise error
    return given
