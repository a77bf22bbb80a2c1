"""What makes a unit stale: keys of the config, photos, targets, rows; status and --force."""

import contextlib
import shutil
from pathlib import Path
from typing import Any, get_args, get_origin

import pandas as pd
import pytest
from pydantic import ValidationError
from safetensors.torch import save_file
from test_end_to_end import call, failure, write_config

from paw_stack.config import Config, Section, load_config
from paw_stack.network.backbone import build_backbone
from paw_stack.pipeline.job import Job, admitted, open_job, survey
from paw_stack.pipeline.units import units

HEADS = {"svr", "gbm", "ridge", "kernel_ridge", "nystroem", "knn"}
ALL = {"finetune", "embed", *HEADS}
# What is done again when a key changes; the longest prefix counts. A blend is made by every run.
TABLE: dict[str, set[str]] = {
    "run": set(),
    "run.seed": ALL,
    "data": set(),  # names of files and columns: their content counts, not what they are called
    "data.bounds": ALL,
    "data.duplicates": ALL,
    "data.metadata": {"svr"},  # the only one here that looks at metadata
    "data.resize": ALL,
    "folds": ALL,
    "backbones": ALL,
    "regressor": ALL,
    "loss": ALL,
    "finetune": ALL,
    "embed": {"embed", *HEADS},
    "compute": ALL,
    "blend": set(),
    "cluster": set(),
    "heads.together": set(),  # further units, the others stay
    "heads.memory_gb": set(),
    **{f"heads.{head}": {head} for head in HEADS},
}
READ_ANEW = ("data.bounds", "data.duplicates", "data.metadata", "data.resize")
VALUES: dict[str, Any] = {
    "backbones.0.model_args": {"window_size": 4, "embed_dim": 16, "depths": [1, 1]},
    "backbones.0.model": "swin_small_patch4_window7_224",
    "backbones.0.pretrained": True,
    "backbones.0.weights": __file__,
    "data.bounds": [0, 200],
    "data.duplicates": "merge",
    "data.metadata": ["Eyes", "Blur"],
    "finetune.crop_scale": [0.5, 1.0],
    "heads.svr.engine": "sklearn",
    "heads.svr.clip": [2, 90],
    "heads.svr.grid": {"C": [1, 2]},
    "heads.together": [["swin", "swin"]],
    "loss.auxiliary": {"column": "Human"},
    "loss.bins": 30,
}
# The file of folds below; the others in test_stale_extra.py, which holds them to this list.
ELSEWHERE = (
    "folds.file",
    "finetune.warm_start",
    "heads.selection",
    "data.extra",
    "extra.pretrain",
    "extra.pseudo",
    "extra.autoencoder",
    "extra.gan",
)
TOGETHER = {  # keys that are only taken with others
    "finetune.patience": {"finetune.keep": "best_inner", "finetune.patience": 2},
    "backbones.0.layers": {
        "backbones.0.frozen": True,
        "backbones.0.pretrained": True,
        "backbones.0.layers": ["embedding", "logits"],
    },
}


@pytest.fixture(scope="module")
def setting(sample_folder, tmp_path_factory) -> tuple[Config, Job]:
    """A copy of the sample with two equal photos, a config with every head, its job."""
    folder = tmp_path_factory.mktemp("stale")
    shutil.copytree(sample_folder, folder / "competition")
    first, second = sorted((folder / "competition" / "train").glob("*.jpg"))[:2]
    shutil.copyfile(first, second)
    heads: dict[str, dict] = {head: {} for head in sorted(HEADS)}
    heads["svr"] = {"metadata": True}
    path = write_config(folder, folder / "competition", heads=heads)
    config = load_config(path, ["data.metadata=[Eyes]"])
    return config, open_job(config)


def fingerprints(job: Job) -> dict[tuple[str, str], str]:
    return {(u.stage, u.short): u.unit.fingerprint for u in units(job, range(job.folds.n))}


