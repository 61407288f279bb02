"""The map of who is like whom: correlations and places against what they must be by construction."""

import numpy as np
import pandas as pd
import pytest
from benchmark_scripts import load

neighbours = load("neighbours")


def test_correlations_and_places() -> None:
    g = np.random.default_rng(0)
    scores = g.normal(size=(3, 40))  # [task, seed]
    noise = g.normal(size=(3, 40))
    made = {"a": scores, "same": scores, "opposite": -scores, "apart": noise}
    scale = np.array([1.0, 100.0, 0.01])[:, None]
    rows = [
        {"task": f"task/{t}", "algorithm": name, "seed": s, "area": (values * scale)[t, s] + 7 * t}
        for name, values in made.items()
        for t in range(3)
        for s in range(40)
    ]
    found = neighbours.correlations(pd.DataFrame(rows), "area")
    assert list(found) == list(made)
    assert found.loc["a", "same"] == pytest.approx(1)
    assert found.loc["a", "opposite"] < -0.95
    assert abs(found.loc["a", "apart"]) < 0.35
    places, share = neighbours.scaling(found.to_numpy())
    assert share == pytest.approx(1, abs=0.01)  # three of the four are on one line
    assert np.linalg.norm(places[0] - places[1]) == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(places[0] - places[2]) > np.linalg.norm(places[0] - places[3]) > 0.5
