r"""The patterns of English that `tools.lint_english` refuses, each with the reason and a plain alternative.

They come from reading the book aloud. Each word is correct, but nobody in this field writes like that. A pattern belongs in the
list only if good prose hardly ever matches it: the docstrings of scikit-learn, SciPy's statistics, timm and Pydantic (880,000
words) had about 90 matches when the list was made.

In a pattern a space matches any white space, and `^` at its start the start of a sentence. Letter case counts only after `^`.
"""

import re
from dataclasses import dataclass
from functools import cached_property

SENTENCE_START = r"(?:(?<=[.!?:]\s)|(?<=\n\n)|\A)"
SENTENCE_END = r"(?=(?:[^.!?]|\.(?=\w))*\.(?!\w))"  # a full stop, not a question mark; the stop in 0.3 ends nothing
IDIOM = "an idiom that not every reader knows"
ARCHAIC = "archaic"
TRANSLATED = "a literal translation from another language"


@dataclass(frozen=True)
class Pattern:
    """Words to avoid. `name` is how a comment that allows an exception refers to the pattern."""

    name: str
    words: str
    reason: str
    instead: str

    @cached_property
    def regex(self) -> re.Pattern:
        at_start = self.words.startswith("^")
        words = self.words.removeprefix("^").replace(" ", r"\s+")
        return re.compile(f"{SENTENCE_START}{words}" if at_start else words, 0 if at_start else re.IGNORECASE)


_CONTAINER = r"\b(?:file|folder|record|image|interval|bar|page|table|list|array|dictionary|data set|preset|checkpoint|shard)s?"
_LITTLE = r"(?:nothing|little|much|more|no more|something|the same)"

CLAUSES = (
    Pattern(
        "clause-as-noun",
        r"^(?:What|Who|Whoever|Whatever)\b" + SENTENCE_END,
        "a clause in place of the subject hides the subject",
        "name the thing: 'The pooled maps' for 'What is pooled'",
    ),
    Pattern(
        "what-it-has",
        r"\bwhat (?:it|they|each|this|the \w+|an? \w+) "
        r"(?:holds?|keeps?|ha[sd]|have|gives?|gave|says?|said|makes?|made|takes?|took)\b",
        "a clause names no thing",
        "its contents, its fields, the result, the message",
    ),
    Pattern(
        "that-of",
        r"\b(?:that|those) of (?:the|a|an|its|their|each|every|one|all|this|these|another|both)\b",
        "the reader has to look back for the noun",
        "repeat the noun: 'the threshold of the preset', 'the preset's threshold'",
    ),
    Pattern("where-for-if", r"^Where (?!\w\b)" + SENTENCE_END, "'where' is a place", "if, when, 'in images that ...'"),
    Pattern(
        "fronted-of",
        r"^Of (?:an?|each|every|one|few|what|its|both|which|all)\b",
        "the subject comes late",
        "'For each ...', or begin with the subject",
    ),
    Pattern("fronted-of-colon", r"^Of [^.:]{3,40}:", "a heading in place of a sentence", "a sentence"),
    Pattern(
        "is-no",
        r"(?<!\bthere\s)\b(?:is|are|was|were) no "
        r"(?!longer|more\b|less|fewer|different|better|worse|larger|smaller|greater|later|earlier|higher|lower|good|use\b|other)\w+",
        "a negated noun is slower to read than a negated verb",
        "'does not prove' for 'is no proof', 'is not a record' for 'is no record'",
    ),
    Pattern(
        "of-which",
        r"\bof which (?:it|they|there|one|no|none)\b",
        "a relative clause that begins with a preposition",
        "a new sentence",
    ),
    Pattern("is-of-those", r"\b(?:is|are|was|were) of (?:what|those|which)\b", "telegraphic", "comes from, belongs to"),
    Pattern("such-as-do", r"\bsuch as (?:do|does|are|have|is|has|were|was)\b", ARCHAIC, "those that"),
    Pattern("make-of", r"\bwhat (?:\w+ ){1,5}makes? of\b", IDIOM, "how it treats"),
    Pattern(
        "so-many",
        r"\bso (?:many|much|few) (?:do|does|did|are|is|were|was|would)\b|\b(?:of|for|by|in|at|after|as) so many\b"
        r"|\bso many [a-z]+ (?:as|on|of)\b",
        "the reader has to look for the number",
        "the number or its name: '`n` steps'",
    ),
    Pattern("let-alone", r"\blet alone\b", "it adds an idea that needs a sentence", "a new sentence"),
    Pattern("rather-than-too", r"\brather too\b", "unusual", "'too narrow rather than too wide'"),
    Pattern("an-own", r"\b(?:an|the|no|some|one) own\b", "'own' needs a possessive", "its own, the image's own"),
)

