"""A model that was made in Python: what is told of it, and what it gets back."""

from keras_dlparts.config.objects import model_note, unregistered


def look_at(model, say):
    """Say what a run cannot keep of a model, or cannot load again by itself.

    Args:
        model: A built and compiled `keras.Model`.
        say: Called with each line of news.
    """
    said = model_note(model)
    if "file" not in said:
        say(
            f"the model is kept as weights only, {said['note']}. `Run.model` needs "
            "`get_config` of it"
        )
        return
    names = unregistered(model)
    if names:
        say(
            f"not registered with Keras: {', '.join(names)}. Where the run's model is "
            "loaded, it must be passed by `keras.saving.custom_object_scope`; with "
            "`@keras.saving.register_keras_serializable()` importing it is enough"
        )


def give_back(model, steps_per_execution):
    """Leave a model for its owner's `fit` as it was compiled.

    The training function may be one that takes many steps a call, on joined batches.
    """
    model.steps_per_execution = steps_per_execution
    model.train_function = None
