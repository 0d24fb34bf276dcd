/** Gamma, sigmoidal contrast, saturation. */
import { html, type TemplateResult } from 'lit-html';
import type { Layer } from '../../state/layer';
import { store } from '../../state/store';
import { slider } from '../../widgets/fields';

export function tone(layer: Layer): TemplateResult | null {
  // Band maths takes no transform.
  if (layer.kind === 'compute') return null;
  const set = (change: Partial<Layer>) => store.changeLayer(layer.id, change);
  const changed = layer.gamma !== 1 || layer.contrast !== 0 || layer.saturation !== 1;
  return html`<details class="tone" ?open=${changed}>
    <summary>Tone</summary>
    ${slider({ label: 'Gamma', value: layer.gamma, min: 0.2, max: 4, step: 0.05, reset: 1, change: gamma => set({ gamma }) })}
    ${slider({ label: 'Contrast', value: layer.contrast, min: -15, max: 15, step: 0.5, reset: 0, change: contrast => set({ contrast }) })}
    ${layer.contrast === 0 ? null : slider({ label: 'Its middle', value: layer.bias, min: 0, max: 1, step: 0.01, reset: 0.5, change: bias => set({ bias }) })}
    ${layer.kind === 'rgb' ? slider({ label: 'Saturation', value: layer.saturation, min: 0, max: 3, step: 0.05, reset: 1, change: saturation => set({ saturation }) }) : null}
    ${changed ? html`<button type="button" class="small" @click=${() => set({ gamma: 1, contrast: 0, bias: 0.5, saturation: 1 })}>Reset tone</button>` : null}
  </details>`;
}
