"""What a network takes of a GPU's memory, told without one, and what is said where it has less.

A forward pass is done on fake tensors of a GPU, which have shapes, types, a place, and no values:
what is alive behind it is what the gradient needs. Autocast chooses types as it does on a card, and
fused attention keeps what torch's memory-efficient kernel keeps.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import finalize

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from paw_stack.config import BackboneSection, FinetuneSection
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import Backbone, build_backbone
from paw_stack.network.device import DTYPES, Device, Precision, fuse_attention

FLOAT = 4  # bytes
GIGABYTE = 1e9
FEW, MORE = 2, 4  # photos of two passes, whose difference tells what one takes
SPARE, CONTEXT = 0.05, 0.8e9  # share of a card that lies between tensors; bytes of CUDA itself
CARDS = (8, 16, 24, 40, 80)  # GB
KNOWS_FAKES = "2.14"  # the first torch that was seen to
MOST_AT_ONCE = 256  # photos of a pass without a gradient: more are not faster
# Alive at once in such a pass of swin_large at 224, a photo, in float32: the most of usual ones.
PASS_BYTES = 45e6


@dataclass(frozen=True)
class Memory:
    """Bytes of a GPU that fine-tuning takes at most."""

    fixed: float  # whatever the batch
    photo: float  # more a photo of the batch
    least: float  # in the step, when nothing of a batch is left

    def of(self, batch: int) -> float:
        """Bytes at a batch of so many photos."""
        return max(self.least, self.fixed + batch * self.photo)

    def largest_batch(self, total: float) -> int:
        """Photos of the largest batch that fits a card of `total` bytes; 0: none does."""
        usable = (1 - SPARE) * total - CONTEXT
        return 0 if usable < self.least else max(0, int((usable - self.fixed) / self.photo))


def training_memory(
    section: BackboneSection, finetune: FinetuneSection, precision: Precision
) -> Memory | None:
    """Count what fine-tuning a backbone takes: once a process for the same settings.

    None: it looks at values, which fake tensors have not; or an older torch, which aborts on fake
    tensors of a GPU where there is none.

    Raises:
        ConfigError: the backbone cannot be built.
    """
    if not (torch.cuda.is_available() or torch.__version__ >= KNOWS_FAKES):
        return None
    own = section.model_copy(update={"name": "any", "weights": None, "frozen": False})
    try:
        parameters, casts, photo = _activations(own.model_dump_json(), precision)
    except ConfigError:
        raise
    except Exception:  # each architecture has its own way to fail
        return None
    weights = parameters * FLOAT
    state = weights * (2 + (finetune.optimizer != "sgd") + (finetune.ema is not None))
    # Of the first batch of a step no gradient is there when all activations are.
    gradients = weights if finetune.accumulate > 1 else 0
    return Memory(state + casts + gradients, photo, state + weights)


@cache
def _activations(settings: str, precision: Precision) -> tuple[int, float, float]:
    """Parameters, and bytes that a forward pass leaves: whatever its photos, and a photo."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    section = BackboneSection.model_validate_json(settings)
    with torch.device("meta"):
        backbone = build_backbone(section, 0, load=False)
    fuse_attention(backbone)
    with FakeTensorMode(allow_non_fake_inputs=True):
        backbone.to_empty(device="cuda")
        few, more = (_left_by(backbone, n, precision) for n in (FEW, MORE))
        photo = (more - few) / (MORE - FEW)
        if section.grad_checkpointing:  # of the part that is computed again all is alive
            backbone.model.set_grad_checkpointing(False)
            photo += _largest_block(backbone, precision) / FEW
    n = sum(parameter.numel() for parameter in backbone.parameters())
    return n, max(0.0, few - FEW * (more - few) / (MORE - FEW)), photo


def _left_by(backbone: Backbone, n: int, precision: Precision) -> int:
    """Bytes alive behind a forward pass of `n` photos, beside the weights."""
    photos = _photos(backbone, n)
    with Alive() as alive:
        kept = _forward(backbone, photos, precision)
    assert kept.grad_fn is not None  # which holds what the gradient needs
    return alive.now


def _largest_block(backbone: Backbone, precision: Precision) -> int:
    """Bytes that a block of the network keeps for its gradient, of `FEW` photos."""
    grown: dict[nn.Module, int] = {}
    with Alive() as alive:

        def enter(block: nn.Module, given: Any) -> None:
            grown[block] = -alive.now

        def leave(block: nn.Module, given: Any, found: Any) -> None:
            grown[block] += alive.now

        blocks = [m for name, m in backbone.named_modules() if re.search(r"blocks\.\d+$", name)]
        hooks = [
            hook
            for block in blocks or [backbone]
            for hook in (
                block.register_forward_pre_hook(enter),
                block.register_forward_hook(leave),
            )
        ]
        _forward(backbone, _photos(backbone, FEW), precision)
    for hook in hooks:
        hook.remove()
    return max(grown.values())


def _photos(backbone: Backbone, n: int) -> Tensor:
    return torch.zeros(n, backbone.size, backbone.size, 3, dtype=torch.uint8, device="cuda")


def _forward(backbone: Backbone, photos: Tensor, precision: Precision) -> Tensor:
    with _Fused(), _autocast(precision):
        return backbone.train()(photos)


