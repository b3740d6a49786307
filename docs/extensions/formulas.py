"""Formulas of docstrings, which are lines of Unicode, as LaTeX: what `help` shows is what the site sets.

A line such as `dz = dy where z > 0, else α e^z dy` falls into words, which stay words, and mathematics. Both are read
off the line itself, so no formula is written twice.
"""

import re
import unicodedata
from collections.abc import Callable

LABELS = ("Forward", "Backward", "Proximal", "Refresh", "Recurrence", "Formula", "Value", "Norm", "Computed as")
LABELS += ("Minimised", "Sequence", "Product", "RandomShift", "RandomFlip")
FUNCTIONS = re.findall("[a-z]+", "log exp tanh sin cos max min mean sign softmax clip prox erf erfc dvalue")
WORDS = re.findall(
    "[a-z]+",
    """the of over where else with for as in and or to by from which that is are all both without once no none each per
    this its up on what so along not does do there taken sum still same until after before behind being was an long""",
)
LETTERS = "αβγδεζηθκλμνξπρσφψωΓΔΘΛΞΠΣΦΨΩ"
NAMES = """alpha beta gamma delta varepsilon zeta eta theta kappa lambda mu nu xi pi rho sigma varphi psi omega
    Gamma Delta Theta Lambda Xi Pi sum Phi Psi Omega"""
GREEK = dict(zip(LETTERS, re.findall(r"\w+", NAMES), strict=True))
SIGNS = {
    "·": "cdot", "∘": "circ", "←": "leftarrow", "≤": "leq", "≥": "geq", "…": "ldots", "∈": "in", "∂": "partial",
    "∇": "nabla", "∞": "infty", "×": "times", "⌊": "lfloor", "⌋": "rfloor", "⟨": "langle", "⟩": "rangle", "‖": "Vert",
    "~": "sim", "±": "pm", "≠": "neq", "→": "rightarrow", "½": "tfrac{1}{2}", "⊙": "odot", "≈": "approx", "∪": "cup",
}  # fmt: skip
BELOW = dict(zip("₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ₊₋₌₍₎", "0123456789aehijklmnoprstuvx+-=()", strict=True))
ABOVE = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹ᵀᵗᵏⁿⁱʲ⁺⁻⁽⁾ᵈ", "0123456789Ttkni j+-()d".replace(" ", ""), strict=True))
OPERATORS = set("=+−-·/∘←<>≤≥×^~") | {"+="}
ATOM = re.compile(r"\d+(?:\.\d+)?(?:e[−-]?\d+)?|[A-Za-z]+|.", re.S)


def closing(text: str, start: int) -> int:
    """Return where the bracket that opens at `start` is closed."""
    pair = {"(": ")", "{": "}", "[": "]"}[text[start]]
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == text[start]) - (text[at] == pair)
        if depth == 0:
            return at
    raise ValueError(f"{text!r} has a bracket that is not closed")


def argument(text: str, at: int) -> tuple[str, int]:
    """Return what a root, an exponent or an index holds, as LaTeX, and where it ends."""
    if text[at] in "({":
        end = closing(text, at)
        return latex(text[at + 1 : end]), end + 1
    below = "".join(BELOW)
    one = re.compile(rf"⌊[^⌋]*⌋|[−-]?(?:\d+(?:\.\d+)?|[A-Za-z]+|.)[\u0302\u0303]?[{below}]*′?")
    end = one.match(text, at).end()  # type: ignore[union-attr]
    return latex(text[at:end]), end


def latex(text: str) -> str:
    r"""Return a formula without words around it as LaTeX.

    >>> latex("dz = α e^(z₁ − 1) √(v + ε)")
    'dz = \\alpha \\,e^{z_{1} - 1} \\sqrt{v + \\varepsilon}'
    """
    text = unicodedata.normalize("NFD", text).replace("−", "-").replace("\u00b2", "²")
    out, at, operand = "", 0, False
    while at < len(text):
        token = ATOM.match(text, at)[0]  # type: ignore[index]
        at += len(token)
        if token == " ":
            after = text[at : at + 1]
            joins = operand and (after.isalnum() or after in "√([|‖⌊½{⟨") and after not in OPERATORS
            out += "\\," if joins else " "
            continue
        hat = text[at : at + 1]
        if hat in ("\u0302", "\u0303") and token.isalpha():
            out += token[:-1] + ("\\hat{" if hat == "\u0302" else "\\tilde{") + latex(token[-1]) + "}"
            at += 1
        elif token == "√" or token in "^_":
            value, at = argument(text, at)
            out += ("\\sqrt" if token == "√" else token) + "{" + value + "}"
        elif token in BELOW or token in ABOVE:
            table, sign = (BELOW, "_") if token in BELOW else (ABOVE, "^")
            run = token
            while text[at : at + 1] in table and at < len(text):
                run, at = run + text[at], at + 1
            out += f"{sign}{{{''.join(table[c] for c in run)}}}"
        elif token in GREEK or token in SIGNS:
            out += "\\" + (GREEK.get(token) or SIGNS[token]) + " "
        elif token == "′":
            out += "'"
        elif token in FUNCTIONS:
            out += f"\\operatorname{{{token}}}"
        elif token.isalpha() and len(token) > 1 and not re.fullmatch("d[A-Za-z]{1,2}|[A-Z][A-Z]", token):
            out += f"\\mathrm{{{token}}}"
        else:
            out += "\\" + token if token in "{}%#&$" else token
        operand = token not in OPERATORS and token not in "-,;:([" and token not in ("·", "√")
    return out.strip()


