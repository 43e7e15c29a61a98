"""The SQL of the boards, valid in PostgreSQL and SQLite once Grafana has put in its variables.

Times are epoch seconds in the tables, milliseconds in Grafana's `$__from` and `$__to` and in columns `*_ms`.
Divisions are by decimals: the SQLite data source takes a column's type from its first value and would cut off
the decimals of the rest.
"""

NODES = "SELECT node FROM gpu UNION SELECT node FROM rolled_up ORDER BY node"

JOBS_NOW = """\
SELECT COUNT(CASE WHEN state <> 'waiting' THEN 1 END) AS running,
       COUNT(CASE WHEN state = 'waiting' AND NOT held THEN 1 END) AS waiting,
       COUNT(CASE WHEN state = 'waiting' AND held THEN 1 END) AS held
FROM job
WHERE node = ${node:sqlstring} AND state IN ('waiting', 'starting', 'running', 'stopping')"""

GPUS_NOW = """\
SELECT (SELECT COUNT(*) FROM allocation WHERE node = ${node:sqlstring}) AS busy,
       (SELECT COUNT(*) FROM gpu_mark WHERE node = ${node:sqlstring} AND drained IS NOT NULL) AS drained,
       (SELECT COUNT(*) FROM gpu WHERE node = ${node:sqlstring}) AS all_gpus"""

#: The newest reading of each GPU, at most a minute older than the end of the shown time.
_NEWEST_SAMPLES = """\
WITH newest AS (
  SELECT gpu, MAX(ts) AS ts
  FROM gpu_sample
  WHERE node = ${node:sqlstring} AND ts BETWEEN $__to / 1000 - 60 AND $__to / 1000
  GROUP BY gpu
)
"""

POWER_NOW = (
    _NEWEST_SAMPLES
    + """\
SELECT SUM(sample.power_w) AS power_w
FROM newest
JOIN gpu_sample sample
  ON sample.node = ${node:sqlstring} AND sample.ts = newest.ts AND sample.gpu = newest.gpu"""
)

ENERGY_SHOWN = """\
SELECT SUM(CASE WHEN job_id <> 0 THEN energy_mj ELSE 0 END) / 3600000000.0 AS jobs_kwh,
       SUM(CASE WHEN job_id = 0 THEN energy_mj ELSE 0 END) / 3600000000.0 AS idle_kwh
FROM energy
WHERE node = ${node:sqlstring} AND hour > $__from / 1000 - 3600 AND hour <= $__to / 1000"""

ANOMALIES_NOW = """\
SELECT COUNT(*) AS open_anomalies
FROM anomaly
WHERE node = ${node:sqlstring} AND cleared_at IS NULL"""

GPUS = (
    _NEWEST_SAMPLES
    + """\
SELECT gpu.gpu AS gpu, gpu.name AS model,
       CASE WHEN gpu.simulated THEN 'simulated' ELSE 'real' END AS kind,
       gpu_mark.drained AS drained, job.id AS job_id, job.name AS job, job.user_name AS user_name,
       sample.util_ratio AS util_ratio, sample.power_w AS power_w, sample.temp_c AS temp_c,
       sample.mem_used_bytes AS mem_used_bytes, gpu.mem_total_bytes AS mem_total_bytes
FROM gpu
LEFT JOIN gpu_mark ON gpu_mark.node = gpu.node AND gpu_mark.gpu = gpu.gpu
LEFT JOIN allocation ON allocation.node = gpu.node AND allocation.gpu = gpu.gpu
LEFT JOIN job ON job.id = allocation.job_id
LEFT JOIN newest ON newest.gpu = gpu.gpu
LEFT JOIN gpu_sample sample ON sample.node = gpu.node AND sample.ts = newest.ts AND sample.gpu = gpu.gpu
WHERE gpu.node = ${node:sqlstring}
ORDER BY gpu.gpu"""
)

_BEGAN_WAITING = "CASE WHEN job.queued_at > job.submitted_at THEN job.queued_at ELSE job.submitted_at END"

