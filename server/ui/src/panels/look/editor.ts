/** What a layer shows: one band, three as RGB, or a formula of bands; and which values of the keys. */
import { html, type TemplateResult } from 'lit-html';
import { at } from '../../api/collections';
import { keyValues } from '../../api/datasets';
import { fixed, triple, withValue } from '../../state/choose';
import { edit, putChannels } from '../../state/edit';
import { isMosaic, type Kind, type Layer, NAMES, type Tuple } from '../../state/layer';
import { perLayer } from '../../state/per-layer';
import { store } from '../../state/store';
import { choice, segmented } from '../../widgets/fields';
import { iconButton } from '../../widgets/icons';
import { unlessTyped } from '../../widgets/unless-typed';
import { keyField } from './key-field';

const CHANNELS = { singleband: [], rgb: ['Red', 'Green', 'Blue'], compute: NAMES.compute } as const;
const FORMULAS: readonly (readonly [string, string, number])[] = [
  ['Normalized difference', '(v1-v2)/(v1+v2)', 2],
  ['Difference', 'v1-v2', 2],
  ['Ratio', 'v1/v2', 2],
  ['Mean', '(v1+v2)/2', 2],
  ['Logarithm', 'log10(v1)', 1],
];

/** Of band maths, unless another was chosen. */
const DIVERGING = 'rdylgn';

/** Whether a channel shows all its keys, by layer and number. */
const opened = perLayer<boolean>();

export function editor(layer: Layer): TemplateResult {
  const keys = store.keysOf(layer.collection);
  const lastKey = keys.length - 1;
  const first = layer.channels[0] ?? [];
  const shared = layer.kind === 'singleband' ? keys : keys.slice(0, -1);
  return html`<div class="editor">
    ${segmented(
      'What to show',
      [
        ['singleband', 'Band'],
        ['rgb', 'RGB'],
        ['compute', 'Maths'],
      ] as const,
      layer.kind,
      kind => changeKind(layer.id, kind),
    )}
    ${layer.kind === 'compute' ? expression(layer) : null}
    <div class="keys">${shared.map((key, k) => keyField({ layer, tuple: first, key: k, label: key, any: true, change: value => changeAll(layer.id, k, value) }))}</div>
    ${layer.kind === 'singleband' ? null : layer.channels.map((tuple, i) => channel(layer, tuple, i, keys, lastKey))}
    ${layer.kind === 'compute' && layer.channels.length < 5 ? html`<button type="button" class="small" @click=${() => addOperand(layer)}>Add v${layer.channels.length + 1}</button>` : null}
    ${
      isMosaic(layer)
        ? choice({
            label: 'Where they overlap',
            value: layer.method,
            options: [
              ['first', 'the last on top'],
              ['min', 'smallest value'],
              ['max', 'largest value'],
              ['mean', 'mean'],
            ],
            change: method => store.changeLayer(layer.id, { method: method as Layer['method'] }),
          })
        : null
    }
  </div>`;
}

/** One channel: its value of the last key, and on request of any other. */
function channel(layer: Layer, tuple: Tuple, index: number, keys: readonly string[], lastKey: number): TemplateResult {
  const name = CHANNELS[layer.kind][index] ?? '';
  const differs = tuple.slice(0, -1).some((value, k) => value !== layer.channels[0]?.[k]);
  const set = (key: number, value: string | null) =>
    edit(layer.id, async ({ id, channels }, collection) => {
      const was = channels[index];
      if (!was) return;
      const next = await withValue(collection, was, key, value);
      putChannels(id, channels, channels.with(index, next));
    });
  const remove = () =>
    change(
      layer,
      layer.channels.filter((_, i) => i !== index),
    );
  const id = `${layer.id}/${index}`;
  const open = differs || opened.get(id) === true;
  const toggle = () => {
    opened.set(id, !open);
    store.set({});
  };
  return html`<div class="channel channel-${name.toLowerCase()}">
    <div class="channel-head"><span class="channel-name">${name}</span>
      ${keyField({ layer, tuple, key: lastKey, label: `${name}: ${keys[lastKey]}`, any: false, hideLabel: true, change: value => set(lastKey, value) })}
      ${layer.kind === 'compute' && layer.channels.length > 1 && index === layer.channels.length - 1 ? html`<button type="button" class="small" aria-label="Remove ${name}" @click=${remove}>−</button>` : null}
      ${index > 0 && keys.length > 1 ? iconButton('more', `Other keys of ${name}`, toggle, { expanded: open }) : null}
    </div>
    ${open ? html`<div class="keys">${keys.slice(0, -1).map((key, k) => keyField({ layer, tuple, key: k, label: key, any: false, change: value => set(k, value) }))}</div>` : null}
  </div>`;
}

