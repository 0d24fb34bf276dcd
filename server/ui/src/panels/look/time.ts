/** The time slider: which date the layers show, and playing from one to the next when its pictures are there. */
import { html, type TemplateResult } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { showDate } from '../../state/dates';
import type { Layer } from '../../state/layer';
import { store } from '../../state/store';
import { iconButton } from '../../widgets/icons';

const STAY_MS = 900;
const WAIT_MS = 6000;

/** The layer that time is told of: the active one, else the topmost that has any. */
export function timedLayer(): Layer | undefined {
  const { layers, info, active } = store.now;
  const timed = layers.filter(layer => (info[layer.id]?.time?.values.length ?? 0) > 1 && layer.visible);
  return timed.find(layer => layer.id === active) ?? timed.at(-1);
}

export function timeSlider(): TemplateResult | null {
  const layer = timedLayer();
  const time = layer && store.now.info[layer.id]?.time;
  if (!layer || !time) return null;
  const value = layer.channels[0]?.[time.key] ?? null;
  const index = value === null ? -1 : time.values.indexOf(value);
  const { playing } = store.now;
  return html`<section class="time panel" aria-label="Time">
    ${iconButton(playing ? 'pause' : 'play', playing ? 'Pause' : 'Play forward', () => store.set({ playing: !playing }), { class: 'primary' })}
    ${iconButton('back', 'Earlier', () => step(-1))}
    <input type="range" min="0" max=${time.values.length - 1} step="1" .value=${live(String(Math.max(index, 0)))} aria-label="Date" aria-valuetext=${value === null ? 'all dates' : showDate(value)}
      style="--part:${(Math.max(index, 0) / (time.values.length - 1)) * 100}%" @input=${(event: Event) => setTime(Number((event.target as HTMLInputElement).value))} />
    ${iconButton('next', 'Later', () => step(1))}
    <output>${value === null ? 'all dates' : showDate(value)}</output>
  </section>`;
}

/** One date on, round at the end. */
export function step(by: number): void {
  const layer = timedLayer();
  const time = layer && store.now.info[layer.id]?.time;
  if (!layer || !time) return;
  const at = time.values.indexOf(layer.channels[0]?.[time.key] ?? '');
  // From all dates to the first or the last.
  const from = at < 0 && by < 0 ? 0 : at;
  setTime((from + by + time.values.length) % time.values.length);
}

/** Shows one date of a layer, in every layer that shows the same. */
export function setDate(id: string, value: string): void {
  const layer = store.layer(id);
  const time = layer && store.now.info[layer.id]?.time;
  if (layer && time) setTime(time.values.indexOf(value), layer);
}

function setTime(index: number, layer = timedLayer()): void {
  const time = layer && store.now.info[layer.id]?.time;
  const value = time?.values[index];
  if (!layer || !time || value === undefined) return;
  const old = layer.channels[0]?.[time.key];
  for (const other of store.now.layers) {
    const same = other.collection === layer.collection && other.channels[0]?.[time.key] === old;
    if (other.id !== layer.id && !(same && store.now.compare === null)) continue;
    const was = other.channels[0]?.[time.key];
    const channels = other.channels.map(tuple => (tuple[time.key] === was ? tuple.with(time.key, value) : tuple));
    store.changeLayer(other.id, { channels });
  }
}

/** Plays while the state says so: a step, wait for its pictures, stay a moment. */
export function followPlaying(settled: () => boolean): void {
  let token = 0;
  store.on(['playing'], async now => {
    const mine = ++token;
    while (now.playing && mine === token && store.now.playing) {
      step(1);
      await pause(STAY_MS);
      const deadline = performance.now() + WAIT_MS;
      while (performance.now() < deadline && !(settled() && !waits())) await pause(50);
    }
  });
}

/** Whether anything that is to be seen is asked about. */
function waits(): boolean {
  return store.now.layers.some(layer => layer.visible && store.now.info[layer.id]?.busy);
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}