WAITING = """\
SELECT job.id AS job_id, job.name AS job, job.user_name AS user_name, job.asked_gpus AS gpus_asked,
       job.priority AS priority, CASE WHEN job.held THEN 'held' ELSE 'waiting' END AS state,
       <began> * 1000.0 AS queued_ms, $__to / 1000.0 - <began> AS wait_s
FROM job
WHERE job.node = ${node:sqlstring} AND job.state = 'waiting'
ORDER BY job.held, job.priority DESC, <began>, job.id
LIMIT 200""".replace("<began>", _BEGAN_WAITING)

RUNNING = """\
SELECT job.id AS job_id, job.name AS job, job.user_name AS user_name, job.state AS state, job.gpus AS gpus,
       job.started_at * 1000.0 AS started_ms, $__to / 1000.0 - job.started_at AS run_s,
       usage.util_s / NULLIF(usage.sampled_s, 0) AS util_ratio, usage.energy_mj / 3600000000.0 AS energy_kwh
FROM job
LEFT JOIN usage ON usage.job_id = job.id
WHERE job.node = ${node:sqlstring} AND job.state IN ('starting', 'running', 'stopping')
ORDER BY job.started_at, job.id
LIMIT 200"""

ENDED = """\
SELECT job.id AS job_id, job.name AS job, job.user_name AS user_name, job.state AS state,
       job.exit_code AS exit_code, job.ended_at * 1000.0 AS ended_ms,
       job.started_at - <began> AS wait_s, job.run_s AS run_s, usage.gpu_s / 3600.0 AS gpu_hours,
       usage.util_s / NULLIF(usage.sampled_s, 0) AS util_ratio, usage.energy_mj / 3600000000.0 AS energy_kwh
FROM job
LEFT JOIN usage ON usage.job_id = job.id
WHERE job.node = ${node:sqlstring} AND job.ended_at BETWEEN $__from / 1000.0 AND $__to / 1000.0
  AND job.state NOT IN ('waiting', 'starting', 'running', 'stopping')
ORDER BY job.ended_at DESC, job.id DESC
LIMIT 200""".replace("<began>", _BEGAN_WAITING)

ENERGY_BY_DAY = """\
SELECT UTC_DAY(hour) AS utc_day,
       SUM(CASE WHEN job_id <> 0 THEN energy_mj ELSE 0 END) / 3600000000.0 AS jobs_kwh,
       SUM(CASE WHEN job_id = 0 THEN energy_mj ELSE 0 END) / 3600000000.0 AS idle_kwh
FROM energy
WHERE node = ${node:sqlstring} AND hour BETWEEN $__from / 1000 - $__from / 1000 % 86400 AND $__to / 1000
GROUP BY 1
ORDER BY 1"""

ENERGY_BY_USER = """\
SELECT COALESCE(job.user_name, 'idle') AS user_name, SUM(energy.energy_mj) / 3600000000.0 AS energy_kwh,
       SUM(energy.held_s) / 3600.0 AS gpu_hours
FROM energy
LEFT JOIN job ON job.id = energy.job_id
WHERE energy.node = ${node:sqlstring} AND energy.hour > $__from / 1000 - 3600 AND energy.hour <= $__to / 1000
GROUP BY 1
ORDER BY 2 DESC, 1"""

ANOMALIES = """\
SELECT raised_at * 1000.0 AS raised_ms, severity, rule, subject, message, job_id, gpu,
       COALESCE(acked_by, '') AS acked_by
FROM anomaly
WHERE node = ${node:sqlstring} AND cleared_at IS NULL
ORDER BY raised_at DESC, id DESC
LIMIT 200"""

EVENTS = """\
SELECT at * 1000.0 AS at_ms, kind AS event, subject, message AS what, count AS times, gpu, job_id
FROM event
WHERE node = ${node:sqlstring} AND at BETWEEN $__from / 1000.0 AND $__to / 1000.0
ORDER BY at DESC, id DESC
LIMIT 500"""
