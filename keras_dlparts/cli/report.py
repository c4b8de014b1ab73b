"""`dlparts report`: the page of a run, or of a search, written again."""

from keras_dlparts.cli.arguments import RunPath
from keras_dlparts.cli.console import stop
from keras_dlparts.cli.starting import start_backend


def report(run: RunPath):
    """Write report.html again from the files of a run, or of a search."""
    if (run / "search.json").is_file():
        from keras_dlparts.searching import report as search_report

        print(search_report.write(run))
        return
    start_backend(run / "resolved.yaml")
    from keras_dlparts.training import write_report

    try:
        print(write_report(run))
    except ValueError as error:
        stop(2, str(error))
