"""The Jupyter recipe of docs/interactive.md with a real server: its address in the log, its kernels on the GPU."""

import json
import os
import re
import urllib.request
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

import pytest
from system.daemon_process import Site, until

ROOT = Path(__file__).parents[2]
JUPYTER = ROOT / ".venv/jupyter/bin/jupyter-server"
PAGE = ROOT / "docs/interactive.md"
URL = re.compile(r"http://127\.0\.0\.1:\d+/(?:lab)?\?token=[0-9a-f]+")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not JUPYTER.exists(), reason="Jupyter is not installed: make jupyter"),
]


def recipe() -> list[str]:
    """Return the options of Jupyter as the page gives them."""
    command = PAGE.read_text().partition("-- jupyter lab")[2].replace("\\\n", " ")
    return command.splitlines()[0].split()


def submit(site: Site, options: list[str]) -> int:
    home = site.path / "home"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    root = ["--allow-root"] if os.geteuid() == 0 else []
    body = {"argv": [str(JUPYTER), *options, *root], "cwd": str(home), "gpus": 1, "name": "jupyter", "grace_s": 10}
    return site.client.post("/v1/jobs", {"jobs": [body], "env": env})["jobs"][0]["id"]


def log(site: Site, job: int) -> str:
    path = site.attempt(job).log_path
    return path.read_text() if path.exists() else ""


def ask(url: str, path: str, body: dict | None = None) -> dict:
    parts = urlsplit(url)
    request = urllib.request.Request(
        f"http://{parts.netloc}{path}", None if body is None else json.dumps(body).encode(),
        {"Authorization": f"token {parts.query.removeprefix('token=')}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  as above
        return json.load(answer)


def answered(url: str, path: str) -> dict | None:
    try:
        return ask(url, path)
    except URLError:
        return None


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")


def kernels(site: Site, job: int) -> list[int]:
    pids = site.job(job)["pids"] or []
    return [pid for pid in pids if b"ipykernel_launcher" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_the_recipe_of_the_page_gives_a_notebook_on_the_jobs_gpu(site):
    options = recipe()
    assert {"--no-browser", "--port=0"} <= set(options)
    job = submit(site, options)
    url = until(lambda: (found := URL.search(log(site, job))) and found[0], "the address in the log", within_s=60)
    # The address is in the log a moment before anybody listens there.
    assert until(lambda: answered(url, "/api/status"), "the server", within_s=60)["kernels"] == 0

    ask(url, "/api/kernels", {"name": "python3"})
    [kernel] = until(lambda: kernels(site, job), "a kernel below the job", within_s=60)
    assert {"CUDA_VISIBLE_DEVICES=0", f"DCD_JOB_ID={job}"} <= set(environment_of(kernel))
    assert "not recognized" not in log(site, job)

    site.client.post("/v1/jobs/cancel", {"select": [str(job)]})
    assert site.await_state(job)["state"] == "cancelled"
    assert not Path(f"/proc/{kernel}").exists()
