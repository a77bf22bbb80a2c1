"""Rare scores and few rows: a blend that is finite, or one sentence; never a traceback."""

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, failure, write_config
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tools.units import HEADS as ALL_HEADS

from paw_stack.blend.nested import Recipe, nested_blend
from paw_stack.config import GbmSection
from paw_stack.data.folds import FEWEST_PICTURES, Folds, imbalance, require_pictures
from paw_stack.errors import DataError, PawStackError
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.registry import fit_head

HEADS = {
    **ALL_HEADS,
    "gbm": (GbmSection(trees=5), "gbm", True),
    "gbm of small leaves": (GbmSection(trees=5, min_rows=1), "gbm", True),
}


@st.composite
def few(draw):
    """Targets of a few rows, most of them alike, in folds that leave two rows to learn from."""
    n = draw(st.integers(3, 14))
    n_folds = draw(st.integers(3, min(n, 5)))
    usual, rare = draw(
        st.tuples(st.integers(1, 5), st.integers(1, 5)).filter(lambda s: s[0] != s[1])
    )
    target = np.full(n, float(usual))
    target[draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=3))] = rare
    fold_of = draw(st.permutations([row % n_folds for row in range(n)]))
    return target, Folds(np.array(fold_of), np.arange(n))


@settings(max_examples=25, deadline=None)
@given(
    case=few(),
    method=st.sampled_from(
        ["auto", "mean", "median", "ridge", "greedy", "simplex", "nnls", "nelder_mead"]
    ),
    kind=st.sampled_from(["auto", "none", "affine", "candidates", "spline", "isotonic"]),
    perfect=st.booleans(),
    seed=st.integers(0, 3),
)
def test_a_blend_of_rare_scores_is_finite_and_knows_no_score_that_its_fold_never_saw(
    case, method, kind, perfect, seed
):
    target, folds = case
    columns = np.random.default_rng(seed).normal(3, 1, (len(target), 3))
    if perfect:
        columns[:, 0] = target
    found = nested_blend(columns, target, folds, Recipe(method, kind, (1, 5))).predictions
    assert np.isfinite(found).all()
    for fold in range(folds.n):
        learned = target[folds.training_rows(fold)]
        if np.ptp(learned) == 0:
            np.testing.assert_allclose(found[folds.held_out_rows(fold)], learned[0], atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(case=few(), seed=st.integers(0, 3))
@pytest.mark.parametrize("head", HEADS)
def test_every_head_predicts_few_rows_or_says_why_not(head, case, seed):
    target, folds = case
    vectors = np.random.default_rng(seed).normal(size=(len(target) + 2, 8)).astype(np.float32)
    features, (section, engine, shared) = np.split(vectors, [len(target)]), HEADS[head]
    problem = Problem(lambda fold: features, target, folds, range(folds.n), shared)
    try:
        found = fit_head(section, engine, problem)
    except PawStackError as error:
        alike = [np.ptp(target[folds.training_rows(fold)]) == 0 for fold in range(folds.n)]
        assert head.startswith("svr")
        assert any(alike)
        assert "have the score" in str(error)
        return
    assert np.isfinite(found.oof).all()
    assert np.isfinite(found.test).all()
    if head == "gbm":
        constant = all(np.ptp(found.oof[folds.held_out_rows(k)]) == 0 for k in range(folds.n))
        assert constant
        assert "heads.gbm.min_rows: 20" in found.remarks[0]


def test_trees_that_have_rows_enough_say_nothing():
    rng = np.random.default_rng(0)
    vectors, folds = rng.normal(size=(80, 4)).astype(np.float32), np.arange(80) % 2
    problem = Problem(
        lambda fold: (vectors, vectors), vectors[:, 0] + 0.0, Folds(folds, np.arange(80)), range(2)
    )
    for min_rows, said in ((20, 0), (21, 1)):
        section = GbmSection(trees=3, min_rows=min_rows, feature_fraction=1)
        found = fit_head(section, "gbm", problem)
        assert len(found.remarks) == said
        assert (np.ptp(found.oof[folds == 0]) == 0) == bool(said)


def test_a_fold_without_two_pictures_to_learn_from_is_refused():
    with pytest.raises(DataError, match="leave a single picture to learn from in folds '0', '1'"):
        require_pictures(Folds(np.array([0, 1]), np.arange(2)))
    with pytest.raises(DataError, match=r"in folds '0' \(1 in all\)"):  # two rows, one picture
        require_pictures(Folds(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2])))
    require_pictures(Folds(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])))
    assert FEWEST_PICTURES == 2


def test_what_a_rare_score_means_for_folds_is_said():
    folds = Folds(np.array([0, 0, 1, 1, 2, 2]), np.arange(6))
    assert (
        "fold 1 learns from have the score 1" in imbalance(folds, np.array([1, 1, 5, 1, 1, 1]))[-1]
    )
    assert imbalance(folds, np.array([5, 1, 5, 1, 1, 1])) == []


def competition(folder, scores):
    """Photos of coloured squares, none like another, with these scores."""
    for kind, n in (("train", len(scores)), ("test", 3)):
        (folder / kind).mkdir(parents=True)
        for row in range(n):
            rng = np.random.default_rng([row, kind == "test"])
            squares = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            Image.fromarray(squares).save(folder / kind / f"{kind}{row}.jpg")
        table = pd.DataFrame({"Id": [f"{kind}{row}" for row in range(n)]})
        if kind == "train":
            table["Pawpularity"] = scores
        table.to_csv(folder / f"{kind}.csv", index=False)
    return folder


def config_of(tmp_path, scores, n_folds, **heads):
    keys = {"folds": {"n": n_folds}, "backbones": [FROZEN], "heads": heads}
    data = {"sample_submission": None, "bounds": [1, 5]}
    return write_config(tmp_path, competition(tmp_path / "photos", scores), data=data, **keys)


def test_a_run_with_a_score_that_occurs_once_ends_in_a_report(tmp_path, capsys):
    config = config_of(tmp_path, [1] * 14 + [5], 3, ridge={}, knn={}, gbm={"trees": 5})
    call("check", config)
    assert "learns from have the score 1" in capsys.readouterr().out
    call("run", config)
    said = capsys.readouterr().out
    assert "heads.gbm.min_rows: 20" in " ".join(said.split())
    run = tmp_path / "runs" / "tiny"
    assert (run / "report.html").is_file()
    assert pd.read_csv(run / "submission.csv")["Pawpularity"].between(1, 5).all()


@pytest.mark.parametrize("scores", [[1, 5], [1, 5, 3]])
def test_too_few_rows_are_one_sentence_before_anything_is_made(
    scores, tmp_path, capsys, monkeypatch
):
    config = config_of(tmp_path, scores, 2, ridge={})
    for command in ("check", "run"):
        said = failure(capsys, monkeypatch, command, config)
        assert f"{len(scores)} labelled rows in 2 folds leave a single picture" in said
        assert len(said.splitlines()) == 1
    assert not (tmp_path / "runs" / "tiny").exists()
