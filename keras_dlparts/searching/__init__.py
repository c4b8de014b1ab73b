"""A config with a search space -> KerasTuner -> a folder of runs and the best one.

Reading a search imports neither a backend nor KerasTuner; searching does.
"""

from typing import TYPE_CHECKING

from keras_dlparts.support import lazy

if TYPE_CHECKING:
    from keras_dlparts.searching.conduct import join_search as join_search
    from keras_dlparts.searching.conduct import search as search
    from keras_dlparts.searching.errors import SearchFailed as SearchFailed
    from keras_dlparts.searching.hyper import hypermodel as hypermodel
    from keras_dlparts.searching.hyper import hyperparameters as hyperparameters
    from keras_dlparts.searching.view import Search as Search
else:
    __getattr__, __dir__, __all__ = lazy.attach(
        __name__,
        {
            "Search": "view",
            "SearchFailed": "errors",
            "hypermodel": "hyper",
            "hyperparameters": "hyper",
            "join_search": "conduct",
            "search": "conduct",
        },
    )
