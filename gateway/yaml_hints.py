"""What usually stands behind a mistake in YAML, for whoever does not know YAML's words for it."""

HINTS = (
    ("cannot start any token", "\t", "indent with blanks, not with tabs"),
    ("", ": ${{", 'put a template in quotes: "${{ … }}"'),
    (
        "unknown escape character",
        "\\",
        "in double quotes \\ begins an escape; use single ones, or /",
    ),
    ("mapping values are not allowed", ": ", "put a text that holds ': ' in quotes"),
    ("found another document", "", "a file holds one pipeline"),
    ("", "\u00a0", "a blank of this line is a no-break space"),
)
"""(part of what the parser says, part of the line, what to do)"""


def hint(said: str, line: str) -> str:
    """`; …` for a mistake that is known, else nothing."""
    for message, part, what in HINTS:
        if message in said and part in line:
            return f"; {what}"
    return ""
