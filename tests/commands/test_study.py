"""The study command: the same folds for all, nothing done twice, differences row by row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.commands import call, failure, write_study
from helpers.places import ROOT

from paw_stack.config.study import load_study
from paw_stack.errors import ConfigError
from paw_stack.metrics import paired_bootstrap, rmse

CONFIGS = ROOT / "configs"


@pytest.fixture(scope="module")
def studied(tmp_path_factory, sample_folder) -> Path:
    """A study of three variants that has been run."""
    variants = [
        {"name": "base"},
        {"name": "knn", "set": ["heads.knn={k: 5}"]},
        {"name": "fast", "set": ["finetune.learning_rate=0.01"]},
        {"name": "three-folds", "set": ["folds.n=3"]},
    ]
    path = write_study(tmp_path_factory.mktemp("study"), sample_folder, variants)
    call("study", path)
    return path


def test_the_table_holds_the_nested_scores_and_their_differences(studied, sample_folder):
    root = studied.parent / "study"
    table = pd.read_csv(root / "study.csv").set_index("variant")
    target = pd.read_csv(sample_folder / "train.csv", index_col="Id")["Pawpularity"]
    for name, row in table.iterrows():
        blend = pd.read_csv(root / str(name) / "blend" / "blend.csv", index_col="Id")
        score = rmse(target.reindex(blend.index), blend["prediction"])
        assert row["rmse"] == pytest.approx(score)
        if name != "base":
            assert row["difference"] == pytest.approx(score - table.loc["base", "rmse"])
            assert row["low"] <= row["difference"] <= row["high"]
    assert table["remark"].fillna("").tolist() == ["", "", "", "other folds"]
    assert (table["seconds"] > 0).all()


def test_what_variants_have_in_common_is_done_once(studied):
    root = studied.parent / "study"
    for fold in (0, 1):
        place = f"finetune/swin/fold{fold}/weights.safetensors"
        base, knn, fast = ((root / name / place).stat().st_ino for name in ("base", "knn", "fast"))
        assert base == knn != fast  # the very same file
    ridge = "predictions/swin.ridge.csv"
    assert (root / "base" / ridge).samefile(root / "knn" / ridge)


def test_a_second_study_does_nothing_again(studied, capsys):
    capsys.readouterr()
    call("study", studied, "--only", "knn")
    said = capsys.readouterr().out
    assert "epochs, fit RMSE" not in said
    assert "== base" in said and "== knn" in said and "== fast" not in said


def test_every_problem_of_every_variant_is_told_before_anything_is_run(
    sample_folder, tmp_path, capsys, monkeypatch
):
    variants = [
        {"name": "base"},
        {"name": "a", "set": ["finetune.epochz=3"]},
        {"name": "b", "set": ["loss.kind=wrong"]},
    ]
    said = failure(capsys, monkeypatch, "study", write_study(tmp_path, sample_folder, variants))
    assert "variant a: " in said and "did you mean epochs" in said
    assert "variant b: " in said
    assert not (tmp_path / "study").exists()
    twice = write_study(tmp_path, sample_folder, [{"name": "a"}, {"name": "a"}])
    with pytest.raises(ConfigError, match="must differ"):
        load_study(twice)
    fine = write_study(tmp_path, sample_folder, [{"name": "a"}, {"name": "b"}])
    assert "--only ['c']" in failure(capsys, monkeypatch, "study", fine, "--only", "c")


def test_a_difference_is_certain_only_where_rows_agree():
    rng = np.random.default_rng(0)
    target = rng.normal(0, 10, 400)
    base, noise = (target + rng.normal(0, 5, 400) for _ in range(2))
    better = target + 0.8 * (base - target)
    low, high = paired_bootstrap(target, base, better)
    assert low < -0.2 * rmse(target, base) < high < 0
    low, high = paired_bootstrap(target, base, noise)
    assert low < 0 < high
    assert paired_bootstrap(target, base, base) == (0, 0)


def test_copies_of_rows_make_nothing_more_certain():
    rng = np.random.default_rng(0)
    target = rng.normal(0, 10, 50)
    base, other = (target + rng.normal(0, 5, 50) for _ in range(2))
    once = paired_bootstrap(target, base, other)
    many = [np.tile(each, 20) for each in (target, base, other)]
    assert paired_bootstrap(*many, group_of=np.tile(np.arange(50), 20)) == pytest.approx(once)
    low, high = paired_bootstrap(*many)
    assert high - low < 0.4 * (once[1] - once[0])


@pytest.mark.parametrize("path", sorted((CONFIGS / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_shipped_study_can_be_read(path):
    _, configs = load_study(path)
    assert len(configs) > 5


def test_the_diarys_study_holds_every_file_of_the_diary():
    study = yaml.safe_load((CONFIGS / "studies" / "diary.yaml").read_text())
    named = {Path(variant["config"]).name for variant in study["variants"]}
    assert named == {path.name for path in (CONFIGS / "diary").glob("*.yaml")}
