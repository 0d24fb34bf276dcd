/** How a layer looks: its colors, the stretch over its histogram, tone; or its classes. */
import { html, type TemplateResult } from 'lit-html';
import type { Layer } from '../../state/layer';
import { store } from '../../state/store';
import { classesEditor, showsClasses } from './classes';
import { colormapPicker } from './colormap';
import { stretches } from './stretch';
import { tone } from './tone';

export function stylePanel(layer: Layer): TemplateResult {
  const info = store.now.info[layer.id];
  if (info && showsClasses(layer, info)) return html`<div class="style">${classesEditor(layer, info)}</div>`;
  const wereClasses = layer.kind === 'singleband' && info?.metadata[0]?.categorical.is;
  return html`<div class="style">
    ${layer.kind === 'rgb' ? null : colormapPicker(layer)} ${stretches(layer)} ${tone(layer)}
    ${wereClasses ? html`<button type="button" class="small" @click=${() => store.changeLayer(layer.id, { colormap: null, stretches: [null], classes: null })}>Show as classes</button>` : null}
  </div>`;
}
