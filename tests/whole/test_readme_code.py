"""The README's code on plain arrays runs as it stands there, and tells what it says."""

import re

import numpy as np
import pytest
from helpers.places import ROOT

from paw_stack.metrics import rmse


def on_arrays() -> str:
    """The one block of code that needs no files."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "NestedBlend" in block]
    return block


def test_heads_and_blend_on_arrays(capsys):
    names: dict = {}
    exec(compile(on_arrays(), "README.md", "exec"), names)
    blend, y, folds = names["blend"], names["y"], names["folds"]
    alone = [rmse(y, own) for own in names["P"]]
    assert max(blend.nested_rmse_, *alone) < 0.8 * y.std()
    assert blend.nested_rmse_ < 1.01 * min(alone)
    assert capsys.readouterr().out.startswith(f"{blend.nested_rmse_} [")
    assert blend.nested_rmse_ == pytest.approx(rmse(y, blend.nested_))
    np.testing.assert_array_equal(blend.fold_of_, folds)
