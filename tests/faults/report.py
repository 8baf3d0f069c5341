"""What a fault run showed: violations of promises, reasons why it proves nothing, and counts."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.faults.history import Fault

MAX_EXAMPLES = 20
"""Per rule; a broken run can break a rule for every command."""


@dataclass(frozen=True, slots=True)
class Violation:
    """`rule` is the name of a promise that was broken, `what` the case."""

    rule: str
    what: str


@dataclass(slots=True)
class Report:
    """`void` says why the run proves nothing (a fault that did not hit, too few successes)."""

    violations: list[Violation] = field(default_factory=list)
    void: list[str] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    exits: list[str] = field(default_factory=list)
    folder: str = ""

    @property
    def sound(self) -> bool:
        """Whether every promise held in a run that put them to the test."""
        return not self.broken and not self.void

    @property
    def rules(self) -> set[str]:
        """The rules that were broken."""
        return set(self.broken)

    def violate(self, rule: str, what: str) -> None:
        """Take a violation; beyond a number of examples only counted."""
        self.broken[rule] += 1
        if self.broken[rule] <= MAX_EXAMPLES:
            self.violations.append(Violation(rule, what))

    def require(self, held: Iterable[tuple[bool, str]], rule: str) -> None:
        """Take a violation of `rule` for each pair that starts with False."""
        for true, what in held:
            if not true:
                self.violate(rule, what)

    def text(self) -> str:
        """The report as JSON, verdict first."""
        fields: dict[str, Any] = {
            "sound": self.sound,
            "void": self.void,
            "broken": dict(self.broken),
            "counts": dict(sorted(self.counts.items())),
            "violations": [asdict(violation) for violation in self.violations],
            "faults": [asdict(fault) for fault in self.faults],
            "exits": self.exits,
            "folder": self.folder,
        }
        return json.dumps(fields, indent=2)
