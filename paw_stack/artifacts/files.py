"""One file, written whole or not at all, and read without running any of it.

Every file is written under a temporary name and renamed. Tables are CSV, arrays `.npy`, weights and
states safetensors; nothing is ever unpickled.
"""

import json
import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from paw_stack.config import Config
from paw_stack.data.nouns import State, StoredHead
from paw_stack.errors import ArtifactError

if TYPE_CHECKING:
    import torch


def write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_file(path, lambda p: p.write_text(text, encoding="utf-8"))


def write_json(path: Path, facts: dict[str, Any]) -> None:
    write_text(path, json.dumps(facts, indent=2) + "\n")


def write_config(path: Path, config: Config) -> None:
    write_text(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    write_file(path, lambda p: table.to_csv(p, index=False, lineterminator="\n"))


def read_csv(path: Path, texts: Collection[str] = ("Id",)) -> pd.DataFrame:
    """A table that `write_csv` wrote: `texts` as text, `NA` included, all other columns as numbers.

    Numbers are read by Python, to the last bit; the default of some pandas versions rounds.
    """
    text = pd.read_csv(path, dtype=str, keep_default_na=False)
    return text.astype({name: np.float64 for name in text.columns if name not in texts})


def write_array(path: Path, rows: np.ndarray) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, rows, allow_pickle=False)

    write_file(path, write)


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """`pixels` (height, width, 3) uint8 as PNG."""
    from PIL import Image

    write_file(path, lambda temporary: Image.fromarray(pixels).save(temporary, format="PNG"))


def write_weights(path: Path, weights: "dict[str, torch.Tensor]") -> None:
    from safetensors.torch import save_file

    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    write_file(path, lambda p: save_file(contiguous, p))


def write_state(path: Path, state: State, fingerprint: str) -> None:
    """Tensors, and the facts as JSON in the file's metadata: one file, so never half a state."""
    from safetensors.torch import save_file

    facts = {"epoch": state.epoch, "best_epoch": state.best_epoch, "history": state.history}
    about = {"fingerprint": fingerprint, "facts": json.dumps(facts)}
    write_file(path, lambda p: save_file(state.tensors, p, metadata=about))


def read_state(path: Path, fingerprint: str) -> State | None:
    """The state of an interrupted unit, or None where there is none of these very inputs."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("fingerprint") != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    facts = json.loads(about["facts"])
    return State(facts["epoch"], tensors, facts["history"], facts["best_epoch"])


def read_weights(path: Path) -> "dict[str, torch.Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); run finetune again") from None


def write_head(folder: Path, part: str, head: StoredHead) -> None:
    """`<part>.safetensors`, and `<part>.txt` for LightGBM."""
    from safetensors.numpy import save_file

    arrays = {key: np.ascontiguousarray(array) for key, array in head.arrays.items()}
    if head.text:
        write_text(folder / f"{part}.txt", head.text)
    write = partial(save_file, arrays, metadata={"kind": head.kind})
    write_file(folder / f"{part}.safetensors", write)


def read_head(file: Path) -> StoredHead:
    from safetensors import SafetensorError, safe_open

    text = file.with_suffix(".txt")
    try:
        with safe_open(file, framework="np") as opened:
            kind = (opened.metadata() or {}).get("kind", "")
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return StoredHead(kind, arrays, text.read_text(encoding="utf-8") if text.exists() else "")
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtifactError(f"{file}: cannot be read ({error}); run fit-heads again") from None
