"""The plain-text formulas of docstrings as LaTeX, for pages that can show it.

A docstring writes `y_ij = x_ij [u_ij >= rho_i] / (1 - rho_i)`, which reads well in a
terminal. What that notation means:

    x_ij, x_(l-1), x_{t+1}    subscripts; `L0` is L with the subscript 0
    x^2, x^(-1/2), W^T        superscripts
    h~, m^, n'                a tilde, a hat, a prime
    a/b c                     (a/b) c: without spaces, a fraction of its neighbours
    a b / c                   (a b)/c: with spaces, of all factors before it
    ||g||, |w|                norms; a `|` between spaces reads "given"
    <-  ->  >=  <=  !=  ~     arrows and relations
    rho, sigma, sum, E[..]    Greek letters, sums, products, expectations
    exp(..), rule(..)         functions; other words of two letters or more are words

Two spaces or more part a line into a label, a formula and comments. What is not
mathematics, such as a table, raises `NotMathematics`: its page keeps the text.
"""

import re
from typing import NamedTuple

# fmt: off
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "lambda", "mu", "nu",
    "xi", "pi", "rho", "sigma", "tau", "phi", "chi", "omega", "Sigma", "Delta", "Phi",
}
# fmt: on
NATIVE = {"cos", "exp", "log", "max", "min", "sin", "tanh"}  # LaTeX has these
FUNCTIONS = NATIVE | {"diag", "mean", "var", "LN"}
LARGE = {"sum", "prod"}
SIGNS = {
    "<-": r"\leftarrow",
    "->": r"\to",
    ">=": r"\ge",
    "<=": r"\le",
    "!=": r"\ne",
    "..": r"\,\ldots\,",
    "...": r"\ldots",
    "~": r"\sim",
    "%": r"\,\%",
    ":": r"\colon\ ",
    "|": r"\mid",
    **{sign: sign for sign in ("<", ">", "=", ":=", ",", ";", "+", "-", ".")},
}
RELATIONS = {"=", ":=", "~", "<-", "<", ">", ">=", "<=", "!="}
BRACKETS = {"(": ")", "[": "]", "{": "}"}
BARS = {"||": r"Vert", "|": r"vert"}
NOT_A_NAME = "|".join(sorted(GREEK | FUNCTIONS | LARGE))
TOKEN = (
    # Code, quotations, sizes as 3x3; learning_rate, whose `rate` is no subscript.
    r"(?P<text>`[^`]*`|\"[^\"]*\"|\d+x\d+\b"
    rf"|\b(?!(?:{NOT_A_NAME})_)[a-z]{{3,}}(?:_[a-z]{{3,}})+)"
    r"|(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?|\.\d+)"
    r"|(?P<word>[A-Za-z]+(?:-[A-Za-z]{2,})*(?:'s\b)?\d*)"
    r"|(?P<sign>\|\||<-|->|>=|<=|!=|:=|\.\.\.|\.\.|[-+*/=<>~,;:.()\[\]{}_^|'%])"
)


class NotMathematics(ValueError):
    """A text that is not a formula in the notation of the docstrings."""


class Token(NamedTuple):
    """A piece of a formula, and whether spaces stand around it."""

    kind: str  # number, word, sign, or text for what is set as it is
    text: str
    before: bool
    after: bool


def display(block):
    r"""The lines of a formula block as LaTeX for a display, aligned at their relations.

    >>> print(display("y_i = x_i / (1 - rate)     so that E[y] = x"))
    \begin{aligned}
    y_{i} & = \frac{x_{i}}{1 - \text{rate}} & & \text{so that}\ \mathbb{E}[y] = x
    \end{aligned}
    """
    rows = [_row(line) for line in block.splitlines() if line.strip()]
    if sum(row.stated for row in rows) <= len(rows) / 2:
        raise NotMathematics(f"Few lines of it are formulas. Received: {block!r}")
    lines = []
    for row in rows:
        cells = [row.left, row.right]
        if any(other.label for other in rows):
            cells = ["", row.label, *cells]
        for comment in row.comments:
            cells += ["", comment]
        lines.append(" & ".join(cells).rstrip(" &"))
    body = " \\\\[2pt]\n".join(re.sub(" +", " ", line).strip() for line in lines)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def inline(text):
    r"""One formula as LaTeX for a line of text, where fractions are `a/b`.

    >>> print(inline("||W_j||^2 / 2"))
    \lVert W_{j}\rVert^{2}/2
    """
    return _latex(_tokens(text), small=True)


def prose(text):
    r"""A paragraph of a docstring as Markdown, with the formulas in it between dollars.

    What shows a formula is a script, a norm, an expectation, a function or a relation;
    it takes the operators, numbers and single letters beside it along. Letters that
    stand alone stay letters.

    >>> print(prose("so h <- c x_ij / 2, and `rate` stays"))
    so $h \leftarrow c \, x_{ij}/2$, and `rate` stays
    """
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece if i % 2 else "".join(_with_formulas(piece))
        for i, piece in enumerate(pieces)
    )


