/** Which keys do what. */
import { html, type TemplateResult } from 'lit-html';
import { store } from '../state/store';

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'search'],
  ['1 2', 'data, layers'],
  ['↑ ↓', 'in the list; Enter shows a dataset, + adds it as a layer'],
  ['Space', 'play or pause'],
  [', .', 'a date earlier, later'],
  ['C', 'compare by a swipe'],
  ['P R', 'draw a polygon, a rectangle; Enter ends, Esc gives up'],
  ['A V', 'ask at the middle of the map; statistics of this view'],
  ['S', 'share'],
  ['L', 'what happens now'],
  ['D', 'dark or light'],
  ['F', 'zoom to the layer'],
  ['Esc', 'close'],
];

/** `toggle` switches the one-letter keys. */
export function helpPanel(toggle: () => void): TemplateResult {
  return html`<p>Click the map for the value of every visible layer and its course over time. Drag the handles of the histogram to stretch colors.</p>
    <dl class="help">${KEYS.map(([keys, what]) => html`<div><dt>${keys.split(' ').map(key => html`<kbd>${key}</kbd>`)}</dt><dd>${what}</dd></div>`)}</dl>
    <label class="check"><input type="checkbox" .checked=${store.now.shortcuts} @change=${toggle} /> Keys of one character</label>
    <p class="quiet">With the map focused: arrows move, + and − zoom. The <a href="./apidoc" target="_blank" rel="noopener">API</a> is public.</p>`;
}
