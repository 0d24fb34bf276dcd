/** The value of a field that takes effect when it is left: the page is drawn again while somebody types, and what is typed stays. */
import { noChange } from 'lit-html';
import { Directive, directive, type PropertyPart } from 'lit-html/directive.js';
import { setCommittedValue } from 'lit-html/directive-helpers.js';

class UnlessTyped extends Directive {
  private last: string | null = null;

  render(value: string): string {
    return value;
  }

  override update(part: PropertyPart, [value]: [string]): unknown {
    const field = part.element as HTMLInputElement;
    const typed = field === document.activeElement && this.last !== null && field.value !== this.last && field.value !== value;
    if (typed) return noChange;
    this.last = value;
    if (field.value === value) return noChange;
    // lit-html would not set what it set before; the field may differ since.
    setCommittedValue(part);
    return value;
  }
}

export const unlessTyped = directive(UnlessTyped);