def redone(old: dict[tuple[str, str], str], job: Job) -> set[str]:
    """Stages, and heads by name, of which a unit is no longer what it was."""
    new = fingerprints(job)
    changed = {key for key in old if new.get(key) != old[key]}
    return {name.split(".")[-1] if stage == "fit-heads" else stage for stage, name in changed}


def leaves(section: Section, prefix: str = "") -> list[str]:
    """All keys, `a.b.0.c`, of a config."""
    found = []
    for name in type(section).model_fields:
        value, key = getattr(section, name), f"{prefix}{name}"
        if isinstance(value, Section):
            found += leaves(value, f"{key}.")
        elif name == "backbones":
            found += leaves(value[0], f"{key}.0.")
        else:
            found.append(key)
    return found


def candidates(key: str, value: Any, annotation: Any) -> list[Any]:
    """Values to try in place of this one; the first that the config takes is used."""
    if key in VALUES:
        return [VALUES[key]]
    literals = [
        literal
        for part in (annotation, *get_args(annotation))
        if "Literal" in str(get_origin(part))
        for literal in get_args(part)
        if literal != value
    ]
    if isinstance(value, bool):
        return [not value]
    if literals:
        return literals
    if isinstance(value, int | float):
        return [value + 1, value / 2, value * 2 + 0.01, value * 0.9]
    return [17, 0.25, "other", ["other"], [0.5, 2.0], None]


def changed(config: Config, key: str) -> Config:
    """The config with another value of one key."""
    if key in TOGETHER:
        return replaced(config, TOGETHER[key])
    holder: Any = config
    for part in key.split(".")[:-1]:
        holder = holder[int(part)] if part.isdecimal() else getattr(holder, part)
    last = key.split(".")[-1]
    field = type(holder).model_fields[last]
    for value in candidates(key, getattr(holder, last), field.annotation):
        with contextlib.suppress(ValidationError):
            if (after := replaced(config, {key: value})) != config:
                return after
    raise AssertionError(f"{key}: give another value in VALUES")


def replaced(config: Config, values: dict[str, Any]) -> Config:
    raw = config.model_dump()
    for key, value in values.items():
        *parents, last = key.split(".")
        node: Any = raw
        for part in parents:
            node = node[int(part)] if part.isdecimal() else node[part]
        node[last] = value
    return Config.model_validate(raw)


def expected(key: str) -> set[str]:
    prefixes = [prefix for prefix in TABLE if key == prefix or key.startswith(f"{prefix}.")]
    assert prefixes, f"{key}: say in TABLE what depends on it"
    return TABLE[max(prefixes, key=len)]


def test_every_key_redoes_what_depends_on_it_and_nothing_else(setting):
    config, job = setting
    before = fingerprints(job)
    competition, findings = survey(config)
    wrong = {}
    for key in leaves(config):
        if key in ELSEWHERE:
            continue
        after = changed(config, key)
        other = open_job(after) if key in READ_ANEW else admitted(after, competition, findings)
        if (found := redone(before, other)) != expected(key):
            wrong[key] = found
    assert wrong == {}


def test_given_folds_count_by_what_they_say(setting, tmp_path):
    config, job = setting
    before = fingerprints(job)
    table = pd.DataFrame({"Id": job.competition.labelled.ids, "fold": job.folds.fold_of})
    table.to_csv(tmp_path / "folds.csv", index=False)
    given = replaced(config, {"folds.file": tmp_path / "folds.csv"})
    assert redone(before, open_job(given)) == set()
    table["fold"] = 1 - table["fold"]
    table.to_csv(tmp_path / "folds.csv", index=False)
    assert redone(before, open_job(given)) == ALL


def spoil_photo(root: Path) -> None:
    first, second = sorted((root / "test").glob("*.jpg"))[:2]
    shutil.copyfile(first, second)


def spoil_target(root: Path) -> None:
    table = pd.read_csv(root / "train.csv", dtype=str)
    table.loc[7, "Pawpularity"] = "33" if table.loc[7, "Pawpularity"] != "33" else "34"
    table.to_csv(root / "train.csv", index=False)


