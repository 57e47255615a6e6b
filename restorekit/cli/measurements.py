"""How measurements are shown: tables with as many digits as a metric is known by, and the protocol below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from restorekit.cli.console import print_line, print_table, say

if TYPE_CHECKING:
    from restorekit.evaluation.comparison import Comparison
    from restorekit.evaluation.distribution import Scores
    from restorekit.evaluation.folders import Evaluation

__all__ = ["print_comparison", "print_evaluation", "print_scores"]


def print_evaluation(result: Evaluation, worst_first: bool) -> None:
    """Print a table of the pictures with the means below, the protocol, and what could not be measured."""
    from restorekit.evaluation.folders import written
    from restorekit.evaluation.protocol import described

    metrics = result.metrics
    rows = [
        [score.pair.name, *(written(metric, score.values[metric]) for metric in metrics)]
        for score in (result.worst_first(metrics[0]) if worst_first else result.scores)
    ]
    rows.append(["mean", *(written(metric, value) for metric, value in result.mean.items())])
    if len(result.scores) > 1:
        ends = result.interval.items()
        rows.append(["95 % interval", *(" .. ".join(written(metric, end) for end in pair) for metric, pair in ends)])
    print_table(["picture", *metrics], rows)
    print_line(f"protocol: {described(result.protocol)}")
    for note in result.notes:
        print_line(note)
    for kind, names in (("missing (no restored picture)", result.missing), ("extra (no reference)", result.extra)):
        for name in names:
            print_line(f"{kind}: {name}")
    for name, reason in result.failed:
        print_line(f"failed: {name}: {reason}")


def print_scores(scores: Scores) -> None:
    """Print the metrics of whole folders with their protocol."""
    from restorekit.evaluation.protocol import described

    rows = [
        [name, f"{value:.6g}", f"{scores.standard_errors[name]:.2g}" if name in scores.standard_errors else "-"]
        for name, value in scores.values.items()
    ]
    print_table(["metric", "value", "error"], rows)
    print_line(f"protocol: {described(scores.facts)}")
    for note in scores.notes:
        print_line(note)
    for name, reason in scores.skipped:
        print_line(f"failed: {name}: {reason}")


def print_comparison(comparison: Comparison) -> None:
    """Print the differences between two measurements, and why they may mean nothing."""
    from restorekit.evaluation.folders import written

    rows = [
        [
            each.metric,
            written(each.metric, each.ours),
            written(each.metric, each.theirs),
            written(each.metric, each.difference, signed=True),
            " .. ".join(written(each.metric, end, signed=True) for end in each.interval),
            each.pictures or "-",
        ]
        for each in comparison.differences
    ]
    print_table(["metric", "here", "there", "difference", "95 % interval, paired", "pictures"], rows)
    for difference in comparison.protocols:
        say(f"warning: forced, though the protocols differ: {difference}")
    if comparison.unshared:
        say(f"{comparison.unshared} pictures are in one of the two only, and left out of the difference")
