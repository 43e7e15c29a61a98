"""SNMPv3 with the real agent of net-snmp: users, protocols, starts, and each thing that it can have against us."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from snmpd import Snmpd, running_snmpd

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import SwitchPortSample, SwitchSample
from dcdaemon.telemetry import snmp_client
from dcdaemon.telemetry.network import parse_net_dev
from dcdaemon.telemetry.snmp import Switches
from dcdaemon.telemetry.snmp_access import Access, Device
from dcdaemon.telemetry.snmp_keys import AUTHENTICATION, PRIVACY, Passphrases, User

SIGNS, HIDES, OTHER = "the one that signs", "the one that hides", "another one"
#: Each combination that can be set up, but those of AES-256 with a hash that is shorter than its key.
PROTOCOLS = [
    (authentication, privacy)
    for authentication, (_, signature_bytes) in AUTHENTICATION.items()
    for privacy in PRIVACY
    if privacy == "aes-128" or signature_bytes >= 24
]
USERS = {f"user{number}": protocols for number, protocols in enumerate(PROTOCOLS)}
NAMES = {"aes-128": "AES", "aes-256": "AES-256"}
CREATED = "".join(
    f'createUser {user} {authentication.upper()} "{SIGNS}" {NAMES[privacy]} "{HIDES}"\nrouser {user} priv\n'
    for user, (authentication, privacy) in USERS.items()
)
CONFIG = f"""\
{CREATED}
createUser signer SHA-256 "{SIGNS}"
rouser signer auth
createUser blind SHA-256 "{SIGNS}" AES "{HIDES}"
"""


@pytest.fixture
def snmpd(tmp_path: Path) -> Iterator[Snmpd]:
    with running_snmpd(tmp_path, CONFIG) as agent:
        yield agent


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snmp_client, "_TRY_S", 0.5)


class Watch:
    """The collector on the agent as one user; each reading is a minute after the last one."""

    def __init__(
        self, agent: Snmpd, user: str, authentication: str = "sha-256", privacy: str = "aes-128", *,
        signs: str = SIGNS, hides: str = HIDES,
    ) -> None:  # fmt: skip
        self.signs, self.hides = secret(agent.folder / "signs", signs), secret(agent.folder / "hides", hides)
        known = User(user, authentication, privacy, self.signs, self.hides)
        self.events: list[Event] = []
        self.now_s = 0.0
        self._access = Access(None, {"usual": known})
        device = Device("core1", "127.0.0.1", agent.port, "usual")
        self._switches = Switches([device], self._access, 60.0, self.events.append, monotonic=lambda: self.now_s)

    def read(self) -> tuple[SwitchSample, dict[str, SwitchPortSample]]:
        self.now_s += 60.0
        switch, *ports = self._switches.read(time.time())
        return switch, {port.port: port for port in ports}

    def boots(self) -> int:
        """Return how often the agent was started, by what it said last."""
        return self._access._met["core1"]._engine._boots

    def told(self) -> list[tuple[EventKind, object]]:
        return [(event.kind, event.evidence.get("refusal")) for event in self.events]


def secret(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(("user", "protocols"), USERS.items())
def test_every_protocol_is_spoken(snmpd, user, protocols):
    before = parse_net_dev(Path("/proc/net/dev").read_text())
    watch = Watch(snmpd, user, *protocols)
    for _ in range(2):
        switch, ports = watch.read()
        assert (switch.up, switch.error) == (True, None)
        assert ports.keys() == before.keys()
        assert ports["lo"].received_bytes >= 0
    assert watch.events == []


def test_our_keys_are_those_that_it_keeps(snmpd):
    snmpd.stop()
    kept = (snmpd.state / "snmpd.conf").read_text()
    lines = re.findall(r'^usmUser 1 3 0x(\w+) "(user\d+)" .* (?:\S+) 0x(\w+) (?:\S+) 0x(\w+) ""$', kept, re.MULTILINE)
    assert {user for _, user, _, _ in lines} == USERS.keys()
    for engine_id, user, signing, encrypting in lines:
        known = User(user, *USERS[user], Path("/a"), Path("/b"))
        keys = Passphrases(known, SIGNS.encode(), HIDES.encode()).keys(bytes.fromhex(engine_id))
        assert (keys.signing.hex(), keys.encrypting.hex()) == (signing, encrypting)


def test_an_agent_that_is_started_again_is_asked_by_its_new_clock(snmpd):
    watch = Watch(snmpd, "user0", *USERS["user0"])
    boots = []
    for _ in range(3):
        switch, ports = watch.read()
        assert switch.up
        assert ports
        boots.append(watch.boots())
        snmpd.stop()
        snmpd.start()
    assert boots == [boots[0], boots[0] + 1, boots[0] + 2]
    assert {kind for kind, _ in watch.told()} <= {EventKind.COUNTER_RESET}


def test_an_agent_that_lost_its_count_of_starts_is_met_anew(snmpd):
    # The same engine, with fewer starts than before: nothing of what it signs is newer than what it signed.
    snmpd.stop()
    snmpd.config = f"exactEngineID 0x80001f8804746573743031\n{CONFIG}"
    for _ in range(2):
        snmpd.start()
        snmpd.stop()
    snmpd.start()
    watch = Watch(snmpd, "user0", *USERS["user0"])
    assert watch.read()[0].up
    before = watch.boots()
    snmpd.stop()
    (snmpd.state / "snmpd.conf").unlink()
    snmpd.start()
    assert watch.read()[0].up
    assert watch.boots() < before
    assert EventKind.SWITCH_SILENT not in {kind for kind, _ in watch.told()}


def test_an_agent_with_another_engine_is_met(snmpd):
    watch = Watch(snmpd, "user0", *USERS["user0"])
    assert watch.read()[0].up
    snmpd.stop()
    snmpd.config = f"exactEngineID 0x80001f8804746573743031\n{CONFIG}"
    snmpd.start()
    assert watch.read()[0].up


SIGNED_WRONG = "does not accept what user 'user2' signs: wrong authentication passphrase, or another protocol than {}"
HIDDEN_WRONG = (
    "knows user 'user2' and the authentication passphrase, but does not answer what is encrypted:"
    " wrong privacy passphrase, or another protocol than {}"
)
NEVER_HIDDEN = "does not talk encrypted with user 'signer': that user has no privacy, or no authentication, there"


@pytest.mark.parametrize(
    ("user", "more", "word", "why"),
    [
        ("stranger", {}, "unknown_user", "does not know user 'stranger'"),
        ("user2", {"signs": OTHER}, "wrong_authentication", SIGNED_WRONG.format("SHA-256")),
        ("user2", {"authentication": "sha-512"}, "wrong_authentication", SIGNED_WRONG.format("SHA-512")),
        ("user2", {"hides": OTHER}, "wrong_privacy", HIDDEN_WRONG.format("AES-128")),
        ("user2", {"privacy": "aes-256"}, "wrong_privacy", HIDDEN_WRONG.format("AES-256")),
        ("signer", {}, "wrong_level", NEVER_HIDDEN),
    ],
)
def test_what_is_wrong_is_one_event_that_names_it(snmpd, user, more, word, why):
    watch = Watch(snmpd, user, **more)
    for _ in range(2):
        assert watch.read()[0].error == why
    (event,) = watch.events
    assert (event.kind, event.message) == (EventKind.SWITCH_SILENT, f"core1 (127.0.0.1) {why}")
    assert event.evidence == {"host": "127.0.0.1", "port": snmpd.port, "refusal": word, "user": "usual"}


def test_a_user_without_access_is_told_as_such(snmpd):
    why = "answers what cannot be used: no uptime: user 'blind' may not see it, or it is no SNMP agent"
    assert Watch(snmpd, "blind").read()[0].error == why


def test_passphrases_that_are_set_right_are_used_at_the_next_question(snmpd):
    watch = Watch(snmpd, "user2", signs=OTHER, hides=OTHER)
    assert "authentication passphrase" in watch.read()[0].error
    secret(watch.signs, SIGNS)
    assert "privacy passphrase" in watch.read()[0].error
    secret(watch.hides, HIDES)
    assert watch.read()[0].up
    assert watch.told() == [
        (EventKind.SWITCH_SILENT, "wrong_authentication"), (EventKind.SWITCH_SILENT, "wrong_privacy"),
        (EventKind.SWITCH_ANSWERS, None),
    ]  # fmt: skip
