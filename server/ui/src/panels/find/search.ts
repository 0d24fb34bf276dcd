/** The search box: type-ahead over the values of every key, and the conditions chosen so far. */
import { html, nothing, type TemplateResult } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { Latest } from '../../api/client';
import { at } from '../../api/collections';
import { type Filter, keyValues } from '../../api/datasets';
import { dateSample, showValue, storedForm } from '../../state/date-keys';
import { inFormOf, showDate, showEnd, timeOf } from '../../state/dates';
import { store } from '../../state/store';
import { icon } from '../../widgets/icons';

interface Suggestion {
  filter: Filter;
  /** What it does, unless that is to be the value. */
  text: string;
  detail: string;
}

interface DateKey {
  key: string;
  /** A value it has, for its form. */
  sample: string;
}

const PER_KEY = 6;

let text = '';
let open = false;
let chosen = -1;
let suggestions: readonly Suggestion[] = [];
let redraw: () => void = () => undefined;
const latest = new Latest();
let closing = 0;
/** What the suggestions are of; and whether the first is taken as soon as it is there. */
let answered = '';
let eager = false;

export function search(draw: () => void): TemplateResult {
  redraw = draw;
  const { filters } = store.now;
  return html`<div class="search" role="search">
    <div class="search-box">
      ${icon('search')}
      <input
        id="search"
        type="text"
        role="combobox"
        autocomplete="off"
        spellcheck="false"
        placeholder="Search by ${store.keysOf(store.now.collection).join(', ') || 'any key'}"
        aria-label="Search datasets by any key"
        aria-expanded=${open && suggestions.length > 0}
        aria-controls="suggestions"
        aria-autocomplete="list"
        aria-activedescendant=${chosen >= 0 ? `suggestion-${chosen}` : nothing}
        .value=${live(text)}
        @input=${(event: Event) => type((event.target as HTMLInputElement).value)}
        @focus=${() => {
          clearTimeout(closing);
          type(text);
        }}
        @blur=${() => {
          closing = window.setTimeout(close, 150);
        }}
        @keydown=${keyed}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
    <ul id="suggestions" role="listbox" aria-label="Suggestions" ?hidden=${!open || suggestions.length === 0}>
      ${suggestions.map(
        (
          s,
          i,
        ) => html`<li id="suggestion-${i}" role="option" aria-selected=${i === chosen} @pointerdown=${(event: Event) => event.preventDefault()} @click=${() => pick(s)}>
          <span class="key">${s.filter.key}</span><span class="value">${s.text || showValue(store.now.collection, s.filter.key, s.filter.value)}</span><span class="count">${s.detail}</span></li>`,
      )}
    </ul>
    ${filters.length === 0 ? null : html`<ul class="chips" aria-label="Conditions">${filters.map(chip)}</ul>`}
  </div>`;
}

export function focusSearch(): void {
  document.getElementById('search')?.focus();
}

function chip(filter: Filter): TemplateResult {
  const words = { is: '', has: '∋ ', from: '≥ ', to: '≤ ' };
  const value = filter.op === 'to' ? showEnd(filter.value) : showValue(store.now.collection, filter.key, filter.value);
  const shown = words[filter.op] + value;
  const remove = () => store.set({ filters: store.now.filters.filter(other => other !== filter) });
  return html`<li class="chip"><span class="key">${filter.key}</span> ${shown}
    <button type="button" aria-label="Remove the condition ${filter.key} ${shown}" @click=${remove}>${icon('close')}</button></li>`;
}

function type(now: string): void {
  text = now;
  open = true;
  chosen = -1;
  eager = false;
  // At once, and what is typed next supersedes it: a keyword costs the server less than waiting for the next costs the reader.
  void suggest();
  redraw();
}

async function suggest(): Promise<void> {
  const typed = text.trim();
  const found = await latest.run(signal => ask(typed, signal)).catch(() => []);
  if (!found) return;
  suggestions = found;
  answered = typed;
  chosen = typed && found.length > 0 ? 0 : -1;
  const first = found[0];
  if (eager && first) return pick(first);
  redraw();
}

async function ask(typed: string, signal: AbortSignal): Promise<Suggestion[]> {
  const { collection, filters } = store.now;
  const keys = store.keysOf(collection);
  const path = at(store.collectionOf(collection), collection);
  const others = (key: string) => filters.filter(filter => filter.key !== key || filter.op !== 'is');
  // Asked for before anything is typed, so that what is typed need not wait for it.
  const asked = dateKeys(collection).catch(() => []);
  const dates = typed ? await asked : [];
  const found = await Promise.all(
    keys.map(async key => {
      const known = await keyValues(
        path,
        key,
        others(key),
        { prefix: await storedForm(collection, key, typed), limit: PER_KEY },
        signal,
      ).catch(() => []);
      return known.map(({ value, count }): Suggestion => ({ filter: { key, op: 'is', value }, text: '', detail: String(count) }));
    }),
  );
  const list = found.flat().filter(s => !filters.some(f => f.key === s.filter.key && f.value === s.filter.value));
  if (!typed) return list;
  for (const { key, sample } of timeOf(typed) === null ? [] : dates) {
    const [from, to] = [inFormOf(sample, typed, false), inFormOf(sample, typed, true)];
    list.push({ filter: { key, op: 'from', value: from }, text: `from ${showDate(typed)}`, detail: 'range' });
    list.push({ filter: { key, op: 'to', value: to }, text: `until ${showDate(typed)}`, detail: 'range' });
  }
  for (const key of keys)
    list.push({ filter: { key, op: 'has', value: await storedForm(collection, key, typed) }, text: `contains “${typed}”`, detail: '' });
  return list;
}

/** Keys whose values are dates, and so have ranges. */
async function dateKeys(collection: string): Promise<DateKey[]> {
  const found = await Promise.all(store.keysOf(collection).map(async key => ({ key, sample: await dateSample(collection, key) })));
  return found.filter((date): date is DateKey => date.sample !== null);
}

function pick(suggestion: Suggestion): void {
  store.set({ filters: [...store.now.filters, suggestion.filter] });
  text = '';
  close();
}

function close(): void {
  open = false;
  eager = false;
  chosen = -1;
  suggestions = [];
  latest.stop();
  redraw();
}

function keyed(event: KeyboardEvent): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step && suggestions.length > 0) {
    event.preventDefault();
    chosen = (chosen + step + suggestions.length) % suggestions.length;
    redraw();
    document.getElementById(`suggestion-${chosen}`)?.scrollIntoView({ block: 'nearest' });
  } else if (event.key === 'Enter') {
    const typed = text.trim();
    const suggestion = suggestions[chosen];
    if (answered === typed && suggestion) pick(suggestion);
    else eager = typed !== '';
  } else if (event.key === 'Escape') {
    event.stopPropagation();
    text = '';
    close();
  } else if (event.key === 'Backspace' && text === '' && store.now.filters.length > 0) {
    store.set({ filters: store.now.filters.slice(0, -1) });
  }
}
