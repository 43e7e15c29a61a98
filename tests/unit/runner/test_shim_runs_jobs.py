import json
import os
import signal
import sys
import time

import pytest

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run jobs as somebody else")


def test_the_exit_code_and_what_was_used_are_kept(node):
    record = node.run("sh", "-c", "exit 37")

    assert (record.cause, record.exit_code, record.signal, record.error) == ("exited", 37, None, None)
    assert record.started_at is not None
    assert record.run_s is not None
    assert 0 < record.run_s < 10
    assert abs(record.ended_at - record.started_at - record.run_s) < 1
    assert record.max_rss_bytes > 100_000


def test_processor_time_is_counted(node):
    spec = node.python("import time\nwhile time.process_time() < 0.2: pass")

    assert 0.2 <= node.end_of(spec).user_cpu_s + node.outcome(spec).record.system_cpu_s < 5


def test_a_job_killed_by_a_signal_is_told_from_one_that_exits(node):
    record = node.run("sh", "-c", "kill -SEGV $$")

    assert (record.cause, record.exit_code, record.signal) == ("signaled", None, signal.SIGSEGV)


def test_both_streams_go_to_one_log_from_the_first_byte_on(node):
    spec = node.start("sh", "-c", "echo one; echo two >&2; echo three")
    node.end_of(spec)

    assert node.log(spec) == "one\ntwo\nthree\n"


def test_output_goes_into_the_file_itself_and_the_log_is_private(node):
    spec = node.start("sh", "-c", "readlink /proc/$$/fd/1; readlink /proc/$$/fd/2; readlink /proc/$$/fd/0")
    node.end_of(spec)
    path = node.directory(spec) / "output.log"

    assert node.log(spec) == f"{path}\n{path}\n/dev/null\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_log_may_be_a_file_of_the_users_choice_and_is_appended_to(node, tmp_path):
    chosen = tmp_path / "mine.log"
    chosen.write_text("before\n")
    spec = node.start("sh", "-c", "echo after", log_path=str(chosen))
    node.end_of(spec)

    assert chosen.read_text() == "before\nafter\n"
    assert node.log(spec) == ""


def test_a_relative_log_lies_in_the_working_directory_with_the_users_mode(node, tmp_path):
    node.run("sh", "-c", "echo here", log_path="my.log", cwd=str(tmp_path), umask=0o027)

    assert (tmp_path / "my.log").read_text() == "here\n"
    assert (tmp_path / "my.log").stat().st_mode & 0o777 == 0o640


def test_the_environment_is_the_jobs_own_and_nothing_else(node):
    spec = node.start("/usr/bin/env", env={"PATH": "/bin", "SECRET": "a b\nc", "UMLAUT": "ä\udcff"})
    node.end_of(spec)
    blob = (node.directory(spec) / "output.log").read_bytes()
    places = {"DCD_REPORT_PATH": "report.jsonl", "DCD_DEADLINE_PATH": "deadline", "DCD_CHECKPOINT_PATH": "checkpoint"}

    expected = [
        b"PATH=/bin",
        b"SECRET=a b",
        b"c",
        b"UMLAUT=\xc3\xa4\xff",
        b"DCD_JOB_ID=1",
        b"DCD_ATTEMPT=1",
        *(f"{name}={node.directory(spec)}/{file}".encode() for name, file in places.items()),
    ]
    assert blob.splitlines() == expected


def test_secrets_are_in_a_private_file_while_needed_and_in_no_repr(node):
    spec = node.spec("true", env={"TOKEN": "hunter2"})
    attempt = node.launcher.attempt(spec.job_id, spec.attempt)
    attempt.prepare(spec)

    assert "hunter2" in (attempt.path / "spec.json").read_text()
    assert (attempt.path / "spec.json").stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in repr(spec)


def test_the_environment_is_gone_from_disk_once_the_job_runs(node):
    spec = node.start("true", env={"TOKEN": "hunter2"})
    node.end_of(spec)

    assert not (node.directory(spec) / "spec.json").exists()
    assert all(b"hunter2" not in path.read_bytes() for path in node.directory(spec).iterdir() if path.is_file())


def test_the_job_leads_its_own_session_and_inherits_no_descriptor_or_blocked_signal(node):
    program = (
        "import os, signal\n"
        "print(os.getpid() == os.getsid(0) == os.getpgid(0))\n"
        "print(sorted(os.listdir('/proc/self/fd'))[:-1])\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n"
        "masks = dict(line.split(':') for line in open('/proc/self/status') if line.startswith(('SigIgn', 'SigBlk')))\n"
        # 32 and 33 belong to glibc, which lets nobody set them: they are as whoever started the tests left them.
        "print({name: hex(int(mask, 16) & ~(3 << 31)) for name, mask in masks.items()})\n"
    )
    spec = node.start(sys.executable, "-I", "-S", "-c", program)
    node.end_of(spec)

    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25).
    masks = {"SigBlk": hex(0), "SigIgn": hex(1 << 12 | 1 << 24)}
    assert node.log(spec) == f"True\n['0', '1', '2']\nset()\n{masks}\n"


def test_a_broken_pipe_ends_a_command_as_in_a_shell(node):
    record = node.run("sh", "-c", "yes | head -1 >/dev/null; exec 3</dev/null; kill -PIPE $$")

    assert record.signal == signal.SIGPIPE


