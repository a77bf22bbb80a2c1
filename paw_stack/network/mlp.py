"""The networks between image features and outputs, two to five layers with no normalisation.

They are called heads in a config (`regressor.head`); the heads of `paw_stack.heads` are others,
fitted on embeddings afterwards.
"""

from torch import Tensor, nn

from paw_stack.config import RegressorSection

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
