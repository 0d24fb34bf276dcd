/** Choosing a color map by what it looks like. */
import { html, type TemplateResult } from 'lit-html';
import { absolute } from '../../api/client';
import { at } from '../../api/collections';
import { colormapNames } from '../../api/pictures';
import { Failures } from '../../state/failures';
import type { Layer } from '../../state/layer';
import { store } from '../../state/store';
import { icon } from '../../widgets/icons';

/** What most choose, by what it is good for; everything else follows. */
const GROUPS: readonly (readonly [string, string])[] = [
  ['Even to the eye', 'viridis magma inferno plasma cividis turbo thermal haline solar ice deep dense matter tempo speed amp algae rain'],
  ['Terrain and water', 'terrain gist_earth topo ocean bone copper'],
  [
    'From little to much',
    'greys reds oranges greens blues purples ylgn ylgnbu gnbu bugn pubu bupu rdpu purd orrd ylorbr ylorrd pubugn hot afmhot summer autumn winter spring cool wistia',
  ],
  ['About a middle', 'rdylgn rdylbu rdbu spectral coolwarm bwr seismic piyg prgn brbg puor rdgy balance delta curl diff tarn'],
  ['Round', 'twilight twilight_shifted hsv phase'],
];

const names = new Map<string, readonly string[]>();
const failures = new Failures();
let wanted = '';

export function colormapUrl(layer: Layer, name: string): string {
  return absolute(`${at(store.collectionOf(layer.collection), layer.collection)}colormaps/${encodeURIComponent(name)}.png`);
}

export function colormapPicker(layer: Layer): TemplateResult {
  const all = namesOf(layer.collection);
  const { colormap } = layer;
  const reversed = colormap?.endsWith('_r') ?? false;
  const base = colormap?.replace(/_r$/, '') ?? null;
  const set = (name: string | null) => store.changeLayer(layer.id, { colormap: name });
  const flip = () => colormap && set(reversed ? colormap.slice(0, -2) : `${colormap}_r`);
  const pick = (name: string | null) => (event: Event) => {
    set(name && reversed && all.includes(`${name}_r`) ? `${name}_r` : name);
    const popup = (event.currentTarget as HTMLElement).closest('details');
    popup?.removeAttribute('open');
    popup?.querySelector('summary')?.focus();
  };
  return html`<div class="colormap">
    <details class="popup" @keydown=${escaped}>
      <summary aria-label="Colors: ${colormap ?? 'default'}">${ramp(layer, colormap)}<span class="names">${colormap ?? 'Default'}</span></summary>
      <div class="popup-body">
        <input type="search" placeholder="Find colors" aria-label="Find colors" .value=${wanted} @input=${(event: Event) => {
          wanted = (event.target as HTMLInputElement).value.trim().toLowerCase();
          store.set({});
        }} />
        <div class="ramps">
          <button type="button" class="ramp-choice" aria-pressed=${colormap === null} @click=${pick(null)}>${ramp(layer, null)}<span>Default</span></button>
          ${groups(all).map(
            ([title, members]) =>
              html`<h3>${title}</h3>${members.map(
                name =>
                  html`<button type="button" class="ramp-choice" data-colormap=${name} aria-pressed=${base === name} @click=${pick(name)}>${ramp(layer, reversed ? `${name}_r` : name)}<span>${name}</span></button>`,
              )}`,
          )}
        </div>
      </div>
    </details>
    <button type="button" class="small" aria-pressed=${reversed} ?disabled=${!colormap} @click=${flip}>${icon('swap')} Reverse</button>
  </div>`;
}

/** Closes what is open, and nothing else. */
function escaped(event: KeyboardEvent): void {
  const popup = event.currentTarget as HTMLDetailsElement;
  if (event.key !== 'Escape' || !popup.open) return;
  event.stopPropagation();
  popup.open = false;
  popup.querySelector('summary')?.focus();
}

/** A strip of a color map; grey, or what the legend says, where none is named. */
function ramp(layer: Layer, name: string | null): TemplateResult {
  if (name === null) return html`<span class="ramp" style="background:${gradientOf(layer)}"></span>`;
  return html`<img class="ramp" alt="" loading="lazy" .src=${colormapUrl(layer, name)} />`;
}

/** The colors of a layer without a color map, as CSS. */
export function gradientOf(layer: Layer): string {
  const legend = store.now.info[layer.id]?.legend;
  if (legend?.type === 'ramp' && layer.colormap === null) return `linear-gradient(to right,${legend.colors.map(c => c.color).join(',')})`;
  return 'linear-gradient(to right,#000,#fff)';
}

function groups(all: readonly string[]): (readonly [string, readonly string[]])[] {
  const matches = all.filter(name => !name.endsWith('_r') && name.includes(wanted));
  const named = GROUPS.map(([title, list]) => [title, list.split(' ').filter(name => matches.includes(name))] as const);
  const rest = matches.filter(name => !named.some(([, list]) => list.includes(name)));
  return [...named, ['More', rest] as const].filter(([, list]) => list.length > 0);
}

function namesOf(collection: string): readonly string[] {
  const found = names.get(collection);
  if (found || failures.has(collection)) return found ?? [];
  names.set(collection, []);
  colormapNames(at(store.collectionOf(collection), collection))
    .then(list => {
      names.set(collection, list);
      store.set({});
    })
    .catch(() => {
      names.delete(collection);
      failures.add(collection);
    });
  return [];
}
