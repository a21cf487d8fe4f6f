"""The recipe of the shipped models: ``python -m dmap.training``."""
