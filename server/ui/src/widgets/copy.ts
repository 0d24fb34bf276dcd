/** A text to take away, with a button that copies it. */
import { html, type TemplateResult } from 'lit-html';
import { store } from '../state/store';
import { icon } from './icons';

export function copyable(label: string, text: string, more: { block?: boolean; name?: string } = {}): TemplateResult {
  const copy = async (event: Event) => {
    const button = event.currentTarget as HTMLElement;
    const told = button.nextElementSibling;
    if (!(await copyText(text))) return;
    const tell = (yes: boolean) => {
      button.classList.toggle('copied', yes);
      // To who does not see the button change.
      if (told) told.textContent = yes ? 'Copied' : '';
    };
    tell(true);
    setTimeout(() => tell(false), 1500);
  };
  return html`<div class="copyable ${more.block ? 'block' : ''}" data-name=${more.name ?? label}>
    <div class="copyable-head"><span>${label}</span>
      <button type="button" class="small" aria-label="Copy ${label}" @click=${copy}>${icon('copy')}<span>Copy</span></button><span class="unseen" role="status"></span></div>
    ${more.block ? html`<pre tabindex="0" role="group" aria-label=${label}>${text}</pre>` : html`<input readonly aria-label=${label} .value=${text} @focus=${(event: Event) => (event.target as HTMLInputElement).select()} />`}
  </div>`;
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without HTTPS there is no clipboard but the old one.
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    if (!done) store.toast('this browser does not let pages copy; select the text and copy it');
    return done;
  }
}

/** Lets the browser save something under a name. */
export function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
