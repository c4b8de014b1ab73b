"""The only folder that knows which Keras backend runs.

Parts build on Keras and on what is here, as `backend.name()`: random seeds and state
that are right over replicas, gradients and curvature of a model on a batch, loops in
one compiled call, repeatable arithmetic.
"""

from keras_dlparts.backend.basics import (
    accelerators,
    assign,
    can_compile,
    compiled,
    cond,
    full_precision,
    known,
    make_deterministic,
    name,
    on_host,
    require,
    traced,
)
from keras_dlparts.backend.curvature import curvature_function
from keras_dlparts.backend.gradients import (
    before_step,
    gradient,
    gradient_function,
    training_loss,
    with_gradient,
)
from keras_dlparts.backend.loops import (
    can_run_chunks,
    run_chunks,
    scan,
    stacked,
)
from keras_dlparts.backend.models import intercepted, unmoved, up_to_date
from keras_dlparts.backend.normalising import row_norm
from keras_dlparts.backend.replication import (
    RunningSums,
    number,
    replica,
    running_variable,
)
from keras_dlparts.backend.seeds import (
    SeedGenerator,
    draw,
    generators,
    own_draws,
    seed_globals,
    set_generators,
)
