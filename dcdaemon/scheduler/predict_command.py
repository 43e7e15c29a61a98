"""The fingerprint of a command line: what stays the same from run to run, so that a sweep is one command.

Kept are the program, the script or module, the names of options and their values in words (`--model resnet50`). Left
out are numbers, dates, hashes, the directories of paths, and what only tells runs apart (`--seed`, `--output-dir`).
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

#: So much of a command line is looked at, and so much of its fingerprint is kept.
_WORDS, _WORD_LENGTH, _LENGTH = 60, 300, 400
_NUMBER = r"[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_AMOUNT = re.compile(rf"{_NUMBER}(?:[kKmMgGtT]i?[bB]?|[bB]|ms|us|[smhd]|%)?")
#: A number, or eight digits of a hash and more, that no letter touches.
_ALONE = re.compile(rf"(?<![A-Za-z0-9])(?:(?=[a-f]*\d)[0-9a-f]{{8,}}|{_NUMBER})(?![A-Za-z0-9])")
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_TIME = r"\d{4}-?\d\d-?\d\d[T_-]\d\d[\d:.-]*Z?"
_MOMENT = re.compile(rf"(?<![A-Za-z0-9])(?:{_UUID}|{_TIME})(?![A-Za-z0-9])")
_DIGIT = re.compile(r"\d")
_SEVERAL = re.compile(r"#(?:[^A-Za-z0-9#]+#)+")
_SHORT_OPTION = re.compile(r"(-[A-Za-z])\d[\d.]*")
_PYTHON = re.compile(r"python[\d.]*")
_OPTION = re.compile(r"-{1,2}[A-Za-z][\w.-]*")
_ASSIGNMENT = re.compile(r"(-{0,2}\+{0,2}[A-Za-z][\w./-]*)=(.*)", re.DOTALL)
_BETWEEN_WORDS = re.compile(r"[-_./]+")
#: An option with one of these words in its name tells runs apart, not what they do.
_LABELS = frozenset({
    "checkpoint", "checkpoints", "ckpt", "comment", "exp", "experiment", "id", "job", "log", "logdir", "logs", "out",
    "output", "port", "resume", "run", "runs", "save", "seed", "tag", "wandb",
})  # fmt: skip


def fingerprint(argv: Sequence[str]) -> str:
    """Return what the command line has in common with others of its kind; at most 400 characters."""
    return _fingerprint(tuple(word[:_WORD_LENGTH] for word in argv[:_WORDS]))


@lru_cache(maxsize=256)  # the jobs of an array come one after the other, with one command line
def _fingerprint(argv: tuple[str, ...]) -> str:
    return " ".join(_words(argv))[:_LENGTH]


def _words(argv: Sequence[str]) -> Iterator[str]:
    if argv:
        yield _program(argv[0])
    labels = False
    for word in argv[1:]:
        if word.startswith("-") and _OPTION.fullmatch(word):
            yield _SHORT_OPTION.sub(r"\1#", word)
            labels = _is_label(word)
        elif "=" in word and (assigned := _ASSIGNMENT.fullmatch(word)):
            name, value = assigned.groups()
            yield f"{name}={'#' if _is_label(name) else _value(value)}"
            labels = False
        else:
            yield "#" if labels else _value(word)
            labels = False


def _program(word: str) -> str:
    name = word.rsplit("/", 1)[-1]
    return "python" if _PYTHON.fullmatch(name) else name


@lru_cache(maxsize=256)
def _is_label(option: str) -> bool:
    words = _BETWEEN_WORDS.split(option.strip("-+").lower())
    return words == ["name"] or not _LABELS.isdisjoint(words)


def _value(text: str) -> str:
    """Return a value without what changes from run to run; inline code is taken word by word."""
    words = text.split()
    return " ".join(_word(word) for word in words) if len(words) > 1 else _word(text)


def _word(word: str) -> str:
    last = word.rstrip("/").rsplit("/", 1)[-1]
    if not _DIGIT.search(last):
        return last
    if _AMOUNT.fullmatch(last):
        return "#"
    return _SEVERAL.sub("#", _ALONE.sub("#", _MOMENT.sub("#", last)))
