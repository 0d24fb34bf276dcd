/** The legend on the map: what the colors of the visible layers mean, with units. */
import { html, type TemplateResult } from 'lit-html';
import type { Layer } from '../../state/layer';
import { type LayerInfo, store } from '../../state/store';
import { show } from '../../widgets/numbers';
import { titleOf } from '../look/layers';
import { classesOf, showsClasses } from './classes';
import { colormapUrl, gradientOf } from './colormap';
import { resolved } from './stretch';

const LAYERS_MAX = 4;

export function legends(): TemplateResult | null {
  const { layers, info } = store.now;
  const shown = layers.filter(layer => layer.visible && info[layer.id]?.tiles && !info[layer.id]?.error).slice(-LAYERS_MAX);
  if (shown.length === 0) return null;
  return html`<section class="legends panel" aria-label="Legend">
    ${[...shown].reverse().map(layer => {
      const known = info[layer.id];
      return known ? one(layer, known) : null;
    })}
  </section>`;
}

function one(layer: Layer, info: LayerInfo): TemplateResult {
  const unit = info.legend?.unit ?? info.metadata[0]?.unit ?? null;
  const title = titleOf(layer);
  const head = html`<h3 title=${title}>${title}${unit && layer.kind !== 'compute' ? html` <span class="unit">${unit}</span>` : null}</h3>`;
  if (showsClasses(layer, info)) {
    const classes = classesOf(layer, info).filter(c => !c.hidden);
    return html`<div class="legend">${head}
      <ul>${classes.map(c => html`<li><span class="swatch" style="background:${c.color}"></span>${c.label ?? c.value}</li>`)}</ul></div>`;
  }
  if (layer.kind === 'rgb') {
    const bands = layer.channels.map(tuple => tuple.at(-1) ?? '');
    return html`<div class="legend">${head}
      <div class="legend-rgb">${bands.map((band, i) => html`<span><i style="background:${['#e03131', '#2f9e44', '#1c7ed6'][i]}"></i>${band}</span>`)}</div></div>`;
  }
  const stretch = resolved(layer, 0);
  if (!stretch) return html`<div class="legend">${head}</div>`;
  const background = layer.colormap ? `center / 100% 100% url("${colormapUrl(layer, layer.colormap)}")` : gradientOf(layer);
  // A transform moves what lies between the ends.
  const middle = layer.gamma === 1 && layer.contrast === 0 ? show((stretch[0] + stretch[1]) / 2, 3) : '';
  return html`<div class="legend">${head}
    <div class="legend-ramp" style="background:${background}"></div>
    <div class="legend-ends"><span>${show(stretch[0], 3)}</span><span>${middle}</span><span>${show(stretch[1], 3)}</span></div></div>`;
}
