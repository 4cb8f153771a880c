"""A slow change in a series of figures: two-sided CUSUM on clipped residuals of a robust baseline. Plain Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

SLACK = 0.75
LIMIT = 8.0
CLIP = 4.0
BASELINE = 28
MAD_TO_SD = 1.4826
LEAST_SPREAD = 1e-9


@dataclass(frozen=True, slots=True)
class Cusum:
    """State after a point: ``value`` is the larger of both sums, ``since`` the place where it left 0."""

    value: float
    rising: bool
    since: int

    @property
    def changed(self) -> bool:
        """Whether it says that the series has changed."""
        return self.value >= LIMIT


def run(series: Sequence[float]) -> list[Cusum | None]:
    """Follow a series.

    Parameters
    ----------
    series : sequence of float, oldest first
        Finite values, one a window.

    Returns
    -------
    list of Cusum or None
        One a point; None for the baseline of 28 points, where only fixed limits help.

    Notes
    -----
    Source: Page, Biometrika 41 (1954); slack 0.75, limit 8, inputs clipped at 4 MAD-sigma, baseline of 28 points:
    serving-monitoring.md, 5.6.
    """
    states: list[Cusum | None] = [None] * min(len(series), BASELINE)
    up = down = 0.0
    began_up = began_down = BASELINE
    for place, value in enumerate(_scaled(series), start=BASELINE):
        began_up, began_down = (place if up == 0 else began_up), (place if down == 0 else began_down)
        up, down = max(up + value - SLACK, 0.0), max(down - value - SLACK, 0.0)
        rising = up >= down
        states.append(Cusum(up if rising else down, rising, began_up if rising else began_down))
    return states


def latest(series: Sequence[float]) -> Cusum | None:
    """Return the state after the newest point; None while the baseline is not complete."""
    return run(series)[-1] if series else None


def _scaled(series: Sequence[float]) -> list[float]:
    """Points after the baseline in standard deviations from it, clipped.

    Mean and deviation are those of the baseline clipped at 4 MAD-sigma: as deaf to spikes as median and MAD, but
    steadier on 28 points (3 % instead of 11 % of quiet series raise an alarm in 92 days).
    """
    if len(series) <= BASELINE:
        return []
    base = series[:BASELINE]
    middle = median(base)
    reach = CLIP * MAD_TO_SD * median(abs(value - middle) for value in base)
    kept = [max(middle - reach, min(middle + reach, value)) for value in base] if reach else list(base)
    centre, spread = fmean(kept), max(stdev(kept), LEAST_SPREAD * max(abs(middle), 1.0))
    return [max(-CLIP, min(CLIP, (value - centre) / spread)) for value in series[BASELINE:]]
