"""Formulas of docstrings become LaTeX that says the same."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def formulas():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import formulas
    finally:
        del sys.path[0]
    return formulas


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        # A fraction without spaces takes its neighbours, one with spaces a product.
        ("a/b c", r"\frac{a}{b} \, c"),
        ("a b / c", r"\frac{a \, b}{c}"),
        ("a b / (c + d) e", r"\frac{a \, b}{c + d} \, e"),
        ("(a + b)(c + d) / 2", r"\frac{(a + b)(c + d)}{2}"),
        ("N(0 | m, s) / N(m | m, s)", None),
        ("a - b / c", r"a - \frac{b}{c}"),
        ("a / sum over b", r"\frac{a}{\sum\ \text{over}\ b}"),
        # Scripts.
        ("x_ij^2", "x_{ij}^{2}"),
        ("h_(l-1) + x_{t+1}", "h_{l - 1} + x_{t + 1}"),
        ("(x + 1)^(-1/2)", "(x + 1)^{- 1/2}"),
        ("W^T x'", r"W^{\top} \, x'"),
        ("rho_t'", r"\rho_{t'}"),
        ("L0 + beta_1 x_flat", r"L_{0} + \beta_{1} \, x_{\mathrm{flat}}"),
        # An accent touches its letter; a relation does not.
        ("h~ + m^ / s^", r"\tilde{h} + \frac{\hat{m}}{\hat{s}}"),
        ("x ~ U(0, 1)", r"x \sim \mathcal{U}(0, 1)"),
        ("U V", r"U \, V"),
        # Norms, absolute values, conditions.
        ("||a - b|| |c|", r"\lVert a - b\rVert \, \lvert c\rvert"),
        ("p(a | b)", r"p(a \mid b)"),
        ("E[x | y]", r"\mathbb{E}[x \mid y]"),
        # Words, names of arguments, functions.
        ("learning_rate x", r"\text{learning\_rate}\ x"),
        ("a learnt number", r"\text{a learnt number}"),
        ("rule(g) sqrt(v)", r"\operatorname{rule}(g) \, \sqrt{v}"),
        ("dL/dy_j", r"\frac{dL}{dy_{j}}"),
        ("1e-6", "10^{-6}"),
    ],
)
def test_a_formula_is_what_its_text_says(formulas, text, latex):
    if latex is None:
        latex = r"\frac{\mathcal{N}(0 \mid m, s)}{\mathcal{N}(m \mid m, s)}"
    assert formulas.display(f"y = {text}").splitlines()[1] == f"y & = {latex}"


def test_lines_are_aligned_at_their_relations(formulas):
    found = formulas.display(
        "E-step        e_j = 1     comment\n              y   <- c  x = 2"
    )
    assert found.splitlines()[1:-1] == [
        r"& \text{E-step} & e_{j} & = 1 & & \text{comment} \\[2pt]",
        r"& & y & \leftarrow c & & x = 2",
    ]


@pytest.mark.parametrize(
    "block",
    [
        "order      before   after\noriginal   -        relu",
        "1.5,2,0    one sample a line\n...",
        "<x>_train  <y>_train",
        "y = (a + b",
        "y = x_",
        "y = § x",
    ],
)
def test_what_is_no_formula_is_refused(formulas, block):
    with pytest.raises(formulas.NotMathematics):
        formulas.display(block)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("where c_j passes. Squared", "where $c_{j}$ passes. Squared"),
        (
            "h_c = min(eta_c, g / ||g||), the two",
            r"$h_{c} = \min(\eta_{c}, g/\lVert g\rVert)$, the two",
        ),
        ("x_ij gains (q_j - p) / batch.", "$x_{ij}$ gains $(q_{j} - p)$ / batch."),
        ("of layer i over a * b", r"of layer i over a \* b"),
        ("code `x_ij` and free_energy", r"code `x_ij` and free\_energy"),
        (
            "see arXiv:1506.08700.",
            "see [arXiv:1506.08700](https://arxiv.org/abs/1506.08700).",
        ),
    ],
)
def test_a_paragraph_keeps_its_words(formulas, text, markdown):
    assert formulas.prose(text) == markdown


def test_the_examples_of_its_docstrings(formulas):
    import doctest

    assert doctest.testmod(formulas).failed == 0
