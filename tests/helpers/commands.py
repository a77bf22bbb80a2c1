"""Commands as the shell gives them, on runs that take seconds, and the configs of those runs."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from paw_stack import cli

# A Swin with 19,000 parameters; 32 wide.
TINY_SWIN = {"window_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [1, 2]}
SWIN = {
    "name": "swin",
    "model": "swin_tiny_patch4_window7_224",
    "model_args": TINY_SWIN,
    "pretrained": False,
    "image_size": 32,
}
FROZEN = {**SWIN, "frozen": True}
N_LABELLED, N_TEST, N_EXTRA = 42, 9, 32
CANDIDATES = ["swin.nn", "swin.svr", "swin.gbm", "swin.ridge"]
ROWS = {"images": "extra", "table": "extra.csv", "column": "Breed"}
ENCODER = {**FROZEN, "name": "ae", "model": "resnet10t", "model_args": {}}
GAN = {"images": 10, "size": 32, "width": 4, "epochs": 1}
AUTOENCODER = {"backbone": "ae", "epochs": 1, "width": 4}
VARIANTS = {
    "predicted": {"pseudo": {"policy": "predicted", "confidence": True}},
    "matched": {"pseudo": {"policy": "matched", "start": "teacher", "soft": 0.3}},
    "random": {"pseudo": {"policy": "random"}},
    "pretrain": {"pretrain": {"epochs": 2}},
    "autoencoder": {"autoencoder": AUTOENCODER},
    "fed": {"autoencoder": {**AUTOENCODER, "feed": ["swin"]}, "pseudo": {}},
    "gan": {"gan": GAN, "pseudo": {}},
}


def write_config(folder: Path, sample: Path, data: dict | None = None, **changes) -> Path:
    """A run on the drawn sample that takes seconds: one Swin of 19,000 parameters, two folds."""
    config = {
        "run": {"name": "tiny", "root": str(folder / "runs")},
        "data": {"root": str(sample), "target": "Pawpularity", "bounds": [1, 100], **(data or {})},
        "folds": {"n": 2},
        "backbones": [SWIN],
        "finetune": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3},
        "heads": {"svr": {}, "gbm": {"trees": 5, "min_rows": 5}, "ridge": {}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**config, **changes}))
    return path


def extra_config(folder: Path, sample: Path, extra: dict, **changes) -> Path:
    """A tiny run that makes `extra` of the sample's extra photos."""
    backbones = [SWIN, ENCODER] if "autoencoder" in extra else [SWIN]
    common = {"data": {"extra": ROWS}, "backbones": backbones, "heads": {"ridge": {}}}
    return write_config(folder, sample, **{**common, "extra": extra, **changes})


def run_folder(folder: Path) -> Path:
    return folder / "runs" / "tiny"


def held_out(folder: Path, fold: int) -> bytes:
    return (run_folder(folder) / "finetune" / "swin" / f"fold{fold}" / "held_out.csv").read_bytes()


def write_study(folder: Path, sample: Path, variants: list[dict]) -> Path:
    write_config(folder, sample, heads={"ridge": {}})
    study = {"root": str(folder / "study"), "config": "config.yaml", "variants": variants}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def blend_words(files, *more: object) -> list[object]:
    return [
        *("blend", "--labelled", files / "labelled.csv", "--target", "score"),
        *("--candidates", files / "v*.csv", "--out", files / "out", *more),
    ]


def call(*words: object) -> None:
    """Run a command as the shell does, but in this process."""
    cli.app([str(word) for word in words], standalone_mode=False)


def failure(capsys, monkeypatch, *words: object) -> str:
    """What a user reads on stderr of a command that exits with 2."""
    monkeypatch.setattr("sys.argv", ["paw-stack", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    return capsys.readouterr().err


def done_records(runs: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in runs.rglob("*done.json")}


@contextmanager
def served(run: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Address and process of the page that the command serves."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    code = "import sys; from paw_stack.cli import main; sys.argv[0] = 'paw-stack'; main()"
    command = [sys.executable, "-c", code, "app", run, "--port", url.rpartition(":")[2]]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    try:
        assert f"{url} " in process.stdout.readline()
        yield url, process
    finally:
        process.terminate()
        process.communicate()


def submission(folder: Path) -> bytes:
    return (run_folder(folder) / "submission.csv").read_bytes()
