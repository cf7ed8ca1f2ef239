/**
 * The few statistics that the benchmark needs.
 *
 * @module
 */

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return Number.isInteger(middle)
    ? (sorted[middle - 1]! + sorted[middle]!) / 2
    : sorted[Math.floor(middle)]!;
}

/** The slope of the straight line that lies closest to the points. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (list: readonly number[]) =>
    list.reduce((sum, value) => sum + value, 0) / list.length;
  const x = mean(points.map(([x]) => x));
  const y = mean(points.map(([, y]) => y));
  const sum = (f: (dx: number, dy: number) => number) =>
    points.reduce((total, point) => total + f(point[0] - x, point[1] - y), 0);
  return sum((dx, dy) => dx * dy) / sum((dx) => dx * dx);
}
