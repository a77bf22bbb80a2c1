"""One file, written whole or not at all, and read without running any of it.

Every file is written by `paw_stack.atomic`. Tables are CSV, arrays `.npy`, weights and
states safetensors; nothing is ever unpickled.
"""

import json
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml
from pandas.api.types import is_numeric_dtype

from paw_stack.atomic import write_file
from paw_stack.config import Config
from paw_stack.data.tables import double_ids, guarded, plain, read_cells
from paw_stack.data.types import Checkpoint, StoredHead
from paw_stack.errors import ArtifactError, offenders
from paw_stack.regular import parsed_json, read_text, require_regular

if TYPE_CHECKING:
    import torch


# What helps where a file is damaged: --force does a stage again, and what is built on it.
AGAIN = "run the command that made it again, with --force finetune, embed or fit-heads"


def write_text(path: Path, text: str) -> None:
    write_file(path, lambda p: p.write_text(text, encoding="utf-8"))


def write_json(path: Path, facts: dict[str, Any]) -> None:
    write_text(path, json.dumps(facts, indent=2) + "\n")


def write_config(path: Path, config: Config) -> None:
    write_text(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def write_csv(path: Path, table: pd.DataFrame, as_given: bool = False) -> None:
    """Texts that a spreadsheet would run get a quote in front, unless they go out `as_given`."""
    texts = [] if as_given else [c for c in table.columns if not is_numeric_dtype(table[c])]
    safe = table.assign(**{name: [_guarded(cell) for cell in table[name]] for name in texts})
    write_file(path, lambda p: safe.to_csv(p, index=False, lineterminator="\n"))


def _guarded(cell: Any) -> Any:
    return guarded(cell) if isinstance(cell, str) else cell


def read_csv(
    path: Path, texts: Collection[str] = ("Id",), needs: Collection[str] = ()
) -> pd.DataFrame:
    """A table that `write_csv` wrote: `texts` as text, `NA` included, all other columns as numbers.

    Numbers are read by Python, to the last bit; the default of some pandas versions rounds.

    Args:
        needs: columns that must be there; `Id` among them: each id once.

    Raises:
        ArtifactError: it is no such table.
    """
    try:
        text = read_cells(path)
        table = text.astype({name: np.float64 for name in text.columns if name not in texts})
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{path}: cannot be read ({reason}); {AGAIN}") from None
    for name in table.columns.intersection(list(texts)):
        table[name] = table[name].map(plain)
    if missing := set(needs) - set(table.columns):
        raise ArtifactError(f"{path}: has no column {offenders(sorted(missing))}; {AGAIN}")
    if "Id" in needs and (double := double_ids(table["Id"])):
        raise ArtifactError(f"{path}: ids more than once: {offenders(double)}; {AGAIN}")
    return table


def write_array(path: Path, rows: np.ndarray) -> None:
    write_file(path, lambda p: np.save(p, rows, allow_pickle=False))


def read_array(path: Path, n_rows: int) -> np.ndarray:
    """Rows (n_rows, d) of floating numbers, mapped: nothing is allocated by what a header claims.

    Raises:
        ArtifactError: there is something else.
    """
    try:
        require_regular(path)
        rows: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # on a false header numpy raises nearly anything
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{path}: cannot be read ({reason}); {AGAIN}") from None
    if rows.ndim != 2 or len(rows) != n_rows or rows.dtype.kind != "f":
        raise ArtifactError(
            f"{path}: holds {rows.dtype} {rows.shape}, expected floats of {n_rows} rows; {AGAIN}"
        )
    return rows


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """`pixels` (height, width, 3) uint8 as PNG."""
    from PIL import Image

    write_file(path, lambda temporary: Image.fromarray(pixels).save(temporary, format="PNG"))


def write_weights(path: Path, weights: "dict[str, torch.Tensor]") -> None:
    from safetensors.torch import save_file

    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    write_file(path, lambda p: save_file(contiguous, p))


def write_checkpoint(path: Path, state: Checkpoint, fingerprint: str) -> None:
    """Tensors, and the facts as JSON in the file's metadata: one file, so never half a state."""
    from safetensors.torch import save_file

    facts = {"epoch": state.epoch, "best_epoch": state.best_epoch, "history": state.history}
    about = {"fingerprint": fingerprint, "facts": json.dumps(facts)}
    write_file(path, lambda p: save_file(state.tensors, p, metadata=about))


def read_checkpoint(path: Path, fingerprint: str) -> Checkpoint | None:
    """The state of an interrupted step, or None where there is none of these very inputs."""
    from safetensors import SafetensorError, safe_open

    try:
        require_regular(path)
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("fingerprint") != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = parsed_json(about["facts"].encode())
        return Checkpoint(facts["epoch"], tensors, facts["history"], facts["best_epoch"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def read_weights(path: Path) -> "dict[str, torch.Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        require_regular(path)
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); {AGAIN}") from None


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
        require_regular(file)
        with safe_open(file, framework="np") as opened:
            kind = (opened.metadata() or {}).get("kind", "")
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return StoredHead(kind, arrays, read_text(text) if text.exists() else "")
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtifactError(f"{file}: cannot be read ({error}); {AGAIN}") from None
