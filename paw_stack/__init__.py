"""paw-stack: fine-tuned backbones, embeddings, classical heads and a blend for scores of photos."""

__version__ = "0.1.0"
