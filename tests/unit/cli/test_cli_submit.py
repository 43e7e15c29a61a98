"""Submit: one job, an array, a batch; what is sent, and what is said of the answer."""

import os
import subprocess
import sys

import documents
import pytest
from stub_daemon import Answer, accept, error
from terminal import in_terminal


@pytest.fixture
def submits(daemon):
    daemon.routes["POST /v1/jobs"] = accept
    return daemon


def test_submit_sends_what_was_asked_with_directory_and_environment(submits, dcd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_VARIABLE", "kept")
    said = dcd(
        "submit",
        "-g",
        "2",
        "-t",
        "2h",
        "-m",
        "32G",
        "-c",
        "4",
        "-n",
        "hello",
        "-p",
        "40",
        "--log",
        "out.log",
        "--after",
        "40",
        "--after",
        "last",
        "--grace",
        "1m",
        "--requeue",
        "--hold",
        "--env",
        "A=b=c",
        "--",
        "python",
        "x.py",
        "--lr",
        "3",
    )
    assert (said.code, said.out) == (0, "1\n")
    body = submits.asked[0].body
    assert body["jobs"] == [
        {
            "argv": ["python", "x.py", "--lr", "3"],
            "cwd": str(tmp_path),
            "name": "hello",
            "gpus": 2,
            "cpus": 4,
            "mem_bytes": 32 * 2**30,
            "limit_s": 7200.0,
            "grace_s": 60.0,
            "priority": 40,
            "after": ["40", "last"],
            "log_path": str(tmp_path / "out.log"),
            "requeue": True,
            "held": True,
        }
    ]
    assert body["env"]["MY_VARIABLE"] == "kept"
    assert body["env"]["A"] == "b=c"
    assert body["dry_run"] is False


def test_submit_sends_when_and_after_what_a_job_may_start_and_whose_it_is(submits, dcd):
    said = dcd(
        "submit", "--after-any", "name:prep", "--after-any", "7", "--after-not-ok", "3-4", "--begin",
        "2026-12-01T08:00Z", "--array", "0-9%2", "-Q", "urgent", "-A", "vision", "--gpu-mem", "10G", "--", "true",
    )  # fmt: skip
    assert said.code == 0
    [job] = submits.asked[0].body["jobs"]
    assert (job["after_any"], job["after_not_ok"]) == (["name:prep", "7"], ["3-4"])
    assert (job["begin_at"], job["array"]) == (1_796_112_000.0, "0-9%2")
    assert (job["queue"], job["account"], job["gpu_mem_bytes"]) == ("urgent", "vision", 10 * 2**30)


def test_submit_sends_how_a_job_is_asked_to_save_and_how_its_ranks_are_started(submits, dcd):
    said = dcd(
        "submit", "-g", "2", "--signal", "sigusr1@90s", "--launcher", "torchrun", "--nproc", "4", "--hang-after", "30m",
        "--", "python", "train.py",
    )  # fmt: skip
    assert said.code == 0
    [job] = submits.asked[0].body["jobs"]
    assert (job["checkpoint_signal"], job["checkpoint_s"]) == ("USR1", 90.0)
    assert (job["launcher"], job["ranks"], job["hang_after_s"]) == ("torchrun", 4, 1800.0)


@pytest.mark.parametrize(
    ("text", "asked"),
    [("USR2", {"checkpoint_signal": "USR2"}), ("@5m", {"checkpoint_s": 300.0})],
)
def test_a_signal_or_a_time_alone_will_do(submits, dcd, text, asked):
    assert dcd("submit", "--signal", text, "--", "true").code == 0
    [job] = submits.asked[0].body["jobs"]
    assert {key: job[key] for key in job if key.startswith("checkpoint")} == asked


def test_a_time_without_a_unit_is_refused_where_a_signal_is_asked_for(submits, dcd):
    said = dcd("submit", "--signal", "USR1@60", "--", "true")
    assert said.code != 0
    assert not submits.asked


def test_what_an_older_daemon_does_not_know_is_sent_only_when_asked_for(submits, dcd):
    dcd("submit", "--", "true")
    assert submits.asked[0].body["jobs"][0].keys() == {
        "argv", "cwd", "name", "gpus", "cpus", "mem_bytes", "limit_s", "grace_s", "priority", "requeue", "after",
        "log_path", "held",
    }  # fmt: skip


def test_an_empty_array_is_for_the_daemon_to_refuse(submits, dcd):
    dcd("submit", "--array", "", "--", "true")
    assert submits.asked[0].body["jobs"][0]["array"] == ""


def test_submit_sends_by_when_a_job_is_wanted_and_that_its_share_is_to_be_learned(submits, dcd):
    assert dcd("submit", "--deadline", "2026-12-01T08:00Z", "--gpu-mem", "auto", "--", "true").code == 0
    [job] = submits.asked[0].body["jobs"]
    assert (job["deadline_at"], job["gpu_mem_auto"]) == (1_796_112_000.0, True)
    assert "gpu_mem_bytes" not in job
    assert dcd("submit", "--gpu-mem", "10G", "--", "true").code == 0
    [plain] = submits.asked[-1].body["jobs"]
    assert not {"deadline_at", "gpu_mem_auto"} & plain.keys(), "a daemon of before does not know these"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--deadline", "soon", "error: --deadline 'soon' is no time\nhint: write it like +2h"),
        ("--gpu-mem", "automatic", "error: 'automatic' is not an amount of memory"),
    ],
)
def test_a_deadline_or_a_share_that_is_none_is_wrong_usage(submits, dcd, option, value, said):
    told = dcd("submit", option, value, "--", "true")
    assert told.code == 2
    assert told.err.startswith(said)
    assert submits.asked == []


