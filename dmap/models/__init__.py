"""The small networks that the pack ships, and their files."""

from .autoencoder import Autoencoder
from .denoiser import LatentDenoiser
from .judge import JudgeNet
from .quality import QualityNet
from .store import SavedModel, load_model, read_model, save_model

__all__ = [
    "Autoencoder",
    "LatentDenoiser",
    "JudgeNet",
    "QualityNet",
    "SavedModel",
    "load_model",
    "read_model",
    "save_model",
]
