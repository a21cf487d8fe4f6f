"""The small networks that the pack ships, and their files."""

from .autoencoder import Autoencoder
from .denoiser import LatentDenoiser
from .quality import QualityNet
from .restorer import Restorer
from .store import SavedModel, load_model, read_model, save_model

__all__ = [
    "Autoencoder",
    "LatentDenoiser",
    "QualityNet",
    "Restorer",
    "SavedModel",
    "load_model",
    "read_model",
    "save_model",
]
