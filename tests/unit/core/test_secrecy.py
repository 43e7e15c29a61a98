"""What is a secret and what is not: names, places and forms."""

import pytest

from dcdaemon.core.secrecy import MASK, mask_argv, mask_env, mask_facts, mask_text, mask_url

SECRET = "hunter2Hunter2hunter2"  # noqa: S105  it is none
HOLDERS = [
    "TOKEN={}", "export WANDB_API_KEY={}", "--password={}", "--password {}", "--api-key '{}' --epochs 3",
    'curl -H "Authorization: Bearer {}"', "Authorization: Basic {}", "token: {}", '{{"secret": "{}"}}',
    "'passwd': '{}'",
    "postgresql://ada:{}@host/db", "https://{}@github.com/x", "https://host/?access_token={}&x=1",
    "AWS_SECRET_ACCESS_KEY={}",
    "MY_PWD={}", "--private-key={}", "set Cookie: {}", "PGPASSWORD={} psql", "x.credential={}", "--hf-token {}",
    "url?X-Amz-Signature={}",
]  # fmt: skip
FORMS = [
    "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "github_pat_" + "a1B2_" * 9, "glpat-" + "a1B2" * 5, "hf_" + "aB1c" * 9,
    "sk-proj-" + "a1B2" * 9, "sk_live_" + "a1B2" * 6, "xoxb-1234567890-abcdef", "AIza" + "a1B2" * 9,
    "npm_" + "a1B2" * 9,
    "pypi-" + "a1B2" * 9, "dckr_pat_" + "a1B2" * 6, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
]  # fmt: skip
HARMLESS = [
    "python train.py --epochs 3", "--lr=0.1", "monkey", "keyboard=us", "--tokens-per-batch", "/home/ada/data",
    "lr 1e-3",
    "https://host/path?x=1", "s3://bucket/key", "git@github.com:x/y", "node1:7717", "", "a=b", "ssh -L 1:127.0.0.1:2 h",
    "tokenizer", "GPU 3 is drained: fan", "sha256:abcdef", "PATH=/usr/bin", "0,1",
]  # fmt: skip


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_stands_in_a_secrets_place_is_masked(holder):
    text = mask_text(holder.format(SECRET))
    assert SECRET not in text
    assert MASK in text


@pytest.mark.parametrize("secret", FORMS)
@pytest.mark.parametrize("holder", ["{}", "x {} y", "--x={}", "X='{}'"])
def test_what_has_the_form_of_a_secret_is_masked_wherever_it_stands(holder, secret):
    assert secret not in mask_text(holder.format(secret))


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_left_as_it_is(text):
    assert mask_text(text) == text
    assert mask_argv([text]) == [text]


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["x", "--password", SECRET, "--lr", "1"], ["x", "--password", MASK, "--lr", "1"]),
        (["x", "--password", f"-{SECRET}", "y"], ["x", "--password", MASK, "y"]),
        (["x", "--api-key", "--token", SECRET], ["x", "--api-key", "--token", MASK]),
        (["bash", "-c", f"export HF_TOKEN={SECRET}; python x"], ["bash", "-c", f"export HF_TOKEN={MASK}; python x"]),
        (["env", f"PGPASSWORD={SECRET}", "psql"], ["env", f"PGPASSWORD={MASK}", "psql"]),
        (["curl", "-H", f"X-Api-Key: {SECRET}"], ["curl", "-H", f"X-Api-Key: {MASK}"]),
    ],
)
def test_command_lines_keep_all_but_their_secrets(argv, shown):
    assert mask_argv(argv) == shown


def test_environments_are_masked_by_name_and_by_form():
    env = {"WANDB_API_KEY": SECRET, "PATH": "/usr/bin", "X": FORMS[1], "EMPTY_TOKEN": ""}
    assert mask_env(env) == {"WANDB_API_KEY": MASK, "PATH": "/usr/bin", "X": MASK, "EMPTY_TOKEN": ""}


def test_documents_are_masked_at_any_depth_and_numbers_stay():
    facts = {"a": [f"token={SECRET}", 3], "password": SECRET, "n": {"x": None, "token": SECRET}, "tokens": 5}
    assert mask_facts(facts) == {
        "a": [f"token={MASK}", 3],
        "password": MASK,
        "n": {"x": None, "token": MASK},
        "tokens": 5,
    }


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://ada:{SECRET}@host:5432/db", "postgresql://ada:***@host:5432/db"),
        (f"postgresql://ada:{SECRET}/x@host/db?password={SECRET}", "postgresql://ada:***/x@host/db?password=***"),
        (f"postgresql://host/db?user=ada&password={SECRET}", "postgresql://host/db?user=ada&password=***"),
        ("sqlite:////var/lib/dcdaemon.db", "sqlite:////var/lib/dcdaemon.db"),
    ],
)
def test_urls_are_shown_without_their_passwords(url, shown):
    assert SECRET not in mask_url(url)
    assert mask_url(url) == shown or "/x@" in url


@pytest.mark.parametrize(
    "piece",
    ["a", "a.", "password ", "eyJ-", "https://", "://:", "-", " --a", "token='", "-----BEGIN ", "basic ", "-token "],
)
def test_a_long_text_does_not_hold_up_who_masks_it(piece):
    mask_text("token " + piece * (20_000 // len(piece)))
