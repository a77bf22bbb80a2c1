"""Where the project lies, and real data beside it; PAW_STACK_DATA names another place for them."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / os.environ.get("PAW_STACK_DATA", "../shared")
BASS = DATA / "data" / "bass"  # 483 rated pictures
OASIS = DATA / "data" / "oasis"  # 448 rated photos, three scores
OOF = DATA / "data" / "pawpularity_oof"  # predictions of 16 real models
PHOTO_CASES = DATA / "cases" / "photos"
