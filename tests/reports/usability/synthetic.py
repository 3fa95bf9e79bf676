"""Records of an attack that never was: numbers that a test chooses."""

from expunge.attacks.attack import Place
from expunge.metrics.calibration import Estimate
from expunge.records import Score, Setting
from expunge.suites import Suite

FACTS: dict[str, Setting] = {
    "attack.generator": "dm",
    "attack.images": 1,
    "attack.records": 10,
    "attack.train": 1000,
    "attack.owners": 1,
    "attack.asking": 1,
}
MODELS = 20


def estimate(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value, value - half, value + half)


class Records:
    """Collects records of one attack on a suite."""

    def __init__(self, suite: Suite) -> None:
        self.scores: list[Score] = []
        self._place = Place(suite, suite.forget_sets["first"], FACTS, MODELS)

    def add(
        self,
        method: str,
        metric: str,
        aggregate: str,
        found: Estimate | None,
        *,
        request: str = "attack",
        batching: str = "shuffled",
        reason: str = "",
    ) -> "Records":
        facts = {"attack.batching": batching, "attack.request": request} if batching else {}
        self.scores.append(
            self._place.score(method, "test", metric, aggregate, found, module=__name__, facts=facts, reason=reason)
        )
        return self

    def served(
        self,
        method: str,
        drops: dict[str, float],
        over_random: float,
        half: float = 0.01,
        *,
        batching: str = "shuffled",
    ) -> "Records":
        """A method's drops by request, and what the attack's is above that of random records."""
        for request, value in drops.items():
            self.add(method, "accuracy-drop", "mean", estimate(value), request=request, batching=batching)
        return self.add(method, "excess-drop", "over random", estimate(over_random, half), batching=batching)


def attack_of(suite: Suite) -> list[Score]:
    """Two methods, retraining, what the data teach, and two defences."""
    records = Records(suite)
    records.served("retraining", {"attack": 0.001, "random": 0.002}, -0.001)
    records.served("amnesiac, epochs=0", {"attack": 0.5, "random": 0.2, "memorised": 0.3}, 0.3, 0.02)
    records.served("first-order", {"attack": 0.01, "random": 0.012}, -0.002, 0.01)
    for data, value in (("condensed", 0.8), ("real", 0.6)):
        records.add(f"{data} data, suite", "trained-alone-accuracy", "mean", estimate(value), batching="")
    records.add("no request", "victims-gain", "mean", estimate(0.002), batching="")
    for request, steps in (("attack", 50.0), ("random", 20.0)):
        records.add("ascent", "forget-loss", "victims", estimate(0.001, 0.0005), request=request)
        records.add("ascent", "forget-loss", "oracles", estimate(0.02, 0.001), request=request)
        records.add("ascent", "steps-to-forget", "median", estimate(steps, 3), request=request)
        records.add("ascent", "drop-when-forgotten", "mean", estimate(0.02), request=request)
    for number, value in enumerate((0.9, 0.7)):
        for request in ("attack", "random"):
            records.add(
                "first-order", "accuracy-by-round", f"round {number + 1} of 2", estimate(value), request=request
            )
    for name, area, caught in (("pixel-grid", 1.0, 0.9), ("spectral-signatures", 0.01, 0.0)):
        for by in ("requests", "records"):
            records.add(name, "auroc", by, Estimate(area, max(0.0, area - 0.01), min(1.0, area + 0.01)), batching="")
            records.add(name, "tpr-at-1-fpr", by, Estimate(caught, caught, caught), batching="")
    return records.scores
