"""One look at the node: what is newly odd, what no longer is."""

from collections.abc import Iterable
from dataclasses import dataclass

from dcdaemon.anomalies.picture import NodePicture
from dcdaemon.anomalies.rules import RULES, Rule
from dcdaemon.core.anomaly import Finding

#: Rule and subject: what names an anomaly while it lasts.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """What to store; `watch` is the watch to go on with once it is stored."""

    raised: tuple[Finding, ...]
    momentary: tuple[Finding, ...]
    cleared: tuple[Key, ...]
    watch: "Watch"


@dataclass(frozen=True, slots=True)
class Watch:
    """The anomalies that are open; a value, so that a step which the store refused is found again."""

    open: frozenset[Key] = frozenset()

    def step(self, picture: NodePicture) -> Step:
        """Apply every rule: raise each anomaly once, clear it once when its rule no longer finds it."""
        lasting: dict[Key, Finding] = {}
        momentary: list[Finding] = []
        for rule in RULES:
            findings = self._apply(rule, picture)
            if rule.momentary:
                momentary += findings
            else:
                lasting |= {(finding.rule, finding.subject): finding for finding in findings}
        return Step(
            raised=tuple(finding for key, finding in lasting.items() if key not in self.open),
            momentary=tuple(momentary),
            cleared=tuple(sorted(self.open - lasting.keys())),
            watch=Watch(frozenset(lasting)),
        )

    def _apply(self, rule: Rule, picture: NodePicture) -> list[Finding]:
        open_subjects = {subject for name, subject in self.open if name == rule.name}
        return [
            Finding(
                rule=rule.name,
                subject=sign.subject,
                severity=rule.severity,
                message=sign.message,
                evidence=sign.evidence,
                job_id=sign.job_id,
                gpu=sign.gpu,
            )
            for sign in rule.look(picture, open_subjects)
        ]


def watch_from(findings: Iterable[Finding]) -> Watch:
    """Return the watch that goes on with the anomalies the store has open."""
    return Watch(frozenset((finding.rule, finding.subject) for finding in findings))
