/** What is kept beside the state for each layer, and goes with it. */
import { store } from './store';

/** By the layer's id, or by a name that begins with it and a slash. */
export function perLayer<T>(end: (kept: T, id: string) => void = () => undefined): Map<string, T> {
  const kept = new Map<string, T>();
  store.on(['layers'], now => {
    for (const [name, value] of kept) {
      const id = name.split('/', 1)[0] ?? '';
      if (now.layers.some(layer => layer.id === id)) continue;
      kept.delete(name);
      end(value, id);
    }
  });
  return kept;
}
