"""Heads whose products a torch device computes are those of numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from paw_stack.config import KernelRidgeSection, KnnSection, NystroemSection, SvrSection
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels import kernel_ridge
from paw_stack.heads.kernels.distances import squared_distances
from paw_stack.heads.kernels.gpu import products
from paw_stack.heads.registry import fit_head

SECTIONS = {
    "gram": SvrSection(engine="gram"),
    "kernel_ridge": KernelRidgeSection(),
    "nystroem": NystroemSection(landmarks=40),
    "knn": KnnSection(k=5),
}


@pytest.fixture
def problem(case):
    labelled, test, y = case
    folds = Folds(np.arange(len(y)) % 4, np.arange(len(y)))
    return Problem(lambda fold: (labelled, test), y, folds, range(4), shared=True)


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_predictions_are_those_of_numpy(name, weighted, problem):
    if weighted:
        weight = np.random.default_rng(2).uniform(0.5, 1.5, len(problem.target))
        problem = replace(problem, weight=weight)
    plain = fit_head(SECTIONS[name], name, problem)
    torchs = fit_head(SECTIONS[name], name, replace(problem, device="cpu"))
    np.testing.assert_allclose(torchs.oof, plain.oof, rtol=1e-4)
    np.testing.assert_allclose(torchs.test, plain.test, rtol=1e-4)
    assert torchs.facts == plain.facts


@pytest.mark.parametrize("many", [10, 2048], ids=["float32", "float64"])
def test_an_inverse_of_the_device_is_that_of_lapack(many, case, monkeypatch):
    monkeypatch.setattr(kernel_ridge, "MANY", many)
    K = np.exp(-0.1 * squared_distances(case[0]))
    here = kernel_ridge._inverted(K, np.full(len(K), 0.5))
    there = kernel_ridge._inverted(K, np.full(len(K), 0.5), "cpu")
    assert there.dtype == here.dtype
    assert (there == there.T).all()
    np.testing.assert_allclose(there, here, atol=2e-5)


def test_a_device_without_the_memory_leaves_the_inverse_to_the_processor(case, monkeypatch):
    def full(G):
        raise torch.OutOfMemoryError("CUDA out of memory")

    K = np.exp(-0.1 * squared_distances(case[0]))
    here = kernel_ridge._inverted(K, np.full(len(K), 0.5))
    monkeypatch.setattr(torch.linalg, "cholesky", full)
    assert (kernel_ridge._inverted(K, np.full(len(K), 0.5), "cpu") == here).all()


def test_neighbours_are_the_nearest_in_order_and_copies_are_at_zero(monkeypatch):
    """Also over several blocks of rows; float32 alone would find copies apart."""
    monkeypatch.setattr(products, "BLOCK", 3)
    rng = np.random.default_rng(0)
    B = (100 + rng.normal(size=(30, 6))).astype(np.float32)
    A = np.vstack([B[:2], 100 + rng.normal(size=(6, 6))]).astype(np.float32)
    apart, found = products.nearest(A, B, 4, "cpu")
    plain = np.linalg.norm(A[:, None].astype(np.float64) - B[None], axis=2)
    assert (found == np.argsort(plain, axis=1)[:, :4]).all()
    np.testing.assert_allclose(apart, np.sort(plain, axis=1)[:, :4], rtol=1e-6)
    assert (apart[:2, 0] == 0).all()


def test_products_are_in_float32_whatever_networks_asked_for(monkeypatch):
    """And leave that as it was."""
    asked, plain = [], torch.Tensor.cpu

    def noted(tensor):
        asked.append(torch.get_float32_matmul_precision())
        return plain(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", noted)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        A = np.random.default_rng(0).normal(size=(70, 300)).astype(np.float32)
        np.testing.assert_allclose(products.product(A, A.T, "cpu"), A @ A.T, atol=1e-3)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert asked == ["highest"]
