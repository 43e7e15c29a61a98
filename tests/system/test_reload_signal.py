"""SIGHUP to a real daemon: new settings hold at once, a bad file holds nothing up, jobs notice neither."""

import signal

import pytest
from system.daemon_process import until


@pytest.fixture
def configured(new_site):
    site = new_site()
    file = site.path / ".config" / "dcdaemon" / "config.toml"
    file.parent.mkdir(parents=True)
    site.start()
    return site, file


def hup(site, file, text: str, words: str) -> str:
    """Write the file, signal, and return the line of the log that the daemon answers with."""
    begin = len(site.log.read_text())
    file.write_text(text)
    site.kill(signal.SIGHUP)
    return until(
        lambda: next((line for line in site.log.read_text()[begin:].splitlines() if words in line), None), words
    )


def test_a_file_that_was_added_is_read_a_bad_one_refused_and_jobs_go_on(configured):
    site, file = configured
    running = site.submit(sleep_s=3.0)
    site.await_state(running, "running")
    hup(site, file, "[energy]\ncurrency = 'CHF'\n[scheduler]\ndefault_limit = '90m'\n", "configuration read again")
    assert site.client.get("/v1/energy", {"by": "user"})["currency"] == "CHF"
    limited = site.submit(gpus=8)
    assert site.job(limited)["limit_s"] == 5400.0
    line = hup(site, file, "[energy]\nprice_per_kwh = -2\n", "reload refused, nothing was changed")
    assert f"{file}: energy.price_per_kwh = -2 is not a number" in line
    assert site.client.get("/v1/energy", {"by": "user"})["currency"] == "CHF"
    assert site.await_state(running)["state"] == "succeeded"


def test_another_order_is_served_and_what_needs_a_restart_is_named(configured):
    site, file = configured
    blocker = site.submit(sleep_s=60.0, gpus=8)
    site.await_state(blocker, "running")
    waiting = site.submit_many([site.wish(gpus=8) for _ in range(20)])
    line = hup(
        site, file, '[scheduler]\norder = "fair-share"\n[queues.main]\n[metrics]\ndcgm = true\n', "only a restart"
    )
    assert "only a restart applies metrics.dcgm, queues.main (jobs go on)" in line
    assert {job for job, document in site.jobs().items() if document["state"] == "waiting"} == set(waiting)
    site.client.post("/v1/jobs/cancel", {"select": [str(blocker)], "grace_s": 1})
    assert [site.await_state(job)["state"] for job in waiting[:3]] == ["succeeded"] * 3


def test_the_form_of_the_log_follows_at_once(configured):
    site, file = configured
    hup(site, file, '[daemon]\nlog_format = "json"\n', '"action": "reloaded"')
    hup(site, file, '[daemon]\nlog_level = "debug"\n', "configuration read again action=reloaded")
