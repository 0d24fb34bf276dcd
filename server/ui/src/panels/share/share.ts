/** What can be taken away: a link to this view, URLs, snippets, a picture, values. */
import { html, type TemplateResult } from 'lit-html';
import { link } from '../../state/hash';
import { store } from '../../state/store';
import { copyable } from '../../widgets/copy';
import { choice } from '../../widgets/fields';
import { icon } from '../../widgets/icons';
import { geotiffUrl } from '../ask/answers';
import { titleOf } from '../look/layers';
import { snippets, urlsOf } from './snippets';

export function sharePanel(actions: { png: () => void; bounds: () => [number, number, number, number] }): TemplateResult {
  const { layers } = store.now;
  const layer = store.activeLayer ?? layers.at(-1);
  const body = () => {
    if (!layer) return html`<p class="quiet">Show a layer to share it.</p>`;
    const { xyz, tilejson, wmts, preview } = urlsOf(layer);
    return html`
      ${layers.length > 1 ? choice({ label: 'Layer', value: layer.id, options: layers.map(l => [l.id, titleOf(l)] as const), change: active => store.set({ active }) }) : null}
      ${copyable('XYZ tiles', xyz, { name: 'xyz' })} ${copyable('TileJSON', tilejson, { name: 'tilejson' })} ${copyable('WMTS', wmts, { name: 'wmts' })}
      ${snippets(layer).map(([name, text]) => copyable(name, text, { block: true }))}
      <div class="layer-tools">
        ${layer.kind === 'rgb' ? null : html`<a class="button small" download href=${geotiffUrl(layer.id, actions.bounds())}>${icon('download')} GeoTIFF of this view</a>`}
        <a class="button small" href=${preview} target="_blank" rel="noopener">${icon('frame')} Preview of all of it</a>
      </div>`;
  };
  return html`${copyable('Link to this page as it is', link(), { name: 'link' })}
    <div class="layer-tools"><button type="button" class="small" @click=${actions.png}>${icon('download')} PNG of this view</button></div>
    <h3>The layer</h3>
    ${body()}`;
}
