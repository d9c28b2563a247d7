"""config.pbtxt: text in, Config out, whatever the text is.

Accepts what the C++ parser of the server accepts, and refuses what it refuses; but goes on after a
mistake, and knows the place of each key and value. A config of sixty lines takes about a third of a
millisecond, a template twice that.
"""

from __future__ import annotations

import stat
from pathlib import Path

from ensemblegen.errors import InputError, Problem, Span
from ensemblegen.model_config import ModelConfig
from ensemblegen.pbtxt import brackets, foreign, shape, tokens
from ensemblegen.pbtxt.bind import Binder
from ensemblegen.pbtxt.config import Config
from ensemblegen.pbtxt.lines import Lines, Spans
from ensemblegen.pbtxt.parser import Parser
from ensemblegen.pbtxt.report import Remedy, Report
from ensemblegen.pbtxt.tree import Block, Odd
from ensemblegen.targets import Target

_SIZE = 16 << 20
_SHOWN = 5


def read(path: Path, target: Target | None = None) -> Config:
    """Read `path`; InputError only where there is nothing to read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise IsADirectoryError(None, "not a plain file")
        with path.open("rb") as file:
            raw = file.read(_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if path.is_symlink() and isinstance(error, FileNotFoundError):
            reason = "a broken link"
        span = Span(str(path), 1, 1, 2)
        raise InputError([Problem("E101", f"cannot read {path}: {reason}", span)]) from None
    if len(raw) > _SIZE:
        return parse("", str(path), target, too_large=True)
    try:
        return parse(raw.decode(), str(path), target)
    except UnicodeDecodeError:
        return parse(raw.decode(errors="replace"), str(path), target, utf8=False)


def parse(
    text: str,
    path: str,
    target: Target | None = None,
    *,
    utf8: bool = True,
    too_large: bool = False,
) -> Config:
    """`text` as Config; `utf8` is False if bytes of it were replaced because they are no UTF-8."""
    if too_large:
        report = Report(Lines(path, text))
        report.say(*_not_a_config(None))
        return Config(path, {}, {}, ModelConfig(), text, report.problems(), frozenset(), True)
    config = _bound(text, text, path, target, utf8=utf8)
    filled = tokens.marked(text)
    if filled != text and any(problem.severity == "error" for problem in config.problems):
        return _bound(text, filled, path, target, utf8=utf8)
    return config


def _bound(given: str, text: str, path: str, target: Target | None, *, utf8: bool) -> Config:
    """`text` as Config; it may differ from what is `given` in how placeholders are written."""
    lines = Lines(path, given)
    report = Report(lines)
    message = ModelConfig()
    words, complete = tokens.split(text)
    odd = foreign.find(text)
    if odd is not None or not complete:
        report.say(*_not_a_config(odd))
        return Config(path, {}, {}, message, given, report.problems(), frozenset(), True)
    if not utf8:
        _say_not_utf8(text, words, report)
    statements = [token for token in words if token[0] == tokens.STATEMENT]
    doubt = (statements[0][1], statements[-1][2]) if statements else (0, 0)
    parser, root = _tree(text, words, report)
    binder = Binder(text, report, target, doubt)
    binder.message(root, shape.root(), message, ())
    other = foreign.schema([each.name for each in root.fields])
    if other is not None:
        report = Report(lines)
        start = root.fields[0].start
        report.say("E128", start, root.fields[0].end, other[0], Remedy(other[1]))
        empty = ModelConfig()
        return Config(path, {}, {}, empty, given, report.problems(), frozenset(), True)
    binder.placeholders += [(*place, text[slice(*place)]) for place in parser.placeholders]
    if given != text:
        binder.placeholders = [
            (start, end, word.replace("$", "#")) for start, end, word in binder.placeholders
        ]
    binder.placeholders += [(start, end, text[start:end]) for _, start, end in statements]
    if statements:
        report.soften(doubt)
    _say_placeholders(binder, report)
    return Config(
        path,
        Spans(lines, binder.values),
        Spans(lines, binder.keys),
        message,
        given,
        report.problems(),
        frozenset(binder.unknown),
        report.broken or bool(parser.placeholders and not root.fields),
        binder.blocks,
    )


def _tree(text: str, words: list[tokens.Token], report: Report) -> tuple[Parser, Block]:
    """The tree, read again with brackets put where they seem to be missing."""
    parser = Parser(text, words, report)
    root = parser.parse()
    if parser.damaged:
        closed, filled, gaps = brackets.repaired(text, parser.tokens)
        again = Parser(closed, filled, report) if gaps else parser
        if gaps:
            whole = again.parse()
        if gaps and not again.damaged:
            parser, root = again, whole
        parser.say([gap.start for gap in (gaps if parser is again else gaps[:1])])
    return parser, root


def _not_a_config(odd: Odd | None) -> tuple[str, int, int, str, Remedy]:
    if odd is not None:
        return odd.code, odd.start, odd.end, odd.words, odd.remedy
    return "E128", 0, 1, "this is too large for a config", Remedy("is it the right file?")


def _say_not_utf8(text: str, words: list[tokens.Token], report: Report) -> None:
    """Bytes that are no UTF-8 matter in strings; in comments the server does not look at them."""
    for kind, start, end in words:
        at = text.find("\ufffd", start, end) if kind == tokens.STRING else -1
        if at >= 0:
            remedy = Remedy("save the file as UTF-8")
            report.say("E130", at, at + 1, "this string is not UTF-8", remedy)
            return


def _say_placeholders(binder: Binder, report: Report) -> None:
    found = sorted(binder.placeholders)
    if not found:
        return
    names = list(dict.fromkeys(" ".join(word.split()) for _, _, word in found))
    shown = ", ".join(name if len(name) <= 40 else name[:37] + "..." for name in names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += f" and {len(names) - _SHOWN} more"
    start, end, _ = found[0]
    words = f"placeholders are not filled in: {shown}"
    report.say("E129", start, end, words, Remedy("what depends on them is not checked"))
