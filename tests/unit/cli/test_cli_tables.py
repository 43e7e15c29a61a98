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

from dcdaemon.cli.show.bookings import bookings_page
from dcdaemon.cli.show.events import events_page
from dcdaemon.cli.show.folding import fold
from dcdaemon.cli.show.gpus import gpus_page
from dcdaemon.cli.show.jobs import gpus, history_page, label, queue_page
from dcdaemon.cli.show.ledger import anomalies_page, energy_page
from dcdaemon.cli.show.output import Output, chosen
from dcdaemon.cli.show.queues import queues_page, shares_page
from dcdaemon.cli.show.table import render

GOLDEN = Path(__file__).parents[2] / "golden"
PAGES = {
    "ps": lambda: queue_page(documents.queue()),
    "ps-long": lambda: queue_page(documents.long_queue()),
    "ps-array": lambda: queue_page(documents.array_queue()),
    "gpus": lambda: gpus_page(documents.gpus()),
    "history": lambda: history_page(documents.history()),
    "energy": lambda: energy_page(documents.energy()),
    "anomalies": lambda: anomalies_page(documents.anomalies()),
    "events": lambda: events_page(documents.events()),
    "bookings": lambda: bookings_page(documents.bookings()),
    "queues": lambda: queues_page(documents.queues()),
    "share": lambda: shares_page(documents.shares()),
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
    rows = [*page.lines, page.last_row] if page.last_row else page.lines
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


def test_a_wide_table_is_not_cut_to_the_terminal(daemon):
    code, text = in_terminal(["ps", "-o", "wide"], {**os.environ, "TERM": "xterm", "COLUMNS": "", "NO_COLOR": "1"}, 80)
    assert code == 0
    assert "…" not in text
    assert {"DEADLINE", "SUBMITTED", "LOG"} <= set(text.split())


def test_what_nobody_used_comes_last_and_money_is_shown_where_there_is_a_price():
    document = documents.energy()
    document["rows"] = sorted(document["rows"], key=lambda row: row["key"])
    page = energy_page(document)
    assert [row["key"] for row in page.lines] == ["user1", "user2", "idle"]
    assert [column.title for column in chosen(page, Output())][-2:] == ["COST", "CARBON"]
    for row in (*document["rows"], document["total"]):
        row["cost"] = row["carbon_g"] = None
    free = energy_page(document)
    assert [column.title for column in chosen(free, Output())] == ["USER", "ENERGY", "GPU-H"]
    assert len(chosen(free, Output("wide"))) == 5


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


def task(index: int, **changes: object) -> dict:
    return documents.array_task(index) | changes


def ids(*jobs: dict) -> list[str]:
    return [label(job) for job in fold(jobs)]


def test_jobs_of_an_array_that_wait_alike_are_one_line():
    assert ids(task(3), task(4), task(5)) == ["120_[3-5%5]"]
    assert ids(task(3)) == ["120_3"]
    assert ids(task(3, array_limit=None), task(7, array_limit=None)) == ["120_[3,7]"]


def test_what_runs_is_held_or_waits_for_something_else_has_a_line_of_its_own():
    running = task(0, state="running")
    held, other = task(4, held=True), task(5, reason={"code": "dependency", "short": "after job 7"})
    assert ids(running, task(1), held, task(2), other, task(3)) == ["120_0", "120_[1-3%5]", "120_4", "120_5"]
    assert ids(task(1), task(2, array_id=99)) == ["120_1", "99_2"]


def test_jobs_that_are_no_array_are_never_folded():
    jobs = [documents.waiting(number, "x", "user1", 1, 0.0, "queued") for number in (1, 2, 2)]
    assert fold(jobs) == jobs


def test_a_long_list_of_indices_is_cut_between_two_of_them():
    assert ids(*(task(index, array_limit=None) for index in range(0, 40, 2))) == ["120_[0,2,4,6,8,10,12,14,16,...]"]


def test_machines_get_every_job_of_an_array(daemon, dcd):
    daemon.routes["GET /v1/jobs"] = documents.array_queue()
    jobs = len(documents.array_queue()["jobs"])
    assert len(dcd("ps", "-o", "jsonl").out.splitlines()) == jobs
    assert len(dcd("ps", "-q").out.splitlines()) == jobs
    assert len(dcd("ps", "-o", "csv").out.splitlines()) == 1 + jobs
    assert len(dcd("ps").out.splitlines()) == 1 + 4


def test_a_waiting_share_of_a_gpu_shows_how_much_it_asks_for():
    waiting = {"state": "waiting", "gpus_asked": 1, "gpus": []}
    assert gpus({**waiting, "gpu_mem_bytes": 30 * 2**30}) == "30 GiB asked"
    assert gpus({**waiting, "gpu_mem_bytes": None}) == "1 asked"


@pytest.mark.parametrize(
    ("options", "most"),
    [([], "500"), (["-o", "wide"], "500"), (["-q"], "100000"), (["-o", "csv"], "100000"), (["-o", "slurm"], "100000"),
     (["--json"], "100000"), (["-q", "-n", "7"], "7")],
)  # fmt: skip
def test_scripts_get_every_job_and_people_a_page(daemon, dcd, options, most):
    daemon.routes["GET /v1/jobs"] = documents.queue()
    assert dcd("ps", *options).code == 0
    assert daemon.asked[-1].query["limit"] == [most]
