"""`python -m keras_dlparts` is the command `dlparts`."""

from keras_dlparts.cli import main

main()