function expression(layer: Layer): TemplateResult {
  const write = (event: Event) => setExpression(layer, (event.target as HTMLInputElement).value);
  return html`<label class="expression"><span>Expression</span>
      <input type="text" spellcheck="false" autocomplete="off" .value=${unlessTyped(layer.expression)} placeholder="(v1-v2)/(v1+v2)" @change=${write} /></label>
    <div class="presets" role="group" aria-label="Formulas">${FORMULAS.map(
      ([name, formula]) =>
        html`<button type="button" class="small" aria-pressed=${layer.expression === formula} @click=${() => setExpression(layer, formula)}>${name}</button>`,
    )}</div>`;
}

function setExpression(layer: Layer, text: string): void {
  const difference = /^\(v1-v2\)\/\(v1\+v2\)$/.test(text.replace(/\s/g, ''));
  const stretches = difference ? [[-1, 1] as const] : layer.stretches;
  store.changeLayer(layer.id, { expression: text, stretches, channels: operands(layer.channels, text) });
}

/** As many operands as the formula names. */
function operands(channels: readonly Tuple[], text: string): readonly Tuple[] {
  const most = Math.max(1, ...[...text.matchAll(/\bv([1-5])\b/g)].map(found => Number(found[1])));
  const spare = channels.at(-1) ?? [];
  return Array.from({ length: most }, (_, i) => channels[i] ?? spare);
}

function addOperand(layer: Layer): void {
  change(layer, [...layer.channels, layer.channels.at(-1) ?? []]);
}

function change(layer: Layer, channels: readonly Tuple[]): void {
  store.changeLayer(layer.id, { channels });
}

/** A value for a key of all channels that have the first one's. */
function changeAll(id: string, key: number, value: string | null): void {
  edit(id, async ({ channels }, collection) => {
    const old = channels[0]?.[key];
    const next = await Promise.all(channels.map(tuple => (tuple[key] === old ? withValue(collection, tuple, key, value) : tuple)));
    putChannels(id, channels, next);
  });
}

/** Another kind of look at the same data. */
function changeKind(id: string, kind: Kind): void {
  edit(id, async (was, collection) => {
    const asked = was.channels[0];
    if (!asked) return;
    if (kind === 'singleband') {
      // What maths chose goes with it, so that classes are shown as classes again.
      const colormap = was.kind === 'compute' && was.colormap === DIVERGING ? null : was.colormap;
      return store.changeLayer(id, { kind, channels: [asked], stretches: [null], classes: null, colormap });
    }
    const path = at(collection, collection.id);
    const filters = fixed(collection.keys, asked.slice(0, -1));
    const found = await keyValues(path, collection.keys.at(-1) ?? '', filters, { limit: 100 });
    const values = found.map(counted => counted.value);
    // A date may have been stepped meanwhile.
    const first = store.layer(id)?.channels[0] ?? asked;
    if (kind === 'rgb') showRgb(id, first, values);
    else showMaths(id, first, values);
  });
}

function showRgb(id: string, first: Tuple, values: readonly string[]): void {
  const spare = values[0] ?? first.at(-1) ?? '';
  const bands = triple(values) ?? [values[0] ?? spare, values[1] ?? spare, values[2] ?? values[1] ?? spare];
  const channels = bands.map(band => [...first.slice(0, -1), band]);
  store.changeLayer(id, { kind: 'rgb', channels, stretches: [null, null, null], classes: null });
}

function showMaths(id: string, first: Tuple, values: readonly string[]): void {
  const pair = [
    ['nir', 'red'],
    ['B08', 'B04'],
    ['B8', 'B4'],
  ].find(names => names.every(name => values.includes(name)));
  // Of a mosaic of any band, the first there is: a formula names its operands.
  const own = first.at(-1) ?? values[0] ?? '';
  const bands = pair ?? [own, values.find(value => value !== own) ?? own];
  store.changeLayer(id, {
    kind: 'compute',
    channels: bands.map(band => [...first.slice(0, -1), band]),
    stretches: [[-1, 1]],
    expression: '(v1-v2)/(v1+v2)',
    colormap: store.layer(id)?.colormap ?? DIVERGING,
    classes: null,
  });
}