def aside(tokens: list[str], start: int) -> int:
    """Return behind which token a remark in brackets ends that begins at `start`, or `start` if it is none."""
    for end in range(start + 1, len(tokens) + 1):
        group = tokens[start:end]
        if balanced(" ".join(group)):
            says = "…" in group[0] or any(re.fullmatch(r"\(?(?!d.\b)[a-z]{2,}[,;:)]*", token) for token in group)
            return end if says and group[0][0] == "(" and not OPERATORS & set(group) else start
    return start


def kinds(tokens: list[str]) -> list[bool]:
    """Tell of each token of a line whether it is mathematics: a word is, beside an operator or within its brackets."""
    plain = [re.sub(r"[,;:.()]+$|^\(", "", token) for token in tokens]
    word = [bool(re.fullmatch(r"(Random)?[A-Za-z][a-z’'-]+(_[a-z]{3,})?", token)) for token in plain]
    word = [a_word and not re.fullmatch("d[a-zA-Z]", token) for a_word, token in zip(word, plain, strict=True)]
    found: list[bool] = []
    depth = behind = 0
    for i, token in enumerate(tokens):
        if depth == 0 and token[0] == "(" and i >= behind:
            behind = aside(tokens, i)
        beside = {plain[j] for j in (i - 1, i + 1) if 0 <= j < len(plain)} & OPERATORS
        if i and tokens[i - 1][-1] in ",;:" and not depth:
            beside = set(plain[i + 1 : i + 2]) & OPERATORS if token[-1] not in ",;:" else set()
        prose = i < behind or "`" in token
        if plain[i] in FUNCTIONS:
            prose |= len(tokens) == 1 or (i > 0 and plain[i - 1] in ("the", "running"))
        elif word[i]:
            prose |= plain[i] in WORDS or not (beside or depth)
        found.append(not prose)
        if not prose:
            depth += sum(map(token.count, "({[")) - sum(map(token.count, ")}]"))
            depth = max(depth, 0)
    for i, token in enumerate(plain[:-1]):  # the article
        if token == "a" and not found[i + 1] and not (i and tokens[i - 1] in OPERATORS):
            found[i] = False
    return found


def pieces(line: str) -> list[tuple[bool, str]]:
    """Return the runs of a line, each with whether it is mathematics.

    >>> pieces("dz = dy where z > 0, else 0")
    [(True, 'dz = dy'), (False, 'where'), (True, 'z > 0,'), (False, 'else'), (True, '0')]
    """
    out: list[tuple[bool, str]] = []
    for segment in re.split(r" {2,}(?![ =←])", line.strip()):
        tokens = re.findall(r"`[^`]*`\S*|\S+", segment)
        start = True
        for is_math, token in zip(kinds(tokens), tokens, strict=True):
            if start or out[-1][0] != is_math or (out[-1][1][-1] == ":" and balanced(out[-1][1])):
                out.append((is_math, token))
            else:
                out[-1] = (is_math, f"{out[-1][1]} {token}")
            start = False
    return out


def balanced(text: str) -> bool:
    """Tell whether all brackets of a piece are closed in it."""
    return all(text.count(a) == text.count(b) for a, b in ("()", "{}", "[]"))


def typeset(line: str, escaped: Callable[[str], str] = str) -> str:
    """Return a line as reStructuredText in which mathematics has its role, and words are as `escaped` makes them."""
    columns = re.split(r" {2,}(?![ =←])", line.strip())
    if len(columns) > 1:
        return "\u2003".join(typeset(column, escaped) for column in columns)
    out = []
    for is_math, text in pieces(line):
        body = text.rstrip(",;:.")
        if not balanced(body) and body.endswith(")"):
            body = body[:-1]
        if is_math and balanced(body) and body:
            out.append(f":math:`{latex(body)}`{text[len(body) :]}")
        else:
            out.append(escaped(text))
    return " ".join(out)
