"""SNMP v2c on the wire: bytes worked out by hand and made by net-snmp, and whatever else may come in a datagram."""

import pytest
from fake_snmp.agent import COUNTER64, IFX, TEXT, Agent
from hypothesis import example, given
from hypothesis import strategies as st

from dcdaemon.telemetry.snmp_ber import BadAnswer, arc, arc_value, oid
from dcdaemon.telemetry.snmp_client import _take
from dcdaemon.telemetry.snmp_pdu import Answer, get, get_bulk
from dcdaemon.telemetry.snmp_version import Stray, V2c

UPTIME = "1.3.6.1.2.1.1.3.0"
PUBLIC = V2c(b"public")
#: What snmpget of net-snmp sends for sysUpTime.0 with the community "public", request 0x04030201.
GET = bytes.fromhex("3029020101040670 75626c6963a01c0204 04030201 020100020100300e300c06082b060102010103000500")
#: What snmpd of net-snmp answers to it after 42 seconds.
GOT = bytes.fromhex("302b020101040670 75626c6963a21e0204 04030201 0201000201003010300e06082b06010201010300 4302 1068")


def answered(*entries: tuple[int, int | str]) -> bytes:
    """Return the answer of an agent whose ifName column holds these values."""
    agent = Agent()
    agent.socket.close()
    agent.objects = {(*IFX, 1, row): entry for row, entry in enumerate(entries, start=1)}
    names = [oid(f"1.3.6.1.2.1.31.1.1.1.1.{row + 1}") for row in range(len(entries))]
    return agent.answer(PUBLIC.write(7, get(7, names)))


def decode(datagram: bytes, request_id: int = 7) -> Answer:
    return PUBLIC.read(datagram, request_id)


def test_a_question_is_written_as_net_snmp_writes_it():
    assert PUBLIC.write(0x04030201, get(0x04030201, [oid(UPTIME)])) == GET


def test_an_answer_is_read_as_net_snmp_writes_it():
    assert decode(GOT, 0x04030201) == Answer(0x04030201, 0, [(oid(UPTIME), 4200)])


def test_an_answer_to_another_question_is_a_stray():
    with pytest.raises(Stray):
        decode(GOT, 0x04030202)


def test_a_question_for_many_rows_has_their_number_in_place_of_the_error():
    bulk = PUBLIC.write(5, get_bulk(5, 6, [oid(UPTIME)]))
    assert bulk == bytes.fromhex("3026020101040670 75626c6963a519020105 020100 020106 300e300c06082b060102010103000500")


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, "00"), (127, "7f"), (128, "8100"), (16383, "ff7f"), (4294967295, "8fffffff7f")]
)
def test_numbers_of_an_identifier_take_seven_bits_a_byte(number, encoded):
    assert arc(number).hex() == encoded
    assert arc_value(bytes.fromhex(encoded)) == number


@pytest.mark.parametrize("encoded", ["", "81", "0102", "ffffffffff7f"])
def test_an_index_that_is_not_one_number_is_refused(encoded):
    with pytest.raises(BadAnswer, match="not one number"):
        arc_value(bytes.fromhex(encoded))


def test_values_are_numbers_texts_or_unknown():
    entries = [(2, -5), (0x41, 2**32 - 1), (COUNTER64, 2**64 - 1), (TEXT, "Gi0/1"), (TEXT, ""), (0x80, ""), (0x06, "*")]
    assert [value for _, value in decode(answered(*entries)).binds] == [
        -5, 2**32 - 1, 2**64 - 1, b"Gi0/1", b"", None, None,
    ]  # fmt: skip


def test_an_unsigned_number_without_its_leading_zero_is_not_below_zero():
    assert decode(GOT.replace(b"\x10\x68", b"\x90\x68"), 0x04030201).binds == [(oid(UPTIME), 0x9068)]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda right: right[:0], "too early"),
        (lambda right: right[:-1], "too early"),
        (lambda right: b"\x04" + right[1:], "type 0x04 where 0x30 belongs"),
        (lambda right: right.replace(b"\x02\x01\x01", b"\x02\x01\x00", 1), "not of SNMP version 2c"),
        (lambda right: right.replace(b"\xa2", b"\xa0", 1), "type 0xa0 where 0xa2 belongs"),
        (lambda right: right[:1] + b"\x80" + right[2:], "a length that cannot be"),
        (lambda right: right[:1] + b"\x85\x00\x00\x00\x00\x10" + right[2:], "a length that cannot be"),
        (lambda right: right[:1] + b"\x84\xff\xff\xff\xff" + right[2:], "too early"),
        (
            lambda right: right.replace(b"\x02\x04\x04\x03\x02\x01", b"\x02\x00\x05\x00\x05\x00", 1),
            "a number of 0 bytes",
        ),
    ],
)
def test_what_is_no_answer_says_why(spoil, why):
    with pytest.raises(BadAnswer, match=why):
        decode(spoil(GOT), 0x04030201)


@given(st.binary(max_size=300))
@example(b"\x30\x80")
def test_no_datagram_does_more_than_be_refused(data):
    try:
        answer = decode(data)
    except (BadAnswer, Stray):
        return
    assert len(answer.binds) <= len(data)


@given(st.data())
def test_no_change_to_a_good_answer_does_more_than_be_refused(data):
    good = answered((COUNTER64, 2**40), (TEXT, "Gi0/1"), (0x43, 4200))
    spoilt = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(spoilt) - 1))
        spoilt[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0x81, 0x84, 0x88, 0xFF]) | st.integers(0, 255))
    cut = bytes(spoilt[: data.draw(st.integers(1, len(spoilt)))])
    try:
        answer = decode(cut)
    except (BadAnswer, Stray):
        return
    for name, value in answer.binds:
        assert len(name) < len(good)
        assert value is None or isinstance(value, bytes) or abs(value) < 2**72


@given(st.integers(0, 2**31 - 1), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8))
def test_what_is_asked_comes_back_under_its_number(request_id, rows):
    agent = Agent()
    agent.socket.close()
    agent.objects = {(*IFX, 6, row): (COUNTER64, row) for row in rows}
    names = [oid(".".join(map(str, (*IFX, 6, row)))) for row in rows]
    answer = decode(agent.answer(PUBLIC.write(request_id, get(request_id, names))), request_id)
    assert answer == Answer(request_id, 0, list(zip(names, rows, strict=True)))


COLUMNS = [oid("1.3.6.1.2.1.2.2.1.7"), oid("1.3.6.1.2.1.2.2.1.8")]


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([*COLUMNS, b"", b"\x2b"]),
                st.integers(0, 5).map(arc) | st.sampled_from([b"", b"\x81", b"\x01\x02"]),
                st.none() | st.integers(0, 9),
            ),
            max_size=6,
        ),
        max_size=20,
    )
)
def test_every_answer_brings_a_walk_nearer_to_its_end_or_ends_it(answers):
    left, found = dict(enumerate(COLUMNS)), [{}, {}]
    for binds in answers:
        if not left:
            return
        before = len(left), sum(map(len, found))
        try:
            _take(Answer(1, 0, [(column + row, value) for column, row, value in binds]), COLUMNS, left, found)
        except BadAnswer:
            return
        assert len(left) < before[0] or sum(map(len, found)) > before[1]
