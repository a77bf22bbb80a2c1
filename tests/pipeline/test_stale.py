"""What makes a unit stale: keys of the config, photos, targets, rows; status and --force."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from helpers.commands import call, failure, write_config
from helpers.inputs import ELSEWHERE, changed, leaves, replaced
from safetensors.torch import save_file

from paw_stack.config import Config, load_config
from paw_stack.network.backbone import build_backbone
from paw_stack.pipeline.experiment import Job, admitted, open_job, survey
from paw_stack.pipeline.graph import plan

HEADS = {"svr", "gbm", "ridge", "kernel_ridge", "gp", "nystroem", "knn"}
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
READ_ANEW = ("data.bounds", "data.duplicates", "data.metadata", "data.resize", "folds.by")


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
    steps = plan(job, range(job.folds.n)).values()
    return {(s.stage, s.short): s.fingerprint for s in steps if s.stage != "report"}


def redone(old: dict[tuple[str, str], str], job: Job) -> set[str]:
    """Stages, and heads by name, of which a unit is no longer what it was."""
    new = fingerprints(job)
    changed = {key for key in old if new.get(key) != old[key]}
    return {name.split(".")[-1] if stage == "fit-heads" else stage for stage, name in changed}


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
