"""What `keras_dlparts.backend` offers.

Plugins may build on these; they change only with a note in the changelog and a version
between:

    SeedGenerator, own_draws, draw          random numbers that differ by replica
    running_variable, RunningSums, number   state that is right over replicas
    replica                                 which replica this is
    of_all_replicas, losses_kept_apart      what all of them see, inside a call
    with_gradient, before_step, around_step gradients by hand, and around the step
    gradient, gradient_function,            of the training loss of a model
    training_loss, curvature_function
    dense                                   a gradient that may be of an embedding
    input_gradient, apart                   of what a layer is given, inside a loss
    update_if, note_group                   updates in some steps only, by groups
    pullback, pushforward, slope            of functions of tensors
    root                                    a square root that has a gradient at 0
    name, known, require, cond, traced      which backend runs; values while tracing
    compiled, full_precision, on_host, recorded, variable_value
    accurate_matmul                         a product of matrices with all digits

All else serves the package itself and may change with any version, as may every module
of this folder and whatever begins with an underscore.
"""

import keras

from keras_dlparts.backend.basics import (
    accelerators,
    assign,
    at_least_float32,
    can_compile,
    compiled,
    cond,
    full_precision,
    in_reach,
    known,
    make_deterministic,
    name,
    on_host,
    recorded,
    require,
    traced,
    variable_value,
    wide_dtype,
)
from keras_dlparts.backend.curvature import curvature_function
from keras_dlparts.backend.derivatives import pullback, pushforward, root, slope
from keras_dlparts.backend.feeding import can_hold, hold, weighs_without_targets
from keras_dlparts.backend.gradients import (
    around_step,
    before_step,
    dense,
    gradient,
    gradient_function,
    training_loss,
    with_gradient,
)
from keras_dlparts.backend.inputs import apart, input_gradient
from keras_dlparts.backend.keras_private import warn_if_untried
from keras_dlparts.backend.loops import (
    can_run_chunks,
    pass_over,
    run_chunks,
    scan,
    stacked,
)
from keras_dlparts.backend.loss_scale import at_loss_scale
from keras_dlparts.backend.models import (
    build_optimizer,
    hold_copies,
    intercepted,
    reading,
    unmoved,
    up_to_date,
)
from keras_dlparts.backend.normalising import centres_matrices, row_norm
from keras_dlparts.backend.products import accurate_matmul
from keras_dlparts.backend.replication import (
    RunningSums,
    losses_kept_apart,
    number,
    of_all_replicas,
    replica,
    running_variable,
    scope_of,
)
from keras_dlparts.backend.seeds import (
    Seeded,
    SeedGenerator,
    draw,
    generators,
    own_draws,
    seed_globals,
    set_generators,
)
from keras_dlparts.backend.tracing import graph_notes, traced_once
from keras_dlparts.backend.updates import note_group, update_if

__all__ = [
    "RunningSums",
    "SeedGenerator",
    "Seeded",
    "accelerators",
    "accurate_matmul",
    "apart",
    "around_step",
    "assign",
    "at_least_float32",
    "at_loss_scale",
    "before_step",
    "build_optimizer",
    "can_compile",
    "can_hold",
    "can_run_chunks",
    "centres_matrices",
    "compiled",
    "cond",
    "curvature_function",
    "dense",
    "draw",
    "full_precision",
    "generators",
    "gradient",
    "gradient_function",
    "graph_notes",
    "hold",
    "hold_copies",
    "in_reach",
    "input_gradient",
    "intercepted",
    "known",
    "losses_kept_apart",
    "make_deterministic",
    "name",
    "note_group",
    "number",
    "of_all_replicas",
    "on_host",
    "own_draws",
    "pass_over",
    "pullback",
    "pushforward",
    "reading",
    "recorded",
    "replica",
    "require",
    "root",
    "row_norm",
    "run_chunks",
    "running_variable",
    "scan",
    "scope_of",
    "seed_globals",
    "set_generators",
    "slope",
    "stacked",
    "traced",
    "traced_once",
    "training_loss",
    "unmoved",
    "up_to_date",
    "update_if",
    "variable_value",
    "weighs_without_targets",
    "wide_dtype",
    "with_gradient",
]

# This module is loaded once, when something of the backend is first used.
warn_if_untried(keras.__version__)
