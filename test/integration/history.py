"""What a history of labels must look like, whatever happened."""

from __future__ import annotations

from test.harness.kube_api import LabelChange


def overlaps(history: list[LabelChange], role: str = "master") -> float:
    """For how long, in seconds, two Pods carried the label at the same time."""
    holders: set[str] = set()
    total, since = 0.0, 0.0
    for change in history:
        before = len(holders)
        if change.label == role:
            holders.add(change.pod)
        else:
            holders.discard(change.pod)
        if before < 2 <= len(holders):
            since = change.t
        elif before >= 2 > len(holders):
            total += change.t - since
    assert len(holders) < 2, f"{sorted(holders)} still carry the label {role}"
    return total


def labels_of(history: list[LabelChange], pod: str, after: float = 0) -> list[str | None]:
    return [c.label for c in history if c.pod == pod and c.t > after]


def when(history: list[LabelChange], pod: str, label: str, after: float) -> float:
    """The first time that the Pod got this label after `after`."""
    return next(c.t for c in history if c.pod == pod and c.label == label and c.t > after)
