"""The TCP door with a certificate: only TLS, only new protocols, only for clients who trust it, renewed by a reload."""

import contextlib
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from system.daemon_process import Site, command_line, until
from system.fuzzing import tcp_port

from dcdaemon.client.http import Client
from dcdaemon.core.errors import Unauthorized, Unreachable

RUN_ONCE = [sys.executable, "-m", "dcdaemon", "daemon", "run", "--once", "--simulate-gpus", "1"]


def certificate(directory: Path, name: str = "localhost", serial: int = 1) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself, and its key."""
    made, key = directory / f"{name}-{serial}.pem", directory / f"{name}-{serial}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-set_serial", str(serial), "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1",
         "-keyout", str(key), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return made, key


@pytest.fixture(scope="module")
def secure(nursery, template):
    """A daemon whose TCP door has a certificate."""
    with contextlib.closing(Site(nursery, template)) as site:
        made, key = certificate(site.path)
        served = site.path / "served.pem", site.path / "served.key"
        for source, target in zip((made, key), served, strict=True):
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
        site.env |= {
            "DCD_DAEMON__TCP": "127.0.0.1:0", "DCD_DAEMON__TLS_CERTIFICATE": str(served[0]),
            "DCD_DAEMON__TLS_KEY": str(served[1]),
        }  # fmt: skip
        site.start()
        yield site


def url(site: Site, scheme: str = "https") -> str:
    return f"{scheme}://127.0.0.1:{tcp_port(site)}"


def token(site: Site) -> str:
    return (site.state_dir / "api-token").read_text().strip()


def trusted(site: Site) -> str:
    return str(site.path / "served.pem")


def test_a_client_that_trusts_the_certificate_is_served(secure):
    answer = Client(url(secure), token(secure), ca_file=trusted(secure)).get("/v1/status")
    assert answer["you"] == secure.client.get("/v1/status")["you"]


def test_the_command_line_takes_the_authority_from_a_file(secure):
    said = command_line(
        secure, "status", "--json", "--url", url(secure), "--token-file", str(secure.state_dir / "api-token"),
        "--ca-file", trusted(secure),
    )  # fmt: skip
    assert said.returncode == 0, said.stderr


def test_a_certificate_nobody_vouches_for_is_refused_before_the_token_is_sent(secure):
    with pytest.raises(Unreachable, match="certificate"):
        Client(url(secure), token(secure)).get("/v1/status")


def test_a_certificate_of_another_name_is_refused(secure):
    named = url(secure).replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(Unreachable):
        Client(named, token(secure), ca_file=trusted(secure)).get("/v1/status")


def test_without_a_token_tls_opens_nothing(secure):
    with pytest.raises(Unauthorized):
        Client(url(secure), None, ca_file=trusted(secure)).get("/v1/status")


def test_plain_http_is_not_understood(secure):
    with pytest.raises(Unreachable):
        Client(url(secure, "http"), None).get("/v1/status")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_protocols_are_refused(secure):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", tcp_port(secure)), 10) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_the_unix_socket_stays_as_it_is(secure):
    assert secure.client.get("/v1/status")["pid"] == secure.pid


def test_a_reload_takes_a_renewed_certificate_and_leaves_a_broken_one(secure):
    def serial() -> str:
        pem = ssl.get_server_certificate(("127.0.0.1", tcp_port(secure)), timeout=10)
        told = subprocess.run(
            ["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True
        )
        return told.stdout.strip()

    assert serial() == "serial=01"
    (secure.path / "served.pem").write_text("not a certificate")
    secure.kill(signal.SIGHUP)
    until(lambda: "reload refused" in secure.log.read_text(), "the refusal of the broken certificate")
    assert serial() == "serial=01"
    made, key = certificate(secure.path, serial=2)
    (secure.path / "served.pem").write_bytes(made.read_bytes())
    (secure.path / "served.key").write_bytes(key.read_bytes())
    secure.kill(signal.SIGHUP)
    until(lambda: serial() == "serial=02", "the renewed certificate")
    rows = secure.client.get("/v1/audit", {"action": "config_reload"})["audit"]
    assert [row["user"] for row in rows] == ["dcdaemon"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DCD_DAEMON__TCP": "0.0.0.0:0"}, "can be reached by others"),
        ({"DCD_DAEMON__TCP": "127.0.0.1:0", "DCD_DAEMON__TLS_KEY": "/nonexistent"}, "only one is set"),
        ({"key_mode": "0644"}, "is open to others (mode 0644)"),
        ({"key_of_another": "1"}, "cannot be used with its key"),
    ],
)
def test_what_is_not_safe_does_not_start(nursery, template, settings, said):
    with contextlib.closing(Site(nursery, template)) as site:
        made, key = certificate(site.path)
        if "key_mode" in settings:
            key.chmod(int(settings["key_mode"], 8))
        if "key_of_another" in settings:
            key = certificate(site.path, serial=3)[1]
        given = {name: value for name, value in settings.items() if name.isupper()}
        site.env |= given or {
            "DCD_DAEMON__TCP": "0.0.0.0:0", "DCD_DAEMON__TLS_CERTIFICATE": str(made), "DCD_DAEMON__TLS_KEY": str(key),
        }  # fmt: skip
        done = subprocess.run(RUN_ONCE, env=site.env, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_an_open_address_without_tls_can_be_meant(nursery, template):
    with contextlib.closing(Site(nursery, template)) as site:
        site.env |= {"DCD_DAEMON__TCP": "0.0.0.0:0", "DCD_DAEMON__TLS": "off"}
        done = subprocess.run(RUN_ONCE, env=site.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "tokens cross the network in the clear" in done.stderr
