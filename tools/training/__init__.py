"""The recipe of the shipped models: ``python -m tools.training``."""
