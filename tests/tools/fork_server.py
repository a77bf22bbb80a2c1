"""Starts paw-stack many times at the price of one import of torch.

Reads lines of JSON, `{"code": text, "words": [...], "log": path}`, and answers each with the number
of a forked process that runs the code with these words as its command line; once that has ended,
with its status as `os.waitpid` gives it. It computes nothing itself: threads of OpenMP do not
survive a fork.
"""

import importlib
import json
import os
import sys
import traceback

HEAVY = [
    "pandas",
    "torch",
    "timm",
    "lightgbm",
    "sklearn.linear_model",
    "sklearnex.svm",
    "albumentations",
    "lightning_fabric",
    "matplotlib.figure",
    "tensorboard.summary.writer.record_writer",
    "paw_stack.network.train_loop",
    "paw_stack.pipeline",
]


def main() -> None:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    for name in HEAVY:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            work(**request)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


def work(code: str, words: list[str], log: str) -> None:
    """What a process of its own would do, with everything that is said in a file."""
    out = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.argv = ["paw-stack", *words]
    status = 1
    try:
        exec(code, {})
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