def spoil_rows(root: Path) -> None:
    table = pd.read_csv(root / "train.csv", dtype=str)
    table.drop(index=7).to_csv(root / "train.csv", index=False)


def spoil_metadata(root: Path) -> None:
    table = pd.read_csv(root / "train.csv", dtype=str)
    table.loc[7, "Eyes"] = "0" if table.loc[7, "Eyes"] == "1" else "1"
    table.to_csv(root / "train.csv", index=False)


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (spoil_photo, ALL),
        (spoil_target, ALL),
        (spoil_rows, ALL),
        (spoil_metadata, {"svr"}),
    ],
)
def test_changed_data_are_noticed(spoil, wanted, setting, tmp_path):
    config, job = setting
    before = fingerprints(job)
    shutil.copytree(config.data.root, tmp_path / "copy")
    moved = replaced(config, {"data.root": tmp_path / "copy"})
    assert redone(before, open_job(moved)) == set()  # where the data lie does not count
    spoil(tmp_path / "copy")
    assert redone(before, open_job(moved)) == wanted


def test_other_weights_in_the_same_file_are_noticed(setting, tmp_path):
    config, _ = setting
    path, tensors = tmp_path / "w.safetensors", build_backbone(config.backbones[0], 0).model
    weights = {"backbones.0.weights": path, "backbones.0.pretrained": True}
    save_file(tensors.state_dict(), path)
    before = fingerprints(open_job(replaced(config, weights)))
    save_file(tensors.state_dict(), path, {"remark": "the same tensors in another file"})
    assert redone(before, open_job(replaced(config, weights))) == ALL


def test_status_tells_done_stale_and_missing_and_force_does_again(
    sample_folder, tmp_path, capsys, monkeypatch
):
    config = write_config(tmp_path, sample_folder, heads={"ridge": {}, "knn": {"k": 3}})
    call("status", config)
    assert capsys.readouterr().out.count("missing") == 2 + 2 + 2 + 1 + 1
    assert not (tmp_path / "runs" / "tiny").exists()
    call("run", config)
    run = tmp_path / "runs" / "tiny"
    files = (path for path in run.rglob("*") if path.is_file() and path.name != "report.html")
    before = {path: path.read_bytes() for path in files}  # the report tells of seconds
    (run / "lock.json").write_text("{}")  # readers ask for no lock
    capsys.readouterr()
    call("status", config, "--set", "heads.knn.k=4")
    said = capsys.readouterr().out
    assert said.count("done  ") == 5
    assert "swin.knn" in said
    assert "stale    heads.knn.k: 3 -> 4" in said
    assert "stale    'fit swin.knn' (1 in all)\n" in said  # submission.csv
    call("status", config, "--set", "blend.method=mean")
    assert "stale    'blend' (1 in all)\n" in capsys.readouterr().out
    call("status", config)
    assert "stale  " not in capsys.readouterr().out
    call("status", config, "--set", "finetune.epochs=2")
    said = capsys.readouterr().out
    assert said.count("stale    finetune.epochs: 1 -> 2") == 2
    assert said.count("stale    weights") == 2
    assert said.count("stale    embeddings") == 2
    (run / "lock.json").unlink()
    call("run", config, "--force", "embed")
    said = capsys.readouterr().out
    assert said.count("done before, skipped") == 2
    after = {path: path.read_bytes() for path in before}
    assert {p for p in before if after[p] != before[p]} <= {p for p in before if "done" in p.name}
    call("fit-heads", config, "--head", "ridge", "--force", "fit-heads")
    assert "skipped" not in capsys.readouterr().out
    call("run", config)
    assert "fit swin.knn: done before, skipped" in capsys.readouterr().out
    assert "--force heads: the stages are" in failure(
        capsys, monkeypatch, "run", config, "--force", "heads"
    )
