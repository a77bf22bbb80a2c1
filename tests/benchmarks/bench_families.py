"""What each family of timm can do: a row a family, one small architecture of each.

    python tests/benchmarks/bench_families.py

embedding, logits: `same` as the model's own forward (largest difference below 1e-4 of the largest
value, random weights throughout), or `refused` before anything is run; features: the means of the
last maps, where they are not the embedding; at an image size of 100 and of 192: as embedding.
`UNTOLD` is a failure that no message explains. Families whose smallest model is large are seen on
shapes alone (`shape`).
"""

import sys
import warnings
from collections import Counter
from pathlib import Path

import timm
import torch

sys.path.append(str(Path(__file__).parents[1]))

from tools.families import UNROLLED, own_output, photos, section_of, shaken, small

from paw_stack.config import BackboneSection
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import input_size
from paw_stack.network.pretrained.probe import measure

LARGEST = 6e7  # parameters
SIZES = (100, 192)
COLUMNS = ("embedding", "features", "logits", *(f"at {size}" for size in SIZES))


def verdict(section: BackboneSection) -> str:
    try:
        shapes = measure(section)
    except ConfigError:
        return "refused"
    if shapes.parameters > LARGEST or input_size(section) > 600:
        return "shape"
    layer = section.layers[0]
    try:
        backbone = shaken(section)
        batch = photos(2, backbone.size)
        with torch.inference_mode():
            found = backbone.layers(batch, [layer])[0]
            if layer == "features":
                return "mean maps" if found.shape[1] == backbone.model.num_features else "OTHER"
            own = own_output(backbone, batch)  # without a classifier: what it would see
    except Exception as error:
        return f"UNTOLD {type(error).__name__}"
    far = float((found - own).abs().max() / own.abs().max())
    return "same" if far < 1e-4 else f"OTHER {far:.1e}"


def row(family: str) -> list[str]:
    layers = [verdict(section_of(family, [layer])) for layer in COLUMNS[:3]]
    sizes = [verdict(section_of(family, ["embedding"], size)) for size in SIZES]
    return [*layers, *sizes]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    families = [name for name in timm.list_modules() if timm.list_models(module=name)]
    counts = {column: Counter[str]() for column in COLUMNS}
    print(f"{'family':28}{'model':38}" + "".join(f"{column:>11}" for column in COLUMNS))
    for family in [name for name in families if name not in UNROLLED] + sorted(UNROLLED):
        found = row(family)
        for column, value in zip(COLUMNS, found, strict=True):
            counts[column][value] += 1
        print(f"{family:28}{small(family):38}" + "".join(f"{v:>11}" for v in found), flush=True)
    for column, found in counts.items():
        print(f"{column}: " + ", ".join(f"{n} {value}" for value, n in found.most_common()))
