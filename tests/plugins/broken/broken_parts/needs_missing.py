"""A part whose distribution forgot a dependency."""

import keras
import no_such_module_anywhere


@keras.saving.register_keras_serializable("broken")
class NeedsMissing(keras.layers.Layer):
    """Would be fine, had it what it needs."""

    scale = no_such_module_anywhere.SCALE
