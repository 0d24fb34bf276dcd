/** A histogram with two handles for the ends of the stretch: dragged, or moved by arrow keys. */
import { html, svg, type TemplateResult } from 'lit-html';
import type { Histogram } from '../api/metadata';
import { followPointer } from './drag';
import { show, tidy } from './numbers';

const WIDTH = 300;
const BARS_MAX = 100;

export interface HistogramOptions {
  histogram: Histogram;
  /** Values between which it is shown. */
  domain: readonly [number, number];
  stretch: readonly [number, number] | null;
  height: number;
  color: string;
  label: string;
  /** The ramp below the bars, as a CSS gradient. */
  ramp?: string;
  change?: (stretch: [number, number]) => void;
}

export function histogram(options: HistogramOptions): TemplateResult {
  const { domain, stretch, height, color, label, ramp } = options;
  const x = (value: number) => Math.max(0, Math.min(1, (value - domain[0]) / (domain[1] - domain[0]))) * WIDTH;
  const inside = stretch ? ([x(Math.min(...stretch)), x(Math.max(...stretch))] as const) : ([0, WIDTH] as const);
  const bars = outline(options.histogram, domain, height);
  return html`<div class="histogram">
    <svg viewBox="0 0 ${WIDTH} ${height}" preserveAspectRatio="none" style="height:${height}px" role="img" aria-label="Histogram of ${label}">
      ${svg`<path d=${bars} fill=${color} opacity="0.28" /><svg x=${inside[0]} width=${Math.max(0, inside[1] - inside[0])} height=${height} viewBox="${inside[0]} 0 ${Math.max(0.01, inside[1] - inside[0])} ${height}" preserveAspectRatio="none"><path d=${bars} fill=${color} /></svg>`}
    </svg>
    ${ramp && stretch ? html`<div class="histogram-ramp"><span style="left:${(inside[0] / WIDTH) * 100}%;right:${100 - (inside[1] / WIDTH) * 100}%;background:${stretch[0] > stretch[1] ? ramp.replace('to right', 'to left') : ramp}"></span></div>` : null}
    ${stretch && options.change ? [0, 1].map(end => handle(options, stretch, end as 0 | 1, x(stretch[end as 0 | 1]) / WIDTH)) : null}
  </div>`;
}

/** Of what to show: without far outliers, but with both ends of the stretch. */
export function domainOf(
  found: Histogram,
  percentiles: readonly number[] | null,
  stretch: readonly [number, number] | null,
): [number, number] {
  let [low, high] = [found.min, found.max];
  const [p1, p99] = [percentiles?.[0], percentiles?.[98]];
  if (p1 !== undefined && p99 !== undefined && p99 > p1) {
    [low, high] = [Math.max(low, p1 - (p99 - p1) * 0.2), Math.min(high, p99 + (p99 - p1) * 0.2)];
  }
  if (stretch) [low, high] = [Math.min(low, ...stretch), Math.max(high, ...stretch)];
  return high > low ? [low, high] : [low - 0.5, low + 0.5];
}

function handle(options: HistogramOptions, stretch: readonly [number, number], end: 0 | 1, at: number): TemplateResult {
  const { domain, label } = options;
  const span = domain[1] - domain[0];
  const move = (value: number) => {
    const next: [number, number] = [stretch[0], stretch[1]];
    next[end] = tidy(Math.max(domain[0], Math.min(domain[1], value)), span);
    if (next[0] !== next[1]) options.change?.(next);
  };
  const drag = (event: PointerEvent) => {
    const area = (event.currentTarget as HTMLElement).parentElement?.getBoundingClientRect();
    if (area) followPointer(event, x => move(domain[0] + ((x - area.left) / area.width) * span));
  };
  const keys = (event: KeyboardEvent) => {
    const steps: Record<string, number> = {
      ArrowLeft: -0.01,
      ArrowDown: -0.01,
      ArrowRight: 0.01,
      ArrowUp: 0.01,
      PageDown: -0.1,
      PageUp: 0.1,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    move(stretch[end] + step * span);
  };
  return html`<div
    class="histogram-handle"
    style="left:${at * 100}%"
    role="slider"
    tabindex="0"
    aria-label="${end === 0 ? 'Low' : 'High'} end of the stretch of ${label}"
    aria-valuemin=${domain[0]}
    aria-valuemax=${domain[1]}
    aria-valuenow=${stretch[end]}
    aria-valuetext=${show(stretch[end])}
    @pointerdown=${drag}
    @keydown=${keys}
  ></div>`;
}

/** The bars as one path; heights by square root, so that rare values are seen. */
function outline(found: Histogram, domain: readonly [number, number], height: number): string {
  const bins = found.counts.length;
  const width = (found.max - found.min) / bins || 1;
  const buckets = Math.min(bins, BARS_MAX);
  const size = (domain[1] - domain[0]) / buckets;
  // Bins and bars need not meet: a bin's count is spread over the bars it covers.
  const sums = new Array<number>(buckets).fill(0);
  found.counts.forEach((count, i) => {
    const [from, to] = [(found.min + i * width - domain[0]) / size, (found.min + (i + 1) * width - domain[0]) / size];
    for (let bar = Math.max(0, Math.floor(from)); bar < Math.min(buckets, to); bar++) {
      sums[bar] = (sums[bar] ?? 0) + (count * (Math.min(to, bar + 1) - Math.max(from, bar))) / (to - from);
    }
  });
  const most = Math.max(...sums, 1);
  const step = WIDTH / buckets;
  const points = sums.map((sum, i) => {
    const y = (height - Math.sqrt(sum / most) * (height - 2)).toFixed(1);
    return `L${(i * step).toFixed(1)} ${y}L${((i + 1) * step).toFixed(1)} ${y}`;
  });
  return `M0 ${height}${points.join('')}L${WIDTH} ${height}Z`;
}

/** A histogram of some values; their percentiles 1 to 99. */
export function histogramOf(values: readonly (number | null)[], bins = 100): { histogram: Histogram; percentiles: number[] } | null {
  const sound = values.filter(value => value !== null).sort((a, b) => a - b);
  const [min, max] = [sound[0], sound.at(-1)];
  if (min === undefined || max === undefined) return null;
  const counts = new Array<number>(bins).fill(0);
  for (const value of sound) {
    const bin = Math.min(bins - 1, Math.floor(((value - min) / (max - min || 1)) * bins));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  const percentiles = Array.from({ length: 99 }, (_, i) => sound[Math.floor(((i + 1) / 100) * (sound.length - 1))] ?? min);
  return { histogram: { min, max, counts }, percentiles };
}