SHOWS = re.compile(
    rf"(?<![A-Za-z_])(?!(?!(?:{NOT_A_NAME})_)[a-z]{{3,}}_[a-z]{{3,}})[A-Za-z]+~?[_^][\w({{-]"
    r"|\|\||\b[A-Z]\d\b|[\w)\]]\^[\w({-]|<-|>=|<=|!=|\bE\[|\|\w+\||\b(?:sqrt|LN|min|max|diag)\("
)
JOINS = re.compile(
    rf"[-+*/=~<>]|->|-?[\d./]+|-?\d?[b-zB-HJ-Z]'?|{NOT_A_NAME}|\w+_\w+|[A-Z]\[.*\]|\(.*\)|\[.*\]"
)


OPERATORS = {"+", "-", "*", "/", *RELATIONS}


def _with_formulas(text):
    """The parts of a text without code, formulas translated and words escaped."""
    # Words, and what brackets hold together; every second one is a space.
    words = re.split(r"(\s+)(?![^()]*\)|[^\[\]]*\]|[^{}]*\})", text)
    place = 0
    while place < len(words):
        end = place
        while end < len(words) and _in_formula(words, end, place):
            end += 2
            if words[end - 2].endswith((",", ".", ";", ":")):
                break
        while end > place and words[end - 2] in OPERATORS:
            end -= 2
        formula = "".join(words[place : max(end - 1, place)])
        core = formula.rstrip(",.;:")
        try:
            if not SHOWS.search(core):
                raise NotMathematics("It shows nothing that only a formula has")
            latex = inline(core)
        except NotMathematics:
            yield _plain(words[place])
            place += 1
        else:
            yield f"${latex}${formula[len(core) :]}"
            place = end - 1


def _in_formula(words, i, first):
    """Whether a word may go on with the formula that begins at `first`."""
    word = words[i].rstrip(",.;:")
    if word == "a":  # the article, but not after a number or sign
        before = words[i - 2] if i > first else "a"
        return before in OPERATORS or before[-1].isdigit()
    if not (SHOWS.search(word) or JOINS.fullmatch(word)):
        return False
    try:
        texts = [token.text for token in _tokens(word) if token.kind == "text"]
    except NotMathematics:
        return False
    return all("_" in text for text in texts)


def _plain(text):
    """Text that Markdown does not take for its own signs; arXiv's numbers are links."""
    text = re.sub(r"([*_<\[\]|$])", r"\\\1", text)
    return re.sub(
        r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text
    )


class _Row(NamedTuple):
    label: str
    left: str
    right: str
    comments: list
    stated: bool  # whether it has a formula, and not words or numbers alone


def _row(line):
    pieces = [_tokens(piece) for piece in re.split(r"\s{2,}", line.strip())]
    label = []
    if len(pieces) > 1 and _is_label(pieces[0]) and _relation(pieces[1]) != 0:
        label = pieces.pop(0)
    for i in range(len(pieces) - 2, -1, -1):
        # `u_ij  ~ U(0, 1)`: the spaces align the relations of several lines.
        if _relation(pieces[i]) is None and _relation(pieces[i + 1]) == 0:
            sign = pieces[i + 1][0]._replace(before=True)
            pieces[i : i + 2] = [[*pieces[i], sign, *pieces[i + 1][1:]]]
    formula, *comments = pieces
    at = _relation(formula) or 0
    if sum(token.kind == "text" for token in formula[:at]) > 1:
        at = 0  # A sentence that has a relation in it is not split there.
    stated = any(
        token.kind == "sign" and token.text in {*RELATIONS, "+", "_", "^", "||"}
        for token in formula
    )
    left, right = _latex(formula[:at]), _latex(formula[at:])
    return _Row(_latex(label), left, right, [_latex(one) for one in comments], stated)


def _is_label(tokens):
    words = len(tokens[0].text) > 1 and tokens[0].kind in ("text", "word")
    return tokens[-1].text == ":" or (words and _relation(tokens) is None)


def _relation(tokens):
    """Where the first relation outside brackets is, if there is one."""
    depth = 0
    for i, token in enumerate(tokens):
        if token.kind == "sign":
            depth += (token.text in BRACKETS) - (token.text in BRACKETS.values())
            if depth == 0 and token.text in RELATIONS and not _is_accent(tokens, i):
                return i
    return None


def _is_accent(tokens, i):
    """Whether a `~` or `^` belongs to the letter that it touches, as in `h~`."""
    token = tokens[i]
    follows = i + 1 == len(tokens) or token.after or tokens[i + 1].text in ")],;/^"
    return token.text in "~^" and i > 0 and not token.before and follows


