/** A field for the value of one key: a choice where there are few, a text with suggestions where there are many. */
import { html, type TemplateResult } from 'lit-html';
import { Latest } from '../../api/client';
import { at } from '../../api/collections';
import { type Counted, type Filter, keyValues } from '../../api/datasets';
import { fixed } from '../../state/choose';
import { showValue, storedForm, typedValue } from '../../state/date-keys';
import { Failures } from '../../state/failures';
import type { Layer, Tuple } from '../../state/layer';
import { perLayer } from '../../state/per-layer';
import { store } from '../../state/store';
import { choice } from '../../widgets/fields';
import { unlessTyped } from '../../widgets/unless-typed';

const FEW = 60;
const SUGGESTED = 30;
const KNOWN_MAX = 100;
/** A value that no key has: it would be an empty path segment. */
const ANY = '';

interface Known {
  values: readonly Counted[];
  generation: number;
}

const known = new Map<string, Known>();
/** By layer and key, of what was typed last. */
const suggested = perLayer<readonly Counted[]>();
const latest = new Latest();
const failures = new Failures();

export interface KeyFieldOptions {
  layer: Layer;
  tuple: Tuple;
  key: number;
  label: string;
  any: boolean;
  hideLabel?: boolean;
  change: (value: string | null) => void;
}

export function keyField({ layer, tuple, key, label, any, hideLabel, change }: KeyFieldOptions): TemplateResult {
  const keys = store.keysOf(layer.collection);
  // Values that exist below the values of the keys before it.
  const values = valuesOf(layer.collection, key, fixed(keys, tuple.slice(0, key)));
  const value = tuple[key] ?? ANY;
  const shown = (text: string) => showValue(layer.collection, keys[key] ?? '', text);
  const chosen = (text: string) => change(text === ANY ? null : text);
  if (values.length <= FEW) {
    const options: (readonly [string, string])[] = values.map(counted => [counted.value, shown(counted.value)]);
    if (any || value === ANY) options.unshift([ANY, 'any (mosaic)']);
    return choice({ label, value, options, change: chosen, ...(hideLabel ? { hideLabel } : {}) });
  }
  const id = `${layer.id}/${key}`;
  const suggest = (event: Event) =>
    void suggestFor(id, layer.collection, key, fixed(keys, tuple.slice(0, key)), (event.target as HTMLInputElement).value);
  return html`<label class="choice">${hideLabel ? null : html`<span>${label}</span>`}
    <input type="text" list=${id} aria-label=${label} placeholder=${any ? 'any (mosaic)' : ''} .value=${unlessTyped(value)} @input=${suggest}
      @change=${(event: Event) => chosen(typedValue(layer.collection, keys[key] ?? '', (event.target as HTMLInputElement).value.trim()))} />
    <datalist id=${id}>${(suggested.get(id) ?? values.slice(0, SUGGESTED)).map(counted => html`<option value=${counted.value}>${shown(counted.value)}</option>`)}</datalist>
  </label>`;
}

function valuesOf(collection: string, key: number, filters: ReturnType<typeof fixed>): readonly Counted[] {
  const name = JSON.stringify([collection, key, filters]);
  const found = known.get(name);
  const { generation } = store.now;
  if (found?.generation === generation) return found.values;
  if (failures.has(name)) return found?.values ?? [];
  const entry: Known = { values: found?.values ?? [], generation };
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(name, entry);
  const keys = store.keysOf(collection);
  keyValues(at(store.collectionOf(collection), collection), keys[key] ?? '', filters, { limit: FEW + 1 })
    .then(values => {
      entry.values = values;
      store.set({});
    })
    .catch(() => {
      known.delete(name);
      failures.add(name);
    });
  return entry.values;
}

async function suggestFor(id: string, collection: string, key: number, filters: Filter[], prefix: string): Promise<void> {
  const path = at(store.collectionOf(collection), collection);
  const name = store.keysOf(collection)[key] ?? '';
  const stored = await storedForm(collection, name, prefix);
  const values = await latest
    .run(signal => keyValues(path, name, filters, { prefix: stored, limit: SUGGESTED }, signal))
    .catch(() => undefined);
  if (!values) return;
  suggested.set(id, values);
  store.set({});
}
