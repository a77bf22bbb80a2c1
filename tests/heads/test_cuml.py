"""The cuml engine: our calls against cuML's signature, and its results where a GPU is at hand."""

import ast
import inspect

import numpy as np
import pytest
from helpers.places import ROOT

from paw_stack.config import SvrSection
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.registry import fit_head
from paw_stack.heads.stored import predict_stored

HEADS = ROOT / "paw_stack" / "heads"
# cuml.svm.SVR of RAPIDS 26.10; all of them are keyword-only.
SIGNATURE = {
    *("C", "kernel", "degree", "gamma", "coef0", "tol", "epsilon", "cache_size", "max_iter"),
    *("nochange_steps", "verbose", "output_type"),
}


def arguments_of_svr_calls(module: str) -> list[set[str | None]]:
    """Keywords of each call of SVR(...); `**arguments` counts as None."""
    tree = ast.parse((HEADS / module).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    svr = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "SVR"]
    assert svr
    assert not any(call.args for call in svr)
    return [{keyword.arg for keyword in call.keywords} for call in svr]


def test_our_calls_stay_inside_the_documented_signature():
    assert all(names <= SIGNATURE for names in arguments_of_svr_calls("kernels/solvers.py"))
    unpacked = {*SvrSection().model_dump(include={"C", "epsilon", "gamma"}), "output_type"}
    for names in arguments_of_svr_calls("svr.py"):
        assert (names - {None}) | unpacked <= SIGNATURE


def test_the_installed_cuml_has_that_signature():
    pytest.importorskip("cuml", reason="cuml is not installed: pip install 'paw-stack[rapids]'")
    from cuml.svm import SVR

    parameters = inspect.signature(SVR.__init__).parameters
    assert {"C", "kernel", "gamma", "tol", "epsilon", "output_type"} <= set(parameters)
    assert "sample_weight" in inspect.signature(SVR.fit).parameters
    assert hasattr(SVR, "as_sklearn")


@pytest.fixture(scope="module")
def gpu():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    pytest.importorskip("cuml", reason="cuml is not installed: pip install 'paw-stack[rapids]'")


# Each with the engine that scales columns over the same rows.
@pytest.mark.gpu
@pytest.mark.parametrize(("shared", "other"), [(False, "onedal"), (True, "gram")])
def test_cuml_agrees_with_the_other_engines(gpu, shared, other):
    """Dense vectors a fold, and the precomputed matrix that folds share."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1100, 64)).astype(np.float32)
    y = 40 + 8 * X[:1000, 0] + 10 * rng.normal(size=1000)
    folds = Folds(np.arange(1000) % 5, np.arange(1000))
    problem = Problem(lambda k: (X[:1000], X[1000:]), y, folds, range(5), shared)
    ours, theirs = (fit_head(SvrSection(C=5), engine, problem) for engine in ("cuml", other))
    np.testing.assert_allclose(ours.oof, theirs.oof, atol=0.01)
    np.testing.assert_allclose(ours.test, theirs.test, atol=0.01)
    kept = [predict_stored(head, X[1000:]) for head in ours.heads.values()]
    np.testing.assert_allclose(np.mean(kept, axis=0), ours.test, atol=0.01)
