"""Golden tables: what people see at 80, 100 and 120 columns, and in a pipe. DCD_UPDATE_GOLDEN=1 writes them anew."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import documents
import pytest
from terminal import in_terminal

from dcdaemon.cli.show.events import events_page
from dcdaemon.cli.show.gpus import gpus_page
from dcdaemon.cli.show.jobs import history_page, queue_page
from dcdaemon.cli.show.ledger import anomalies_page, energy_page
from dcdaemon.cli.show.output import Output, chosen
from dcdaemon.cli.show.table import render

GOLDEN = Path(__file__).parents[2] / "golden"
PAGES = {
    "ps": lambda: queue_page(documents.queue()),
    "ps-long": lambda: queue_page(documents.long_queue()),
    "gpus": lambda: gpus_page(documents.gpus()),
    "history": lambda: history_page(documents.history()),
    "energy": lambda: energy_page(documents.energy()),
    "anomalies": lambda: anomalies_page(documents.anomalies()),
    "events": lambda: events_page(documents.events()),
}


def golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("DCD_UPDATE_GOLDEN") == "1":
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


@pytest.mark.parametrize("width", [80, 100, 120, None])
@pytest.mark.parametrize("name", PAGES)
def test_tables_look_as_they_should(name, width):
    page = PAGES[name]()
    rows = [*page.rows, page.last_row] if page.last_row else page.rows
    text = render(chosen(page, Output()), rows, width=width, color=False)
    if width is not None:
        assert max(map(len, text.splitlines())) <= width
    golden(f"{name}-{width or 'piped'}", text)


def test_ids_and_states_are_never_cut_and_cuts_are_visible():
    page = PAGES["ps-long"]()
    text = render(chosen(page, Output()), page.rows, width=80, color=False)
    for job in page.rows:
        line = next(line for line in text.splitlines() if line.split()[0] == str(job["id"]))
        assert job["state"] in line
    assert "…" in text
    assert "…" not in render(chosen(page, Output()), page.rows, width=None, color=False)


def test_a_name_cannot_control_the_terminal():
    document = documents.queue()
    document["jobs"][0]["name"] = "\x1b[31mred\nline"
    page = queue_page(document)
    text = render(chosen(page, Output()), page.rows, width=None, color=False)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 1 + len(page.rows)


def test_in_a_terminal_the_table_fits_and_has_colours_and_a_summary(daemon):
    env = {**os.environ, "TERM": "xterm", "COLUMNS": ""}
    code, text = in_terminal(["ps"], env, 80)
    assert code == 0
    assert "\x1b[32mrunning\x1b[0m" in text
    assert "2 running, 2 waiting · 8 GPUs: 3 busy, 1 drained, 1 foreign · dcd why 43" in text
    code, plain = in_terminal(["ps"], {**env, "NO_COLOR": "1"}, 80)
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 80
    assert "looks idl…" in plain


def test_watching_draws_the_table_until_ctrl_c(daemon):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
    env = {**os.environ, "TERM": "xterm", "COLUMNS": ""}
    command = [sys.executable, "-m", "dcdaemon", "ps", "-w"]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env) as process:
        os.close(slave)
        shown = b""
        while b"dcd why 43" not in shown:
            shown += os.read(master, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    os.close(master)
    assert b"llama-lora" in shown
