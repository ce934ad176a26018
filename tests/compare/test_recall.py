"""What a gate for recall looks at: the same settings wherever both sides have them."""

from __future__ import annotations

import pytest

from harness.compare.recall import Recalls, recall_drop


def of(compared: dict[str, float], tried: dict[str, float] | None = None) -> Recalls:
    """Make the recalls of a side."""
    return Recalls(compared, tried or {})


def test_settings_that_both_were_compared_with() -> None:
    """The worst of them counts, and those of one side alone don't."""
    a = of({"ef=10": 0.9, "ef=20": 0.95})
    assert recall_drop(a, of({"ef=10": 0.85, "ef=20": 0.94, "ef=40": 0.99}), (0.9,)) == pytest.approx(0.05)


def test_a_side_that_lost_recall_is_compared_with_other_settings() -> None:
    """It takes other settings to reach a recall than before: those of the other side were tried once."""
    a = of({"ef=10": 0.9, "ef=20": 0.95}, {"ef=10": 0.9, "ef=20": 0.95, "ef=80": 1.0})
    b = of({"ef=40": 0.93, "ef=80": 0.97}, {"ef=10": 0.7, "ef=20": 0.85, "ef=40": 0.93, "ef=80": 0.97})
    assert recall_drop(a, b, (0.92,)) == pytest.approx(0.2)


def test_sides_that_share_no_setting() -> None:
    """They are compared at recalls: that one's next setting lies higher is no loss of the other."""
    assert recall_drop(of({"ef=10": 0.88, "ef=20": 0.97}), of({"leaves=4": 0.87, "leaves=8": 0.91}), (0.9,)) == (
        pytest.approx(-0.01)
    )
    assert recall_drop(of({"ef=10": 0.9, "ef=20": 0.97}), of({"leaves=8": 0.93}), (0.95, 0.99)) == pytest.approx(0.02)
    assert recall_drop(of({"ef=10": 0.7, "ef=20": 0.8}), of({"leaves=8": 0.7}), (0.95,)) == 0.0  # neither reaches it


@pytest.mark.parametrize("targets", [(), (0.99,)])
def test_two_settings_are_compared_as_they_are(targets: tuple[float, ...]) -> None:
    """Whatever recall was asked for: one of .67 and one of .43 differ by .24, although neither reaches .99."""
    assert recall_drop(of({"share=0.5": 0.67}), of({"share=0.25": 0.43}), targets) == pytest.approx(0.24)
