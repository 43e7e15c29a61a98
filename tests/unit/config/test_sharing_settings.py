"""Queues, accounts, quotas and fair-share in the configuration: how they are written, and what cannot be meant."""

from pathlib import Path

import pytest

from dcdaemon.config.families import setting_named
from dcdaemon.config.load import check, load
from dcdaemon.config.model import Config
from dcdaemon.config.sharing import Account, Queue, default_queue
from dcdaemon.config.show import rows
from dcdaemon.core.errors import BadConfig
from dcdaemon.scheduler.queues import Order

ENV = {"HOME": "/home/ada"}
WHOLE = """
[queues.main]
default = true
[queues.short]
gpus = [0, 1]
order = "fifo"
priority_tier = 5
default_limit = "10m"
max_limit = "1h"
max_gpus_per_job = 1
max_gpus_per_user = 2
max_jobs_per_user = 0
users = ["ada"]
accounts = ["vision"]
urgent = true
[queues.spare]
gpus = "2-3"
preemptible = true
min_run = "5m"
[accounts.vision]
users = ["ada", "bob"]
shares = 2
quota_gpus = 0
max_gpus = 6
[accounts.speech]
users = ["ada"]
[quotas]
gpus_per_user = 4
users = ["ada=8", "guest=0"]
[fair_share]
half_life = "3d"
users = ["ada=2"]
"""


def configured(tmp_path: Path, text: str, **env: str) -> Config:
    path = tmp_path / "c.toml"
    path.write_text(text)
    return check([path], {**ENV, **env}, uid=1000).config


def refused(tmp_path: Path, text: str) -> BadConfig:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(BadConfig) as caught:
        load([path], ENV, uid=1000)
    return caught.value


def test_nothing_is_shared_out_by_default():
    config = Config()
    assert (config.queues, config.accounts, config.quotas.gpus_per_user) == ({}, {}, None)
    assert default_queue(config.queues) == "main"


def test_every_setting_is_read(tmp_path):
    config = configured(tmp_path, WHOLE)
    assert list(config.queues) == ["main", "short", "spare"]
    assert default_queue(config.queues) == "main"
    assert config.queues["short"] == Queue(
        gpus=(0, 1), order="fifo", priority_tier=5, default_limit_s=600.0, max_limit_s=3600.0, max_gpus_per_job=1,
        max_gpus_per_user=2, max_jobs_per_user=0, users=("ada",), accounts=("vision",), urgent=True,
    )  # fmt: skip
    spare = config.queues["spare"]
    assert (spare.gpus, spare.preemptible, spare.min_run_s, spare.max_gpus) == ((2, 3), True, 300.0, None)
    assert list(config.accounts) == ["vision", "speech"]
    assert config.accounts["vision"] == Account(users=("ada", "bob"), shares=2.0, max_gpus=6, quota_gpus=0)
    assert (config.quotas.gpus_per_user, config.quotas.users) == (4, (("ada", 8), ("guest", 0)))
    assert (config.quotas.hard, config.fair_share.half_life_s) == (False, 3 * 86400.0)
    assert config.fair_share.users == (("ada", 2.0),)


def test_a_queue_needs_no_setting_of_its_own(tmp_path):
    assert configured(tmp_path, "[queues.short]\n").queues == {"short": Queue()}


def test_the_only_queue_is_the_default_one():
    assert default_queue({"short": Queue()}) == "short"
    assert default_queue({"short": Queue(), "main": Queue()}) == "main"
    assert default_queue({"main": Queue(), "short": Queue(default=True)}) == "short"


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("[0, 3, 1, 1]", (0, 1, 3)),
        ('"0-2, 6"', (0, 1, 2, 6)),
        ('["0-1", "7"]', (0, 1, 7)),
        ("[]", ()),
        ('""', ()),
    ],
)
def test_gpus_are_indices_or_spans(tmp_path, text, gpus):
    assert configured(tmp_path, f"[queues.a]\ngpus = {text}\n").queues["a"].gpus == gpus


def test_later_files_add_to_a_queue_and_variables_reach_it(tmp_path):
    first, second = tmp_path / "1.toml", tmp_path / "2.toml"
    first.write_text('[queues.short]\nmax_limit = "1h"\nmax_gpus = 4\n[accounts.b]\nusers = ["ada"]\n')
    second.write_text('[queues.short]\nmax_limit = "2h"\n[accounts.a]\nusers = ["ada"]\n')
    env = {**ENV, "DCD_QUEUES__SHORT__MAX_GPUS": "2", "DCD_QUEUES__LONG__DEFAULT": "true"}
    loaded = check([first, second], env, uid=1000)
    short = loaded.config.queues["short"]
    assert (short.max_limit_s, short.max_gpus) == (7200.0, 2)
    assert loaded.config.queues["long"].default
    assert list(loaded.config.accounts) == ["b", "a"]
    assert loaded.origins["queues.short.max_limit"] == str(second)
    assert loaded.origins["queues.short.max_gpus"] == "DCD_QUEUES__SHORT__MAX_GPUS"
    assert loaded.origins["queues.short.order"] == "default"


