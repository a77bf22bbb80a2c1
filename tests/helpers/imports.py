"""What a command has imported by some point, in a process of its own."""

import subprocess
import sys
from pathlib import Path

RUN = """
import sys
from pathlib import Path
import paw_stack.commands.run as commands
from paw_stack.config import load_config

def reached(*_):
    heavy = {"torch", "timm", "sklearn", "cv2", "albumentations", "lightgbm", "numba"}
    print("HEAVY", sorted(heavy & set(sys.modules)))
    raise SystemExit

function, config, *changes = sys.argv[1:]
setattr(commands, function, reached)
commands.run(load_config(Path(config), changes))
"""


def heavy_before(function: str, config: str | Path, *changes: str) -> str:
    """Printed as a list: heavy packages that `run` holds when it calls that function of its own."""
    command = [sys.executable, "-c", RUN, function, str(config), *changes]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].removeprefix("HEAVY ")