def test_a_begin_that_is_no_time_is_wrong_usage(submits, dcd):
    said = dcd("submit", "--begin", "tomorrow-ish", "--", "true")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: --begin 'tomorrow-ish' is no time\nhint: write it like +2h")
    assert submits.asked == []


def test_an_array_is_told_in_one_sentence(submits, dcd):
    def array(_):
        jobs = [
            documents.waiting(120 + index, "sweep", "user1", 2, 0.0, "queued")
            | {"array_id": 120, "array_index": index, "array_limit": 5}
            for index in range(100)
        ]
        return Answer({"schema": 1, "jobs": jobs, "starts": ["now"] * 20}, 201)

    submits.routes["POST /v1/jobs"] = array
    said = dcd("submit", "-g", "2", "--array", "0-99%5", "-o", "table", "--", "true")
    assert said.out == (
        "Queued array 120 (sweep), 100 jobs, 120_0 to 120_99, 2 GPUs each. The first starts now."
        "  See: dcd ps '120_*'   Cancel: dcd cancel '120_*'\n"
    )


def test_a_share_of_a_gpu_is_told_as_one(submits, dcd):
    def share(asked):
        [job] = accept(asked).document["jobs"]
        return Answer({"schema": 1, "jobs": [{**job, "gpus_asked": 1, "gpu_mem_bytes": 10 * 2**30}], "starts": []}, 201)

    submits.routes["POST /v1/jobs"] = share
    assert dcd("submit", "--gpu-mem", "10G", "-o", "table", "--", "true").out.startswith(
        "Queued job 1 (x), 10 GiB of a GPU. Waits."
    )


def test_options_of_the_command_stay_with_the_command(submits, dcd):
    dcd("submit", "-g", "1", "python", "-c", "print(1)", "--json")
    assert submits.asked[0].body["jobs"][0]["argv"] == ["python", "-c", "print(1)", "--json"]


def test_a_variable_that_is_no_text_is_left_out_and_named(submits, dcd, monkeypatch):
    monkeypatch.setitem(os.environ, "ODD", "\udcff")
    said = dcd("submit", "--", "true")
    assert "ODD" not in submits.asked[0].body["env"]
    assert "'ODD'" in said.err


def test_on_a_terminal_submit_answers_with_a_sentence(submits):
    env = {**os.environ, "COLUMNS": ""}
    code, text = in_terminal(["submit", "-g", "2", "-n", "hello", "--", "true"], env, 100)
    sentence = "Queued job 1 (hello), 2 GPUs. Starts now.  Follow: dcd logs -f 1   Cancel: dcd cancel 1\n"
    assert (code, text) == (0, sentence)


def test_a_job_that_waits_says_why(submits, dcd):
    def busy(asked):
        return Answer({**accept(asked).document, "starts": ["4 GPUs needed, 3 free"]}, 201)

    submits.routes["POST /v1/jobs"] = busy
    said = dcd("submit", "-g", "4", "-o", "table", "--", "true")
    assert said.out.startswith("Queued job 1 (x), 4 GPUs. Waits: 4 GPUs needed, 3 free.")


@pytest.mark.parametrize(("low", "likely"), [("22:13", "within 1h40m"), ("22:33", "in 20m to 1h40m")])
def test_a_job_that_waits_says_until_about_when(submits, dcd, low, likely):
    at = "2023-11-14T{}:00+00:00".format

    def busy(asked):
        [job] = accept(asked).document["jobs"]
        times = {"submitted_at": at("22:13"), "forecast_low_at": at(low), "forecast_high_at": at("23:53")}
        return Answer({"schema": 1, "jobs": [{**job, **times}], "starts": ["busy"]}, 201)

    submits.routes["POST /v1/jobs"] = busy
    said = dcd("submit", "-g", "4", "-o", "table", "--", "true")
    assert f"Waits: busy. Likely to start {likely}.  Follow:" in said.out


def test_dry_run_queues_nothing_and_says_so(submits, dcd):
    submits.routes["POST /v1/jobs"] = {"schema": 1, "jobs": [], "accepted": 1, "starts": []}
    assert dcd("submit", "--dry-run", "--", "true").out == "1 job would be queued. Nothing was.\n"
    assert submits.asked[0].body["dry_run"] is True


