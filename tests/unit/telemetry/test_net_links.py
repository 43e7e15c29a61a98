"""When a link counts as down and when as flapping: no clock, no files."""

from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.core.event import EventKind
from dcdaemon.telemetry.links import FLAP_WINDOW_S, Link, Seen, follow, switched_off

UP, DOWN, FLAP = EventKind.LINK_UP, EventKind.LINK_DOWN, EventKind.LINK_FLAPPING


def watched(*seen: Seen, link: Link | None = None):
    """Return the link after all looks, and (time, kind) of what was told."""
    link, told = link or Link(), []
    for one in seen:
        link, events = follow(link, one, "eth0")
        told += events
    return link, told


def kinds(*seen: Seen, link: Link | None = None) -> list[tuple[float, EventKind]]:
    return [(event.at, event.kind) for event in watched(*seen, link=link)[1]]


def looks(start: float, end: float, *, up: bool) -> list[Seen]:
    return [Seen(float(at), up) for at in range(int(start), int(end), 5)]


def test_a_link_that_was_up_is_down_after_four_minutes_and_that_is_told_once():
    seen = [*looks(0, 100, up=True), *looks(100, 1000, up=False)]
    assert kinds(*seen) == [(340.0, DOWN)]


def test_the_evidence_of_a_drop_says_since_when():
    _, (event,) = watched(*looks(0, 100, up=True), *looks(100, 345, up=False))
    assert event.evidence == {"since": 100.0, "down_s": 240.0, "was_up": True}
    assert event.message == "eth0 is down for 4 min"


def test_a_link_that_comes_back_is_told_only_where_its_drop_was():
    short = [*looks(0, 100, up=True), *looks(100, 200, up=False), *looks(200, 300, up=True)]
    assert kinds(*short) == []
    long = [*looks(0, 100, up=True), *looks(100, 400, up=False), Seen(400, up=True)]
    _, told = watched(*long)
    assert [event.kind for event in told] == [DOWN, UP]
    assert told[1].message == "eth0 is up again after 5 min"


def test_a_link_that_never_was_up_is_no_news_where_nobody_expects_it():
    assert kinds(*looks(0, 1000, up=False)) == []


def test_a_link_that_is_expected_is_told_even_if_it_never_was_up():
    _, (event,) = watched(*looks(0, 1000, up=False), link=Link(expected=True))
    assert (event.at, event.kind) == (240.0, DOWN)
    assert event.message == "eth0 is down for 4 min and was never seen up"


def test_three_returns_are_flapping_and_the_next_three_again():
    seen = []
    for turn in range(6):
        seen += [*looks(turn * 100, turn * 100 + 70, up=True), *looks(turn * 100 + 70, turn * 100 + 100, up=False)]
    seen.append(Seen(600, up=True))
    assert kinds(*seen) == [(300.0, FLAP), (600.0, FLAP)]


def test_two_returns_are_not_flapping():
    seen = [Seen(0, up=True), Seen(30, up=False), Seen(60, up=True), Seen(130, up=False), Seen(160, up=True)]
    assert kinds(*seen) == []


def test_a_link_that_bounces_for_a_minute_flaps_once():
    bounces = [Seen(float(at), up=at % 2 == 0) for at in range(58)]
    assert kinds(*bounces) == []


def test_old_returns_are_forgotten():
    seen = []
    for turn in range(4):
        at = turn * FLAP_WINDOW_S / 2
        seen += [Seen(at, up=True), Seen(at + 100, up=False), Seen(at + 200, up=True)]
    assert kinds(*seen) == []


def test_losses_that_nobody_saw_count_through_the_counter():
    seen = [Seen(0, up=True, losses=7), Seen(100, up=True, losses=8), Seen(200, up=True, losses=9)]
    assert kinds(*seen) == []
    _, (event,) = watched(*seen, Seen(300, up=True, losses=14))
    assert event.kind is FLAP
    assert event.evidence == {"returns": [100, 200, 300], "losses": 14}
    assert event.message == "eth0 was lost and came back 3 times in 3 min"


def test_a_link_that_was_up_for_a_moment_is_not_dropped_yet():
    down = [Seen(float(at), up=False, losses=3) for at in range(10, 200, 5)]
    later = [Seen(float(at), up=False, losses=4) for at in range(200, 445, 5)]
    assert kinds(Seen(0, up=True, losses=2), *down, *later) == [(440.0, DOWN)]


def test_an_unknown_state_changes_nothing():
    seen = [Seen(0, up=True), Seen(5, up=False), *(Seen(float(at), up=None) for at in range(10, 300, 5))]
    assert kinds(*seen) == []
    assert kinds(*seen, Seen(300, up=False)) == [(300.0, DOWN)]


def test_a_link_that_was_switched_off_starts_over():
    link, _ = watched(Seen(0, up=True, losses=1), Seen(5, up=False, losses=1))
    link = switched_off(link)
    assert kinds(*looks(300, 1000, up=False), link=link) == []
    assert kinds(Seen(300, up=True, losses=9), link=link) == []


def test_a_drop_that_was_told_ends_with_a_return_though_it_was_switched_off_in_between():
    link, told = watched(Seen(0, up=True), *looks(5, 250, up=False))
    assert [event.kind for event in told] == [DOWN]
    _, told = watched(*looks(300, 1000, up=False), Seen(1000, up=True), link=switched_off(link))
    assert [(event.kind, event.message) for event in told] == [(UP, "eth0 is up again after 17 min")]


def test_a_link_that_is_expected_stays_so_when_it_was_switched_off_for_a_while():
    link = switched_off(Link(expected=True))
    _, (event,) = watched(*looks(300, 1000, up=False), link=link)
    assert (event.at, event.kind) == (540.0, DOWN)


def test_a_clock_that_is_set_back_starts_the_wait_again():
    seen = [Seen(1000, up=True), Seen(1005, up=False), Seen(10, up=False), Seen(100, up=False)]
    assert kinds(*seen) == []
    assert kinds(*seen, Seen(250, up=False)) == [(250.0, DOWN)]


@given(
    st.lists(
        st.builds(Seen, st.floats(0, 1e9), st.sampled_from([True, False, None]), st.none() | st.integers(0, 255)),
        max_size=40,
    )
)
def test_whatever_is_seen_drops_and_returns_alternate_and_memory_is_bounded(seen):
    link, told = watched(*seen)
    assert len(link.returns) < 3
    drops = [event.kind for event in told if event.kind is not FLAP]
    assert drops == [DOWN, UP] * (len(drops) // 2) + [DOWN] * (len(drops) % 2)