class Alive(TorchDispatchMode):
    """Counts the bytes of tensors that were made inside and are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_storage(one) for one in torch.utils._pytree.tree_leaves((args, kwargs or {}))}
        found = func(*args, **(kwargs or {}))
        for one in torch.utils._pytree.tree_leaves(found):
            if isinstance(one, Tensor) and _storage(one) not in given | self._known:
                self._count(one.untyped_storage())
        self.most = max(self.most, self.now)
        return found

    def _count(self, storage: Any) -> None:
        size, number = storage.nbytes(), storage._cdata
        self.now += size
        self._known.add(number)

        def gone() -> None:
            self.now -= size
            self._known.discard(number)

        finalize(storage, gone)


def _storage(one: Any) -> int | None:
    return one.untyped_storage()._cdata if isinstance(one, Tensor) else None


class _Fused(TorchFunctionMode):
    """Attention by the kernel that a GPU takes, which cannot be asked without one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query, key, value = (one.to(_half(one)) for one in args[:3])
        mask = (kwargs or {}).get("attn_mask")
        if mask is not None:  # rows of which begin at multiples of eight
            n = mask.shape[-1]
            mask = F.pad(mask.to(query.dtype), (0, -n % 8))[..., :n]
            mask = mask.expand(*query.shape[:3], n)
        attend = torch.ops.aten._scaled_dot_product_efficient_attention
        return attend(query, key, value, mask, True)[0]


def _half(one: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else one.dtype


@contextmanager
def _autocast(precision: Precision) -> Iterator[None]:
    """`torch.autocast("cuda")`, which refuses to be where there is no GPU."""
    dtype = DTYPES.get(precision)
    if dtype is None:
        yield
        return
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])


def pass_size(device: Device, size: int) -> int:
    """Photos of a pass without a gradient that fill a GPU: for photos of `size` pixels a side.

    It depends on nothing else, so that a photo's numbers are those of the next call.
    """
    return photos_at_once(card_memory(device) or 0.0, size)


def photos_at_once(total: float, size: int) -> int:
    """The power of two whose passes take a quarter of a card of `total` bytes, 256 at most."""
    fitting = int(total / 4 / (PASS_BYTES * (size / 224) ** 2))
    return min(MOST_AT_ONCE, 2 ** max(0, fitting.bit_length() - 1))


@contextmanager
def told(advice: Callable[[], str]) -> Iterator[None]:
    """Turn a lack of memory into an error with advice.

    Raises:
        ConfigError: the memory of the device does not suffice for what is inside.
    """
    try:
        yield
    except RuntimeError as error:  # a GPU's is a class of its own, a CPU's is not
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise ConfigError(advice()) from None
        raise


def training_advice(
    backbone: BackboneSection, section: FinetuneSection, device: Device, what: str
) -> str:
    """What to do where fine-tuning does not fit: the batch that will, by the estimate."""
    if section.batch_size == 1:
        return f"{what}: out of memory with one photo a batch; lower the backbone's image_size"
    half, card = max(1, section.batch_size // 2), ""
    if device.name == "cuda":
        free, total = torch.cuda.mem_get_info()
        mine = free + torch.cuda.memory_reserved()
        memory = training_memory(backbone, section, device.precision)
        half = max(1, min(half, memory.largest_batch(mine) if memory else half))
        card = f" of {total / GIGABYTE:.0f} GB, {(total - mine) / GIGABYTE:.1f} GB not ours"
    return (
        f"{what}: out of memory{card} at finetune.batch_size {section.batch_size}; try {half} with"
        f" finetune.accumulate {math.ceil(section.accumulate * section.batch_size / half)}, or"
        " grad_checkpointing: true for the backbone"
    )


def training_needs(backbone: BackboneSection, section: FinetuneSection, device: Device) -> str:
    """`training_sentence` for this machine's GPU, or for usual ones in bfloat16."""
    precision = device.precision if device.name == "cuda" else "bf16"
    return training_sentence(backbone, section, precision, card_memory(device))


def training_sentence(
    backbone: BackboneSection,
    section: FinetuneSection,
    precision: Precision,
    card: float | None = None,
) -> str:
    """What fine-tuning will take of a GPU, and the largest batches that fit.

    Args:
        card: bytes of the GPU that is there; None: there is none, so usual ones are named.
    """
    memory, batch = training_memory(backbone, section, precision), section.batch_size
    if memory is None:
        return "what it takes of a GPU cannot be told without one"
    need = f"{memory.of(batch) / GIGABYTE:.1f} GB of a GPU at batch_size {batch}, {precision}"
    if card:
        largest = memory.largest_batch(card)
        fits = "fits" if batch <= largest else "does not fit"
        return f"{need}, estimated: {fits} {card / GIGABYTE:.0f} GB, whose largest is {largest}"
    fitting = [(memory.largest_batch(size * GIGABYTE), size) for size in CARDS]
    named = ", ".join(f"{n} on {size} GB" for n, size in fitting if n)
    return f"{need}, estimated; the largest batch: {named or 'none on 80 GB'}"


def card_memory(device: Device) -> float | None:
    """Bytes of the GPU that is computed on."""
    if device.name == "cpu":
        return None
    return float(torch.cuda.get_device_properties(device.name).total_memory)
