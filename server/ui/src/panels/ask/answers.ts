/** The panel with what was asked: values and series of a place, or statistics and a histogram of an area. */
import { html, type TemplateResult } from 'lit-html';
import { absolute } from '../../api/client';
import { apiBox, at, type Bounds } from '../../api/collections';
import { type Layer, layerUrl } from '../../state/layer';
import { type Answer, type AreaAnswer, type LngLat, store } from '../../state/store';
import { copyText } from '../../widgets/copy';
import { domainOf, histogram } from '../../widgets/histogram';
import { icon, iconButton } from '../../widgets/icons';
import { show, showArea } from '../../widgets/numbers';
import { plot } from '../../widgets/plot';
import { titleOf } from '../look/layers';
import { setDate } from '../look/time';

const EARTH_M = 6_371_008.8;
/** Pixels of a GeoTIFF's longer side. */
const CUT_PIXELS = 1024;

export function answersPanel(): TemplateResult | null {
  const { place, answers, area, areaAnswers } = store.now;
  if (!place && !area) return null;
  const close = () => store.set({ place: null, answers: null, area: null, areaAnswers: null });
  const head = place ? `${place[1].toFixed(5)}°, ${place[0].toFixed(5)}°` : `Area of ${showArea(areaOf(area ?? []))}`;
  return html`<section class="answers panel" aria-label=${place ? 'Values here' : 'Statistics of the area'}>
    <p class="unseen" role="status">${spoken()}</p>
    <header>${icon(place ? 'pin' : 'polygon')}<h2>${head}</h2>${iconButton('close', 'Close the answers', close)}</header>
    <div class="answers-body">
      ${place ? (answers === null ? waiting() : answers.length === 0 ? html`<p class="quiet">No layer is visible.</p>` : answers.map(placeAnswer)) : null}
      ${area ? (areaAnswers === null ? waiting() : areaAnswers.map(areaAnswer)) : null}
    </div>
  </section>`;
}

/** What was asked for in a sentence: plots and tables are not read out whenever they change. */
function spoken(): string {
  const { answers, areaAnswers } = store.now;
  if (!answers && !areaAnswers) return 'Asking…';
  const values = (answers ?? []).map(a => `${titled(a.layer)}: ${a.error ?? a.values.map(v => `${v.label} ${v.value}`).join(', ')}`);
  const means = (areaAnswers ?? []).map(a => `${titled(a.layer, a.band)}: ${a.error ?? `mean ${show(a.statistics?.mean)}`}`);
  return [...values, ...means].join('; ');
}

function titled(id: string, band = ''): string {
  const layer = store.layer(id);
  return layer ? `${titleOf(layer)}${band}` : '';
}

function waiting(): TemplateResult {
  return html`<p class="quiet"><span class="spinner"></span> Asking…</p>`;
}

function placeAnswer(answer: Answer): TemplateResult {
  const { series } = answer;
  const current = series ? (store.layer(answer.layer)?.channels[0]?.[series.key] ?? null) : null;
  const csv = () => copyText(`date,value\n${(series?.values ?? []).map(v => `${v.value},${v.y ?? ''}`).join('\n')}\n`);
  return html`<article>
    <h3>${titled(answer.layer)}</h3>
    ${answer.error ? html`<p class="fault">${answer.error}</p>` : null}
    <dl class="values">${answer.values.map(v => html`<div>${v.label ? html`<dt>${v.label}</dt>` : html`<dt class="unseen">value</dt>`}<dd>${v.value}</dd></div>`)}</dl>
    ${
      series
        ? html`${plot({ values: series.values, unit: series.unit, current, label: `Over time: ${titled(answer.layer)}`, choose: value => setDate(answer.layer, value) })}
          ${series.newest ? html`<p class="quiet">The newest ${series.values.length} dates.</p>` : null}
          <button type="button" class="small" @click=${csv}>${icon('copy')} Copy as CSV</button>`
        : null
    }
  </article>`;
}

