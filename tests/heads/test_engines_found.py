"""Which engine an SVR gets, by what works here; cuML is a package of the tests, made on disk."""

import sys

import numpy as np
import pytest
from helpers.commands import call

from paw_stack.config import ComputeSection, GridSection, HeadsSection, SvrSection
from paw_stack.data.folds import Folds
from paw_stack.errors import ConfigError
from paw_stack.heads import svr
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.gpu import found
from paw_stack.heads.memory import require_memory
from paw_stack.heads.registry import fit_head
from paw_stack.heads.svr import resolve_engine, what_auto_took

GRID = SvrSection(grid=GridSection(C=[1.0, 2.0]))
NVJITLINK = "libcuvs.so: undefined symbol: __nvJitLinkGetErrorLog_13_3, version libnvJitLink.so.13"
# scikit-learn's own, called as cuML's is.
SVM = """
from sklearn.svm import SVR as Own

class SVR(Own):
    def __init__(self, *, C=1.0, kernel="rbf", gamma="scale", tol=1e-3, epsilon=0.1, **output_type):
        super().__init__(C=C, kernel=kernel, gamma=gamma, tol=tol, epsilon=epsilon)

    def get_params(self, deep=True):
        return {}
"""


@pytest.fixture
def cuml(tmp_path, monkeypatch):
    """Writes a package cuml of a version, whose svm is this source."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(version, source):
        (tmp_path / "cuml").mkdir()
        (tmp_path / "cuml" / "__init__.py").write_text(f"__version__ = {version!r}\n")
        (tmp_path / "cuml" / "svm.py").write_text(source)

    found.broken_cuml.cache_clear()
    yield write
    found.broken_cuml.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "cuml"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"raise ImportError({NVJITLINK!r})", "expected 13.3 or later"),
        ("raise OSError('libcublas.so.13: cannot open shared object file')", "cannot open shared"),
        ("raise RuntimeError('driver too old')", "driver too old"),
    ],
    ids=["symbol", "library", "driver"],
)
def test_a_cuml_that_does_not_load_says_what_it_needs(source, expected, cuml):
    cuml("26.10.00", source)
    said = found.broken_cuml()
    assert expected in said
    assert "Found nvJitLink" in said
    assert "pip install --upgrade 'nvidia-nvjitlink" in said


def test_doctor_tells_of_a_cuml_that_does_not_load(cuml, capsys, tmp_path):
    cuml("26.10.00", f"raise ImportError({NVJITLINK!r})")
    call("doctor", "--root", tmp_path, "--no-speed")
    assert "nvidia-nvjitlink>=13.3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("version", "takes"),
    [("25.12.00", False), ("26.02.00", True), ("26.10.01", True), ("27.02", True)],
)
def test_a_kernel_that_folds_share_is_for_recent_cuml(version, takes, cuml):
    """An older one fits each fold on its vectors, and the user reads so."""
    cuml(version, SVM)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5)).astype(np.float32)
    y = 40 + 6 * X[:50, 0] + rng.normal(size=50)
    folds = Folds(np.arange(50) % 5, np.arange(50))
    problem = Problem(lambda fold: (X[:50], X[50:]), y, folds, range(5), shared=True)
    fitted = fit_head(SvrSection(), "cuml", problem)
    same = fit_head(SvrSection(), "gram" if takes else "sklearn", problem)
    np.testing.assert_allclose(fitted.oof, same.oof, atol=0.02)
    assert list(fitted.heads) == (["all"] if takes else [f"fold{k}" for k in range(5)])
    assert any("which 26.2 brought" in remark for remark in fitted.remarks) == (not takes)


@pytest.mark.parametrize(
    ("section", "broken", "engine"),
    [
        (SvrSection(), (), "triton"),
        (SvrSection(), ("triton",), "cuml"),
        (SvrSection(), ("triton", "cuml"), "gram"),
        (GRID, (), "triton"),
        (GRID, ("triton",), "gram"),
    ],
)
def test_auto_takes_the_fastest_that_works_beside_a_gpu_and_says_why(
    section, broken, engine, monkeypatch
):
    monkeypatch.setattr(svr, "uses_cuda", lambda compute: True)
    for name in ("triton", "cuml"):
        reason = f"{name} is broken" if name in broken else None
        monkeypatch.setattr(svr, f"lacks_for_{name}", lambda compute, reason=reason: reason)
    assert resolve_engine(section) == engine
    (said,) = what_auto_took(section, ComputeSection())
    tried = [name for name in broken if not section.grid or name != "cuml"]
    assert said == "; ".join([f"engine: auto is {engine}", *(f"{n} is broken" for n in tried)])
    assert what_auto_took(section.model_copy(update={"engine": "gram"}), ComputeSection()) == []


def test_a_processor_that_was_asked_for_is_no_gpu(cuml, monkeypatch):
    monkeypatch.setattr(found, "cuda_at_hand", lambda: True)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    cuml("26.10.00", SVM)
    here = ComputeSection(device="cpu")
    assert resolve_engine(SvrSection(), here) in ("onedal", "sklearn")
    assert resolve_engine(GRID, here) == "gram"
    assert found.products_on(here) is None
    assert found.products_on(ComputeSection()) == "cuda"
    for engine in ("cuml", "triton"):
        with pytest.raises(ConfigError, match=rf"{engine} needs .*"):
            resolve_engine(SvrSection(engine=engine), here)


def test_a_grid_on_an_engine_without_one_is_refused():
    assert SvrSection(engine="triton", grid=GridSection(C=[1.0])).grid
    with pytest.raises(ValueError, match="engine: cuml has no grid"):
        SvrSection(engine="cuml", grid=GridSection(C=[1.0]))


def test_matrices_beyond_the_gpus_memory_are_refused_with_what_fits(monkeypatch):
    """60,000 rows: 28.8 GB of distances and kernel, and what the problems take."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # which counts as a device
    heads = HeadsSection(svr=SvrSection(engine="triton"), memory_gb=100)
    pytest.importorskip("triton", reason="triton comes with torch for CUDA")
    require_memory(heads, 60_000, 100, device_gb=37)
    with pytest.raises(ConfigError) as caught:
        require_memory(heads, 60_000, 100, device_gb=16)
    (said,) = caught.value.problems
    assert "engine triton puts 36.6 GB for 60,000 labelled rows on the GPU" in said
    assert "16.0 GB left: 37,000 rows fit" in said
    require_memory(heads, 37_000, 100, device_gb=16)
    with pytest.raises(ConfigError):
        require_memory(heads, 38_000, 100, device_gb=16)
    assert "Set engine: gram" in said


def test_cuml_needs_a_matrix_only_where_folds_share_vectors(cuml, monkeypatch):
    monkeypatch.setattr(found, "cuda_at_hand", lambda: True)
    cuml("26.10.00", SVM)
    heads = HeadsSection(svr=SvrSection(engine="cuml"))
    require_memory(heads, 100_000, 10, shared=False, device_gb=16)
    with pytest.raises(ConfigError) as caught:
        require_memory(heads, 100_000, 10, device_gb=16)
    assert len(caught.value.problems) == 2
