"""Files from a stranger run no code, claim no memory and lead nowhere."""

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.commands import call, failure, write_config
from hypothesis import given
from hypothesis import strategies as st

from paw_stack.artifacts.files import read_array, read_csv, read_head, read_weights, write_csv
from paw_stack.config import load_config
from paw_stack.data.competition import load_competition
from paw_stack.data.tables import guarded, plain
from paw_stack.errors import ArtifactError, DataError
from paw_stack.network.backbone import build_backbone

TRAPPED = """
import pickle, sys
import joblib, numpy, torch
from paw_stack import cli

def trap(*args, **kwargs):
    raise SystemExit("a file was unpickled")

class Trap(pickle.Unpickler):
    load = trap

real, load = torch.load, numpy.load
pickle.load = joblib.load = trap
pickle.Unpickler = Trap

def torch_load(*args, weights_only=None, **kwargs):
    return real(*args, weights_only=True, **kwargs) if weights_only else trap()

def numpy_load(*args, allow_pickle=False, **kwargs):
    return trap() if allow_pickle else load(*args, **kwargs)

torch.load, numpy.load = torch_load, numpy_load
for words in sys.argv[1:]:
    cli.app(words.split("|"), standalone_mode=False)
"""


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_whole_run_unpickles_no_file(sample_folder, tmp_path):
    """Weights from a .pth, every head, resuming, blending, a second run over everything."""
    weights = tmp_path / "weights.pth"
    config = write_config(
        tmp_path, sample_folder, heads={"svr": {}, "gbm": {"trees": 3}, "knn": {}}
    )

    backbone = build_backbone(load_config(config).backbones[0], 0)
    torch.save(backbone.model.state_dict(), weights)
    local = f"--set|backbones.0.pretrained=true|--set|backbones.0.weights={weights}"
    words = [f"run|{config}|{local}"] * 2 + [f"status|{config}|{local}"]
    done = subprocess.run(
        [sys.executable, "-c", TRAPPED, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "fit swin.knn: done before, skipped" in done.stdout


def test_pickled_weights_are_refused_and_not_run(sample_folder, tmp_path, capsys, monkeypatch):
    mark, weights = tmp_path / "mark", tmp_path / "weights.pth"
    torch.save({"a": Bomb(mark)}, weights)
    config = write_config(tmp_path, sample_folder)
    changes = ("backbones.0.pretrained=true", f"backbones.0.weights={weights}")
    said = failure(capsys, monkeypatch, "run", config, *(f"--set={key}" for key in changes))
    assert "cannot be built" in said
    assert "Traceback" not in said
    assert not mark.exists()


def pickled(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(mark)))


def pickled_array(path: Path, mark: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([Bomb(mark)], dtype=object), allow_pickle=True)


def huge_array(path: Path, mark: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


def huge_tensor(path: Path, mark: Path) -> None:
    facts = {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    header = json.dumps(facts).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)


def huge_header(path: Path, mark: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")


def other_shape(path: Path, mark: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros((3, 4), dtype=np.float32))


EMBEDDING = "embeddings/swin/fold0/embedding.npy"
WEIGHTS = "finetune/swin/fold0/weights.safetensors"
FILES = [
    (EMBEDDING, pickled),
    (EMBEDDING, pickled_array),
    (EMBEDDING, huge_array),
    (EMBEDDING, other_shape),
    (WEIGHTS, pickled),
    (WEIGHTS, huge_tensor),
    (WEIGHTS, huge_header),
    ("heads/swin.svr/fold0.safetensors", pickled),
    ("heads/swin.svr/fold0.safetensors", huge_tensor),
]


@pytest.mark.parametrize(("name", "spoil"), FILES)
def test_a_planted_file_is_one_error_and_runs_nothing(name, spoil, run, tmp_path):
    path = tmp_path / Path(name).name
    spoil(path, tmp_path / "mark")
    read = {
        EMBEDDING: lambda: read_array(path, 51),
        WEIGHTS: lambda: read_weights(path),
    }.get(name, lambda: read_head(path))
    with pytest.raises(ArtifactError, match="--force"):
        read()
    assert not (tmp_path / "mark").exists()
    assert (run / name).exists()  # a file of this name is one of ours


def test_what_the_message_says_helps(run, tmp_path, capsys, monkeypatch):
    shutil.copytree(run.parents[1], tmp_path / "copy")
    config = tmp_path / "copy" / "config.yaml"
    place = f"--set=run.root={tmp_path / 'copy' / 'runs'}"
    run = tmp_path / "copy" / "runs" / "tiny"
    before = (run / "submission.csv").read_bytes()
    huge_array(run / EMBEDDING, tmp_path)
    (run / "predictions" / "swin.svr.done.json").unlink()
    assert "--force" in failure(capsys, monkeypatch, "run", config, place)
    call("run", config, place, "--force", "embed")
    assert (run / "submission.csv").read_bytes() == before


@pytest.mark.parametrize("record", ["[]", "3", '{"seconds": 1}', "{", "\0", '{"fingerprint": []}'])
def test_a_forged_record_counts_as_not_done(record, run, capsys):
    done = run / "predictions" / "swin.ridge.done.json"
    before = done.read_bytes()
    done.write_text(record)
    try:
        capsys.readouterr()
        call("status", run.parents[1] / "config.yaml")
        assert capsys.readouterr().out.count("done  ") == 6
    finally:
        done.write_bytes(before)


@pytest.mark.parametrize(
    "text",
    [
        "Id,fold,prediction\na,0,x\n",
        "Id,fold\na,0\n",
        "prediction\n1\n",
        "Id,prediction\na,1\na,2\n",
        "",
        "\0",
        '"',
    ],
)
def test_forged_predictions_are_one_error(text, tmp_path):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ArtifactError, match=r"p\.csv: "):
        read_csv(tmp_path / "p.csv", needs=("Id", "prediction"))


IDS = [
    "../../etc/passwd",
    "/a",
    "a/../../b",
    "a//b",
    "a\\b",
    "",
    "a\nb",
    "a\0b",
    "x" * 300,
    "猫" * 120,
    "..",
    "C:x",
    "a\tb",
]


@pytest.mark.parametrize("bad", IDS, ids=lambda bad: repr(bad)[:20])
def test_an_id_that_is_no_file_name_is_refused(bad, pictures):
    table = pd.read_csv(pictures.root / "train.csv", dtype=str)
    table.loc[2, "Id"] = bad
    table.to_csv(pictures.root / "train.csv", index=False)
    with pytest.raises(DataError, match=r"cannot be file names|no CSV table"):
        load_competition(pictures)


@given(st.text())
def test_a_guarded_cell_is_no_formula_and_comes_back(text):
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert plain(guarded(text)) == text


def test_formula_ids_are_quoted_in_tables_and_exact_in_the_submission(own_sample, tmp_path):
    renamed = {}
    for table, folder in (("train.csv", "train"), ("test.csv", "test")):
        found = pd.read_csv(own_sample / table, dtype=str)
        for row, start in enumerate("=+-@'"):
            old = found.loc[row, "Id"]
            renamed[old] = f"{start}SUM(1;{old})"
            (own_sample / folder / f"{old}.jpg").rename(own_sample / folder / f"{renamed[old]}.jpg")
        found["Id"] = found["Id"].replace(renamed)
        found.to_csv(own_sample / table, index=False)
    sample = pd.read_csv(own_sample / "sample_submission.csv", dtype=str)
    sample["Id"] = sample["Id"].replace(renamed)
    sample.to_csv(own_sample / "sample_submission.csv", index=False)
    config = write_config(tmp_path, own_sample, heads={"ridge": {}})
    call("run", config)
    run = tmp_path / "runs" / "tiny"
    submitted = pd.read_csv(run / "submission.csv", dtype=str)["Id"]
    assert submitted.tolist() == sample["Id"].tolist()
    for path in run.rglob("*.csv"):
        if path.name != "submission.csv":
            cells = pd.read_csv(path, dtype=str, keep_default_na=False)
            texts = cells.filter(regex="Id|path").to_numpy().ravel()
            assert not [t for t in texts if t.startswith(("=", "+", "-", "@"))], path.name
    handed_back = f"folds.file={run / 'folds.csv'}"
    call("check", config, "--set", handed_back)


def test_a_table_comes_back_as_it_was(tmp_path):
    table = pd.DataFrame({"Id": ["=1", "'=1", "NA", "-x", "007"], "prediction": [-1.5, 0, 1, 2, 3]})
    write_csv(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(
        read_csv(tmp_path / "t.csv", needs=("Id", "prediction")), table, check_dtype=False
    )
