"""Many photographs: what is found, what becomes of each, and a report of it, over the executors of ``dmap.batch``."""

from .listing import Listing, Pair, find
from .run import Event, Options, Summary, restore_all
from .work import RestoreRecipe

__all__ = ["Event", "Listing", "Options", "Pair", "RestoreRecipe", "Summary", "find", "restore_all"]
