"""SNMPv3 on the wire: messages of net-snmp, and whatever else may come in a datagram."""

from pathlib import Path

import pytest
from fake_snmp import v3_agent
from fake_snmp.v3_agent import V3Agent
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.telemetry import snmp_v3_message as wire
from dcdaemon.telemetry.snmp_ber import BadAnswer, oid
from dcdaemon.telemetry.snmp_engine import Engine
from dcdaemon.telemetry.snmp_keys import Passphrases, User
from dcdaemon.telemetry.snmp_pdu import Answer, get
from dcdaemon.telemetry.snmp_v3 import V3
from dcdaemon.telemetry.snmp_version import Refused, Stray

UPTIME = oid("1.3.6.1.2.1.1.3.0")
#: A user of net-snmp 5.9.3 asks for sysUpTime.0: what its snmpget sent, and what its snmpd answered.
ENGINE_ID = bytes.fromhex("80001f8804746573743031")
HELLO = bytes.fromhex(
    "303e020103301102040aebc7ea020300ffe30401040201030410300e0400020100020100040004000400301404000400a00e02044e9438d6"
    "0201000201003000"
)
UNKNOWN_ENGINE = bytes.fromhex(
    "3065020103301102040aebc7ea020300ffe3040100020103041b3019040b80001f88047465737430310201010201010400040004003030040b"
    "80001f88047465737430310400a81f02044e9438d60201000201003011300f060a2b060106030f01010400410101"
)
ASKED = bytes.fromhex(
    "30818c020103301102040aebc7e9020300ffe304010702010304433041040b80001f88047465737430310201010201010408755348412d3235"
    "360418332356feda28b838f193455dcfbdb735e44d2a1d424e4b9d0408bb6bf591a590de4e042f662a797a63a4ffd025a2df6d0e9a004fa55d"
    "755e87ac4944e6617f3a12d1271bab434d59d38de4deed2ac0ca900a37"
)
ANSWERED = bytes.fromhex(
    "30818d020103301102040aebc7e9020300ffe304010302010304433041040b80001f88047465737430310201010201010408755348412d3235"
    "3604183340a99e42160c93e439e9037a01da67e95bf1a65f7b65a804089d524c336f99d5f50430af424ced60d1ead51af870ea8364c18c9c3f"
    "5d2de481444f9f5c62cba4ee4e8c3c2e36ce14c3b74906dc43c805e0f340"
)
NOT_IN_TIME = bytes.fromhex(
    "3081820201033011020418a7b792020300ffe3040101020103043b3039040b80001f88047465737430310201010201010408755348412d3235"
    "360418a2453c15a62b77b53b5074e3ca089b72bfcf724bf42c362f0400302d040b80001f88047465737430310400a81c020100020100020100"
    "3011300f060a2b060106030f01010200410101"
)
MAPLE = Passphrases(User("uSHA-256", "sha-256", "aes-128", Path("/a"), Path("/b")), b"maplesyrup", b"maplesyrup")


def engine() -> Engine:
    return Engine(ENGINE_ID, b"uSHA-256", MAPLE.keys(ENGINE_ID), lambda: 0.0)


@pytest.mark.parametrize("datagram", [HELLO, ASKED])
def test_a_message_is_written_as_net_snmp_writes_it(datagram, monkeypatch):
    # net-snmp says that it takes larger packets than we do.
    monkeypatch.setattr(wire, "_LARGEST", 65507)
    monkeypatch.setattr(wire, "_ENGINE_BYTES", range(33))
    message = wire.read(datagram)
    assert wire.write(message) == (datagram, message.signature_at)


def test_a_question_of_net_snmp_is_read():
    message = wire.read(ASKED)
    assert (message.number, message.flags, message.boots, message.time_s) == (0x0AEBC7E9, 7, 1, 1)
    assert (message.engine_id, message.user) == (ENGINE_ID, b"uSHA-256")
    scoped = engine().open(message, ASKED)
    assert scoped == wire.scoped(ENGINE_ID, get(0x4E9438D5, [UPTIME]))


