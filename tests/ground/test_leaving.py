"""What a signal removes: files that are held just now, and none that were let go before."""

import signal
import subprocess
import sys

CODE = """
import time
from pathlib import Path
from paw_stack.signals import ending_soon, removed_on_leaving
held, let_go = Path("held"), Path("let go")
with ending_soon(), removed_on_leaving(held):
    with removed_on_leaving(let_go):
        let_go.touch()
    assert not let_go.exists()
    held.touch()
    let_go.touch()  # somebody else's by now
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_signal_removes_what_is_held_alone(tmp_path):
    command = [sys.executable, "-c", CODE]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in said
    assert not (tmp_path / "held").exists()
    assert (tmp_path / "let go").exists()
