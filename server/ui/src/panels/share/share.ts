/** What can be taken away: a link to this view, URLs, snippets, a picture, values. */
import { html, type TemplateResult } from 'lit-html';
import type { View } from '../../map/view';
import { link } from '../../state/hash';
import { store } from '../../state/store';
import { copyable } from '../../widgets/copy';
import { choice } from '../../widgets/fields';
import { icon } from '../../widgets/icons';
import { geotiffUrl } from '../ask/answers';
import { titleOf } from '../look/layers';
import { savePicture } from './picture';
import { snippets, urlsOf } from './snippets';

export function sharePanel(view: View | null): TemplateResult {
  const { layers } = store.now;
  const layer = store.activeLayer ?? layers.at(-1);
  const body = () => {
    if (!layer) return html`<p class="quiet">Show a layer to share it.</p>`;
    const { xyz, tilejson, wmts, preview } = urlsOf(layer);
    return html`
      ${layers.length > 1 ? choice({ label: 'Layer', value: layer.id, options: layers.map(l => [l.id, titleOf(l)] as const), change: active => store.set({ active }) }) : null}
      ${copyable('XYZ tiles', xyz, { name: 'xyz' })} ${copyable('TileJSON', tilejson, { name: 'tilejson' })} ${wmts ? copyable('WMTS', wmts, { name: 'wmts' }) : null}
      ${snippets(layer).map(([name, text]) => copyable(name, text, { block: true }))}
      <div class="layer-tools">
        ${layer.kind === 'rgb' || !view ? null : html`<a class="button small" download href=${geotiffUrl(layer, view.bounds())}>${icon('download')} GeoTIFF of this view</a>`}
        <a class="button small" href=${preview} target="_blank" rel="noopener">${icon('frame')} Preview of all of it</a>
      </div>
      ${layer.kind === 'rgb' && view ? html`<p class="quiet">A GeoTIFF has values, of a band or of maths; RGB is a picture.</p>` : null}`;
  };
  return html`${copyable('Link to this page as it is', link(), { name: 'link' })}
    ${view ? html`<div class="layer-tools"><button type="button" class="small" @click=${() => savePicture(view)}>${icon('download')} PNG of this view</button></div>` : null}
    <h3>The layer</h3>
    ${body()}`;
}
