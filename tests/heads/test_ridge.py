"""Ridge regression from shared products is `RidgeCV` behind `StandardScaler`, fold by fold."""

from typing import NamedTuple

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from paw_stack.config import RidgeSection
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.registry import fit_head
from paw_stack.heads.stored import predict_stored

ALPHAS = [0.01, 1.0, 30.0, 300.0, 3000.0]


class Case(NamedTuple):
    vectors: np.ndarray  # (n, d) float32
    target: np.ndarray
    fold_of: np.ndarray
    weight: np.ndarray | None


def case(n: int, d: int, weighted: bool = False, far: float = 3.0) -> Case:
    """Columns of unlike spreads around `far`, which share a few directions; folds of unlike size.

    Each fold's rows are noisier than those of the fold before.
    """
    rng = np.random.default_rng([n, d])
    fold_of = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    latent = rng.normal(size=(n, 6))
    vectors = latent @ rng.normal(size=(6, d)) + rng.normal(size=(n, d)) * rng.gamma(2, 1, d)
    target = 40 + 9 * np.tanh(latent[:, 0]) + rng.normal(size=n) * (4 + 30 * (fold_of == 0))
    weight = rng.gamma(2, 1, n) if weighted else None
    return Case((far + vectors).astype(np.float32), target, fold_of, weight)


def fitted(known: Case, shared: bool, alphas=ALPHAS, only=range(4)):
    folds = Folds(known.fold_of, np.arange(len(known.target)))
    pair = known.vectors, known.vectors[:7] + 1
    problem = Problem(lambda k: pair, known.target, folds, only, shared=shared, weight=known.weight)
    return fit_head(RidgeSection(alphas=alphas), "", problem)


def naive(known: Case, fold: int, alphas=ALPHAS):
    fit = known.fold_of != fold
    model = make_pipeline(StandardScaler(), RidgeCV(alphas=alphas))
    w = None if known.weight is None else known.weight[fit]
    weights = {"standardscaler__sample_weight": w, "ridgecv__sample_weight": w}
    return model.fit(known.vectors[fit].astype(np.float64), known.target[fit], **weights)


SHAPES = {"tall": (400, 30), "square": (130, 110), "wide": (90, 300), "all but": (100, 95)}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_folds_and_penalties_are_those_of_scikit_learn(shape, shared, weighted):
    known = case(*SHAPES[shape], weighted)
    found = fitted(known, shared)
    tests = []
    for fold in range(4):
        model, held_out = naive(known, fold), known.fold_of == fold
        assert found.facts["alphas"][fold] == model[-1].alpha_
        expected = model.predict(known.vectors[held_out].astype(np.float64))
        np.testing.assert_allclose(found.oof[held_out], expected, atol=2e-3)
        tests.append(model.predict(known.vectors[:7].astype(np.float64) + 1))
    np.testing.assert_allclose(found.test, np.mean(tests, axis=0), atol=2e-3)
    assert set(found.heads) == ({"all"} if shared else {f"fold{k}" for k in range(4)})


def test_the_folds_of_the_cases_choose_unlike_penalties():
    for shape in SHAPES.values():
        assert len(set(fitted(case(*shape), True).facts["alphas"])) > 1


@pytest.mark.parametrize("shape", ["tall", "wide"])
def test_constant_columns_and_copies_of_columns_are_no_trouble(shape):
    """One column is constant, one but in fold 2, one is there twice, one is all but constant."""
    known = case(*SHAPES[shape])
    X = known.vectors
    X[:, 0], X[:, 1], X[:, 3] = 5.3, np.where(known.fold_of == 2, X[:, 1], 0.1), X[:, 4]
    X[:, 2] = 1000 + 1e-3 * np.round(X[:, 2])
    found = fitted(known, True)
    for fold in range(4):
        model, held_out = naive(known, fold), known.fold_of == fold
        assert found.facts["alphas"][fold] == model[-1].alpha_
        expected = model.predict(X[held_out].astype(np.float64))
        np.testing.assert_allclose(found.oof[held_out], expected, atol=2e-2)


@pytest.mark.parametrize("alpha", [1e-8, 1e-3, 1e9])
@pytest.mark.parametrize("shape", ["tall", "square", "wide"])
def test_penalties_may_be_as_small_or_large_as_one_likes(shape, alpha):
    known = case(*SHAPES[shape])
    found = fitted(known, True, [alpha, 1.0])
    chosen = [naive(known, fold, [alpha, 1.0])[-1].alpha_ for fold in range(4)]
    assert found.facts["alphas"] == chosen


def test_errors_of_many_rows_choose_as_those_in_float64_do():
    """Leverages come from float32 products there."""
    known = case(3000, 40)
    alphas = [float(alpha) for alpha in np.geomspace(1, 1e5, 60)]
    chosen = fitted(known, True, alphas).facts["alphas"]
    assert chosen == [naive(known, fold, alphas)[-1].alpha_ for fold in range(4)]


def test_values_far_from_zero_cost_no_digits():
    near, away = case(*SHAPES["tall"], far=0.0), case(*SHAPES["tall"], far=0.0)
    rounded = np.round(near.vectors * 64) / 64  # float32 holds them at 4096, too
    near, away = near._replace(vectors=rounded), away._replace(vectors=rounded + 4096)
    found = [fitted(known, True) for known in (near, away)]
    assert found[0].facts == found[1].facts
    np.testing.assert_allclose(found[0].oof, found[1].oof, atol=1e-3)


def test_held_out_targets_take_no_part():
    known = case(*SHAPES["tall"])
    held_out = known.fold_of == 1
    changed = known._replace(target=np.where(held_out, 1e6, known.target))
    before, after = fitted(known, True), fitted(changed, True)
    np.testing.assert_array_equal(before.oof[held_out], after.oof[held_out])
    assert before.facts["alphas"][1] == after.facts["alphas"][1]


def test_held_out_vectors_take_no_part_but_for_rounding():
    known = case(*SHAPES["tall"])
    moved = known.vectors.copy()
    moved[known.fold_of == 1] *= 3
    other = known._replace(vectors=moved)
    found = [fitted(one, True).facts["alphas"][1] for one in (known, other)]
    heads = [fitted(one, False, only=[1]).heads["fold1"] for one in (known, other)]
    assert found[0] == found[1]
    told = [predict_stored(head, known.vectors) for head in heads]
    np.testing.assert_allclose(told[0], told[1], atol=1e-3)