def _tokens(text):
    found, place = [], 0
    for match in re.finditer(TOKEN, text):
        if text[place : match.start()].strip():
            raise NotMathematics(f"No formula has {text[place : match.start()]!r}")
        before, place = match.start() > place, match.end()
        kind, after = match.lastgroup, text[place : place + 1] == " "
        found.append(Token(kind, match.group(), before, after))
    if text[place:].strip():
        raise NotMathematics(f"No formula has {text[place:]!r}")
    for i in reversed(range(len(found))):
        found[i] = _read(found, i)
    return found


def _read(tokens, i):
    """A token, as text where it is a word that stands for nothing."""
    token = tokens[i]
    if token.kind != "word":
        return token
    word, following = token.text, tokens[i + 1] if i + 1 < len(tokens) else None
    if word in ("a", "A", "I") and following and following.kind == "text":
        is_text = token.after and "`" not in following.text
    else:
        slash = "/" in [one.text for one in tokens[max(i - 1, 0) : i + 2]]
        is_text = not (
            re.fullmatch(r"[A-Za-z]\d*", word)
            or word in GREEK | FUNCTIONS | LARGE | {"sqrt"}
            or (following and following.text == "(" and not token.after)
            or (re.fullmatch("d[A-Za-z]", word) and slash)
            or (i > 0 and tokens[i - 1].text in ("_", "^"))
        )
    return token._replace(kind="text") if is_text else token


class _Factor(NamedTuple):
    latex: str
    is_text: bool
    spaced: bool  # whether a space stands before it


def _latex(tokens, small=False):
    parser = _Parser(tokens, small)
    latex = parser.sequence()
    if parser.place < len(tokens):
        raise NotMathematics(f"Nothing opens {tokens[parser.place].text!r}")
    return latex


