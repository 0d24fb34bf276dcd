/** A line of values over time, with axes; each value can be pointed at, and chosen. */
import { html, svg, type TemplateResult } from 'lit-html';
import { showDate, timeOf } from '../state/dates';
import { store } from '../state/store';
import { show, ticks } from './numbers';

const [WIDTH, HEIGHT] = [340, 150];
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 10, 10, 22];

/** The value that had the focus last, in any plot. */
let focused = '';

export interface PlotOptions {
  values: readonly { value: string; y: number | null }[];
  unit: string | null;
  current: string | null;
  label: string;
  choose?: (value: string) => void;
}

export function plot({ values, unit, current, label, choose }: PlotOptions): TemplateResult {
  const points = values.flatMap(({ value, y }) => {
    const time = timeOf(value);
    return time === null || y === null ? [] : [{ value, time, y }];
  });
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return html`<p class="quiet">No value at any date here.</p>`;
  const span = last.time - first.time || 1;
  let [low, high] = [Math.min(...points.map(p => p.y)), Math.max(...points.map(p => p.y))];
  const pad = (high - low || Math.abs(high) || 1) * 0.08;
  [low, high] = [low - pad, high + pad];
  const x = (time: number) => LEFT + ((time - first.time) / span) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const path = points.map((p, i) => `${i === 0 ? 'M' : 'L'}${x(p.time).toFixed(1)} ${y(p.y).toFixed(1)}`).join('');
  const rows = ticks(low, high, 4);
  const summary = `${points.length} values from ${showDate(first.value)} to ${showDate(last.value)}, between ${show(Math.min(...points.map(p => p.y)))} and ${show(Math.max(...points.map(p => p.y)))} ${unit ?? ''}`;
  const select = (value: string) => (event: Event) => {
    if (event instanceof KeyboardEvent && event.key !== 'Enter' && event.key !== ' ') return rove(event);
    event.preventDefault();
    choose?.(value);
  };
  const stop = [focused, current].find(value => points.some(p => p.value === value)) ?? first.value;
  const entered = (value: string) => () => {
    focused = value;
    store.set({});
  };
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="group" aria-label="${label}: ${summary}">
    ${rows.map(row => svg`<line class="grid" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${y(row)} y2=${y(row)} /><text class="tick" x=${LEFT - 6} y=${y(row) + 3.5} text-anchor="end">${show(row, 3)}</text>`)}
    ${svg`<text class="tick" x=${LEFT} y=${HEIGHT - 6}>${showDate(first.value)}</text>`}
    ${last === first ? null : svg`<text class="tick" x=${WIDTH - RIGHT} y=${HEIGHT - 6} text-anchor="end">${showDate(last.value)}</text>`}
    ${svg`<path class="line" d=${path} />`}
    ${points.map(
      p => svg`<g class="mark ${p.value === current ? 'current' : ''}" role="button" tabindex=${p.value === stop ? 0 : -1} @focus=${entered(p.value)} aria-label="${showDate(p.value)}: ${show(p.y)} ${unit ?? ''}" @click=${select(p.value)} @keydown=${select(p.value)}>
        <title>${showDate(p.value)}: ${show(p.y)} ${unit ?? ''}</title>
        <circle class="reach" cx=${x(p.time)} cy=${y(p.y)} r="9" /><circle cx=${x(p.time)} cy=${y(p.y)} r=${p.value === current ? 5 : 3} /></g>`,
    )}
  </svg>`;
}

/** From one value to the next: all of them are one stop of the Tab key. */
function rove(event: KeyboardEvent): void {
  const mark = event.currentTarget as SVGElement;
  const marks = [...(mark.parentElement?.querySelectorAll<SVGElement>('.mark') ?? [])];
  const at = marks.indexOf(mark);
  const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: marks.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  marks[next]?.focus();
}
