"""What a user asks for by folds, heads, files and words, before anything is done."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from paw_stack.commands import init
from paw_stack.commands.blend_files import FilesToBlend, _bounds, _files, _weight
from paw_stack.commands.bundle import _require_free
from paw_stack.commands.run import _chosen, _chosen_heads
from paw_stack.config import make_config
from paw_stack.errors import ArtifactError, ConfigError, DataError
from paw_stack.guess.look import Given, listed
from paw_stack.guess.weights import Weights


def test_folds_are_taken_once_in_their_order():
    job = SimpleNamespace(folds=SimpleNamespace(n=5))
    assert _chosen(job, [3, 1, 3]) == [1, 3]
    assert _chosen(job, None) == _chosen(job, []) == [0, 1, 2, 3, 4]
    for wrong in (5, -1):
        with pytest.raises(ConfigError, match="the run has folds 0 to 4"):
            _chosen(job, [0, wrong])


def test_heads_are_taken_in_the_order_of_the_config():
    data = {"root": "d", "target": "s", "bounds": [1, 9]}
    config = make_config(
        {
            "run": {"name": "r"},
            "data": data,
            "backbones": [{"name": "a", "model": "swin"}],
            "heads": {"ridge": {}, "svr": {}, "gbm": {}},
        }
    )
    known = list(config.heads.named())
    assert _chosen_heads(config, known[::-1][:2]) == known[1:]
    assert _chosen_heads(config, ["gbm", "all"]) == known
    with pytest.raises(ConfigError, match=r"--head \['knn'\]"):
        _chosen_heads(config, ["svr", "knn"])


def wanted(folder: Path, **more) -> FilesToBlend:
    patterns = [str(folder / "v*.csv"), str(folder / "v1.csv"), str(folder / "labelled.csv")]
    return FilesToBlend(
        folder / "labelled.csv", "score", more.pop("patterns", patterns), folder, **more
    )


def test_candidates_are_each_file_once_but_for_test_rows_and_the_labels(tmp_path):
    for name in ("v10", "v2", "v1", "v1.test", "labelled"):
        (tmp_path / f"{name}.csv").write_text("Id,fold,prediction\n")
    own = wanted(tmp_path, patterns=[str(tmp_path / "*.csv"), str(tmp_path / "v1.csv")])
    assert sorted(file.name for file in _files(own)) == ["v1", "v10", "v2"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "v1.csv").write_text("Id,fold,prediction\n")
    both = wanted(tmp_path, patterns=[str(tmp_path / "v1.csv"), str(tmp_path / "other" / "v1.csv")])
    with pytest.raises(DataError, match="a candidate v1 is there already"):
        _files(both)
    with pytest.raises(DataError, match="no such file; quote the pattern"):
        _files(wanted(tmp_path, patterns=[str(tmp_path / "w*.csv")]))


def test_weights_have_mean_one_and_bounds_hold_all_scores(tmp_path):
    table = pd.DataFrame({"Id": list("abcd"), "n": ["1", "2", "3", "2"]})
    assert _weight(wanted(tmp_path, weight="n"), table, []).tolist() == [0.5, 1, 1.5, 1]
    assert _weight(wanted(tmp_path, weight="n"), table.assign(n="7"), []) is None
    assert _weight(wanted(tmp_path), table, []) is None
    target = np.array([2.0, 5.0])
    assert _bounds(wanted(tmp_path), target) == (2, 5)
    assert _bounds(wanted(tmp_path, bounds=(2.0, 9.0)), target) == (2, 9)
    for wrong in ((3.0, 9.0), (1.0, 4.0), (5.0, 5.0)):
        with pytest.raises(DataError, match="give bounds that hold it"):
            _bounds(wanted(tmp_path, bounds=wrong), target)


def given(table: str, **more) -> Given:
    return Given(Path("shelter/photos"), Path("shelter") / table, **more)


def test_a_run_is_called_after_its_folder_and_its_table():
    names = {"train.csv": "shelter", "TRAIN.xlsx": "shelter", "scores 2.csv": "shelter-scores_2"}
    assert {table: init._run_name(given(table)) for table in names} == names


def test_words_are_all_that_decides():
    own = given("t.csv", targets=("nice", "so sharp"), test=Path("new"), test_table=Path("n.csv"))
    assert init.words(own, 2.5) == (
        "shelter/photos shelter/t.csv --target nice --target 'so sharp' --test new"
        " --test-table n.csv --minutes 2.5"
    )
    assert init.words(given("t.csv"), 10) == "shelter/photos shelter/t.csv --minutes 10"


def test_the_same_words_find_their_place_and_others_a_new_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = Path("artifacts/shelter/fit.yaml")
    assert init._place("paw-stack fit a", "shelter") == (first, "shelter")
    first.parent.mkdir(parents=True)
    first.write_text("# paw-stack fit a\n# more\n")
    assert init._place("paw-stack fit a", "shelter") == (first, "shelter")
    for other in ("paw-stack fit", "paw-stack fit ab"):
        second = first.parent.with_name("shelter-2") / "fit.yaml"
        assert init._place(other, "shelter") == (second, "shelter-2")


def test_a_bundle_wants_a_folder_that_is_new_or_empty(tmp_path):
    _require_free(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    _require_free(tmp_path / "empty")
    (tmp_path / "empty" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for taken in ("empty", "empty/file", "link"):
        with pytest.raises(ArtifactError, match="something lies there"):
            _require_free(tmp_path / taken)


def test_bounds_are_written_as_people_write_them():
    assert [repr(b) for b in listed((1.0, 10.0))] == ["1", "10"]
    assert [repr(b) for b in listed((0.5, 1.0))] == ["0.5", "1"]
    assert listed(None) is None


def test_only_a_tag_tells_what_was_learned_from():
    assert Weights("vit_clip.in1k", None, 9).merit == (False, 9)
    assert Weights("vit.openai", None, 9).merit == (True, 9)
