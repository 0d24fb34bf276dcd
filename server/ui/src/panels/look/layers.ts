/** The layers, the topmost first; the active one opens to its editor. */
import { html, type TemplateResult } from 'lit-html';
import { repeat } from 'lit-html/directives/repeat.js';
import { showValue } from '../../state/date-keys';
import { copyLayer, type Layer } from '../../state/layer';
import { store } from '../../state/store';
import { segmented, slider } from '../../widgets/fields';
import { icon, iconButton } from '../../widgets/icons';
import { stylePanel } from '../style/style';
import { editor } from './editor';

/** `fly` goes to a layer, where there is a map. */
export function layersPanel(fly: ((layer: Layer) => void) | null): TemplateResult {
  const { layers } = store.now;
  if (layers.length === 0) {
    return html`<div class="empty small"><p>No layer is shown.</p>
      <button type="button" @click=${() => store.set({ tab: 'data' })}>${icon('search')} Choose a dataset</button></div>`;
  }
  return html`<ol class="layers" aria-label="Layers, the topmost first">
    ${repeat(
      [...layers].reverse(),
      layer => layer.id,
      layer => card(layer, fly),
    )}
  </ol>`;
}

/** What a layer is called: the values that say what it shows. */
export function titleOf(layer: Layer): string {
  const first = layer.channels[0] ?? [];
  const head = layer.kind === 'singleband' ? first : first.slice(0, -1);
  const keys = store.keysOf(layer.collection);
  const named = head.flatMap((value, i) => (value === null ? [] : [showValue(layer.collection, keys[i] ?? '', value)]));
  const bands = layer.channels.map(tuple => tuple.at(-1) ?? '*');
  if (layer.kind === 'rgb') named.push(bands.join(' '));
  if (layer.kind === 'compute') named.push(layer.expression || 'band maths');
  return named.filter((value, i) => value !== named[i - 1]).join(' · ') || 'everything';
}

function card(layer: Layer, fly: ((layer: Layer) => void) | null): TemplateResult {
  const { active, info, layers, compare } = store.now;
  const known = info[layer.id];
  const open = layer.id === active;
  const index = layers.indexOf(layer);
  const title = titleOf(layer);
  const kinds = { singleband: layer.channels.some(t => t.includes(null)) ? 'Mosaic' : 'Band', rgb: 'RGB', compute: 'Maths' };
  const move = (by: number) => {
    const next = layers.filter(other => other !== layer);
    next.splice(index + by, 0, layer);
    store.set({ layers: next });
  };
  const remove = () =>
    store.set({
      layers: layers.filter(other => other !== layer),
      emptied: layers.length === 1,
      active: open ? (layers.filter(other => other !== layer).at(-1)?.id ?? null) : active,
    });
  const twin = () => {
    const copy = copyLayer(layer);
    store.set({ layers: [...layers.slice(0, index + 1), copy, ...layers.slice(index + 1)], active: copy.id });
  };
  return html`<li class="layer ${open ? 'open' : ''} ${layer.visible ? '' : 'off'}" data-layer=${index}>
    <div class="layer-head">
      ${iconButton(layer.visible ? 'eye' : 'hidden', layer.visible ? `Hide ${title}` : `Show ${title}`, () => store.changeLayer(layer.id, { visible: !layer.visible }))}
      <h2><button type="button" class="layer-title" aria-expanded=${open} @click=${() => store.set({ active: open ? null : layer.id })}>
        <span class="tag">${kinds[layer.kind]}</span><span class="names">${title}</span>
        ${known?.busy ? html`<span class="spinner" role="status" aria-label="loading"></span>` : null}
      </button></h2>
      ${iconButton('close', `Remove ${title}`, remove)}
    </div>
    ${known?.error ? html`<p class="fault" role="alert">${icon('alert')} ${known.error}</p>` : null}
    ${
      open
        ? html`<div class="layer-body">
          ${
            compare === null || !fly
              ? null
              : segmented(
                  'Side of the swipe',
                  [
                    ['left', 'Left'],
                    ['both', 'Both'],
                    ['right', 'Right'],
                  ],
                  layer.side,
                  side => store.changeLayer(layer.id, { side }),
                )
          }
          ${editor(layer)} ${stylePanel(layer)}
          ${slider({ label: 'Opacity', value: layer.opacity, min: 0, max: 1, step: 0.01, reset: 1, show: v => `${Math.round(v * 100)} %`, change: opacity => store.changeLayer(layer.id, { opacity }) })}
          <div class="layer-tools">
            ${fly ? html`<button type="button" class="small" @click=${() => fly(layer)}>${icon('frame')} Zoom to</button>` : null}
            <button type="button" class="small" @click=${twin}>${icon('twin')} Duplicate</button>
            ${iconButton('up', `Move ${title} up`, () => move(1), { disabled: index === layers.length - 1 })}
            ${iconButton('down', `Move ${title} down`, () => move(-1), { disabled: index === 0 })}
          </div>
        </div>`
        : null
    }
  </li>`;
}