function areaAnswer(answer: AreaAnswer): TemplateResult {
  const s = answer.statistics;
  const title = titled(answer.layer, answer.band);
  const rows: [string, string][] = s
    ? [
        ['Mean', show(s.mean)],
        ['Median', show(s.median)],
        ['Min', show(s.min)],
        ['Max', show(s.max)],
        ['Std', show(s.std)],
        ['2–98 %', `${show(s.percentile_2)} – ${show(s.percentile_98)}`],
        ['Pixels', show(s.count)],
        ['Valid', `${show(s.valid_percent, 3)} %`],
      ]
    : [];
  const bins = s?.histogram;
  const [low, high] = [bins?.[1][0], bins?.[1].at(-1)];
  const found = bins && low !== undefined && high !== undefined && high > low ? { min: low, max: high, counts: bins[0] } : null;
  return html`<article>
    <h3>${title}${answer.unit ? html` <span class="unit">${answer.unit}</span>` : null}</h3>
    ${answer.error ? html`<p class="fault">${answer.error}</p>` : null}
    ${s?.count === 0 ? html`<p class="quiet">No data in this area.</p>` : null}
    ${s && s.count > 0 ? html`<dl class="statistics">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>` : null}
    ${
      found
        ? html`${histogram({ histogram: found, domain: domainOf(found, null, null), stretch: null, height: 64, color: 'var(--bars)', label: title })}
          <div class="legend-ends"><span>${show(found.min, 3)}</span><span>${show(found.max, 3)}</span></div>`
        : null
    }
    ${cut(answer)}
  </article>`;
}

/** The area's box as a GeoTIFF of values: of RGB, those of the band that is told of. */
function cut(answer: AreaAnswer): TemplateResult | null {
  const layer = store.layer(answer.layer);
  const { area } = store.now;
  const bands = layer?.kind === 'rgb' ? { ...layer, kind: 'singleband' as const, channels: [answer.tuple] } : layer;
  if (!bands || !area) return null;
  return html`<a class="button small" download href=${geotiffUrl(bands, boxOf(area))}>${icon('download')} GeoTIFF of its box</a>`;
}

/** Values of a layer in a box, as a file. */
export function geotiffUrl(layer: Layer, bbox: Bounds): string {
  const plain = { ...layer, colormap: null, classes: null, gamma: 1, contrast: 0, stretches: [null] };
  const [west, south, , north] = bbox;
  const east = Math.min(bbox[2], west + 360);
  const ratio = ((east - west) * Math.cos((((south + north) / 2) * Math.PI) / 180)) / Math.max(north - south, 1e-9);
  const size =
    ratio > 1 ? [CUT_PIXELS, Math.max(1, Math.round(CUT_PIXELS / ratio))] : [Math.max(1, Math.round(CUT_PIXELS * ratio)), CUT_PIXELS];
  const path = at(store.collectionOf(layer.collection), layer.collection);
  return absolute(
    path +
      layerUrl(plain, store.keysOf(layer.collection), 'crop.tif', [
        [
          'bbox',
          apiBox(bbox)
            .map(n => n.toFixed(6))
            .join(','),
        ],
        ['width', String(size[0])],
        ['height', String(size[1])],
      ]),
  );
}

export function boxOf(ring: readonly LngLat[]): Bounds {
  const [lngs, lats] = [ring.map(c => c[0]), ring.map(c => c[1])];
  return [Math.min(...lngs), Math.min(...lats), Math.max(...lngs), Math.max(...lats)];
}

/** Square metres of a ring on a sphere (Chamberlain and Duquette 2007). */
function areaOf(ring: readonly LngLat[]): number {
  const rad = Math.PI / 180;
  let sum = 0;
  ring.forEach((a, i) => {
    const b = ring[(i + 1) % ring.length] ?? a;
    sum += (b[0] - a[0]) * rad * (2 + Math.sin(a[1] * rad) + Math.sin(b[1] * rad));
  });
  return Math.abs((sum * EARTH_M * EARTH_M) / 2);
}
