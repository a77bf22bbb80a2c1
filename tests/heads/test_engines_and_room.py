"""Which engine `auto` is on a processor, the room that a selection needs, neighbours in order."""

from types import SimpleNamespace

import numpy as np
import pytest

from paw_stack.config import (
    ComputeSection,
    GridSection,
    HeadsSection,
    SelectionSection,
    SvrSection,
)
from paw_stack.data.folds import Folds
from paw_stack.errors import ConfigError
from paw_stack.heads import svr
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.gpu.products import inverse, nearest, product
from paw_stack.heads.memory import require_memory
from paw_stack.heads.registry import fit_head
from paw_stack.heads.stored import neighbours_head, predict_stored

CPU = ComputeSection(device="cpu")


@pytest.mark.parametrize(
    ("lacking", "plain", "grid"),
    [
        ((), "onedal", "triton"),
        (("triton",), "onedal", "gram"),
        (("onedal",), "sklearn", "triton"),
        (("onedal", "triton"), "sklearn", "gram"),
    ],
)
def test_auto_is_the_first_engine_that_nothing_lacks(lacking, plain, grid, monkeypatch):
    monkeypatch.setattr(
        svr, "_lacks", lambda engine, compute: f"{engine} is gone" if engine in lacking else None
    )
    assert svr.resolve_engine(SvrSection(), CPU) == plain
    assert svr.resolve_engine(SvrSection(grid=GridSection(C=[1])), CPU) == grid
    assert svr.what_auto_took(SvrSection(), CPU) == []
    for engine in lacking:
        with pytest.raises(ConfigError, match=f"heads.svr.engine: {engine} is gone; or set engine"):
            svr.resolve_engine(SvrSection(engine=engine), CPU)


def test_where_all_engines_lack_something_each_says_what(monkeypatch):
    monkeypatch.setattr(svr, "_lacks", lambda engine, compute: f"{engine} is gone")
    with pytest.raises(ConfigError) as caught:
        svr.resolve_engine(SvrSection(), CPU)
    assert caught.value.problems == [
        *("heads.svr.engine: onedal is gone", "heads.svr.engine: sklearn is gone")
    ]


def test_a_selection_needs_a_kernel_and_the_distances_of_a_layer():
    """2.4 GB of 10,000 labelled and 20,000 test rows, whatever engine fits its SVR alone."""
    heads = {"svr": SvrSection(engine="sklearn"), "selection": SelectionSection()}
    require_memory(HeadsSection(**heads, memory_gb=2.401), 10_000, 20_000, CPU)
    with pytest.raises(ConfigError, match=r"20,000 test rows take 2\.4 GB") as caught:
        require_memory(HeadsSection(**heads, memory_gb=2.399), 10_000, 20_000, CPU)
    (problem,) = caught.value.problems
    assert problem.startswith("heads.selection: matrices of 10,000 labelled")
    gram = HeadsSection(svr=SvrSection(engine="gram"), memory_gb=2)
    require_memory(gram, 10_000, 15_000, CPU)  # 2 GB to the byte
    with pytest.raises(ConfigError, match=r"heads\.svr: matrices"):
        require_memory(gram, 10_000, 15_001, CPU)


@pytest.mark.parametrize("far", [0.0, 300.0])
def test_neighbours_come_by_their_exact_distance(far):
    """Also where float32 products are too coarse to tell which of them is nearer."""
    rng = np.random.default_rng(0)
    A, B = (rng.normal(far, 1, (n, 6)).astype(np.float32) for n in (40, 100))
    B[7] = A[3]
    apart, found = nearest(A, B, 9, "cpu")
    assert (np.diff(apart, axis=1) >= 0).all()
    assert (apart[3, 0], found[3, 0]) == (0, 7)
    naive = np.linalg.norm(A[:, None].astype(float) - B[None], axis=2)
    np.testing.assert_allclose(apart, np.take_along_axis(naive, found, 1), atol=1e-5)
    if not far:
        np.testing.assert_allclose(apart, np.sort(naive, axis=1)[:, :9], atol=1e-5)
    assert all(len(set(row)) == 9 for row in found.tolist())


def test_products_and_inverses_of_a_device_are_those_of_numpy():
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(7, 5)), rng.normal(size=(5, 3))
    for device in (None, "cpu"):
        np.testing.assert_allclose(product(A, B, device), A @ B, atol=1e-12)
    G = A.T @ A + np.eye(5)
    found = inverse(G, "cpu")
    np.testing.assert_allclose(found, np.linalg.inv(G), atol=1e-10)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize(("slow", "told"), [([], None), ([1], 1), ([0, 1, 2], 3)])
def test_folds_that_onedal_leaves_to_scikit_learn_are_counted(slow, told, monkeypatch):
    pytest.importorskip("sklearnex", reason="scikit-learn-intelex is not installed")
    seen: list[object] = []
    monkeypatch.setattr(svr, "fell_back", lambda head: seen.append(head) or len(seen) - 1 in slow)
    rng = np.random.default_rng(0)
    X, target = rng.normal(size=(30, 3)).astype(np.float32), rng.normal(50, 9, 30)
    folds = Folds(np.arange(30) % 3, np.arange(30))
    problem = Problem(lambda fold: (X, X[:2]), target, folds, [0, 1, 2], shared=True)
    found = fit_head(SvrSection(), "onedal", problem)
    assert len(seen) == 3
    if told is None:
        assert (found.remarks, found.facts) == ([], {})
    else:
        assert found.remarks[0].startswith(f"onedal left {told} of 3 folds to scikit-learn")
        assert found.facts == {"engine": "sklearn, asked for onedal"}


def test_a_photo_that_is_the_same_up_to_rounding_decides_alone():
    """As scikit-learn's row at distance 0; of several such rows their mean counts."""
    vectors = np.zeros((4, 4), np.float32)
    vectors[1], vectors[3] = 1e-3, 5
    scaler = SimpleNamespace(mean_=np.zeros(4), scale_=np.ones(4))
    head = neighbours_head(scaler, vectors, np.array([10.0, 30, 20, 99]), k=3)
    near = np.full((1, 4), 5e-7, np.float32)
    np.testing.assert_allclose(predict_stored(head, near), 15, rtol=1e-12)
    apart = np.full((1, 4), 4e-4, np.float32)
    weights = 1 / np.array([4e-4, 4e-4, 6e-4])
    wanted = weights @ [10, 20, 30] / weights.sum()
    np.testing.assert_allclose(predict_stored(head, apart), wanted, rtol=1e-4)
    heavy = neighbours_head(
        scaler, vectors, np.array([10.0, 30, 20, 99]), 3, np.array([3.0, 1, 1, 1])
    )
    np.testing.assert_allclose(predict_stored(heavy, near), 12.5, rtol=1e-12)
