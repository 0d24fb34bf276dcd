/** Numbers as people read them. */

export function show(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(2);
  if (Number.isInteger(value)) return value.toLocaleString('en', { useGrouping: size >= 10_000 });
  return Number(value.toPrecision(Math.max(digits, Math.ceil(Math.log10(size + 1))))).toLocaleString('en', {
    maximumFractionDigits: 6,
    useGrouping: size >= 10_000,
  });
}

/** A number for a parameter: no longer than its span makes sensible. */
export function tidy(value: number, span: number): number {
  if (!Number.isFinite(value) || span <= 0) return value;
  const step = 10 ** (Math.floor(Math.log10(span)) - 3);
  return Number((Math.round(value / step) * step).toPrecision(12));
}

export function showArea(square_m: number): string {
  if (square_m >= 1e6) return `${show(square_m / 1e6, 4)} km²`;
  return square_m >= 1e4 ? `${show(square_m / 1e4, 3)} ha` : `${show(square_m, 3)} m²`;
}

export function showAge(seconds: number): string {
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

/** Round values between two ends, about as many as wanted. */
export function ticks(low: number, high: number, wanted: number): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough) ?? rough;
  const found: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9 && found.length < 50; i++)
    found.push(Number((i * step).toPrecision(12)));
  return found;
}
