"""Columns that are constant count for nothing, and small formulas are what they are by hand."""

import numpy as np
import pytest

from paw_stack.config import (
    GbmSection,
    HeadSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    RidgeSection,
    SvrSection,
)
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.kernels.distances import distance_blocks
from paw_stack.heads.kernels.forward_selection import Step, greedy
from paw_stack.heads.kernels.learning_curve import learning_curve, shared_kernel
from paw_stack.heads.nystroem import _Sums
from paw_stack.heads.registry import engine_of, fit_head

N, M = 90, 7
RNG = np.random.default_rng(0)
X, X_TEST = (RNG.normal(size=(n, 5)).astype(np.float32) for n in (N, M))
TARGET = 50 + 10 * X[:, 0].astype(float) + RNG.normal(size=N)
FOLDS = Folds(np.arange(N) % 3, np.arange(N))


def fitted(section: HeadSection, *columns: np.ndarray, folds: Folds = FOLDS) -> CrossFitted:
    beside = [
        np.hstack([rows, *(np.full((len(rows), 1), c) for c in columns)]) for rows in (X, X_TEST)
    ]
    both = tuple(rows.astype(np.float32) for rows in beside)
    problem = Problem(lambda fold: both, TARGET, folds, range(folds.n), shared=True)
    return fit_head(section, engine_of(section), problem)


@pytest.mark.parametrize(
    "section",
    [
        SvrSection(engine="sklearn"),
        SvrSection(engine="gram"),
        RidgeSection(),
        KernelRidgeSection(),
        KnnSection(k=5),
        NystroemSection(landmarks=40),
        GbmSection(trees=5, min_rows=5, feature_fraction=1),
    ],
    ids=lambda section: type(section).__name__,
)
def test_heads_look_past_columns_that_are_constant(section):
    before, after = fitted(section), fitted(section, 0.0, 7.5)
    np.testing.assert_allclose(after.oof, before.oof, atol=1e-3)
    np.testing.assert_allclose(after.test, before.test, atol=1e-3)


def test_a_layers_width_is_without_constant_columns():
    wider = np.hstack([X, np.full((N, 3), 2.5, np.float32)])
    widest = np.hstack([X_TEST, np.full((M, 3), 2.5, np.float32)])
    plain, beside = distance_blocks({"a": (X, X_TEST), "b": (wider, widest)})
    assert (plain.width, beside.width) == (5, 5)
    np.testing.assert_allclose(beside.labelled, plain.labelled, atol=1e-5)
    np.testing.assert_allclose(shared_kernel([wider]), shared_kernel([X]), atol=1e-6)
    nothing = np.ones((N, 2), np.float32), np.ones((M, 2), np.float32)
    assert distance_blocks({"a": nothing})[0].width == 1


@pytest.mark.parametrize("alpha", [0.01, 1.0, 30.0])
def test_generalised_cross_validation_counts_the_intercept(alpha):
    """Golub, Heath, Wahba (1979), by the matrix that turns scores into predictions."""
    full = np.column_stack([X, np.ones(N), TARGET]).astype(float)
    design, penalty = np.column_stack([X, np.ones(N)]), alpha * np.diag([1.0] * 5 + [0])
    hat = design @ np.linalg.solve(design.T @ design + penalty, design.T)
    squares = ((TARGET - hat @ TARGET) ** 2).sum()
    found = _Sums(full.T @ full).generalised_error(alpha)
    assert found == pytest.approx(squares / (N - np.trace(hat)) ** 2, rel=1e-5)


def test_a_curve_draws_each_part_twice_and_the_whole_once():
    rows = np.arange(200)
    folds = Folds(rows % 5, rows)
    vectors = np.random.default_rng(2).normal(size=(200, 4)).astype(np.float32)
    target = vectors[:, 0].astype(float)
    found = learning_curve(shared_kernel([vectors]), target, folds, [1.0], 0)
    assert found.sizes.tolist() == [25, 50, 100, 200]
    assert [draws.shape for draws in found.squares] == [(16, 200), (8, 200), (4, 200), (1, 200)]
    assert all(len(np.unique(draws[:, 0])) == len(draws) for draws in found.squares)
    few = Folds(rows[:80] % 5, rows[:80])  # a fold learns from 64: a quarter has 16 groups
    assert learning_curve(np.eye(80), target[:80], few, [1.0], 0).sizes.tolist() == [20, 40, 80]
    fewer = Folds(rows[:79] % 5, rows[:79])
    assert learning_curve(np.eye(79), target[:79], fewer, [1.0], 0) is None


@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_path_ends_where_no_layer_lowers_the_error(most):
    """Not where one of them leaves it as it is."""
    steps: list[Step] = []
    seen = list(greedy(lambda members: 1.0, 4, 2, most, steps))
    assert [(step.members, step.step) for step in steps] == [((0,), 1), ((1,), 1)]
    assert len(seen) == 4 + (2 * 3 if most > 1 else 0)
    falling: list[Step] = []
    list(greedy(lambda members: 1 / len(members) + members[0] / 9, 4, 1, most, falling))
    assert [len(step.members) for step in falling] == list(range(1, most + 1))
    assert falling[-1].members == tuple(range(most))


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        (RidgeSection(), {"alphas": [1e4]}),
        (KernelRidgeSection(), {"alphas": [300.0]}),
        (KernelRidgeSection(), {"gamma": 0.01}),
        (NystroemSection(landmarks=40), {"landmarks": 20}),
        (NystroemSection(landmarks=40), {"alphas": [1e3]}),
        (NystroemSection(landmarks=40), {"gamma": 0.01}),
        (KnnSection(k=5), {"k": 6}),
        (GbmSection(trees=5, min_rows=5), {"trees": 6}),
        (GbmSection(trees=40, min_rows=5, learning_rate=0.5), {"early_stopping": 2}),
        (SvrSection(engine="sklearn"), {"C": 3.0}),
        (SvrSection(engine="sklearn"), {"epsilon": 5.0}),
        (SvrSection(engine="sklearn"), {"gamma": 0.01}),
        (SvrSection(engine="sklearn"), {"clip": (45, 55)}),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else type(given).__name__,
)
def test_every_setting_of_a_head_changes_what_it_predicts(section, changes):
    before, after = fitted(section), fitted(section.model_copy(update=changes))
    assert np.abs(before.oof - after.oof).max() > 1e-3
    assert np.abs(before.test - after.test).max() > 1e-3
