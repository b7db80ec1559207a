"""What a contract's checks found in somebody's class: a list that a person can act on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import InvalidInput

SUITE = [Path(__file__).parents[1] / floor for floor in ("agents", "envs", "neural_blocks", "scenarios")]


class Fault(Exception):
    """What a check found wrong: one line that says what must be mended."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: the check's name.
        passed: whether nothing is wrong.
        told: what is wrong and how to mend it; or, of a check that passed, what is worth knowing; or "".
    """

    check: str
    passed: bool
    told: str = ""

    def __str__(self) -> str:
        return f"{'ok  ' if self.passed else 'FAIL'} {self.check}" + (f": {self.told}" if self.told else "")


@dataclass(frozen=True)
class Report:
    """All findings about one subject.

    Attributes:
        subject: what was checked.
        findings: in the order of the checks.
    """

    subject: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(finding.passed for finding in self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __str__(self) -> str:
        failed = sum(not finding.passed for finding in self.findings)
        count = len(self.findings)
        verdict = f"{failed} of {count} checks failed" if failed else f"all {count} checks passed"
        return "\n".join([*map(str, self.findings), f"{self.subject}: {verdict}"])


def examine(subject: str, checks: Mapping[str, Callable[[], str | None]], prefix: str = "") -> list[Finding]:
    """Runs the checks one after the other; whatever one raises is its finding.

    Args:
        subject: what is checked, for messages.
        checks: by name; each returns None or what is worth knowing, and raises `Fault` for what is wrong.
        prefix: of the checks' names.
    """
    return [_finding(prefix + name, check) for name, check in checks.items()]


def _finding(name: str, check: Callable[[], str | None]) -> Finding:
    try:
        return Finding(name, True, check() or "")
    except (Fault, InvalidInput) as fault:
        return Finding(name, False, " ".join(str(fault).split()))
    except (Exception, SystemExit) as error:  # whatever somebody's code raises
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Finding(name, False, f"raised {told}{_place(error)}")


def _place(error: BaseException) -> str:
    """Where in somebody's own file an error came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not any(map(Path(frame.filename).is_relative_to, SUITE))]
    own = [frame for frame in own if "site-packages" not in frame.filename and Path(frame.filename).exists()]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name})" if own else ""
