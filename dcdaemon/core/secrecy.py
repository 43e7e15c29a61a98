"""Mask what looks like a secret in anything that is shown: by its name, by the place it stands in, by its form."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

MASK = "***"
#: A part of a name that says: what follows is a secret.
_NAMES = (
    r"token|secret|passw|passphrase|passwd|api[-_.]?key|credential|private[-_.]?key|access[-_.]?key|signing[-_.]?key"
    r"|encryption[-_.]?key|authorization|auth[-_.]?key|(?<![a-z])pwd(?![a-z])|cookie|session[-_.]?id|bearer|signature"
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_NAME = re.compile(r"-{0,2}[\w.-]+")
#: `NAME=VALUE`, `--name VALUE`, `name: VALUE` and `"name": "VALUE"` inside of a longer text.
# Every repetition below has an end: a text of a job may be long, and made so that a pattern never gets done with it.
_ASSIGNED = re.compile(
    rf"""(?P<name>(?:{_NAMES})[\w.-]{{0,64}}["']?\s{{0,8}}(?:=>?|:)\s{{0,8}})"""
    r"""(?P<value>"[^"]*"|'[^']*'|(?:bearer|basic|token)\s{1,8}[^\s'",;&]+|[^\s'",;&]+)""",
    re.IGNORECASE,
)
_OPTION = re.compile(
    rf"""(?P<name>(?<![\w-])--?[\w.-]{{0,64}}?(?:{_NAMES})[\w.-]{{0,64}}\s{{1,8}})"""
    r"""(?P<value>"[^"]*"|'[^']*'|[^\s'"-][^\s'"]*)""",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"""(?P<scheme>://[^:/@\s]{0,256}):(?P<value>[^\s"']{0,4096})@""", re.IGNORECASE)
_LONE_USER_INFO = re.compile(r"(?P<scheme>https?://)(?P<value>[^:/@\s]{16,4096})@", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<name>(?:bearer|basic)\s{1,8})(?P<value>[A-Za-z0-9+/_.~=-]{8,})", re.IGNORECASE)
#: Secrets that tell what they are by their form: keys and tokens of well-known services, and of this one's kind.
_FORMS = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS access key ids
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"  # GitHub, GitLab
    r"|\bhf_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|\bsk-[\w-]{16,}|\b[sr]k_(?:live|test)_\w{16,}"  # OpenAI, Anthropic, Stripe
    r"|\bxox[abeoprs]-[\w-]{10,}"  # Slack
    r"|\bAIza[\w-]{30,}"  # Google
    r"|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[\w-]{16,}|\bdckr_pat_[\w-]{16,}"  # npm, PyPI, Docker
    r"|\beyJ[\w-]{8,2048}\.[\w-]{8,}\.[\w-]*"  # JSON web tokens
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:.*?-----END [A-Z ]{0,40}PRIVATE KEY-----|.*)",
    re.DOTALL,
)

#: One of these stands in every text that anything above masks; looking for them is quick, and most texts have none.
_HINTS = (
    "token", "secret", "pass", "key", "cred", "auth", "pwd", "cookie", "session", "bearer", "basic", "signature", "://",
    "akia", "asia", "gh", "github", "glpat", "hf_", "sk-", "k_live", "k_test", "xox", "aiza", "npm_", "pypi-", "dckr",
    "eyj",
)  # fmt: skip


def is_secret_name(name: str) -> bool:
    """Say whether a variable or an option of this name holds a secret."""
    return bool(_SECRET_NAME.search(name))


def mask_text(text: str) -> str:
    """Return a text with every secret in it masked; one without any comes back as it is."""
    if _is_plain(text):
        return text
    text = _FORMS.sub(MASK, text)
    text = _USER_INFO.sub(rf"\g<scheme>:{MASK}@", text)
    text = _LONE_USER_INFO.sub(rf"\g<scheme>{MASK}@", text)
    text = _BEARER.sub(rf"\g<name>{MASK}", text)
    text = _ASSIGNED.sub(rf"\g<name>{MASK}", text)
    return _OPTION.sub(rf"\g<name>{MASK}", text)


def _is_plain(text: str) -> bool:
    lower = text.lower()
    for hint in _HINTS:  # noqa: SIM110  three times as quick as any() with a generator, for each text of each listing
        if hint in lower:
            return False
    return True


def mask_argv(argv: Sequence[str]) -> list[str]:
    """Return a command line with the values of secret-looking options and assignments masked."""
    if _is_plain("\n".join(argv)):
        return list(argv)
    masked: list[str] = []
    hide_next = False
    for argument in argv:
        name, equals, value = argument.partition("=")
        if hide_next and not (argument.startswith("-") and is_secret_name(argument)):
            masked.append(MASK)
        elif equals and value and is_secret_name(name) and _NAME.fullmatch(name):
            masked.append(f"{name}={MASK}")
        else:
            masked.append(mask_text(argument))
        hide_next = argument.startswith("-") and not equals and " " not in argument and is_secret_name(argument)
    return masked


def mask_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with the values masked that are secrets by their name or their form."""
    return {name: MASK if value and is_secret_name(name) else mask_text(value) for name, value in env.items()}


def mask_facts(facts: Any) -> Any:
    """Return a document with all texts in it masked, and whatever stands under the name of a secret."""
    if isinstance(facts, str):
        return mask_text(facts)
    if isinstance(facts, Mapping):
        return {key: _mask_fact(str(key), value) for key, value in facts.items()}
    if isinstance(facts, (list, tuple)):
        return [mask_facts(item) for item in facts]
    return facts


def _mask_fact(name: str, value: Any) -> Any:
    return MASK if isinstance(value, str) and value and is_secret_name(name) else mask_facts(value)


def mask_url(url: str) -> str:
    """Return a URL with its password masked, and what its query calls a secret."""
    try:
        parts = urlsplit(url)
        if not parts.password:
            return mask_text(url)
    except ValueError:
        return mask_text(url)
    host = parts.netloc.rpartition("@")[2]
    return mask_text(urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{MASK}@{host}")))