VERBS = (
    Pattern(
        "holds",
        r"\b(?:holds?|holding) (?:zero|no|nothing|several|few|many|what|neither|all of|the values?)\b"
        rf"|{_CONTAINER} (?:that |which |may |must |should |can )?holds?\b",
        "files and intervals contain; hands and locks hold",
        "contain, include, have",
    ),
    Pattern("holds-for", r"\bholds? (?:for|of) (?:what|which|the ones?|those)\b", "unclear", "is true for, applies to"),
    Pattern("held-against", r"\b(?:holds?|held|holding) (?:\w+ ){0,2}against\b", IDIOM, "compare with, check against"),
    Pattern(
        "stands",
        r"\b(?:stands?|stood|standing) (?:in(?! for)|behind|beside|at|there|under|above|below|next|between|before|where)\b",
        "files and numbers do not stand",
        "is, is written, is listed",
    ),
    Pattern(
        "lies",
        r"\b(?:lies?|lay|lying) (?:below|above|behind|beside|upon|there|where|next)\b"
        r"|\b(?:lies?|lay|lying) in (?:(?:the|a|its|an?) )?(?:[Xx]\b|folder|file|book|root|image|table|record|page|store)",
        "files and values do not lie",
        "is, is stored in",
    ),
    Pattern("hang-on", r"\b(?:hangs?|hanging|hung) (?:up)?on\b", TRANSLATED, "depend on"),
    Pattern("go-on", r"\b(?:goes|go|went|going|gone) on(?! (?:the|an?|top|its)\b)", IDIOM, "continue, resume"),
    Pattern("go-round", r"\b(?:goes|go|went|going) round\b", IDIOM, "cycle through"),
    Pattern("told-apart", r"\btold (?:apart|from)\b", IDIOM, "distinguished, distinguished from"),
    Pattern("says-so", r"\b(?:says?|said) so\b", "code does not speak", "raises an error, reports it"),
    Pattern(
        "say-of",
        rf"\b(?:says?|said|tells?) (?:{_LITTLE} )?of (?:the|an?|its|their|them|it|all|what|where)\b",
        "unusual",
        "say about",
    ),
    Pattern(
        "know-of",
        r"\b(?:knows?|knew) (?:nothing|little|more|no more|anything) of\b|\bas good as known\b",
        "unusual",
        "does not use, is independent of",
    ),
    Pattern(
        "has-say",
        r"\b(?:ha[sd]|have|having|loses?|lost) (?:no|its|their|an?|more) say\b",
        IDIOM,
        "does not affect, does not contribute",
    ),
    Pattern("comes-to", r"\bcomes? to (?:predict|hold|stand|have|show|know)\b", TRANSLATED, "ends up predicting"),
    Pattern("does-without", r"\b(?:can|could|does|do|must) (?:do )?without(?=\s*[.,;:])", IDIOM, "does not need it"),
    Pattern("mends", r"\bmend(?:s|ed|ing)?\b", "clothes are mended", "fix, correct"),
    Pattern("forbids", r"\bforbids\b", "code has no authority", "does not allow, raises an error"),
    Pattern("part", r"\b(?:paper|code) (?:and \w+ code |and \w+ )?part\b", IDIOM, "differ"),
    Pattern("stand-under", r"\bstands? under the\b", TRANSLATED, "is licensed under"),
)

SMALL_WORDS = (
    Pattern(
        "behind",
        r"(?<!idea\s)(?<!reason\s)(?<!motivation\s)(?<!reasoning\s)"
        r"\bbehind (?:it|them|the|a|an|that|this|each|every|its|their)\b",
        "'behind' is a place, not an order",
        "after, following",
    ),
    Pattern("beside", r"\bbeside\b", "literary", "next to, in addition to"),
    Pattern("besides", r"\bbesides(?=\s*(?:[.,;:)?]|\Z))", "unusual as an adverb", "also, else, in addition"),
    Pattern("anew", r"\banew\b", ARCHAIC, "again, from scratch"),
    Pattern("by-lot", r"\bby lot\b", ARCHAIC, "at random"),
    Pattern("but-for", r"(?<!not\s)\bbut for (?:the|an?|its|their|one|two|rounding)\b", ARCHAIC, "except for"),
    Pattern("for-the-time", r"\bfor the time (?:of|that|it)\b", TRANSLATED, "because it is slow, during"),
    Pattern("one-would", r"\bone (?:would|sees|wants|knows|reads|might)\b", "stiff", "you, or name who does it"),
    Pattern("second-hand", r"\bat second hand\b", IDIOM, "from a secondary source"),
    Pattern("in-small", r"\bin (?:the )?small(?=\s*(?:[.,;:)]|\Z))", IDIOM, "on a small scale, on the toy problem"),
    Pattern("be-it", r"\bbe it\b", ARCHAIC, "whether, even if"),
    Pattern(
        "otherwise",
        r"\b(?:made|combined|together|computed|done|read|chosen|called) otherwise\b",
        "'otherwise' means 'if not'",
        "differently",
    ),
    Pattern("place-of", r"\bin the place of\b", "wordy", "instead of"),
    Pattern(
        "not-there",
        r"\b(?:that|which|what) (?:is|are) not there\b|\bwhere (?:it|they) (?:is|are) not there\b",
        "unclear",
        "missing",
    ),
    Pattern("thereof", r"\b(?:thereof|therein|whereof|wherein|hereof|whereupon|whence|thence|thereon)\b", "legalese", "of it"),
    Pattern("lest", r"\blest\b", ARCHAIC, "so that ... not"),
    Pattern("hitherto", r"\b(?:hitherto|heretofore|erstwhile|ere|nigh|betwixt)\b", ARCHAIC, "so far, before"),
)

PATTERNS = (*CLAUSES, *VERBS, *SMALL_WORDS)
