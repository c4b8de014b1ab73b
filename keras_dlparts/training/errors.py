"""How a training ends that went bad."""


class NonFiniteError(RuntimeError):
    """Training met a NaN or an infinity; the message names where it began.

    Args:
        message: what was found.
        step: the step of the epoch, from 0, in which it was noticed.
    """

    def __init__(self, message: str, step: int | None = None):
        super().__init__(message)
        self.step = step
