"""Batch scripts of Slurm on a real daemon: what the script sees, where its output goes, and how it is listed."""

import json

from system.daemon_process import Site, command_line

ARRAY = """\
#!/bin/bash
#SBATCH --job-name=sweep --array=2-4:2%1 --ntasks=2
#SBATCH --gpus-per-task=1 --cpus-per-task=3 --time=5
#SBATCH --chdir={site} --output=%x_%A_%a.out
#SBATCH --mail-type=END

env | grep ^SLURM_ | sort
echo "arguments: $*"
srun bash -c 'echo "rank $SLURM_PROCID of $SLURM_NTASKS on GPU ${CUDA_VISIBLE_DEVICES:-none}"' | sort
echo "first node: $(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
"""


def submitted(site: Site, script: str, *words: str, name: str = "job.sh") -> tuple[list[int], str]:
    """Submit a script as a person would in a pipe; return the ids and what was said beside them."""
    path = site.path / name
    path.write_text(script.replace("{site}", str(site.path)))
    done = command_line(site, "submit", "--sbatch", str(path), *words)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()], done.stderr


def told(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if line.startswith("SLURM_"))


def test_an_array_of_a_script_runs_each_task_with_what_slurm_tells(site):
    ids, said = submitted(site, ARRAY, "--", "--lr", "0.1")
    assert said == "note: --mail-type is ignored: no mail is sent; see dcd wait and dcd events\n"
    assert len(ids) == 2
    for job_id, index in zip(ids, (2, 4), strict=True):
        assert site.await_state(job_id)["state"] == "succeeded"
        output = (site.path / f"sweep_{ids[0]}_{index}.out").read_text()
        slurm = told(output)
        node = slurm["SLURM_JOB_NODELIST"]
        assert slurm["SLURM_JOB_ID"] == str(job_id)
        assert (slurm["SLURM_ARRAY_JOB_ID"], slurm["SLURM_ARRAY_TASK_ID"]) == (str(ids[0]), str(index))
        assert (slurm["SLURM_ARRAY_TASK_COUNT"], slurm["SLURM_ARRAY_TASK_STEP"]) == ("2", "2")
        assert (slurm["SLURM_NTASKS"], slurm["SLURM_CPUS_PER_TASK"], slurm["SLURM_CPUS_ON_NODE"]) == ("2", "3", "6")
        assert (slurm["SLURM_JOB_NAME"], slurm["SLURM_SUBMIT_DIR"]) == ("sweep", "/")
        gpus = slurm["SLURM_JOB_GPUS"].split(",")
        assert slurm["SLURM_GPUS_ON_NODE"] == str(len(gpus)) == "2"
        assert output.splitlines()[-5:] == [
            "arguments: --lr 0.1",
            "srun: 2 tasks on this node; ranks are in SLURM_PROCID, MPI is not set up",
            f"rank 0 of 2 on GPU {gpus[0]}",
            f"rank 1 of 2 on GPU {gpus[1]}",
            f"first node: {node}",
        ]


def test_a_script_runs_by_its_first_line_and_its_log_is_found(site):
    script = "#!/bin/sed -nf\n#SBATCH --chdir={site} --time=1\ns/needle/found/p\n"
    (site.path / "hay").write_text("a needle\n")
    [job_id], _ = submitted(site, script, "hay")
    job = site.await_state(job_id)
    assert (job["state"], job["log_path"]) == ("succeeded", f"{site.path}/slurm-{job_id}.out")
    assert command_line(site, "logs", str(job_id)).stdout == "a found\n"


def test_what_was_submitted_runs_even_when_the_file_has_changed(site):
    [job_id], _ = submitted(site, "#!/bin/sh\n#SBATCH --chdir={site} --hold\necho before\n")
    (site.path / "job.sh").write_text("#!/bin/sh\necho after\n")
    command_line(site, "release", str(job_id))
    site.await_state(job_id)
    assert command_line(site, "logs", str(job_id)).stdout == "before\n"


def test_jobs_wait_for_each_other_as_the_lines_say(site):
    [first], _ = submitted(site, "#!/bin/sh\n#SBATCH --chdir={site} --hold -J first\nfalse\n")
    line = f"#SBATCH --chdir={{site}} -d afternotok:{first}"
    [second], _ = submitted(site, f"#!/bin/sh\n{line}\ntrue\n")
    [third], _ = submitted(site, f"#!/bin/sh\n{line.replace('afternotok', 'afterok')}\ntrue\n")
    listing = command_line(site, "ps", "-o", "slurm").stdout
    reasons = {line.split()[0]: line.split()[-1] for line in listing.splitlines()[1:]}
    assert reasons == {str(first): "(JobHeldUser)", str(second): "(Dependency)", str(third): "(Dependency)"}
    command_line(site, "release", str(first))
    assert site.await_state(first)["state"] == "failed"
    assert site.await_state(second)["state"] == "succeeded"
    listing = command_line(site, "ps", "-o", "slurm").stdout
    assert listing.splitlines()[1].split() == [
        str(third), "main", "job.sh", site.job(third)["user"][:8], "PD", "0:00", "1", "(DependencyNeverSatisfied)",
    ]  # fmt: skip
    ended = command_line(site, "history", "-o", "slurm").stdout.splitlines()[2:]
    assert [line.split()[-2:] for line in ended] == [["FAILED", "1:0"], ["COMPLETED", "0:0"]]


def test_a_refused_script_queues_nothing(site):
    path = site.path / "wide.sh"
    path.write_text("#!/bin/sh\n#SBATCH --nodes=2\nsrun true\n")
    done = command_line(site, "submit", "--sbatch", str(path), "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["message"] == f"{path}, line 2: the job needs 2 nodes, and jobs run on one"
    assert site.jobs() == {}