def test_a_job_that_never_fits_is_refused(submits, dcd):
    submits.routes["POST /v1/jobs"] = error(422, "never_fits", "asks for 9 GPUs, this node has 8", "use -g 8 or fewer")
    said = dcd("submit", "-g", "9", "--", "true")
    assert (said.code, said.err) == (5, "error: asks for 9 GPUs, this node has 8\nhint: use -g 8 or fewer\n")


def test_batch_takes_command_lines_and_json_objects(submits, dcd, tmp_path):
    (tmp_path / "jobs").write_text(
        '# two kinds of lines\n\npython a.py \'two words\'  # first\n{"argv": ["b"], "gpus": 3, "name": "second"}\n'
    )
    assert dcd("submit", "-g", "1", "--batch", str(tmp_path / "jobs")).out == "1\n2\n"
    first, second = submits.asked[0].body["jobs"]
    assert (first["argv"], first["gpus"]) == (["python", "a.py", "two words"], 1)
    assert (second["argv"], second["gpus"], second["name"]) == (["b"], 3, "second")


def test_batch_reads_stdin_in_one_request(submits):
    lines = "".join(f"echo {number}\n" for number in range(2000))
    command = [sys.executable, "-m", "dcdaemon", "submit", "--batch", "-"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.split() == [str(number) for number in range(1, 2001)]
    assert len(submits.asked) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("echo 'open", "No closing quotation"),
        ('{"argv": ["x"], "gpu": 1}', "a job has no 'gpu'; did you mean 'gpus'?"),
        ('{"argv": "x"}', '"argv" must be a list of words'),
        ("{broken", "Expecting property name"),
        ('{"argv":' + "[" * 100_000, "too deep for a job"),
        ('{"argv": ["x"], "gpus": 99999999999999999999999}', '"gpus" is too large'),
        ('{"argv": ["x"], "limit_s": NaN}', '"limit_s" is not a number'),
        ("-g 1 -- python a.py", "options for all lines stand before --batch"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_queued(submits, dcd, tmp_path, line, words):
    (tmp_path / "jobs").write_text(f"echo fine\n{line}\n")
    said = dcd("submit", "--batch", str(tmp_path / "jobs"))
    assert said.code == 2
    assert f"{tmp_path}/jobs, line 2: " in said.err
    assert words in said.err
    assert submits.asked == []


def test_a_batch_of_more_than_one_request_is_refused_whole(submits, dcd, tmp_path):
    (tmp_path / "jobs").write_text("true\n" * 10_001)
    said = dcd("submit", "--batch", str(tmp_path / "jobs"))
    assert (said.code, submits.asked) == (2, [])
    assert "a batch of 10001 jobs: at most 10000 are taken in one request" in said.err


@pytest.mark.parametrize("text", ["", "# nothing\n\n"])
def test_an_empty_batch_is_refused(submits, dcd, tmp_path, text):
    (tmp_path / "jobs").write_text(text)
    assert dcd("submit", "--batch", str(tmp_path / "jobs")).code == 2
    assert dcd("submit", "--batch", str(tmp_path / "jobs"), "--", "x").code == 2
    missing = dcd("submit", "--batch", str(tmp_path / "none"))
    assert missing.code == 2
    assert "none cannot be read: No such file or directory" in missing.err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("-g", "99999999999999999999999", "'99999999999999999999999' is not a whole number from 0 to 1000000"),
        ("-g", "nan", "'nan' is not a whole number from 0 to 1000000"),
        ("-m", "99999999T", "'99999999T' is more memory than there is"),
        ("-t", "99999999d", "'99999999d' is longer than 100 years"),
    ],
)
def test_an_amount_that_nobody_means_is_refused_in_words_before_the_daemon_is_asked(submits, dcd, option, value, words):
    said = dcd("submit", option, value, "--", "true")
    assert said.code == 2
    assert words in said.err
    assert submits.asked == []


@pytest.mark.parametrize(
    ("note", "told"), [("8 GPUs, 5 free (~15m)", "8 GPUs, 5 free"), ("job 3 ahead", "job 3 ahead")]
)
def test_one_forecast_is_told_at_submit_and_not_two(submits, dcd, note, told):
    at = {"forecast_low_at": "2026-07-01T10:05:00+00:00", "forecast_high_at": "2026-07-01T10:50:00+00:00"}

    def waits(asked):
        [job] = accept(asked).document["jobs"]
        job |= {**at, "submitted_at": "2026-07-01T10:00:00+00:00"}
        return Answer({"schema": 1, "jobs": [job], "starts": [note]}, 201)

    submits.routes["POST /v1/jobs"] = waits
    assert f"Waits: {told}. Likely to start in 5m to 50m." in dcd("submit", "-o", "table", "--", "true").out