def test_an_answer_of_net_snmp_is_read():
    answer, report = wire.read_scoped(engine().open(wire.read(ANSWERED), ANSWERED))
    assert (answer.binds, report) == ([(UPTIME, 121)], False)


def test_the_reports_of_net_snmp_are_read():
    message = wire.read(UNKNOWN_ENGINE)
    answer, report = wire.read_scoped(message.content)
    assert (message.engine_id, answer.binds, report) == (ENGINE_ID, [(oid("1.3.6.1.6.3.15.1.1.4.0"), 1)], True)
    answer, report = wire.read_scoped(engine().open(wire.read(NOT_IN_TIME), NOT_IN_TIME))
    assert (answer.binds, report) == ([(oid("1.3.6.1.6.3.15.1.1.2.0"), 1)], True)


def test_one_changed_byte_anywhere_is_noticed():
    for place in range(len(ANSWERED)):
        spoilt = ANSWERED[:place] + bytes([ANSWERED[place] ^ 1]) + ANSWERED[place + 1 :]
        with pytest.raises(BadAnswer):
            engine().open(wire.read(spoilt), spoilt)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda right: right[:0], "too early"),
        (lambda right: right[:-1], "too early"),
        (lambda right: right.replace(b"\x02\x01\x03", b"\x02\x01\x01", 1), "not of SNMP version 3"),
        (lambda right: right.replace(b"\x04\x01\x03\x02\x01\x03", b"\x04\x01\x03\x02\x01\x02"), "user-based security"),
        (lambda right: right.replace(b"\x04\x01\x03\x02\x01\x03", b"\x04\x01\x02\x02\x01\x03"), "without a signature"),
        (lambda right: right.replace(b"\x04\x0b\x80", b"\x04\x00\x80", 1), "type 0x80 where"),
        (
            lambda right: right.replace(b"\x02\x01\x01\x02\x01\x01", b"\x02\x01\xff\x02\x01\x01"),
            "engine that cannot be",
        ),
    ],
)
def test_what_is_no_message_says_why(spoil, why):
    with pytest.raises(BadAnswer, match=why):
        wire.read(spoil(ANSWERED))


class Talk:
    """One device and us, without a network between; `now_s` is our monotonic clock."""

    def __init__(self) -> None:
        self.agent = V3Agent()
        self.agent.socket.close()
        self.now_s = 0.0
        user = User("monitor", "sha-256", "aes-128", Path("/a"), Path("/b"))
        self.version = V3(Passphrases(user, *self.agent.passphrases), lambda: self.now_s)

    def step(self, request_id: int = 7) -> Answer | None:
        return self.version.read(self.agent.answer(self.send(request_id)), request_id)

    def send(self, request_id: int = 7) -> bytes:
        return self.version.write(request_id, get(request_id, [UPTIME]))

    def ask(self, request_id: int = 7) -> tuple[Answer, int]:
        """Return the answer, and in how many steps it came."""
        for step in range(1, 10):
            if (answer := self.step(request_id)) is not None:
                return answer, step
        raise AssertionError("no answer")


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_a_device_is_met_then_its_clock_is_learned_then_it_is_asked(talk):
    assert talk.ask() == (Answer(7, 0, [(UPTIME, 4200)]), 3)
    hello, first, question = talk.agent.requests
    assert (hello.flags, hello.engine_id, hello.user, hello.boots, hello.time_s) == (4, b"", b"", 0, 0)
    assert (first.flags, first.engine_id, first.user, first.boots) == (7, talk.agent.engine_id, b"monitor", 0)
    assert (question.flags, question.boots, question.time_s) == (7, 3, 1000)
    assert len({one.number for one in talk.agent.requests}) == 3


def test_a_device_that_is_known_is_asked_at_once_by_the_time_that_passed(talk):
    talk.ask()
    talk.now_s, talk.agent.clock = 60.0, (3, 1061)
    assert talk.ask(8)[1] == 1
    assert talk.agent.requests[-1].time_s == 1060


