"""Whole commands, as a user starts them: wall, processor and peak memory of each process.

    python tests/benchmarks/bench_run.py [--photos N] [--demo] [--against TREE]

On the rated photos of `configs/oasis.yaml` (`PAW_STACK_DATA`), with three EfficientNet-lites: a
cold run, another target, a run with nothing to do, `check`, `predict`; and a plain notebook of timm
and scikit-learn that embeds the same photos and cross-validates SVR and ridge by hand. `--against`
runs another version's commands alternately in the same call.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.places import OASIS, ROOT

NOTEBOOK = """
import sys
import numpy as np, pandas as pd, timm, torch
from PIL import Image
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

data, weights = sys.argv[1:]
table = pd.read_csv(f"{data}/train.csv")
vectors = []
for size in range(3):
    name = f"tf_efficientnet_lite{size}"
    net = timm.create_model(name, checkpoint_path=f"{weights}/{name}.safetensors").eval()
    make = timm.data.create_transform(**timm.data.resolve_data_config({}, model=net))
    photos = [Image.open(f"{data}/train/{i}.jpg").convert("RGB") for i in table["Id"]]
    rows = [make(photo) for photo in photos]
    with torch.inference_mode():
        for flip in (False, True):
            batches = torch.stack(rows).split(64)
            batches = [b.flip(-1) if flip else b for b in batches]
            found = [net.forward_head(net.forward_features(b), pre_logits=True) for b in batches]
            vectors.append(torch.cat(found).numpy())
X = np.hstack(vectors)
y = table["valence"]
folds = KFold(10, shuffle=True, random_state=0)
heads = [SVR(C=4), RidgeCV(10.0 ** np.arange(6))]
oof = [cross_val_predict(make_pipeline(StandardScaler(), h), X, y, cv=folds) for h in heads]
print("RMSE", np.sqrt(np.mean((np.mean(oof, axis=0) - y) ** 2)))
"""
CONFIG = """
run: {name: oasis}
data: {root: oasis, sample_submission: null, target: valence, bounds: [1, 7]}
folds: {n: 10}
embed: {flip: true}
compute: {precision: fp32}
heads: {svr: {C: 4}, ridge: {}, gbm: {}, selection: {}}
backbones:
"""
BACKBONE = """  - name: lite{size}
    model: tf_efficientnet_lite{size}
    weights: artifacts/weights/tf_efficientnet_lite{size}.safetensors
    frozen: true
    layers: [embedding, logits]
"""


class Used(NamedTuple):
    """What a process and its children took."""

    wall: float  # s
    user: float  # s of processors
    kernel: float  # s of processors, in the kernel
    peak: float  # MB


def main() -> None:
    options = _options()
    trees = [ROOT, *([options.against] if options.against else [])]
    if not OASIS.is_dir():
        raise SystemExit(f"the rated photos are not at {OASIS}; set PAW_STACK_DATA")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights"
        convert = [sys.executable, str(ROOT / "tests/tools/efficientnet_lite.py"), str(weights)]
        subprocess.run(convert, check=True, stdout=subprocess.DEVNULL)
        places = {tree: _place(folder / str(number), weights) for number, tree in enumerate(trees)}
        _header()
        for what, words in _commands(options).items():
            for tree, place in places.items():
                _line(what, tree, _used([*_python(), *words], place, tree))
        peer = [sys.executable, "-c", NOTEBOOK, str(OASIS), str(weights)]
        _line("a notebook of timm and scikit-learn", ROOT, _used(peer, folder, ROOT))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=100, help="of the larger predict")
    parser.add_argument("--demo", action="store_true", help="the demo too: a minute or two")
    parser.add_argument("--against", type=Path, help="another checkout of paw-stack")
    return parser.parse_args()


def _place(place: Path, weights: Path) -> Path:
    """A working directory with the photos and the weights."""
    (place / "artifacts").mkdir(parents=True)
    (place / "oasis").symlink_to(OASIS)
    shutil.copytree(weights, place / "artifacts" / "weights")
    backbones = "".join(BACKBONE.format(size=size) for size in range(3))
    (place / "mine.yaml").write_text(CONFIG + backbones)
    return place


def _commands(options: argparse.Namespace) -> dict[str, list[str]]:
    photos = [str(path) for path in sorted((OASIS / "test").iterdir())[: options.photos]]
    other = ["--set", "data.target=arousal", "--set", "run.name=arousal"]
    out = ["--out", "scores.csv"]
    found = {
        "--help": ["--help"],
        "run, cold": ["run", "mine.yaml"],
        "run, another target": ["run", "mine.yaml", *other],
        "run, nothing to do": ["run", "mine.yaml"],
        "check, warm": ["check", "mine.yaml"],
        "predict 1 photo": ["predict", "artifacts/oasis", *photos[:1], *out],
        "predict 1 photo again": ["predict", "artifacts/oasis", *photos[:1], *out],
        f"predict {len(photos)} photos": ["predict", "artifacts/oasis", *photos, *out],
    }
    return found | ({"demo": ["demo"]} if options.demo else {})


def _python() -> list[str]:
    return [sys.executable, "-c", "from paw_stack.cli import main; main()"]


def _used(command: list[str], place: Path, tree: Path) -> Used:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    start = perf_counter()
    with (place / "out.txt").open("w") as out:
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
    wall = perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((place / "out.txt").read_text()[-2000:])
    return Used(wall, used.ru_utime, used.ru_stime, used.ru_maxrss / 1e3)


def _header() -> None:
    print(f"| {'':38} | {'wall, s':>8} | {'user, s':>8} | {'kernel, s':>9} | {'peak, MB':>8} |")
    print(f"|{'-' * 40}|{'-' * 10}|{'-' * 10}|{'-' * 11}|{'-' * 10}|")


def _line(what: str, tree: Path, used: Used) -> None:
    name = what if tree == ROOT else f"  {tree.name}"
    numbers = f"{used.wall:8.1f} | {used.user:8.1f} | {used.kernel:9.1f} | {used.peak:8.0f}"
    print(f"| {name:38} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
