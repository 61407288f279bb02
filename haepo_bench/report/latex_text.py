"""Text for LaTeX: pdfLaTeX in T1 encoding knows some characters, XeLaTeX and LuaLaTeX as many as their font."""

import re

#: Before the first table with a character that pdfLaTeX does not know: its code point is shown there instead.
DEFINITION = r"\DeclareRobustCommand{\otherchar}[2]{\ifdefined\Umathcode#1\else\texttt{#2}\fi}"

_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi . pi rho . sigma tau upsilon"
_GREEK += " phi chi psi omega"
_CAPITALS = ". . Gamma Delta . . . Theta . . Lambda . . Xi . Pi . . Sigma . Upsilon Phi . Psi Omega"
_MATHS = {
    **{chr(0x3B1 + place): name for place, name in enumerate(_GREEK.split()) if name != "."},
    **{chr(0x391 + place): name for place, name in enumerate(_CAPITALS.split()) if name != "."},
    "√": "surd",
    "∞": "infty",
    "≤": "leq",
    "≥": "geq",
    "≠": "neq",
    "≈": "approx",
    "∈": "in",
    "′": "prime",
}
_ESCAPED = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "−": r"\textminus{}",
    **{character: f"\\{character}" for character in "{}$&#_%"},
    **{character: rf"\ensuremath{{\{name}}}" for character, name in _MATHS.items()},
}
#: Of the Latin letters and the punctuation below, those that T1 does not have.
_UNKNOWN = frozenset("ĦħĸĿŀŉŦŧſ")
_PUNCTUATION = frozenset("‐‑–—―‘’‚“”„†‡•…‰‱‹›※€™←→")

#: What LaTeX would make one character of with the next.
_LIGATURE = re.compile(r"-(?=-)|'(?=')|,(?=,)")


def latex(text: str) -> str:
    """Text that LaTeX shows as it is; characters that only some engines know are in a command of `DEFINITION`."""
    return _LIGATURE.sub(r"\g<0>{}", "".join(map(_character, text)))


def _character(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    known = character < "\u0180" and character not in _UNKNOWN
    if known or character in _PUNCTUATION:
        return character
    return rf"\otherchar{{{character}}}{{U+{ord(character):04X}}}"