def test_no_salt_comes_twice(talk):
    talk.ask()
    for request_id in range(50):
        talk.ask(request_id)
    salts = [one.salt for one in talk.agent.requests if one.salt]
    assert len(set(salts)) == len(salts) == 52


def test_a_device_that_was_started_is_asked_by_its_new_clock(talk):
    talk.ask()
    talk.now_s, talk.agent.clock = 60.0, (4, 5)
    assert talk.ask(8)[1] == 2
    assert (talk.agent.requests[-1].boots, talk.agent.requests[-1].time_s) == (4, 5)


def test_a_host_that_slept_asks_by_the_clock_of_the_device(talk):
    talk.ask()
    talk.agent.clock = 3, 50_000
    assert talk.ask(8)[1] == 2


def test_a_device_that_counts_its_starts_backwards_is_met_anew(talk):
    talk.ask()
    talk.agent.clock = 1, 5
    with pytest.raises(BadAnswer, match="a message of some time ago"):
        talk.step(8)
    talk.version.doubt()
    assert talk.ask(8)[1] == 3


def test_another_device_in_its_place_is_met(talk):
    talk.ask()
    talk.agent.engine_id = b"\x80\x00\x1f\x88\x04another"
    assert talk.ask(8)[1] == 3


@pytest.mark.parametrize("clock", [(0, 0), (0, 10**6), (2**31 - 1, 2**31 - 1)])
def test_an_odd_clock_is_followed(talk, clock):
    talk.agent.clock = clock
    talk.ask()
    talk.now_s += 60.0
    assert talk.ask(8)[1] == 1


def test_a_device_that_does_not_sign_its_time_is_asked_all_the_same(talk):
    talk.agent.time_report_level = 0
    assert talk.ask()[1] == 3


def test_a_time_that_nobody_signed_moves_no_clock_that_is_known(talk):
    talk.ask()
    request = talk.send(8)
    asked = v3_agent.read(request)
    right, talk.agent.clock = talk.agent.clock, (9, 9)
    assert talk.version.read(talk.agent.reported(asked, v3_agent.NOT_IN_TIME, 0), 8) is None
    talk.agent.clock = right
    assert talk.ask(8)[1] == 1


def test_an_old_answer_is_a_stray(talk):
    talk.ask()
    old = talk.agent.answer(talk.send(7))
    talk.version.read(old, 7)
    talk.send(8)
    with pytest.raises(Stray):
        talk.version.read(old, 8)


def test_an_answer_from_before_under_a_new_number_is_refused(talk):
    talk.ask()
    talk.now_s += 1000.0
    request = talk.send(8)
    with pytest.raises(BadAnswer, match="a message of some time ago"):
        # Its time is 1000 s old; it is signed all the same.
        talk.version.read(sealed(talk.agent, request), 8)


def test_an_answer_that_was_overtaken_sets_no_clock_back(talk):
    talk.ask()
    request = talk.send(8)
    talk.agent.clock = 3, 900
    talk.version.read(sealed(talk.agent, request), 8)
    talk.agent.answer(talk.send(9))
    assert talk.agent.requests[-1].time_s == 1000


def test_an_answer_in_which_another_question_is_answered_is_a_stray(talk):
    talk.ask()
    request = talk.send(9)
    with pytest.raises(Stray):
        talk.version.read(sealed(talk.agent, request), 9)


@pytest.mark.parametrize("level", [0, 1])
def test_an_answer_that_is_less_protected_than_the_question_is_refused(talk, level):
    talk.ask()
    talk.agent.level = level
    with pytest.raises(BadAnswer, match="an answer that is not signed and encrypted"):
        talk.step(8)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine_id": b"\x80\x00\x1f\x88\x04evil"}, "by another engine"),
        ({"user": b"admin"}, "for another user"),
        ({"salt": b"short"}, "a salt of 5 bytes"),
    ],
)
def test_a_signed_answer_of_somebody_else_or_out_of_shape_is_refused(talk, changes, why):
    talk.ask()
    with pytest.raises(BadAnswer, match=why):
        talk.version.read(sealed(talk.agent, talk.send(8), **changes), 8)


