"""Reading traces: three ways in, and one clear error for each way to be wrong."""

import gzip

import pytest

from dcdaemon.core.errors import BadInput
from dcdaemon.simulator.traces import read_trace
from dcdaemon.simulator.workload import LeftOut, RecordedJob, Workload

HEADING = "job_id,submit_s,duration_s,gpus,group\n"
#: Three jobs: one as usual, one of which only what it was given is known, one without a limit.
SWF = """\
; Version: 2.2
; MaxProcs: 64
    1   0  10   100   4  -1 -1   8   200 -1 1 3 1 -1 1 -1 -1 -1

    2   5   0    60   2  -1 -1  -1    90 -1 1 3 1 -1 1 -1 -1 -1 ; as given
    3   9  -1    30   1  -1 -1   1    -1 -1 0 3 1 -1 1 -1 -1 -1
"""

#: What is in the file, and what is said about it.
WRONG = [
    ("", "t.csv is empty"),
    ("\n \n", "t.csv is empty"),
    (HEADING, "t.csv holds no job that ran on a GPU"),
    (HEADING + "a,0,1,0,g\n", "t.csv holds no job that ran on a GPU"),
    ("job_id,submit_s,gpus\n", "t.csv has no column duration_s; its first line names 'job_id', 'submit_s', 'gpus'"),
    ("1,2,3\n", "t.csv has no column submit_s, duration_s, gpus; its first line names '1', '2', '3'"),
    ("gpus,gpus,submit_s,duration_s\n", "t.csv has the column gpus 2 times"),
    (HEADING + "a,-3,1,1,g\n", "t.csv, line 2: submit_s is '-3', a time before 0"),
    (HEADING + "a,0,-0.5,1,g\n", "t.csv, line 2: duration_s is '-0.5', a time before 0"),
    (HEADING + "a,0,soon,1,g\n", "t.csv, line 2: duration_s is 'soon', not a number of seconds"),
    (HEADING + "a,0,,1,g\n", "t.csv, line 2: duration_s is '', not a number of seconds"),
    (HEADING + "a,nan,1,1,g\n", "t.csv, line 2: submit_s is 'nan'; the longest time is 1e+10 seconds"),
    (HEADING + "a,inf,1,1,g\n", "t.csv, line 2: submit_s is 'inf'; the longest time is 1e+10 seconds"),
    (HEADING + "a,0,-inf,1,g\n", "t.csv, line 2: duration_s is '-inf', a time before 0"),
    (HEADING + "a,0,1,-1,g\n", "t.csv, line 2: gpus is '-1', not a whole number of GPUs from 0 to 1,000,000"),
    (HEADING + "a,0,1,0.5,g\n", "t.csv, line 2: gpus is '0.5', not a whole number of GPUs from 0 to 1,000,000"),
    (HEADING + "a,0,1,nan,g\n", "t.csv, line 2: gpus is 'nan', not a whole number of GPUs from 0 to 1,000,000"),
    (HEADING + "a,0,1,2000000,g\n", "line 2: gpus is '2000000', not a whole number of GPUs from 0 to 1,000,000"),
    ("\n \n" + HEADING + "\n  \na,-9,1,1,g\n", "t.csv, line 6: submit_s is '-9'"),
    (HEADING + "a,9,1,1,g\nb,8,1,1,g\n", "t.csv, line 3: submit_s 8 comes after 9"),
    (HEADING + "a,0,1,1\n", "t.csv, line 2 has 4 fields, the first line names 5"),
    (HEADING + "a,0,1,1,g,h\n", "t.csv, line 2 has 6 fields, the first line names 5"),
    (HEADING + 'a,0,1,1,"g\n', "t.csv, line 2: not CSV: unexpected end of data"),
    (HEADING + "a,0," + "9" * 60 + "x,1,g\n", "duration_s is '" + "9" * 40 + "…', not a number of seconds"),
    (",".join("abc" for _ in range(101)) + "\n", "t.csv has 101 columns, a trace at most 100"),
    ("a," * 1_000_000 + "\n", "t.csv, line 1 is longer than 100,000 characters"),
    (HEADING + "a," * 1_000_000 + "\n", "t.csv, line 2 is longer than 100,000 characters"),
    (b"job_id,\xff\xfe\n", "t.csv is not text: invalid start byte at byte 7"),
    ("; a comment\n1 2 3\n", "t.csv, line 2 has 3 fields, the Standard Workload Format has 18"),
    (SWF + "9 4 " + SWF.splitlines()[2][12:], "t.csv, line 7: submit time 4 comes after 9"),
    (SWF.replace("   100 ", "  -100 "), "t.csv, line 3: the run time is '-100', a time before 0"),
    (SWF.replace(" 1   0  10", " 1  -7  10"), "t.csv, line 3: the submit time is '-7', a time before 0"),
    (SWF.replace(" 8   200", " x   200"), "t.csv, line 3: the number of processors is 'x', not a whole number"),
]


