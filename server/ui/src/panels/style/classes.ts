/** Classes with their labels: each can be hidden, or get another color. */
import { html, type TemplateResult } from 'lit-html';
import type { Metadata } from '../../api/metadata';
import type { Layer } from '../../state/layer';
import { type LayerInfo, store } from '../../state/store';
import { iconButton } from '../../widgets/icons';

export interface Class {
  value: string;
  label: string | null;
  color: string;
  hidden: boolean;
}

export function showsClasses(layer: Layer, info: LayerInfo): boolean {
  return layer.kind === 'singleband' && (layer.classes !== null || info.legend?.type === 'categories');
}

/** The classes of the data, and those that have a color and are of another date. */
export function classesOf(layer: Layer, info: LayerInfo): Class[] {
  const told = info.legend?.type === 'categories' ? info.legend.categories : [];
  const labels = new Map(info.metadata[0]?.categories.map(c => [String(c.value), c.label]));
  const own = layer.classes ?? {};
  const color = (value: string, other: string) => (own[value] ? `#${own[value]}` : other).slice(0, 7);
  const here = told.map(c => ({ value: String(c.value), label: c.label, color: c.color }));
  const others = Object.keys(own).filter(value => !here.some(c => c.value === value));
  return [...here, ...others.map(value => ({ value, label: null, color: '' }))].map(c => ({
    value: c.value,
    label: c.label ?? labels.get(c.value) ?? null,
    color: color(c.value, c.color),
    hidden: layer.classes !== null && !(c.value in own),
  }));
}

export function classesEditor(layer: Layer, info: LayerInfo): TemplateResult {
  const classes = classesOf(layer, info);
  const shares = sharesOf(info.metadata[0] ?? null);
  const write = (next: readonly Class[]) => {
    const shown = next.filter(c => !c.hidden);
    if (shown.length > 0) store.changeLayer(layer.id, { classes: Object.fromEntries(shown.map(c => [c.value, c.color.replace('#', '')])) });
  };
  const change = (of: Class, part: Partial<Class>) => write(classes.map(c => (c.value === of.value ? { ...c, ...part } : c)));
  return html`<ul class="classes" aria-label="Classes">
      ${classes.map(
        c => html`<li class=${c.hidden ? 'off' : ''}>
          <input type="color" .value=${c.color} aria-label="Color of ${c.label ?? c.value}" @change=${(event: Event) => change(c, { color: (event.target as HTMLInputElement).value, hidden: false })} />
          <span class="names">${c.label ?? `class ${c.value}`}</span>
          <span class="quiet">${shares.get(c.value) ?? ''}</span>
          ${iconButton(c.hidden ? 'hidden' : 'eye', `${c.hidden ? 'Show' : 'Hide'} ${c.label ?? `class ${c.value}`}`, () => change(c, { hidden: !c.hidden }))}
        </li>`,
      )}
    </ul>
    <div class="layer-tools">
      ${layer.classes ? html`<button type="button" class="small" @click=${() => store.changeLayer(layer.id, { classes: null })}>All as they were</button>` : null}
      <button type="button" class="small" @click=${() => store.changeLayer(layer.id, { classes: null, colormap: 'viridis', stretches: [[null, null]] })}>Show as values</button>
    </div>`;
}

/** How much of the dataset each class covers, where the histogram has a bin for each value. */
function sharesOf(metadata: Metadata | null): Map<string, string> {
  const found = metadata?.histogram;
  const shares = new Map<string, string>();
  if (!found || Math.abs((found.max - found.min) / found.counts.length - 1) > 1e-6) return shares;
  const all = found.counts.reduce((sum, count) => sum + count, 0);
  found.counts.forEach((count, i) => {
    const percent = (count / all) * 100;
    shares.set(String(Math.round(found.min + i + 0.5)), percent >= 10 ? `${Math.round(percent)} %` : `${percent.toFixed(1)} %`);
  });
  return shares;
}
