"""The cuml engine: our calls against cuML's signature; its results are asked in tests/gpu."""

import ast
import inspect

import pytest
from helpers.places import ROOT

from paw_stack.config import SvrSection

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
