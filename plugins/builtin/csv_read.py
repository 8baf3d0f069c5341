"""`flexcore.csv_read`: a CSV file becomes rows.

| field     | means                                                                        |
|-----------|------------------------------------------------------------------------------|
| path      | file under the files root                                                    |
| delimiter | one character, `,` unless said; a first line `sep=;`, as Excel has it, says it |
| encoding  | `utf-8` unless said; a byte order mark is skipped                            |
| decimal   | `.` unless said; with `,` numbers are `1.234,5`                              |
| quote     | one character, `"` unless said, or `none`                                    |
| escape    | one character before a quote inside quotes; without it that is written twice |
| skip      | lines to leave out before the header                                         |
| columns   | names of the columns of a file without a header                              |
| text      | columns to leave as text, such as postal codes                               |
| nulls     | texts that stand for nothing, such as `NA`                                   |

A column is int, float or text: the first kind that all its values have. Empty values are null.
"""

import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from plugins.builtin.config import Config, bad_config, bad_data
from plugins.builtin.csv_kinds import Column, Parse
from plugins.builtin.rows import Row, check_columns, output_of
from plugins.steps import Output, StepContext

_SEP = re.compile(r"sep=(.)\r?\n?")
_OTHER_DELIMITERS = ";\t|"
_HINTS = (
    ("unexpected end of data", "a quote is open"),
    (
        "expected after",
        "a quote inside quotes is written twice, else name `escape` or `quote: none`",
    ),
)
_FIELDS = (
    *("path", "delimiter", "encoding", "decimal", "quote"),
    *("escape", "skip", "columns", "text", "nulls"),
)


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` with the line of what is wrong."""
    fields = Config(config, *_FIELDS)
    path, dialect = fields.text("path"), _dialect_of(fields)
    as_text, nulls = fields.names("text"), fields.names("nulls")
    decimal = fields.choice("decimal", [".", ","], ".")
    with context.files.open_to_read(path) as file:
        source = _Source(path, file.read(), dialect)
    header = source.header
    columns = [Column(decimal=decimal, nulls=nulls, text=name in as_text) for name in header]
    # Twice through the file: as rows in memory it would take twenty times its size.
    for record in source.records():
        for column, value in zip(columns, record, strict=True):
            column.take(value)
    known: Row = dict(zip(header, header, strict=True))
    check_columns([known], as_text, "text")
    parsers = [column.parser() for column in columns]
    return output_of((_row(header, parsers, record) for record in source.records()), context)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    """How a file is written; `delimiter` is empty where nobody said."""

    delimiter: str
    encoding: str
    quote: str
    escape: str
    skip: int
    columns: Sequence[str]


def _dialect_of(fields: Config) -> _Dialect:
    quote = fields.text("quote", '"')
    encoding = fields.text("encoding", "utf-8")
    return _Dialect(
        delimiter=fields.character("delimiter") if fields.has("delimiter") else "",
        encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding,
        quote="" if quote == "none" else fields.character("quote", '"'),
        escape=fields.character("escape") if fields.has("escape") else "",
        skip=fields.whole("skip"),
        columns=fields.names("columns"),
    )


class _Source:
    """A file's bytes, read as often as asked."""

    def __init__(self, path: str, data: bytes, dialect: _Dialect) -> None:
        # Python's limit of 128 KiB is meant for a quote that nobody closes; `strict` tells of it.
        csv.field_size_limit(sys.maxsize)
        self._path = path
        self._data = data
        self._encoding = dialect.encoding
        self._check_encoding()
        with self._text() as text:
            said = _SEP.fullmatch(text.readline())
        self._skip = dialect.skip + (said is not None)
        self._delimiter = dialect.delimiter or (said[1] if said else "")
        self._quote, self._escape = dialect.quote, dialect.escape
        self._named = dialect.columns
        self._header = dialect.columns or self._first_record()

    @property
    def header(self) -> Sequence[str]:
        """The columns' names."""
        return self._header

    def records(self) -> Iterator[list[str]]:
        """The values of each row; raises `StepFailed` for a row of another width."""
        parsed = self._parsed()
        if not self._named:
            next(parsed, None)
        width = len(self._header)
        for line, record in parsed:
            if len(record) == width:
                yield record
            elif record:  # a blank line is nothing
                raise bad_data(
                    f"'{self._path}', line {line}: {len(record)} values; the header has {width}"
                )

    def _first_record(self) -> Sequence[str]:
        line, header = next(self._parsed(), (1, []))
        place = f"'{self._path}', line {line}"
        if not header:
            raise bad_data(
                f"'{self._path}' is empty; a header row is required, or names in `columns`"
            )
        other = next((one for one in _OTHER_DELIMITERS if one in header[0]), None)
        if len(header) == 1 and other is not None and not self._delimiter:
            raise bad_data(f"{place}: one column {header[0][:100]!r}; is its delimiter {other!r}?")
        for name in header:
            if not name.strip() or header.count(name) > 1:
                raise bad_data(f"{place}: column {name!r}; names must be there and differ")
        return header

    def _parsed(self) -> Iterator[tuple[int, list[str]]]:
        """Each record with the number of its last line."""
        with self._text() as text:
            for _ in range(self._skip):
                text.readline()
            reader = csv.reader(
                text,
                delimiter=self._delimiter or ",",
                quotechar=self._quote or None,
                quoting=csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE,
                escapechar=self._escape or None,
                strict=True,
            )
            try:
                for record in reader:
                    yield self._skip + reader.line_num, record
            except csv.Error as error:
                hint = next((f"; {hint}" for part, hint in _HINTS if part in str(error)), "")
                line = self._skip + reader.line_num
                raise bad_data(f"'{self._path}', line {line}: {error}{hint}") from None

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(self._data), self._encoding, newline="")

    def _check_encoding(self) -> None:
        try:
            self._data.decode(self._encoding)
        except LookupError:
            raise bad_config(
                f"field 'encoding' is {self._encoding!r}; a known encoding is required, "
                "such as cp1252 or utf-16"
            ) from None
        except UnicodeDecodeError as error:
            line = self._data.count(b"\n", 0, error.start) + 1
            encoding = self._encoding.removesuffix("-sig")
            raise bad_data(
                f"'{self._path}', line {line}: not {encoding}; name its encoding, "
                "such as cp1252 or utf-16"
            ) from None


def _row(header: Sequence[str], parsers: Sequence[Parse], record: Sequence[str]) -> Row:
    columns = zip(header, parsers, record, strict=True)
    return {name: parse(value) for name, parse, value in columns}
