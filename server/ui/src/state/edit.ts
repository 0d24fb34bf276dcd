/** Edits of a layer that ask the server first: one after the other, each from what the layer is by then. */
import { said } from '../api/client';
import type { Collection } from '../api/collections';
import type { Layer, Tuple } from './layer';
import { store } from './store';

const queues = new Map<string, Promise<void>>();

/** Runs an edit after those before it: none of two that overlap is lost. */
export function edit(id: string, run: (layer: Layer, collection: Collection) => Promise<void>): void {
  const next = (queues.get(id) ?? Promise.resolve())
    .then(async () => {
      const layer = store.layer(id);
      const collection = layer && store.collectionOf(layer.collection);
      if (layer && collection) await run(layer, collection);
    })
    .catch((error: unknown) => store.toast(said(error)))
    .finally(() => {
      if (queues.get(id) === next) queues.delete(id);
    });
  queues.set(id, next);
}

/** Puts what became of some channels into the layer as it is by now: other keys, such as the date that plays, stay. */
export function putChannels(id: string, before: readonly Tuple[], after: readonly Tuple[]): void {
  const layer = store.layer(id);
  if (!layer) return;
  const channels = layer.channels.map((tuple, i) => {
    const [was, is] = [before[i], after[i]];
    return was && is ? tuple.map((value, k) => (is[k] === was[k] ? value : (is[k] ?? null))) : tuple;
  });
  store.changeLayer(id, { channels });
}
