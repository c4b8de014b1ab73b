"""A search for TensorBoard's HParams page: `tensorboard --logdir FOLDER`."""

import time

from keras_dlparts.searching.space import choice_values


def begin(path, trial_id, spaces, values):
    """Write down a trial's values, beside the curves of its run."""
    from tensorboard.plugins.hparams import summary_v2

    searched = {space.name for space in spaces}
    known = {k: v for k, v in values.items() if k in searched}
    _write(path, summary_v2.hparams_pb(known, trial_id=str(trial_id)))


def end(path):
    """Write down that a trial was completed."""
    from tensorboard.plugins.hparams import api_pb2, summary

    _write(path, summary.session_end_pb(api_pb2.STATUS_SUCCESS))


def describe(folder, spaces, objective):
    """Write down the whole space and the objective."""
    from tensorboard.plugins.hparams import summary_v2

    hparams = [summary_v2.HParam(space.name, _domain(space.spec)) for space in spaces]
    metrics = [summary_v2.Metric(objective)]
    _write(folder, summary_v2.hparams_config_pb(hparams, metrics))


def _domain(spec):
    from tensorboard.plugins.hparams import summary_v2

    kind = spec["search"]
    if kind == "float":
        return summary_v2.RealInterval(float(spec["min"]), float(spec["max"]))
    if kind == "int":
        return summary_v2.IntInterval(spec["min"], spec["max"])
    if kind == "bool":
        return summary_v2.Discrete([True, False])
    if kind == "choice":
        return summary_v2.Discrete(choice_values(spec))
    from keras_dlparts.config.searched import branch_labels

    return summary_v2.Discrete(branch_labels(spec["of"]))


def _write(folder, summary):
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    # Where TensorFlow is installed, the summary is of a class of TensorFlow's, which
    # the event does not take.
    summary = summary_pb2.Summary.FromString(summary.SerializeToString())
    writer = EventFileWriter(str(folder / "tensorboard"), filename_suffix=".hparams")
    writer.add_event(event_pb2.Event(wall_time=time.time(), step=0, summary=summary))
    writer.close()
