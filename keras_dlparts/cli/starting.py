"""What a command does before it works: start the backend, and listen for SIGTERM."""

import os
import signal
import sys
import tempfile

# TensorFlow's C++ libraries write these at every start, and no setting silences them.
_REMARKS = ("absl::InitializeLog", "oneDNN")


def start_backend(config=None, sets=None):
    """Import Keras, on the backend that a config asks for.

    Remarks that TensorFlow makes on its own start are kept back.
    The remarks are written to the file descriptor of standard error by C++ code, so
    the descriptor is replaced for the time of the import. Everything else that was
    written to it is passed on afterwards.

    Args:
        config: the path of the config that is loaded next, or None.
        sets: what overrides it.
    """
    if config is not None:
        # Here, since it reads configs: `dlparts list` need not wait for that.
        from keras_dlparts.config.backends import choose_backend

        choose_backend(config, sets or ())
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as remarks:
        os.dup2(remarks.fileno(), 2)
        try:
            import keras  # noqa: F401
        except (ImportError, ValueError) as error:
            raise ImportError(
                f"Keras' backend does not start: {error}\n"
                "Install one, as by `pip install keras-dlparts[tensorflow]`; to use "
                "another, set KERAS_BACKEND to jax or torch."
            ) from error
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            remarks.seek(0)
            for line in remarks:
                if not any(remark in line for remark in _REMARKS):
                    print(line, end="", file=sys.stderr)


def interrupt_on_sigterm():
    """Treat SIGTERM as Ctrl-C, so that a run notes where it was stopped."""

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