def test_a_short_signature_is_refused_although_it_begins_right(talk):
    talk.ask()
    right = talk.agent.answer(talk.send(8))
    message = wire.read(right)
    short = wire.Message(
        message.number, message.flags, message.content, message.engine_id, message.boots, message.time_s,
        message.user, message.signature[:12], message.salt,
    )  # fmt: skip
    with pytest.raises(BadAnswer, match="a signature of 12 bytes where 24 belong"):
        talk.version.read(wire.write(short)[0], 8)


def test_a_signed_message_before_any_engine_was_met_is_refused(talk):
    other = Talk()
    other.ask()
    request = talk.send()
    with pytest.raises(BadAnswer, match="never met"):
        talk.version.read(sealed(other.agent, request), 7)


@pytest.mark.parametrize(
    ("reason", "word", "why"),
    [
        (v3_agent.LEVEL, "wrong_level", "does not talk encrypted with user 'monitor'"),
        (v3_agent.UNKNOWN_USER, "unknown_user", "does not know user 'monitor'"),
        (
            v3_agent.WRONG_DIGEST,
            "wrong_authentication",
            "wrong authentication passphrase, or another protocol than SHA-256",
        ),
        (v3_agent.DECRYPTION, "wrong_privacy", "wrong privacy passphrase, or another protocol than AES-128"),
        (9, "unknown_report", "reports an error that is not known here"),
    ],
)
def test_what_a_device_reports_is_told_in_words(talk, reason, word, why):
    talk.agent.report = reason
    with pytest.raises(Refused, match=why) as caught:
        talk.ask()
    assert caught.value.word == word


def test_silence_to_what_is_encrypted_tells_of_a_wrong_passphrase(talk):
    talk.agent.passphrases = talk.agent.passphrases[0], b"another phrase"
    talk.step()
    assert talk.version.silence() is None
    talk.step()
    assert talk.agent.answer(talk.send()) is None
    said = talk.version.silence()
    assert said.word == "wrong_privacy"
    assert str(said) == (
        "knows user 'monitor' and the authentication passphrase, but does not answer what is encrypted:"
        " wrong privacy passphrase, or another protocol than AES-128"
    )
    talk.version.doubt()
    talk.send()
    assert talk.version.silence() is None


def test_a_late_answer_is_taken_although_its_device_was_in_doubt(talk):
    talk.ask()
    late = talk.agent.answer(talk.send(8))
    talk.version.doubt()
    talk.send(8)
    assert talk.version.read(late, 8).binds == [(UPTIME, 4200)]
    assert talk.ask(9)[1] == 1


@given(st.binary(max_size=300))
def test_no_datagram_does_more_than_be_refused(data):
    with pytest.raises(BadAnswer):
        wire.read(data)


@given(st.data())
def test_no_change_to_good_messages_does_more_than_be_refused(data):
    good = data.draw(st.sampled_from([HELLO, UNKNOWN_ENGINE, ASKED, ANSWERED, NOT_IN_TIME]))
    spoilt = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(spoilt) - 1))
        spoilt[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0x81, 0x84, 0xFF]) | st.integers(0, 255))
    cut = bytes(spoilt[: data.draw(st.integers(1, len(spoilt)))])
    version = V3(MAPLE, lambda: 0.0)
    version._engine, version._met, version._sent = engine(), True, {0x0AEBC7EA, 0x0AEBC7E9, 0x18A7B792}
    version._request_id = 7
    try:
        answer = version.read(cut, 7)
    except (BadAnswer, Refused, Stray):
        return
    # What is left is what may change unseen: a report that nobody signed.
    assert answer is None


@given(st.binary(max_size=100))
def test_no_content_does_more_than_be_refused(content):
    with pytest.raises(BadAnswer):
        wire.read_scoped(content)


def sealed(agent: V3Agent, request: bytes, **changes: object) -> bytes:
    """Return a signed and encrypted answer to a request, as if it had asked question 8, with these changes."""
    return agent.sealed(v3_agent.read(request), agent.response(get(8, [UPTIME])), v3_agent.SECRET, **changes)
