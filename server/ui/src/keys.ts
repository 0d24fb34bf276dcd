/** The keyboard: one letter each, where nobody writes a text. */
import type { View } from './map/view';
import { askView } from './panels/ask/ask';
import { focusSearch } from './panels/find/search';
import { step, timedLayer } from './panels/look/time';
import { toggleCompare } from './panels/swipe';
import { remember, remembered } from './state/remember';
import { placeOf } from './state/resolve';
import { store } from './state/store';
import { toggleTheme } from './state/theme';

const NAME = 'shortcuts';

export function followKeys(view: View | null): void {
  if (remembered(NAME) === 'off') store.set({ shortcuts: false });
  const dialog = (name: 'share' | 'live' | 'help') => store.set({ dialog: store.now.dialog === name ? null : name });
  const actions: Record<string, () => void> = {
    '/': () => {
      store.set({ tab: 'data', sheet: true });
      // At once if it is seen, so that what is typed next arrives there.
      focusSearch();
      requestAnimationFrame(focusSearch);
    },
    '1': () => store.set({ tab: 'data', sheet: true }),
    '2': () => store.set({ tab: 'layers', sheet: true }),
    ' ': () => timedLayer() && store.set({ playing: !store.now.playing }),
    ',': () => step(-1),
    '.': () => step(1),
    s: () => dialog('share'),
    l: () => dialog('live'),
    d: toggleTheme,
    '?': () => dialog('help'),
    escape: back,
    ...(view ? onMap(view) : {}),
  };
  addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target as HTMLElement;
    // Chromium tells of a chosen suggestion by an event without a key.
    const name = event.key?.toLowerCase();
    if (!name) return;
    const writes = target.matches('input:not([type=range]):not([type=checkbox]), select, textarea');
    if (writes && name !== 'escape') return;
    // Buttons have Space and Enter for themselves.
    if ((name === ' ' || name === 'enter') && target.matches('button, a, summary, [role=button], [role=option], input')) return;
    const action = actions[name];
    if (!action || (name.length === 1 && !store.now.shortcuts)) return;
    if (name !== 'enter' && name !== 'escape') event.preventDefault();
    action();
  });
}

/** Speech input and trembling hands press keys that nobody means. */
export function toggleShortcuts(): void {
  store.set({ shortcuts: !store.now.shortcuts });
  remember(NAME, store.now.shortcuts ? 'on' : 'off');
}

/** What only a map can do. */
function onMap(view: View): Record<string, () => void> {
  const tool = (name: 'polygon' | 'rectangle') => store.set({ tool: store.now.tool === name ? 'ask' : name });
  return {
    c: toggleCompare,
    p: () => tool('polygon'),
    r: () => tool('rectangle'),
    a: () => {
      const { lng, lat } = view.map.getCenter();
      store.set({ place: [lng, lat], answers: null, area: null, areaAnswers: null });
    },
    v: () => askView(view.bounds()),
    f: () => {
      const layer = store.activeLayer;
      const bounds = layer && placeOf(layer);
      if (bounds) view.fit(bounds);
    },
    enter: () => view.draw.active && view.draw.end(),
  };
}

/** One step back: the tool, then what is open, then the answers. */
function back(): void {
  const { tool, dialog } = store.now;
  if (tool !== 'ask') return store.set({ tool: 'ask', area: null, areaAnswers: null });
  if (dialog) return store.set({ dialog: null });
  store.set({ place: null, answers: null, area: null, areaAnswers: null });
}
