"""Planted secrets never come back: whatever a job is called, runs or has in its environment, no route repeats them."""

import json
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from dcdaemon.core.secrecy import mask_argv, mask_env, mask_facts, mask_text

SECRETS = st.text(string.ascii_letters + string.digits + "_-+/.~%!", min_size=8, max_size=40).map(
    lambda text: f"Q{text}Z"
)
NAMES = st.sampled_from(
    ["TOKEN", "HF_TOKEN", "WANDB_API_KEY", "api-key", "password", "PGPASSWORD", "client_secret", "credential",
     "passphrase"]
)  # fmt: skip
FILLING = st.text(max_size=30)
PLACES = st.sampled_from(
    ["{name}={secret}", "--{name}={secret}", "export {name}={secret}; run", "{name}: {secret}",
     '{{"{name}": "{secret}"}}',
     "--{name} {secret}", "x?{name}={secret}&y=1", "Authorization: Bearer {secret}"]
)  # fmt: skip


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, str]:
    """Return a text with a secret in it, among anything at all, and the secret."""
    secret = draw(SECRETS)
    place = draw(PLACES).format(name=draw(NAMES), secret=secret)
    return f"{draw(FILLING)} {place} {draw(FILLING)}", secret


@given(planted())
@settings(max_examples=300)
def test_a_secret_in_any_text_is_masked(made):
    text, secret = made
    assert secret not in mask_text(text)
    assert secret not in json.dumps(mask_facts({"x": [text]}))


@given(st.lists(FILLING, max_size=4), NAMES, SECRETS, st.lists(FILLING, max_size=4))
@settings(max_examples=200)
def test_a_secret_on_any_command_line_is_masked(before, name, secret, after):
    for part in ([f"--{name}", secret], [f"--{name}={secret}"], [f"{name}={secret}"]):
        shown = mask_argv([*(text.lstrip("-") for text in before), *part, *after])
        assert secret not in json.dumps(shown)


@given(st.dictionaries(NAMES, SECRETS))
def test_a_secret_in_any_environment_is_masked(env):
    shown = mask_env(env)
    assert shown.keys() == env.keys()
    assert not set(env.values()) & set(shown.values())
