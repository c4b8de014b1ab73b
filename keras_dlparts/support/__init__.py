"""What every room leans on: checks of arguments, files, processes. Needs no backend."""
