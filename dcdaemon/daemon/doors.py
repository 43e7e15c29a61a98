"""The doors that the configuration asks for: the unix socket, TCP and its certificate, the pages for Prometheus."""

import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from dcdaemon.api.metrics.server import MetricsServer
from dcdaemon.api.server import tcp_socket, unix_socket
from dcdaemon.api.tls import Tls, is_local, refuse_open_tcp
from dcdaemon.config.model import Config
from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import BadConfig
from dcdaemon.core.exposed import Exposed
from dcdaemon.core.ports import Store
from dcdaemon.daemon.clock import SystemClock
from dcdaemon.daemon.lifecycle import Stop
from dcdaemon.daemon.ticker import Ticker
from dcdaemon.daemon.tokens import ensure_token

log = logging.getLogger(__name__)


def make_tls(config: Config) -> Tls | None:
    """Return the certificate of the TCP door, None where there is none; raise BadConfig for one that is no good."""
    certificate, key = config.daemon.tls_certificate, config.daemon.tls_key
    if bool(certificate) != bool(key):
        raise BadConfig("of [daemon] tls_certificate and tls_key only one is set", "set both, or neither")
    return Tls(Path(certificate), Path(key)).load() if certificate else None


def make_sockets(config: Config, store: Store, tls: Tls | None = None) -> list[socket.socket]:
    """Bind the doors: the unix socket, and TCP where it is configured."""
    if config.daemon.tcp:
        refuse_open_tcp(config.daemon.tcp, tls, config.daemon.tls)
        if tls is None and not is_local(config.daemon.tcp):
            facts = {"action": "no_tls", "tcp": config.daemon.tcp}
            log.warning("tokens cross the network in the clear: [daemon] tls is off", extra=facts)
    sockets = [unix_socket(Path(config.daemon.socket))]
    if config.daemon.tcp:
        sockets.append(tcp_socket(config.daemon.tcp))
        token = ensure_token(Path(config.daemon.state_dir) / "api-token", store, SystemClock().now())
        log.info("TCP takes the token in %s", token, extra={"action": "token_file"})
    return sockets


def make_metrics(config: Config, desk: Desk, ticker: Ticker, stop: Stop) -> MetricsServer | None:
    """Bind the listener for Prometheus and make its pages; None where it is off."""
    if not config.metrics.listen:
        return None
    from dcdaemon.api.metrics.pages import make_pages  # noqa: PLC0415  off by default

    node: Callable[[], Iterable[Exposed]] | None = None
    if config.metrics.node:
        from dcdaemon.telemetry.node_names.reader import NodeNames  # noqa: PLC0415  as above

        node = NodeNames()
    listener = tcp_socket(config.metrics.listen, "[metrics] listen")
    pages = make_pages(desk, ticker.reports, dcgm=config.metrics.dcgm, node=node)
    log.info("scrapes are answered at %s", config.metrics.listen, extra={"action": "metrics_open"})
    return MetricsServer(pages, listener, stop.failed)
