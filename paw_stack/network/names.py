"""Names of models from before timm 0.9, such as `swin_base_patch4_window7_224_in22k`.

timm still builds them, with a warning, but knows no weights under them. Its own table of the new
names has mistakes: some lead to other weights or to a smaller network. Those are put right here.
"""

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
    from timm.models import get_deprecated_models

    if model in GONE:
        return model
    return CORRECTED.get(model) or get_deprecated_models().get(model) or model


def known_model(model: str) -> bool:
    """Whether there is such a model, under today's name."""
    import timm

    return model not in GONE and timm.is_model(model)


def closest_names(model: str) -> list[str]:
    """Up to three names of today that are spelled like `model`, the closest first."""
    import difflib

    import timm

    return difflib.get_close_matches(model, timm.list_models(pretrained=False), n=3, cutoff=0.5)