class _Parser:
    """Reads tokens from left to right; each method returns LaTeX of what it read."""

    def __init__(self, tokens, small):
        self.tokens = tokens
        self.place = 0
        self.small = small  # in text or a script, where fractions are written a/b
        self.bar = None  # the sign that ends the norm which is being read

    def sequence(self, end=None):
        """Products and the signs between them, up to the sign `end`."""
        parts = []
        while (token := self.peek()) and not (
            token.kind == "sign" and token.text == end
        ):
            if token.kind == "sign" and token.text in SIGNS and not self.opens(token):
                self.place += 1
                latex = SIGNS[token.text]
                if token.text == "." and not parts and self.peek():
                    latex = r"\cdot"  # the place of an argument, as in LN(.; a)
                elif token.text in ",;" and end is None and self.peek():
                    latex += r"\ \ "  # between formulas, not inside one
                parts.append(latex)
            elif token.kind == "sign" and token.text in ")]}":
                break
            else:
                before = self.place
                parts.append(self.product())
                if self.place == before:
                    raise NotMathematics(f"Nothing is before {token.text!r}")
        return " ".join(parts).replace(" ,", ",").replace(" ;", ";").replace(" .", ".")

    def opens(self, token):
        """Whether a bar begins an absolute value and does not read "given"."""
        return token.text == "|" and not token.after

    def product(self):
        factors = []
        while token := self.peek():
            if token.kind == "sign" and token.text == "*":
                self.place += 1
                factors.append(_Factor(r"\ast", False, True))
            elif token.kind == "sign" and token.text == "/":
                self.place += 1
                self.divide(factors, tight=not token.before)
            elif self.begins(token):
                factors.append(self.factor())
            else:
                break
        return _join(factors)

    def begins(self, token):
        """Whether a factor begins here."""
        if token.kind != "sign" or token.text in BRACKETS:
            return True
        if token.text not in BARS or token.text == self.bar:
            return False
        return token.text == "||" or self.opens(token)

    def divide(self, factors, tight):
        if not factors:
            raise NotMathematics("A fraction has a numerator")
        over = [factors.pop()] if tight else factors[:]
        if not tight:
            factors.clear()
        following = self.peek()
        if following is None:
            raise NotMathematics("A fraction has a denominator")
        # A sum takes what follows it.
        under = self.product() if following.text in LARGE else self.factor().latex
        if self.small:
            latex = f"{_join(over)}/{under}"
        else:
            latex = rf"\frac{{{_bare(_join(over))}}}{{{_bare(under)}}}"
        factors.append(_Factor(latex, False, over[0].spaced))

    def factor(self):
        token = self.peek()
        latex = self.atom()
        if token.kind == "word" and self.touches("(", "[", "{"):
            latex += self.atom()
        while (sign := self.peek()) and sign.kind == "sign" and not sign.before:
            if sign.text in "~^" and _is_accent(self.tokens, self.place):
                accent = r"\tilde" if sign.text == "~" else r"\hat"
                latex = f"{accent}{{{latex}}}"
                self.place += 1
            elif sign.text in "_^":
                self.place += 1
                latex += f"{sign.text}{{{self.script()}}}"
                if token.kind == "word" and self.touches("("):
                    latex += self.atom()
            elif sign.text == "'":
                self.place += 1
                latex += "'"
            else:
                break
        return _Factor(latex, token.kind == "text", token.before)

    def script(self):
        outer, self.small = self.small, True
        token = self.peek()
        if token is None:
            raise NotMathematics("A script has something in it")
        if token.text in ("(", "{"):
            self.place += 1
            latex = self.sequence(BRACKETS[token.text])
            self.expect(BRACKETS[token.text])
        else:
            sign = "-" if token.text == "-" else ""
            self.place += bool(sign)
            latex = sign + self.atom()
            latex = r"\top" if latex == "T" else latex
            if (prime := self.peek()) and prime.text == "'" and not prime.before:
                self.place += 1
                latex += "'"
        self.small = outer
        return latex

    def atom(self):
        token = self.peek()
        self.place += 1
        following = self.peek()
        if token.kind == "number":
            digits, _, exponent = token.text.partition("e")
            if not exponent:
                return digits
            return (
                f"10^{{{exponent}}}"
                if digits == "1"
                else rf"{digits}\cdot 10^{{{exponent}}}"
            )
        if token.kind == "text":
            return self.text(token)
        if token.kind == "word":
            return self.word(token, following)
        if token.text in BRACKETS:
            end = BRACKETS[token.text]
            inside = self.within(end, bar=None)
            escape = "\\" if token.text == "{" else ""
            large = ("\\left", "\\right") if r"\frac" in inside else ("", "")
            return f"{large[0]}{escape}{token.text}{inside}{large[1]}{escape}{end}"
        if token.text in BARS:
            name = BARS[token.text]
            inside = self.within(token.text, bar=token.text)
            large = ("\\left", "\\right") if r"\frac" in inside else ("", "")
            return rf"{large[0]}\l{name} {inside}{large[1]}\r{name}"
        raise NotMathematics(f"Nothing is between {token.text!r} and what is before it")

    def within(self, end, bar):
        outer, self.bar = self.bar, bar
        inside = self.sequence(end)
        self.bar = outer
        self.expect(end)
        return inside

    def text(self, token):
        if token.text[0] in '`"':
            return rf"\texttt{{{_escape(token.text.strip('`'))}}}"
        words = [token.text]
        while (
            (token := self.peek()) and token.kind == "text" and token.text[0].isalnum()
        ):
            words.append(token.text)
            self.place += 1
        return rf"\text{{{_escape(' '.join(words))}}}"

    def word(self, token, following):
        word = token.text
        called = following is not None and following.text == "(" and not token.after
        if word == "sqrt" and called:
            self.place += 1
            inside = self.sequence(")")
            self.expect(")")
            return rf"\sqrt{{{inside}}}"
        if word in GREEK | NATIVE | LARGE:
            return f"\\{word}"
        if word in FUNCTIONS or (called and len(word) > 1 and not word[1:].isdigit()):
            return rf"\operatorname{{{word}}}"
        touching = "" if following is None or token.after else following.text
        if word == "E" and touching == "[":
            return r"\mathbb{E}"
        if word in "NU" and touching in ("(", "{"):
            return rf"\mathcal{{{word}}}"
        if match := re.fullmatch(r"([A-Za-z])(\d+)", word):
            return f"{match[1]}_{{{match[2]}}}"
        if len(word) > 2:
            return rf"\mathrm{{{word}}}"
        return word

    def touches(self, *signs):
        token = self.peek()
        return token is not None and token.text in signs and not token.before

    def peek(self):
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def expect(self, text):
        token = self.peek()
        if token is None or token.text != text:
            raise NotMathematics(f"Nothing closes with {text!r}")
        self.place += 1


def _join(factors):
    latex = ""
    for i, one in enumerate(factors):
        if i and one.spaced:
            latex += "\\ " if one.is_text or factors[i - 1].is_text else r" \, "
        latex += one.latex
    return latex.replace(r" \, \ast \, ", r" \ast ")


def _bare(latex):
    """Without brackets around the whole, which a fraction's line replaces."""
    inside = latex.removeprefix(r"\left").removeprefix("(")
    if inside == latex or not latex.endswith(")"):
        return latex
    depth = 1
    for i, character in enumerate(inside):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            whole = i == len(inside) - 1
            return inside[:-1].removesuffix(r"\right") if whole else latex
    return latex


def _escape(text):
    return re.sub(r"([#$%&_{}])", r"\\\1", text)