def test_every_setting_of_a_queue_that_is_there_is_shown(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('[queues.short]\nmax_limit = "1h"\n')
    shown = {row.name: row.value for row in rows(load([path], ENV, uid=1000))}
    assert (shown["queues.short.max_limit"], shown["queues.short.order"]) == ("1h", "")
    assert shown["quotas.gpus_per_user"] == ""


def test_a_setting_in_a_family_knows_its_variable():
    setting = setting_named("queues.short.max_limit")
    assert setting is not None
    assert setting.variable == "DCD_QUEUES__SHORT__MAX_LIMIT"
    assert setting_named("queues.short.max_limits") is None


def test_the_words_for_an_order_are_those_of_the_scheduler(tmp_path):
    for order in Order:
        assert configured(tmp_path, f'[queues.a]\norder = "{order}"\n').queues["a"].order == order


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[queues.a]\nmax_gpu = 1", "unknown setting queues.a.max_gpu; did you mean queues.a.max_gpus?"),
        ("[accounts.a]\nusers = ['ada']\nxyzzy = 1", "unknown setting accounts.a.xyzzy"),
        ("[quotas]\nper_user = 1", "unknown setting quotas.per_user; did you mean quotas.gpus_per_user?"),
        ("[queue.a]\ngpus = []", "unknown setting queue.a; did you mean queues.a?"),
    ],
)
def test_an_unknown_key_of_a_family_is_named_with_what_may_be_meant(tmp_path, text, warning):
    path = tmp_path / "c.toml"
    path.write_text(text)
    assert load([path], ENV, uid=1000).warnings == (f"{path}: {warning}",)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[queues.a]\ndefault = true\n[queues.b]\ndefault = true",
            "queues.a and queues.b are each the default queue",
            "leave default = true in one of them",
        ),
        (
            "[queues.a]\n[queues.b]\n[queues.c]",
            "none of queues.a, queues.b and queues.c is the default queue",
            "write default = true in one of them",
        ),
        ('[queues.a]\norder = "fair-shair"', "queues.a.order = 'fair-shair' is not one of", "did you mean fair-share?"),
        ("[queues.a]\ngpus = [-1]", "queues.a.gpus = [-1] has -1, which is no GPU", None),
        ("[queues.a]\ngpus = true", "queues.a.gpus = True is not a list of GPUs", None),
        ("[queues.a]\ngpus = [true]", "queues.a.gpus = [True] is not a list of GPUs", None),
        ('[queues.a]\ngpus = "3-1"', "queues.a.gpus = '3-1' has '3-1', which is no GPU", None),
        ("[queues.a]\ngpus = [99999]", "queues.a.gpus = [99999] has 99999, which is no GPU", None),
        ("[queues.a]\npriority_tier = 1.5", "queues.a.priority_tier = 1.5 is not a whole number", None),
        (
            '[queues.a]\ndefault_limit = "2h"\nmax_limit = "1h"',
            "queues.a.default_limit is longer than its max_limit",
            None,
        ),
        ("[queues.a]\nurgent = true\npreemptible = true", "queues.a is urgent and preemptible", None),
        ("[queues.a]\ngpus = [0]\nmax_gpus_per_job = 2", "queues.a.max_gpus_per_job = 2 is more than its 1 GPUs", None),
        (
            '[queues.a]\naccounts = ["visin"]\n[accounts.vision]\nusers = ["ada"]',
            "queues.a.accounts has 'visin', which is no account",
            "did you mean vision?",
        ),
        ("[accounts.a]\nshares = 2", "accounts.a has no users", None),
        ("[accounts.a]\nusers = ['ada']\nshares = 0", "accounts.a.shares = 0 is not more than 0", None),
        (
            "[accounts.a]\nusers = ['ada']\nquota_gpus = 5\nmax_gpus = 4",
            "accounts.a.quota_gpus is more than its max_gpus",
            None,
        ),
        ('[quotas]\nusers = ["ada"]', "quotas.users = ['ada'] has 'ada' without a value or a user", None),
        ('[quotas]\nusers = ["ada=1", "ada=2"]', "names 'ada' twice", None),
        ('[quotas]\nusers = ["ada=x"]', "is not a number of 0 or more", None),
        ('[fair_share]\nusers = ["ada=0"]', "is not more than 0", None),
        ('[fair_share]\nhalf_life = "0s"', "fair_share.half_life = '0s' is no time at all", None),
        ("[queues]\nmain = 3", "queues.main = 3 stands in no section", "write it below a line [queues.NAME]"),
        ('[queues."a b"]', "'a b' cannot be a name in queues", None),
        ("queues = 3", "queues = 3 is not a section", None),
    ],
)
def test_what_cannot_be_meant_is_refused_with_one_clear_error(tmp_path, text, message, hint):
    error = refused(tmp_path, text)
    assert message in error.message
    assert error.hint
    assert hint is None or error.hint == hint


def test_a_thousand_queues_are_enough(tmp_path):
    assert "1001 sections" in refused(tmp_path, "\n".join(f"[queues.q{n}]" for n in range(1001))).message


def test_the_example_on_the_page_of_queues_can_be_used(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "queues.md").read_text()
    config = configured(tmp_path, page.partition("```toml\n")[2].partition("```")[0])
    assert default_queue(config.queues) == "main"
    assert config.quotas.users == (("guest", 0),)
