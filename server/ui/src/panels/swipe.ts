/** Comparing two sides of the map: the bar between them. */
import { html, type TemplateResult } from 'lit-html';
import { copyLayer } from '../state/layer';
import { store } from '../state/store';
import { followPointer } from '../widgets/drag';
import { icon } from '../widgets/icons';

export function swipeBar(): TemplateResult | null {
  const { compare } = store.now;
  if (compare === null) return null;
  const drag = (event: PointerEvent) => followPointer(event, x => place(x / innerWidth));
  const keyed = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    place(compare + step);
  };
  return html`<section aria-label="Comparison"><div class="swipe" style="left:${compare * 100}%" role="slider" tabindex="0" aria-label="Swipe between the left and the right side" aria-orientation="horizontal"
    aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(compare * 100)} @pointerdown=${drag} @keydown=${keyed}><span>${icon('compare')}</span></div></section>`;
}

/** Begins with the topmost layer on the right and the next on the left, or ends. */
export function toggleCompare(): void {
  const { compare, layers } = store.now;
  if (compare !== null) return store.set({ compare: null });
  const top = layers.filter(layer => layer.visible).at(-1);
  if (!top) return store.toast('show a layer to compare it');
  const next = layers.filter(layer => layer.visible && layer !== top).at(-1);
  // In the middle of what the panels leave free.
  const middle = innerWidth > 760 ? 0.5 + 180 / innerWidth : 0.5;
  if (layers.some(layer => layer.side !== 'both')) return store.set({ compare: middle });
  if (next) {
    const sides = new Map([
      [top.id, 'right' as const],
      [next.id, 'left' as const],
    ]);
    return store.set({
      compare: middle,
      layers: layers.map(layer => ({ ...layer, side: sides.get(layer.id) ?? layer.side })),
      active: top.id,
      tab: 'layers',
    });
  }
  const copy = { ...copyLayer(top), side: 'right' as const };
  store.set({
    compare: middle,
    layers: [...layers.map(layer => (layer === top ? { ...layer, side: 'left' as const } : layer)), copy],
    active: copy.id,
    tab: 'layers',
  });
  store.toast('The same on both sides: change the layer that is open, and swipe');
}

function place(at: number): void {
  store.set({ compare: Math.max(0.02, Math.min(0.98, at)) });
}