def test_the_umask_is_the_users(node, tmp_path):
    node.run("sh", "-c", "touch made", cwd=str(tmp_path), umask=0o002)

    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o664


def test_the_job_can_report(node):
    spec = node.start("sh", "-c", 'echo \'{"step": 1}\' >> "$DCD_REPORT_PATH"')
    node.end_of(spec)

    assert json.loads((node.directory(spec) / "report.jsonl").read_text()) == {"step": 1}


@pytest.mark.parametrize(
    ("argv", "fields", "exit_code", "error"),
    [
        (("no-such-program-here",), {}, 127, "cannot run no-such-program-here: no such program"),
        (("/etc/passwd",), {}, 126, "cannot run /etc/passwd: Permission denied"),
        (
            ("true",),
            {"cwd": "/no/such/place"},
            125,
            "cannot enter the working directory /no/such/place: No such file",
        ),
        (
            ("true",),
            {"log_path": "/no/such/place/x.log"},
            125,
            "cannot open the log /no/such/place/x.log: No such file",
        ),
        (("true", "a\0b"), {}, 125, "cannot start the job: ValueError: embedded null byte"),
    ],
)
def test_a_job_that_cannot_start_says_why_in_its_log_and_its_record(node, argv, fields, exit_code, error):
    spec = node.start(*argv, **fields)
    record = node.end_of(spec)

    assert (record.cause, record.exit_code, record.signal) == ("start_failed", exit_code, None)
    assert record.error is not None
    assert record.error.startswith(error)
    first, *rest = node.log(spec).splitlines()
    assert first == f"dcd: error: {record.error}"
    assert all(line.startswith("dcd: hint: ") for line in rest)


def test_the_longest_reason_of_all_is_on_record(node):
    spec = node.start("/" + "\U0001f600" * 600)

    end = node.end_of(spec)
    assert (end.cause, end.exit_code) == ("start_failed", 125)
    assert end.error is not None
    assert len(end.error) == 500


def test_a_script_whose_interpreter_is_missing_is_told_from_a_missing_script(node, tmp_path):
    script = tmp_path / "train.sh"
    script.write_text("#!/no/such/shell\n")
    script.chmod(0o755)
    spec = node.start(str(script))

    assert node.end_of(spec).exit_code == 127
    assert "first line (#!)" in node.log(spec)


def test_a_job_that_itself_exits_127_did_start(node):
    assert node.run("sh", "-c", "exit 127").cause == "exited"


@as_root
def test_the_job_runs_as_the_user_without_the_daemons_groups(node, tmp_path):
    node.state_dir.chmod(0o711)
    spec = node.start("sh", "-c", "id -u; id -g; id -G; cat /etc/shadow", uid=NOBODY, gid=NOBODY)

    assert node.end_of(spec).exit_code != 0
    assert node.log(spec).splitlines()[:3] == [str(NOBODY)] * 3
    assert "Permission denied" in node.log(spec)
    assert (node.directory(spec) / "output.log").stat().st_uid == NOBODY


@as_root
def test_the_working_directory_is_entered_with_the_users_rights(node, tmp_path):
    tmp_path.chmod(0o700)
    spec = node.start("true", cwd=str(tmp_path), uid=NOBODY, gid=NOBODY)

    assert node.end_of(spec).error == f"cannot enter the working directory {tmp_path}: Permission denied"


@as_root
def test_the_log_is_opened_with_the_users_rights(node):
    spec = node.start("true", log_path="/etc/passwd", uid=NOBODY, gid=NOBODY)

    assert node.end_of(spec).error == "cannot open the log /etc/passwd: Permission denied"


@as_root
def test_a_forbidden_directory_in_the_path_does_not_hide_that_there_is_no_such_program(node, tmp_path):
    tmp_path.chmod(0o700)
    spec = node.start("no-such-program-here", env={"PATH": f"{tmp_path}:/bin"}, uid=NOBODY, gid=NOBODY)

    assert node.end_of(spec).exit_code == 127


@as_root
def test_a_uid_without_a_name_runs_with_its_group_alone(node):
    spec = node.start("id", "-G", uid=54321, gid=54322)
    node.end_of(spec)

    assert node.log(spec) == "54322\n"


@as_root
def test_the_user_reaches_his_report_and_can_replace_nothing(tmp_path_factory, node):
    for path in [node.state_dir, *node.state_dir.parents]:
        if path.stat().st_uid == 0 and path != path.parent and not path.stat().st_mode & 0o001:
            path.chmod(0o711)
    script = 'cd "${DCD_REPORT_PATH%/*}"; echo "{}" >> report.jsonl; ls; rm -f output.log; cat state.json'
    spec = node.start("sh", "-c", script, uid=NOBODY, gid=NOBODY)
    node.end_of(spec)

    assert (node.directory(spec) / "report.jsonl").read_text() == "{}\n"
    assert node.log(spec).count("Permission denied") == 3


def test_a_hundred_jobs_in_a_row_all_end(node):
    begun = time.monotonic()
    assert [node.run("true").exit_code for _ in range(100)] == [0] * 100
    assert time.monotonic() - begun < 30
