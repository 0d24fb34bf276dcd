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
const RGB = ['#e03131', '#2f9e44', '#1c7ed6'];

/** What a legend says of a layer, on the page and in the picture that is saved. */
export interface Legend {
  title: string;
  unit: string | null;
  /** Classes, or channels of RGB. */
  colors: { color: string; text: string }[];
  channels: boolean;
  /** A ramp from the low end to the high: the URL of its picture, or a gradient of CSS. */
  ramp: { url: string | null; gradient: string; ends: [string, string, string] } | null;
}

export function legends(): TemplateResult | null {
  const shown = visibleLegends();
  if (shown.length === 0) return null;
  return html`<section class="legends panel" aria-label="Legend">${shown.map(one)}</section>`;
}

/** Of the visible layers, the topmost first. */
export function visibleLegends(): Legend[] {
  const { layers, info } = store.now;
  const shown = layers.filter(layer => layer.visible && info[layer.id]?.tiles && !info[layer.id]?.error).slice(-LAYERS_MAX);
  return shown.reverse().flatMap(layer => {
    const known = info[layer.id];
    return known ? [legendOf(layer, known)] : [];
  });
}

function legendOf(layer: Layer, info: LayerInfo): Legend {
  const unit = layer.kind === 'compute' ? null : (info.legend?.unit ?? info.metadata[0]?.unit ?? null);
  const side = store.now.compare === null || layer.side === 'both' ? '' : `${layer.side === 'left' ? 'Left' : 'Right'}: `;
  const blank: Legend = { title: side + titleOf(layer), unit, colors: [], channels: layer.kind === 'rgb', ramp: null };
  if (showsClasses(layer, info)) {
    const classes = classesOf(layer, info).filter(c => !c.hidden);
    return { ...blank, colors: classes.map(c => ({ color: c.color, text: c.label ?? c.value })) };
  }
  if (layer.kind === 'rgb') {
    return { ...blank, colors: layer.channels.map((tuple, i) => ({ color: RGB[i] ?? '', text: tuple.at(-1) ?? '' })) };
  }
  const stretch = resolved(layer, 0);
  if (!stretch) return blank;
  // A transform moves what lies between the ends.
  const middle = layer.gamma === 1 && layer.contrast === 0 ? show((stretch[0] + stretch[1]) / 2, 3) : '';
  const url = layer.colormap ? colormapUrl(layer, layer.colormap) : null;
  return { ...blank, ramp: { url, gradient: gradientOf(layer), ends: [show(stretch[0], 3), middle, show(stretch[1], 3)] } };
}

function one({ title, unit, colors, channels, ramp }: Legend): TemplateResult {
  return html`<div class="legend">
    <h2 title=${title}>${title}${unit ? html` <span class="unit">${unit}</span>` : null}</h2>
    ${channels ? html`<div class="legend-rgb">${colors.map((c, i) => html`<span><i style="background:${c.color}"></i><span class="unseen">${['red', 'green', 'blue'][i]}: </span>${c.text}</span>`)}</div>` : null}
    ${channels || colors.length === 0 ? null : html`<ul>${colors.map(c => html`<li><span class="swatch" style="background:${c.color}"></span>${c.text}</li>`)}</ul>`}
    ${
      ramp
        ? html`<div class="legend-ramp" role="img" aria-label="Colors from ${ramp.ends[0]} to ${ramp.ends[2]} ${unit ?? ''}" style="background:${ramp.url ? `center / 100% 100% url("${ramp.url}")` : ramp.gradient}"></div>
          <div class="legend-ends" aria-hidden="true">${ramp.ends.map(end => html`<span>${end}</span>`)}</div>`
        : null
    }
  </div>`;
}
