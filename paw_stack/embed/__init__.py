"""Photos -> embeddings: one vector per row and layer, in the order of the image cache.

network.py          a backbone with its weights, ready to run
engines.py          one forward pass: eager, torch.compile, OpenVINO
fastest.py          which of them ends first
extract.py          batches of photos through several networks, block by block
precision_check.py  how far a reduced precision is from float32
"""

from paw_stack.embed.engines import batch_size, resolve_engine
from paw_stack.embed.extract import Block, by_layer, embed, extract, read_batches, vectors_of
from paw_stack.embed.fastest import fastest_network
from paw_stack.embed.network import Network, load_backbone, make_network
from paw_stack.embed.precision_check import closeness, sample_rows

__all__ = [
    "Block",
    "Network",
    "batch_size",
    "by_layer",
    "closeness",
    "embed",
    "extract",
    "fastest_network",
    "load_backbone",
    "make_network",
    "read_batches",
    "resolve_engine",
    "sample_rows",
    "vectors_of",
]
