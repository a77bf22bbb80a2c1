"""Heads on a CUDA device: the solver, cuML and products through torch, beside the processor's."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from paw_stack.config import (
    ComputeSection,
    GridSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    SvrSection,
)
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.gpu.found import lacks_for_cuml, lacks_for_triton
from paw_stack.heads.registry import fit_head
from paw_stack.heads.stored import predict_heads
from paw_stack.heads.svr import resolve_engine

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
COMPUTE = ComputeSection(device="cuda")
N, FOLDS = 2000, 5
GRID = GridSection(C=[4.0, 64.0], gamma=[0.004, 0.016], epsilon=[0.1, 2.0])


@pytest.fixture(scope="module")
def problem():
    """2,000 labelled and 150 test rows of 64 columns, weighted; points of a spread of 13."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N + 150, 64)).astype(np.float32)
    y = 40 + 8 * X[:N, 0] + 4 * np.sin(2 * X[:N, 1]) + 10 * rng.normal(size=N)
    folds = Folds(np.arange(N) % FOLDS, np.arange(N))
    weight = rng.uniform(0.5, 1.5, N)
    features = X[:N], X[N:]
    return Problem(lambda fold: features, y, folds, range(FOLDS), True, weight=weight)


def require(problem: str | None) -> None:
    if problem:
        pytest.skip(problem)


def agree(section, engine, other, problem, apart=0.01):
    """Both engines' predictions, and those of what is kept, within so many points."""
    there = fit_head(section, engine, replace(problem, device="cuda"))
    here = fit_head(section, other, problem)
    np.testing.assert_allclose(there.oof, here.oof, atol=apart)
    np.testing.assert_allclose(there.test, here.test, atol=apart)
    kept = predict_heads(there.heads, lambda fold: problem.features(fold)[1])
    np.testing.assert_allclose(kept, there.test, atol=apart)
    return there, here


@pytest.mark.parametrize("C", [4.0, 40.0, 640.0])
@pytest.mark.parametrize("shared", [True, False])
def test_the_solver_agrees_with_the_processors(C, shared, problem):
    require(lacks_for_triton(COMPUTE))
    agree(SvrSection(C=C), "triton", "gram", replace(problem, shared=shared))


def test_a_nested_grid_agrees_with_the_processors(problem):
    """Coarse solves part settings that are alike by chance: tables within 0.05 points."""
    require(lacks_for_triton(COMPUTE))
    section = SvrSection(grid=GRID)
    there = fit_head(section, "triton", replace(problem, device="cuda"))
    here = fit_head(section, "gram", problem)
    np.testing.assert_allclose(there.search["rmse"], here.search["rmse"], atol=0.05)
    same = [a == b for a, b in zip(there.facts["chosen"], here.facts["chosen"], strict=True)]
    assert sum(same) >= FOLDS - 1
    rows = np.isin(problem.folds.fold_of, np.flatnonzero(same))
    np.testing.assert_allclose(there.oof[rows], here.oof[rows], atol=0.01)


def test_the_solver_gives_the_same_twice(problem):
    require(lacks_for_triton(COMPUTE))
    once, again = (fit_head(SvrSection(), "triton", replace(problem, device="cuda")) for _ in "12")
    assert (once.oof == again.oof).all()


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("gram", SvrSection(engine="gram")),
        ("kernel_ridge", KernelRidgeSection()),
        ("nystroem", NystroemSection(landmarks=300)),
        ("knn", KnnSection()),
    ],
)
def test_products_of_the_device_are_those_of_the_processor(name, section, problem):
    there, here = agree(section, name, name, problem, 0.02)
    assert there.facts == here.facts


# Each with the engine that scales columns over the same rows.
@pytest.mark.parametrize(("shared", "other"), [(False, "onedal"), (True, "gram")])
def test_cuml_agrees_with_the_other_engines(shared, other, problem):
    """Dense vectors a fold, and the precomputed matrix that folds share."""
    require(lacks_for_cuml(COMPUTE))
    if other == "onedal" and find_spec("sklearnex") is None:
        other = "sklearn"
    agree(SvrSection(C=5), "cuml", other, replace(problem, shared=shared))


def test_auto_takes_the_solver_on_the_device():
    require(lacks_for_triton(COMPUTE))
    assert resolve_engine(SvrSection(), COMPUTE) == "triton"
    assert resolve_engine(SvrSection(grid=GRID), COMPUTE) == "triton"
    assert resolve_engine(SvrSection(grid=GRID), ComputeSection(device="cpu")) == "gram"
