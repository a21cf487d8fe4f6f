"""Many independent tasks: one after another, in processes, or as actors of a Ray cluster; and a journal of them.

It knows nothing of pictures. A *recipe* is called once in each place where work is done (it loads the models) and
returns the *work*, which is called with one task after another. Tasks and results are plain data. All executors have
one method:

    for outcome in executor.run(recipe, tasks):   # in the order in which they end
        outcome.value()                           # the result, or the error is raised
"""

from .executor import Executor, Failure, Outcome, Place, Recipe, Report, Watch, Work
from .journal import Journal, Shard, exclusive
from .processes import Processes
from .ray_actors import RayActors
from .serial import Serial

__all__ = [
    "Executor",
    "Failure",
    "Journal",
    "Outcome",
    "Place",
    "Processes",
    "RayActors",
    "Recipe",
    "Report",
    "Serial",
    "Shard",
    "Watch",
    "Work",
    "exclusive",
]
