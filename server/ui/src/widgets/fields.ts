/** Fields of forms: a slider with its number, a few choices side by side, a choice among many. */
import { html, type TemplateResult } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { unlessTyped } from './unless-typed';

export interface SliderOptions {
  label: string;
  value: number;
  min: number;
  max: number;
  step: number;
  reset?: number;
  show?: (value: number) => string;
  change: (value: number) => void;
}

export function slider({ label, value, min, max, step, reset, show, change }: SliderOptions): TemplateResult {
  const changed = (event: Event) => change(Number((event.target as HTMLInputElement).value));
  const text = show ? show(value) : String(value);
  return html`<label class="slider">
    <span>${label}</span>
    <input type="range" min=${min} max=${max} step=${step} .value=${live(String(value))} @input=${changed} aria-valuetext=${text}
      @dblclick=${() => reset !== undefined && change(reset)} style="--part:${((value - min) / (max - min)) * 100}%" />
    <output aria-hidden="true">${text}</output>
  </label>`;
}

export function segmented<T extends string>(
  label: string,
  options: readonly (readonly [T, string])[],
  value: T,
  change: (value: T) => void,
): TemplateResult {
  return html`<div class="segmented" role="group" aria-label=${label}>
    ${options.map(
      ([name, text]) =>
        html`<button type="button" aria-pressed=${name === value} @click=${() => name !== value && change(name)}>${text}</button>`,
    )}
  </div>`;
}

export interface ChoiceOptions {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  change: (value: string) => void;
  hideLabel?: boolean;
}

export function choice({ label, value, options, change, hideLabel }: ChoiceOptions): TemplateResult {
  const known = options.some(([name]) => name === value) ? options : [[value, value] as const, ...options];
  return html`<label class="choice">
    ${hideLabel ? null : html`<span>${label}</span>`}
    <select aria-label=${label} @change=${(event: Event) => change((event.target as HTMLSelectElement).value)} .value=${live(value)}>
      ${known.map(([name, text]) => html`<option value=${name} ?selected=${name === value}>${text}</option>`)}
    </select>
  </label>`;
}

export function numberField(label: string, value: number, change: (value: number) => void): TemplateResult {
  const changed = (event: Event) => {
    const { value: text } = event.target as HTMLInputElement;
    // An emptied field is no zero: it gets its number back when it is left.
    if (text !== '' && Number.isFinite(Number(text))) change(Number(text));
  };
  return html`<input class="number" type="number" step="any" aria-label=${label} .value=${unlessTyped(String(value))} @change=${changed} />`;
}
