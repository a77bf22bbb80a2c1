"""A run that is killed anywhere and started again ends as if nobody had touched it."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from helpers.commands import done_records, write_config

TRAINING = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3}
MOST_CHANGES = 45  # of files, until a process is killed; a start alone makes about ten
KILLS, SEED = 60, 1
ALIKE = ["submission.csv", "folds.csv", "blend/blend.json", "blend/blend.csv"]


@pytest.fixture(scope="module")
def whole(server, sample_folder, tmp_path_factory) -> Path:
    """A run that nobody touches."""
    folder = tmp_path_factory.mktemp("whole")
    config = write_config(folder, sample_folder, finetune=TRAINING)
    server.start(folder / "log", "run", config)
    assert server.wait() == 0, (folder / "log").read_text()
    return folder / "runs"


def files(root: Path) -> dict[str, tuple[int, int]]:
    """Path -> time and size, of whatever is there at the moment."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                facts = (Path(folder) / name).stat()
            except FileNotFoundError:
                continue
            found[f"{folder}/{name}"] = (facts.st_mtime_ns, facts.st_size)
    return found


def stage(runs: Path) -> str:
    """What a process is at, by what is there."""
    run, done = runs / "tiny", len(done_records(runs))
    if not (run / "check" / "duplicates.csv").exists():
        return "photos"
    names = ["finetune"] * 2 + ["embed"] * 2 + ["fit-heads"] * 3 + ["blend", "pictures", "report"]
    return names[done]


def kill_after_changes(pid: int, runs: Path, changes: int, how: signal.Signals) -> None:
    """Wait until so many files have come, gone or changed; the process may end before."""
    seen, left = files(runs), changes
    while left > 0 and Path(f"/proc/{pid}/stat").exists():
        now = files(runs)
        left -= len(dict(now.items() ^ seen.items()))
        seen = now
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def killed_until_done(server, config, runs, draw, kills) -> None:
    """Start and kill until a start gets through; what was finished must stay as it was."""
    kept: dict[Path, bytes] = {}
    for _ in range(100):
        pid = server.start(runs.parent / "log", "run", config)
        how = draw.choice([signal.SIGKILL, signal.SIGTERM])
        kill_after_changes(pid, runs, draw.randint(1, MOST_CHANGES), how)
        code = server.wait()
        assert code in (0, -signal.SIGKILL, 128 + signal.SIGTERM), (runs.parent / "log").read_text()
        now = done_records(runs)
        assert kept.items() <= now.items()
        kept = now
        if code == 0:
            return
        kills[stage(runs), how.name] += 1
    raise AssertionError("a hundred starts did not get through")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="watches processes in /proc")
@pytest.mark.slow
def test_a_run_killed_anywhere_ends_with_the_same_bytes(server, whole, sample_folder, tmp_path):
    draw, kills = random.Random(SEED), Counter()
    rounds = 0
    while kills.total() < KILLS:
        rounds += 1
        folder = tmp_path / f"round{rounds}"
        config = write_config(folder, sample_folder, finetune=TRAINING)
        runs = folder / "runs"
        killed_until_done(server, config, runs, draw, kills)
        predictions = [
            path.relative_to(whole / "tiny") for path in whole.rglob("predictions/*.csv")
        ]
        assert len(predictions) == 8
        for name in [*ALIKE, *predictions]:
            assert (runs / "tiny" / name).read_bytes() == (whole / "tiny" / name).read_bytes()
        left = {str(p.relative_to(runs)) for p in runs.rglob("*")}
        assert {name for name in left if ".tmp" in name} == set()
        assert left == {str(p.relative_to(whole)) for p in whole.rglob("*")}
    print(f"seed {SEED}: {kills.total()} kills in {rounds} rounds: {dict(kills)}")
    assert {name for name, _ in kills} >= {"finetune", "embed", "fit-heads"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_says_what_is_kept_and_how_to_go_on(
    how, server, sample_folder, tmp_path
):
    config = write_config(tmp_path, sample_folder, finetune={**TRAINING, "epochs": 10_000})
    pid = server.start(tmp_path / "log", "run", config)
    state = tmp_path / "runs" / "tiny" / "finetune" / "swin" / "fold0" / "state.safetensors"
    while not state.exists():
        time.sleep(0.01)
    os.kill(pid, how)
    assert server.wait() == 128 + how
    said = (tmp_path / "log").read_text()
    assert f"stopped by {how.name}" in said
    assert f"go on with: paw-stack run {config}" in said
    assert "Traceback" not in said
    assert state.exists()
    assert not (tmp_path / "runs" / "tiny" / "lock.json").exists()


def test_a_signal_ends_compiled_code_that_python_cannot_interrupt(tmp_path):
    """Ten minutes of hashing in one call; the handler runs after it, the watching thread before."""
    lock = tmp_path / "lock.json"
    lock.touch()
    code = (
        "import hashlib\n"
        "from pathlib import Path\n"
        "from paw_stack.signals import ending_soon, removed_on_leaving\n"
        f"with ending_soon(), removed_on_leaving(Path({str(lock)!r})):\n"
        "    print('ready', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not lock.exists()
    assert "stopped by SIGINT" in said


@pytest.mark.parametrize("then", ["", "write_text(path, 'made after the signal')"])
def test_a_signal_that_compiled_code_loses_ends_the_command_all_the_same(then, server, tmp_path):
    """torch takes whatever an element raises for "has no shape" and raises an error of its own."""
    path, log = tmp_path / "here" / "file.txt", tmp_path / "log"
    path.parent.mkdir()
    code = (
        "import os, signal, torch\n"
        "from pathlib import Path\n"
        "from paw_stack.artifacts.files import write_text\n"
        "from paw_stack.signals import ending_soon\n"
        "class Struck:\n"
        "    def __len__(self):\n"
        "        return 1\n"
        "    def __getitem__(self, place):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        return 1.0\n"
        f"path = Path({str(path)!r})\n"
        "with ending_soon():\n"
        "    try:\n"
        "        torch.asarray(Struck())\n"
        "    except ValueError:\n"
        f"        {then or 'raise'}\n"
        "    print('went on')\n"
    )
    server.start(log, code=code)
    ended, said = server.wait(), log.read_text()
    assert ended == 128 + signal.SIGTERM, said
    assert "stopped by SIGTERM" in said and "Traceback" not in said
    assert "went on" not in said
    assert not path.exists() and not list(path.parent.iterdir())
