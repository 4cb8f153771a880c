// Pure helpers of curves: smoothing and outliers.

/** Debiased exponential moving average; gaps stay gaps. */
export function smooth(values, weight) {
  if (!weight) return values;
  let sum = 0;
  let share = 0;
  return values.map((value) => {
    if (value == null) return null;
    sum = sum * weight + value * (1 - weight);
    share = share * weight + (1 - weight);
    return sum / share;
  });
}

/** The range without the outer 2 % on each side, a little widened; undefined without numbers. */
export function innerRange(traces) {
  const values = traces.flatMap((trace) => trace.y).filter(Number.isFinite).sort((a, b) => a - b);
  if (!values.length) return undefined;
  const low = values[Math.floor(values.length * 0.02)];
  const high = values[Math.ceil(values.length * 0.98) - 1];
  const pad = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return [low - pad, high + pad];
}
