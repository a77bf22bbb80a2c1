"""Imports point down only, and nothing heavy is imported at start-up."""

import ast
import graphlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from helpers.places import ROOT

PACKAGE = ROOT / "paw_stack"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "cv2",
    "albumentations",
    "lightgbm",
    "lightning_fabric",
    "cuml",
    "cupy",
    "sklearnex",
    "sklearn",
    "matplotlib",
    "simplejpeg",
    "safetensors",
    "ray",
    "openvino",
    "pyarrow",
    "triton",
}
# Rooms from the ground up; a module may import from rooms below its own, and from its own room.
GROUND = {
    "allocator",
    "atomic",
    "config",
    "console",
    "distributed",
    "errors",
    "metrics",
    "processes",
}
GROUND |= {"progress", "regular", "signals"}
DATA = {"data"}
STAGES = {"network", "embed", "heads", "blend", "report", "semi_supervised"}
ARTIFACTS = {"artifacts"}
BELOW = {
    **dict.fromkeys(GROUND, GROUND),
    "data": GROUND,
    "network": GROUND | DATA,
    "heads": GROUND | DATA,
    "blend": GROUND | DATA,
    "report": GROUND | DATA | ARTIFACTS,
    "semi_supervised": GROUND | DATA | {"network"},
    "embed": GROUND | DATA | {"network"},
    "artifacts": GROUND | DATA,
    "pipeline": GROUND | DATA | STAGES | ARTIFACTS,
    "inference": GROUND | DATA | STAGES | ARTIFACTS | {"pipeline"},
    "bundle": GROUND | DATA | {"network", "embed", "artifacts", "pipeline", "inference"},
    "cluster": GROUND | DATA | ARTIFACTS | {"pipeline"},
    "guess": GROUND | DATA | {"network", "embed", "artifacts"},
    "commands": GROUND
    | DATA
    | STAGES
    | ARTIFACTS
    | {"pipeline", "inference", "bundle", "cluster", "guess"},
    "api": GROUND | DATA | ARTIFACTS | {"commands", "inference"},
    "cli": GROUND | {"commands", "inference", "guess"},
    "__main__": {"cli"},
    "": {"api"},
}
# Modules that are themselves imported only where they are used may import these at their top.
LAZY = {
    "network": {"torch", "timm"},
    "embed": {"torch"},
    "semi_supervised": {"torch"},
    "data.images.unpack": {"simplejpeg"},
    "api": {"sklearn"},
    "blend.estimator": {"sklearn"},
    "heads.kernels.estimators": {"sklearn"},
    "heads.kernels.grouped_ridge": {"sklearn"},
    "heads.kernels.kernel_ridge": {"sklearn"},
    "heads.kernels.gpu.smo_triton": {"torch", "triton"},
    "data.synthetic.portrait": {"cv2"},
    "data.synthetic.scene": {"cv2"},
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path):
    room = name_of(path).split(".")[0]
    allowed = BELOW.get(room, set()) | {room, "__version__"}
    for name in imports(ast.parse(path.read_text())):
        if name.startswith("paw_stack."):
            assert name.split(".")[1] in allowed, f"{path.name} imports {name}"


def test_rooms_and_modules_are_small():
    """At most twelve modules a room and 320 lines a module."""
    rooms = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {room.name: n for room, n in rooms.items() if n > 12} == {}
    lines = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: n for name, n in lines.items() if n > 320} == {}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_short(path):
    """At most 40 lines without the docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            described = ast.get_docstring(node) is not None
            first = node.body[1 if described and len(node.body) > 1 else 0]
            assert node.end_lineno - first.lineno < 40, node.name


def test_no_module_needs_itself():
    """Whoever imports whom, at the top or inside a function: an order of all modules exists."""
    known = {name_of(path) for path in MODULES}
    needs = {}
    for path in MODULES:
        needed = set()
        for name in imports(ast.parse(path.read_text())):
            module = name.removeprefix("paw_stack.")
            module = module if module in known else module.rpartition(".")[0]
            needed |= {module} & (known - {""})
        needs[name_of(path)] = needed
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"modules import one another: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_are_imported_where_they_are_used(path):
    name = name_of(path)
    lazy = LAZY.get(name, LAZY.get(name.split(".")[0], set()))
    top = ast.Module(list(ast.parse(path.read_text()).body), [])
    top.body = [n for n in top.body if isinstance(n, ast.Import | ast.ImportFrom)]
    found = {imported.split(".")[0] for imported in imports(top)} & HEAVY
    assert found <= lazy


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['paw-stack', '--help']\n"
        "from paw_stack.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', sorted({HEAVY | {'numpy', 'pandas', 'pydantic'}!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