@pytest.fixture
def trace(tmp_path):
    def write(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_csv_columns_are_found_by_name_and_others_are_not_read(trace):
    path = trace("\ufeffgpus, Duration_S ,who,submit_s,limit_s\n2,10,x,0,\n\n1,2.5e1,y,3.5,60\n")
    assert read_trace(path) == Workload("t", [RecordedJob(0, 10, 2), RecordedJob(3.5, 25, 1, 60)])


def test_the_standard_workload_format_is_known_by_its_first_line(trace):
    jobs = [RecordedJob(0, 100, 8, 200, "3"), RecordedJob(5, 60, 2, 90, "3"), RecordedJob(9, 30, 1, None, "3")]
    assert read_trace(trace(SWF, "log.txt")) == Workload("log.txt", jobs)
    without_comments = "\n".join(line for line in SWF.splitlines() if not line.startswith(";"))
    assert read_trace(trace(without_comments, "log.swf")).jobs == jobs


def test_whose_a_job_is_is_read_where_the_trace_tells(trace):
    path = trace("submit_s,duration_s,gpus,user,command\n0,1,1, ada ,train\n0,1,1,,\n")
    assert [(job.user, job.command) for job in read_trace(path).jobs] == [("ada", "train"), ("", "")]
    named = "1 0 10 100 4 -1 -1 8 200 -1 1 3 1 17 1 -1 -1 -1\n2 0 10 100 4 -1 -1 8 200 -1 1 -1 1 -1 1 -1 -1 -1\n"
    assert [(job.user, job.command) for job in read_trace(trace(named)).jobs] == [("3", "17"), ("", "")]


def test_gzipped_traces_are_read_as_they_are(trace):
    assert len(read_trace(trace(gzip.compress(SWF.encode()), "x.swf.gz")).jobs) == 3
    assert read_trace(trace(gzip.compress(SWF.encode()), "x.swf.gz")).name == "x"


def test_jobs_that_cannot_be_played_are_counted(trace):
    assert read_trace(trace(HEADING + "a,0,1,0,g\nb,1,1,1,g\n")).left_out == LeftOut(without_gpus=1)
    line = "4 9 -1 {run} {given} -1 -1 {asked} -1 -1 0 3 1 -1 1 -1 -1 -1\n"
    never = line.format(run=-1, given=1, asked=1)
    nothing = line.format(run=5, given=-1, asked=-1)
    zero = line.format(run=5, given=4, asked=0)
    assert read_trace(trace(SWF + never + nothing + zero, "l.swf")).left_out == LeftOut(without_gpus=2, never_ran=1)


@pytest.mark.parametrize(("content", "words"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_told_with_its_place(trace, content, words):
    with pytest.raises(BadInput) as caught:
        read_trace(trace(content))
    assert words in caught.value.message
    assert caught.value.hint
    assert len(caught.value.message) < 300


def test_files_that_cannot_be_read_are_told(trace, tmp_path):
    for path, words in (
        (tmp_path / "none.csv", "no such file or directory"),
        (tmp_path, "is a directory"),
        (trace(b"not gzip", "bad.csv.gz"), "not a gzipped file"),
        (trace(gzip.compress(b"; nothing yet\n" * 9999 + SWF.encode())[:-20], "cut.csv.gz"), "end-of-stream marker"),
    ):
        with pytest.raises(BadInput, match=f"{path} cannot be read: .*{words}"):
            read_trace(path)


def test_a_load_on_top_is_merged_by_time():
    base = Workload("a", [RecordedJob(0, 1, 1), RecordedJob(5, 1, 1)], LeftOut(never_ran=1))
    load = Workload("b", [RecordedJob(0, 2, 2), RecordedJob(3, 2, 2)], LeftOut(without_gpus=2))
    both = base.with_load([load])
    assert both.name == "a + b"
    assert both.jobs == [RecordedJob(0, 1, 1), RecordedJob(0, 2, 2), RecordedJob(3, 2, 2), RecordedJob(5, 1, 1)]
    assert both.left_out == LeftOut(without_gpus=2, never_ran=1)


def test_offered_load_is_the_work_over_what_the_machine_can_do_while_jobs_come_in():
    assert Workload("a", [RecordedJob(0, 50, 4), RecordedJob(100, 200, 1)]).offered_ratio(8) == 400 / 800
    assert Workload("a", [RecordedJob(7, 50, 4)]).offered_ratio(8) is None
