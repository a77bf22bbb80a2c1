"""Names of models from before timm 0.9, such as `swin_base_patch4_window7_224_in22k`.

timm still builds them, with a warning, but knows no weights under them. Its own table of the new
names has mistakes: some lead to other weights or to a smaller network. Those are put right here.

A name may also lead to a repository of Hugging Face's hub, `hf-hub:owner/name`, or to a folder that
timm saved, `local-dir:path`; the config.json there tells the architecture.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

from paw_stack.network.pretrained.quick import import_timm

# Old name -> today's, where timm's table names another network, other weights, or no weights.
CORRECTED = {
    "ig_resnext101_32x16d": "resnext101_32x16d.fb_wsl_ig1b_ft_in1k",
    "ig_resnext101_32x32d": "resnext101_32x32d.fb_wsl_ig1b_ft_in1k",
    "mixer_b16_224_in21k": "mixer_b16_224.goog_in21k",
    "mixer_l16_224_in21k": "mixer_l16_224.goog_in21k",
    "resmlp_12_224_dino": "resmlp_12_224.fb_dino",
    "resmlp_24_224_dino": "resmlp_24_224.fb_dino",
    "vit_base_patch16_224_sam": "vit_base_patch16_224.sam_in1k",
    "vit_base_patch32_224_sam": "vit_base_patch32_224.sam_in1k",
}
# timm would build the 32x8d, a quarter of the size; the real one is gone.
GONE = {"ig_resnext101_32x48d"}


def current_name(model: str) -> str:
    """Today's name of a timm model; one that is not old, or not known, is returned as it is."""
    if model in GONE:
        return model
    renamed: dict[str, str] = import_timm().models.get_deprecated_models()
    return CORRECTED.get(model) or renamed.get(model) or model


def known_model(model: str) -> bool:
    """Whether there is such a model, under today's name."""
    return model not in GONE and "/" not in model and import_timm().is_model(model)


def place_of(model: str) -> tuple[str, str]:
    """`hf-hub` or `local-dir`, and what follows it; two empty texts where timm itself names it."""
    source, _, rest = model.partition(":")
    source = source.lower().replace("_", "-")
    return (source, rest) if source in ("hf-hub", "local-dir") else ("", "")


def saved_config(model: str) -> tuple[Any, dict[str, Any]]:
    """The published configuration of a hub's or a folder's model, and its saved arguments.

    Raises:
        ValueError, OSError and the hub's own errors: there is none.
    """
    from timm.models import PretrainedCfg
    from timm.models._hub import load_model_config_from_path

    source, place = place_of(model)
    if source == "local-dir":
        config, architecture, arguments = load_model_config_from_path(Path(place))
    else:
        config, architecture, arguments = _hub_config(place)
    if not known_model(architecture):
        raise ValueError(f"its architecture is {architecture!r}, which timm does not have")
    return PretrainedCfg(**config), dict(arguments or {})


@lru_cache  # each look costs a request
def _hub_config(place: str) -> Any:
    from timm.models import load_model_config_from_hf

    return load_model_config_from_hf(place)


def closest_names(model: str) -> list[str]:
    """Up to three names of today that are spelled like `model`, the closest first."""
    import difflib

    return difflib.get_close_matches(
        model, import_timm().list_models(pretrained=False), n=3, cutoff=0.5
    )
