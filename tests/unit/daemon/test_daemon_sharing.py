"""How the configuration of queues becomes what the scheduler goes by."""

import pytest

from dcdaemon.config.load import load
from dcdaemon.daemon.sharing import make_sharing
from dcdaemon.scheduler.policy import Order


def made(tmp_path, text: str):
    (tmp_path / "config.toml").write_text(text)
    return make_sharing(load([tmp_path / "config.toml"]).config)


@pytest.mark.parametrize(
    ("text", "orders", "by_owner"),
    [
        ("", {"main": Order.SHORTEST}, False),
        ('[scheduler]\norder = "fair-share"', {"main": Order.FAIR_SHARE}, True),
        ('[queues.a]\ndefault = true\n[queues.b]\norder = "fifo"', {"a": Order.SHORTEST, "b": Order.FIFO}, False),
        (
            '[queues.a]\ndefault = true\n[queues.b]\norder = "fair-share"',
            {"a": Order.SHORTEST, "b": Order.FAIR_SHARE},
            True,
        ),
    ],
)
def test_a_queue_that_names_no_order_has_the_nodes_and_owners_matter_only_under_fair_share(
    tmp_path, text, orders, by_owner
):
    sharing = made(tmp_path, text)
    assert {name: queue.order for name, queue in sharing.queues.items()} == orders
    assert sharing.by_owner is by_owner
