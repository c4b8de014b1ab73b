"""What the cells of a table are read as, which are texts in a file."""


def is_number(cell: str) -> bool:
    """Whether a cell is read as a number; nan and inf are, an empty cell is not.

    >>> [is_number(cell) for cell in ("1e-3", " 2 ", "nan", "", "1_000", "red")]
    [True, True, True, False, False, False]
    """
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python reads 1_000, a table does not
