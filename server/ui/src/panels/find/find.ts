/** The panel to find datasets: collection, search, and the list of what matches. */
import { html, type TemplateResult } from 'lit-html';
import { newLayer } from '../../state/layer';
import { store } from '../../state/store';
import { choice } from '../../widgets/fields';
import { icon } from '../../widgets/icons';
import type { DatasetList } from './list';
import { search } from './search';

export function find(list: DatasetList, draw: () => void): TemplateResult {
  const { collections, collection, inView, footprints, filters, mapless } = store.now;
  if (collections.every(c => c.datasets === 0)) return empty();
  const total = list.total;
  return html`
    ${collections.length > 1 ? choice({ label: 'Collection', value: collection, options: collections.map(c => [c.id, `${c.title || c.id} (${c.datasets.toLocaleString('en')})`] as const), change: id => store.set({ collection: id, filters: [] }) }) : null}
    ${search(draw)}
    <div class="list-head">
      <span aria-live="polite">${total === null ? 'Looking…' : `${total.toLocaleString('en')} ${total === 1 ? 'dataset' : 'datasets'}`}</span>
      ${
        mapless === null
          ? html`<label class="check"><input type="checkbox" .checked=${inView} @change=${() => store.set({ inView: !inView })} /> in this view</label>
            <label class="check"><input type="checkbox" .checked=${footprints} @change=${() => store.set({ footprints: !footprints })} /> outlines</label>`
          : null
      }
    </div>
    ${list.fault ? html`<p class="fault" role="alert">${icon('alert')} ${list.fault}</p>` : null}
    ${total === 0 && !list.fault ? html`<p class="quiet">Nothing matches${inView ? ' in this part of the map' : ''}. ${filters.length > 0 ? 'Take a condition away.' : ''}</p>` : null}
    ${list.element}
    ${mosaicButton()}
  `;
}

/** All that match as one layer, where the conditions are such as a mosaic can have: one value of a key, or any. */
function mosaicButton(): TemplateResult | null {
  const { collection, filters, inView } = store.now;
  const keys = store.keysOf(collection);
  const plain = filters.every(filter => filter.op === 'is') && new Set(filters.map(filter => filter.key)).size === filters.length;
  const tuple = keys.map(key => filters.find(filter => filter.key === key)?.value ?? null);
  const show = () => {
    const layer = newLayer({ collection, channels: [tuple] });
    store.set({ layers: [...store.now.layers, layer], active: layer.id, tab: 'layers' });
  };
  const label = plain
    ? `Show all that match as one mosaic${inView ? ', in this view and beyond' : ''}`
    : 'A mosaic takes one value of a key, or any: keep one condition of each';
  return html`<button type="button" class="wide" ?disabled=${!plain || !tuple.includes(null)} title=${label} @click=${show}>${icon('stack')} Mosaic of ${filters.length === 0 ? 'everything' : 'what matches'}</button>`;
}

function empty(): TemplateResult {
  const { ui } = store.now;
  const sources = ui.ingest?.sources ?? [];
  return html`<div class="empty">
    <svg viewBox="0 0 64 64" aria-hidden="true"><path d="M10 54V30a22 22 0 0 1 44 0v24H42V42a10 10 0 0 0-20 0v12z" /></svg>
    <h2>Nothing here yet</h2>
    ${
      sources.length > 0
        ? html`<p>Drop a GeoTIFF into</p>${sources.map(s => html`<code>${s.source}</code>`)}<p>and it appears here by itself a moment later.</p>`
        : html`<p>Drop a GeoTIFF into the folder or bucket that Kiln watches, and it appears here by itself a moment later.</p>`
    }
    <p class="quiet">What is being converted, and what was rejected and why, is told by the badge above.</p>
  </div>`;
}
