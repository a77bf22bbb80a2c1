"""What may leave an augmentation is known before training, however rarely it is drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.config import FinetuneSection
from paw_stack.data.images.augment import PRESETS, make_augment
from paw_stack.errors import ConfigError

SIZE = 32
RARELY = 0.001
CHANGING = {
    "float": {"ToFloat": {}},
    "normalised": {"Normalize": {}},
    "normalised by the photo": {"Normalize": {"normalization": "image"}},
    "not from float": {"FromFloat": {}},
    "small": {"RandomCrop": {"height": 16, "width": 16}},
    "other size": {"Resize": {"height": SIZE, "width": SIZE + 1}},
    "random size": {"RandomScale": {"scale_limit": 0.2}},
    "padded": {"PadIfNeeded": {"min_height": 64, "min_width": 64}},
    "one channel": {"ToGray": {"num_output_channels": 1}},
}
KEEPING = [
    {"HorizontalFlip": {}},
    {"ToGray": {}},
    {"GaussianBlur": {}},
    {"Affine": {"rotate": [-10, 10]}},
    {"RandomResizedCrop": {"size": [SIZE, SIZE]}},
]
chances = st.sampled_from([RARELY, 0.05, 0.5, 1.0])


def with_p(item, p):
    ((name, arguments),) = item.items()
    return {name: {**arguments, "p": p}}


def made(*items):
    return make_augment(FinetuneSection(augment=list(items)), SIZE)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(list(CHANGING)),
    p=chances,
    others=st.lists(st.tuples(st.sampled_from(KEEPING), chances), max_size=3),
    place=st.integers(0, 3),
)
def test_what_changes_dtype_shape_or_range_is_refused_at_any_p(kind, p, others, place):
    """Alone or among others: behind it they may also be what cannot be applied any more."""
    items = [with_p(item, chance) for item, chance in others if "RandomResized" not in str(item)]
    items.insert(place, with_p(CHANGING[kind], p))
    with pytest.raises(ConfigError, match=r"expected uint8 \(32, 32, 3\)|cannot be applied to"):
        made(*items)


@settings(max_examples=15, deadline=None)
@given(items=st.lists(st.tuples(st.sampled_from(KEEPING), chances), max_size=4))
def test_what_keeps_them_passes_at_any_p(items):
    pipeline = made(*(with_p(item, p) for item, p in items))
    if pipeline is not None:
        found = pipeline(image=np.full((SIZE, SIZE, 3), 9, np.uint8))["image"]
        assert (found.dtype, found.shape) == (np.uint8, (SIZE, SIZE, 3))


def test_a_change_that_is_undone_passes_where_it_always_is():
    resize = {"Resize": {"height": SIZE, "width": SIZE}}
    assert made({"RandomCrop": {"height": 16, "width": 16, "p": 0.3}}, resize) is not None
    assert made({"RandomScale": {"scale_limit": 0.2, "p": 1.0}}, resize) is not None
    there, back = {"ToFloat": {"p": 1.0}}, {"FromFloat": {"dtype": "uint8", "p": 1.0}}
    assert made(there, back) is not None
    for spoiled in ([with_p(there, RARELY), back], [there, with_p(back, 1 - RARELY)]):
        with pytest.raises(ConfigError, match="float"):
            made(*spoiled)


def test_levels_that_are_lost_are_told():
    back = {"FromFloat": {"dtype": "uint8", "max_value": 1.0, "p": 1.0}}
    with pytest.raises(ConfigError, match="levels 0 and 1, expected uint8"):
        made({"ToFloat": {"p": 1.0}}, back)


@pytest.mark.parametrize("holder", ["OneOf", "Sequential", "SomeOf", "Compose"])
def test_what_holds_transforms_hides_none(holder):
    with pytest.raises(ConfigError, match=f"albumentations has no transform '{holder}'"):
        made({holder: {"transforms": [{"ToFloat": {"p": RARELY}}]}})


def test_what_needs_more_than_a_photo_is_told_at_any_p():
    with pytest.raises(ConfigError, match="FDA cannot be applied to uint8"):
        made({"FDA": {"p": RARELY}})


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_pass(preset):
    make_augment(FinetuneSection(augment=preset), SIZE)
