"""A newcomer's desk: an empty working directory, and small real weights beside it."""

from pathlib import Path

import pytest

SMALL = ("test_efficientnet", "test_resnet")  # timm's own small models


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A folder of two models' weights, drawn and not learned."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for model in SMALL:
        state = timm.create_model(model, pretrained=False).state_dict()
        save_file(state, folder / f"{model}.safetensors")
    return folder


@pytest.fixture
def alone(tmp_path, monkeypatch) -> Path:
    """The working directory of somebody without any weights or a network."""
    desk = tmp_path / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    monkeypatch.delenv("PAW_STACK_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    # Nobody listens on the port of "discard".
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    return desk


@pytest.fixture
def desk(alone, weights, monkeypatch) -> Path:
    """The same with weights."""
    monkeypatch.setenv("PAW_STACK_WEIGHTS", str(weights))
    return alone
