"""`dlparts show` in a window of 80 columns."""

import re

from keras_dlparts import registry, static
from keras_dlparts.cli.show import fitted


def test_paragraphs_fit_and_keep_their_words():
    width = 80
    for part in registry.parts():
        about = static.describe(part.target)
        for text in (about.module_doc, about.doc):
            told = fitted(text, width)
            assert told.split() == text.split(), part.name
            for line in told.splitlines():
                columns = re.search(r"\S  +\S", line)
                code = line.lstrip().startswith((">>>", "...", "["))
                fits = len(line) <= width or len(line.split()) == 1
                assert fits or columns or code, (part.name, line)


def test_what_is_no_paragraph_stays_as_it_is():
    text = (
        "    y  =  a long formula in columns   of a name\n"
        ">>> a = an_example(that='is long')  \n"
        "... and_goes_on(and='on')\n"
        "Output of it, which is long\n\n"
        "Args:\n    a: short\n    b: short\n        too\n\n- a point\n- and another"
    )
    assert fitted(text, 40) == text
    assert fitted("Args:\n    a: One\n    bc: Two, of three words", 20) == (
        "Args:\n    a: One\n    bc: Two, of\n    three words"
    )


def test_the_lines_of_a_part_fit(dlparts):
    for name in ("Whitening", "EarlyStopping"):
        _, out, _ = dlparts("show", name, width=80)
        assert max(map(len, out.splitlines())) <= 80
