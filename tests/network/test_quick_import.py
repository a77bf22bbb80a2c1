"""timm comes without torch's compiler, and with all that asks for it later."""

import subprocess
import sys

START = """
import sys, torch
from paw_stack.network.pretrained.quick import import_timm
timm = import_timm()
"""


def says(code: str) -> list[str]:
    """Words that a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", START + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_compiler_is_not_there_until_it_is_asked():
    """Nor anything in its place; afterwards it and whoever asks it are whole."""
    code = """
print("torch._dynamo" in sys.modules, "torch._dynamo.utils" in sys.modules)
from torchvision.ops import roi_align
print(tuple(roi_align(torch.rand(1, 1, 4, 4), torch.tensor([[0, 0, 0, 3.0, 3]]), 2).shape)[-1])
twice = torch.compile(lambda x: 2 * x, backend="eager")
print(twice(torch.ones(1)).item(), hasattr(torch._dynamo, "__file__"))
"""
    assert says(code) == ["False", "False", "2", "2.0", "True"]


def test_what_is_kept_out_of_graphs_is_called_and_kept_out():
    code = """
from paw_stack.network.pretrained.quick import _disabled
def own(x): return torch.compiler.is_compiling(), x + 1
late = _disabled(own, True)
print(late.__name__, *late(1))
print(*torch.compile(lambda x: late(x), backend="eager")(torch.ones(1))[:1])
"""
    assert says(code) == ["own", "False", "2", "False"]


def test_one_that_came_before_stays():
    code = "\nprint(sys.modules['torch._dynamo'] is before, timm.is_model('resnet18'))"
    before = "import torch, torch._dynamo as before"
    done = subprocess.run(
        [sys.executable, "-c", before + START + code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True"]
