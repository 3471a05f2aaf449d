"""The main example: as printed in the language page, and as shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from dltc.compiler.pipeline import check

HERE = Path(__file__).parent


def test_the_printed_example_has_one_finding() -> None:
    """It parses and types; only the precision-weighted rule is not compiled yet, said once, at its call."""
    text = (HERE / "digits_as_printed.dlt").read_text(encoding="utf-8")
    found = check(text, "digits.dlt").findings
    assert [d.code for d in found.items] == ["E0901"]
    span = found.items[0].span
    assert span is not None
    assert text[span.start : span.end] == "Precision()"


@pytest.mark.slow
def test_accuracy_over_seeds(root: Path, tmp_path: Path) -> None:
    """Test accuracy, mean over seeds 0..4 (split and initial values), at least 0.97."""
    import dltc

    runs = [dltc.train(root / "specs" / "digits.dlt", out=tmp_path / f"run{seed}", seed=seed) for seed in range(5)]
    accuracy = [run.metrics["accuracy(y, s)"] for run in runs]
    print("digits test accuracy, seeds 0..4:", accuracy, "seconds:", [round(run.seconds, 1) for run in runs])
    assert sum(accuracy) / 5 >= 0.97, accuracy
    assert max(run.seconds for run in runs) < 60
