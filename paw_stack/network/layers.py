"""Layers between a backbone and the outputs: the head on its features, and the ways of metadata.

`make_head` gives the networks that a config calls `regressor.head`, two to five layers without
normalisation; the heads of `paw_stack.heads` are others, fitted on embeddings afterwards. Metadata
columns come standardised, as float32:

late    `LateFusion`: beside the image features, before the head.
fm      `FactorisationMix`: a second, small model whose share of the output is learned.
early   `widen_input`: constant image planes beside the three colours.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from paw_stack.config import RegressorSection
from paw_stack.errors import ConfigError

RESIDUAL_WIDTH, BOTTLENECK, LAST_HIDDEN = 192, 64, 32


class Residual(nn.Module):
    """`share` * Linear(64, 192)(SELU(Linear(192, 64)(x))) + `skip` * x, on (b, 192)."""

    def __init__(self, share: float, skip: float):
        super().__init__()
        self.share, self.skip = share, skip
        self.inner = nn.Sequential(
            nn.Linear(RESIDUAL_WIDTH, BOTTLENECK), nn.SELU(), nn.Linear(BOTTLENECK, RESIDUAL_WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.share * self.inner(x) + self.skip * x


def make_head(section: RegressorSection, width: int, n_outputs: int) -> nn.Sequential:
    """Features (b, width) -> raw outputs (b, n_outputs); the last module is an nn.Linear.

    - linear: one layer.
    - mlp: Linear(width, section.width), ReLU, the last layer.
    - residual_a: "192-64-192 + skip, SELU, 1" is read as Linear(width, 192); a bottleneck of 64
      units with a SELU inside, without which its two layers would be one; the sum with its input;
      SELU; the last layer.
    - residual_b: "the same with SELU after the first layer, then 192-32-1 with ReLU" is read as
      residual_a with SELU after Linear(width, 192), and Linear(192, 32), ReLU before the last.
    - residual_c: residual_b whose sum is 0.7 * bottleneck + 0.3 * input.

    SELU is Klambauer et al.'s (2017, arXiv:1706.02515); torch's own starts of weights are kept.
    """
    if section.head == "linear":
        return nn.Sequential(nn.Linear(width, n_outputs))
    if section.head == "mlp":
        hidden = section.width
        return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, n_outputs))
    return _residual_head(section.head, width, n_outputs)


def _residual_head(kind: str, width: int, n_outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(width, RESIDUAL_WIDTH)]
    if kind != "residual_a":
        layers.append(nn.SELU())
    layers += [Residual(0.7, 0.3) if kind == "residual_c" else Residual(1, 1), nn.SELU()]
    last = RESIDUAL_WIDTH
    if kind != "residual_a":
        layers += [nn.Linear(last, LAST_HIDDEN), nn.ReLU()]
        last = LAST_HIDDEN
    return nn.Sequential(*layers, nn.Linear(last, n_outputs))


IMAGE_FACTORS = 8  # columns that the image features become for the factorisation machine
FACTORS = 8  # length of a column's vector there
FACTOR_SD = 0.01  # nearly no interaction at the start
START_SHARE = 0.1  # of the factorisation machine in the output


class LateFusion(nn.Module):
    """Image features (b, d) and metadata (b, n_metadata) -> both, (b, d + `added`).

    The columns join as they are, or as `width` units of a small embedding layer, which can weigh
    them against a photo's many more features.
    """

    def __init__(self, n_metadata: int, width: int):
        super().__init__()
        self.added = width or n_metadata
        self.embedding = (
            nn.Sequential(nn.Linear(n_metadata, width), nn.ReLU()) if width else nn.Identity()
        )

    def forward(self, features: Tensor, metadata: Tensor) -> Tensor:
        return torch.cat([features, self.embedding(metadata).to(features.dtype)], dim=1)


class FactorisationMachine(nn.Module):
    """Columns (b, n) -> outputs (b, k): b0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j.

    Rendle, "Factorization Machines" (ICDM 2010), of order two, once for each output. It starts as
    its bias alone, but for interactions that are nearly 0.
    """

    def __init__(self, n: int, k: int):
        super().__init__()
        self.linear = nn.Linear(n, k)
        self.factors = nn.Parameter(torch.randn(n, FACTORS, k) * FACTOR_SD)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, columns: Tensor) -> Tensor:
        return self.linear(columns) + pairwise(columns, self.factors)


def pairwise(columns: Tensor, factors: Tensor) -> Tensor:
    """Sum over pairs i < j of <v_i, v_j> x_i x_j, in time linear in the columns.

    It is half of (sum_i v_i x_i)^2 - sum_i (v_i x_i)^2. No matrix product, which autocast would
    round to bf16: the two terms are close to each other.

    Args:
        columns: (b, n) x.
        factors: (n, f, k) vectors v of length f, for each of k outputs.

    Returns:
        (b, k)
    """
    products = columns[:, :, None, None] * factors  # (b, n, f, k)
    gap = products.sum(1).square() - products.square().sum(1)
    return 0.5 * gap.sum(1)


class FactorisationMix(nn.Module):
    """(1 - a) * the head's output + a * a factorisation machine's, a = sigmoid(`mix`) learned.

    The machine sees the metadata and the image features, the latter reduced to eight values inside
    -1..1; so its interactions are those of columns with each other and with what a photo shows. A
    factorisation machine for the metadata beside a Swin is the idea of PETS-SWINF
    (arXiv:2201.06061); the reduction, the starts and the learned share are this module's own.
    """

    def __init__(self, width: int, n_metadata: int, k: int):
        super().__init__()
        self.reduce = nn.Linear(width, IMAGE_FACTORS)
        self.machine = FactorisationMachine(n_metadata + IMAGE_FACTORS, k)
        self.mix = nn.Parameter(torch.tensor(math.log(START_SHARE / (1 - START_SHARE))))

    def forward(self, output: Tensor, features: Tensor, metadata: Tensor) -> Tensor:
        """Outputs (b, k) of the head, image features (b, width), metadata -> outputs (b, k)."""
        image = torch.tanh(self.reduce(features).float())
        second = self.machine(torch.cat([metadata, image], dim=1))
        return torch.lerp(output.float(), second.float(), self.mix.sigmoid())


def widen_input(model: Any, n_planes: int) -> None:
    """Let a timm model take `n_planes` more image planes; its weights for the colours stay.

    The new weights are 0: at first the planes change nothing, but their gradient is not 0.

    Raises:
        ConfigError: no convolution of the model takes the photo, or it rescales its weights, which
            the zeros would change.
    """
    from timm.layers import Conv2dSame

    convolutions = _input_convolutions(model)
    plain = all(type(convolution) in (nn.Conv2d, Conv2dSame) for convolution in convolutions)
    if not convolutions or not plain:
        raise ConfigError(
            f"regressor.metadata: early: {type(model).__name__} has no plain first convolution that"
            " could take more planes; choose late or fm, or another backbone"
        )
    for convolution in convolutions:
        colours = convolution.weight.detach()
        zeros = colours.new_zeros(len(colours), n_planes, *colours.shape[2:])
        convolution.weight = nn.Parameter(torch.cat([colours, zeros], dim=1))
        convolution.in_channels += n_planes


def _input_convolutions(model: Any) -> list[nn.Conv2d]:
    """The convolutions that see the photo: those timm names (some models have branches from there
    on), or the first with three channels where it names none that is one."""
    named = (getattr(model, "pretrained_cfg", None) or {}).get("first_conv") or ()
    names = [named] if isinstance(named, str) else list(named)
    fitting = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.groups == 1
    }
    return [fitting[name] for name in names if name in fitting] or list(fitting.values())[:1]
