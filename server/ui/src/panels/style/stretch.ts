/** The stretch of each channel: over its histogram by handles, by numbers, or by percentiles. */
import { html, type TemplateResult } from 'lit-html';
import { isMosaic, type Layer, type Stretch } from '../../state/layer';
import { store } from '../../state/store';
import { numberField } from '../../widgets/fields';
import { domainOf, histogram } from '../../widgets/histogram';
import { tidy } from '../../widgets/numbers';
import { colormapUrl, gradientOf } from './colormap';
import { sampleOf } from './sample';

const PRESETS: readonly (readonly [string, number])[] = [
  ['All', 0],
  ['1–99 %', 1],
  ['2–98 %', 2],
  ['5–95 %', 5],
];
const RGB = [
  ['Red', '#e03131'],
  ['Green', '#2f9e44'],
  ['Blue', '#1c7ed6'],
] as const;

export function stretches(layer: Layer): TemplateResult {
  const all =
    layer.kind === 'rgb' ? RGB.map(([name, color], i) => one(layer, i, name, color, 44)) : [one(layer, 0, 'values', 'var(--bars)', 72)];
  // Percentiles of a formula are those of what is seen.
  const waits = layer.kind === 'compute' && sampleOf(layer, 0) === null;
  return html`<div class="stretches">
    <div class="presets even" role="group" aria-label="Stretch by percentiles">
      ${PRESETS.map(([name, percent]) => html`<button type="button" class="small" aria-pressed=${isPreset(layer, percent)} ?disabled=${waits} title=${percent === 0 ? 'From the smallest value to the largest' : `Percentiles ${percent} to ${100 - percent}`} @click=${() => preset(layer, percent)}>${name}</button>`)}
      <button type="button" class="small" aria-pressed=${layer.stretches.every(s => s === null)} ?disabled=${layer.kind === 'compute'} title="What Kiln chooses" @click=${() => setAll(layer, () => null)}>Auto</button>
    </div>
    ${all}
  </div>`;
}

/** The ends of the stretch in numbers, once the server has said them. */
export function resolved(layer: Layer, channel: number): [number, number] | null {
  const own = layer.stretches[channel];
  if (own && typeof own[0] === 'number' && typeof own[1] === 'number') return [own[0], own[1]];
  const tiles = store.now.info[layer.id]?.tiles;
  if (!tiles) return null;
  const name = layer.kind === 'rgb' ? `${'rgb'[channel]}_range` : 'stretch_range';
  const text = new URLSearchParams(tiles.split('?')[1] ?? '').get(name);
  const found = text === null ? null : (JSON.parse(text) as unknown);
  return Array.isArray(found) && typeof found[0] === 'number' && typeof found[1] === 'number' ? [found[0], found[1]] : null;
}

function one(layer: Layer, channel: number, label: string, color: string, height: number): TemplateResult {
  const known = store.now.info[layer.id]?.metadata[channel];
  // What is known of a dataset may be without a histogram.
  const lacking = known !== undefined && !known?.histogram;
  const sampled = layer.kind === 'compute' || isMosaic(layer) || lacking ? sampleOf(layer, channel) : null;
  const found = sampled?.histogram ?? (layer.kind === 'compute' ? null : known?.histogram);
  const stretch = resolved(layer, channel);
  const change = (next: [number, number]) => {
    // Three channels cannot be inverted.
    if (layer.kind !== 'singleband' && next[0] > next[1]) return;
    set(layer, channel, next);
  };
  const span = stretch ? Math.abs(stretch[1] - stretch[0]) || 1 : 1;
  const ramp =
    layer.kind === 'rgb'
      ? undefined
      : layer.colormap
        ? `center / 100% 100% url("${colormapUrl(layer, layer.colormap)}")`
        : gradientOf(layer);
  return html`<div class="stretch" data-channel=${channel}>
    ${
      found
        ? histogram({
            histogram: found,
            domain: domainOf(found, sampled?.percentiles ?? known?.percentiles ?? null, stretch),
            stretch,
            height,
            color,
            label: label === 'values' ? 'the values' : label,
            change,
            ...(ramp ? { ramp } : {}),
          })
        : html`<div class="histogram waiting" style="height:${height}px">${layer.kind === 'compute' || lacking ? 'values of the view follow' : ''}</div>`
    }
    ${
      stretch
        ? html`<div class="ends">
          ${numberField(`Low end${label === 'values' ? '' : `, ${label}`}`, tidy(stretch[0], span), low => change([low, stretch[1]]))}
          <span class="quiet">${label === 'values' ? (known?.unit ?? '') : label}</span>
          ${numberField(`High end${label === 'values' ? '' : `, ${label}`}`, tidy(stretch[1], span), high => change([stretch[0], high]))}
        </div>`
        : null
    }
  </div>`;
}

function set(layer: Layer, channel: number, stretch: Stretch | null): void {
  const now = store.layer(layer.id);
  if (now) store.changeLayer(layer.id, { stretches: now.stretches.map((old, i) => (i === channel ? stretch : old)) });
}

function setAll(layer: Layer, of: (channel: number) => Stretch | null): void {
  store.changeLayer(layer.id, { stretches: layer.stretches.map((_, i) => of(i)) });
}

function preset(layer: Layer, percent: number): void {
  if (layer.kind !== 'compute') {
    return setAll(layer, () => (percent === 0 ? [null, null] : [`p${percent}`, `p${100 - percent}`]));
  }
  const sampled = sampleOf(layer, 0);
  if (!sampled) return;
  const [low, high] =
    percent === 0 ? [sampled.histogram.min, sampled.histogram.max] : [sampled.percentiles[percent - 1], sampled.percentiles[99 - percent]];
  if (low !== undefined && high !== undefined && high > low) set(layer, 0, [tidy(low, high - low), tidy(high, high - low)]);
}

function isPreset(layer: Layer, percent: number): boolean {
  const wanted = percent === 0 ? [null, null] : [`p${percent}`, `p${100 - percent}`];
  return layer.stretches.every(stretch => stretch !== null && stretch[0] === wanted[0] && stretch[1] === wanted[1]);
}
