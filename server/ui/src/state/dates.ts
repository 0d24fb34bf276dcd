/** Which key is a date, by what its values look like; and when a value is. */

const FORMS: readonly RegExp[] = [
  /^(\d{4})(\d{2})(\d{2})(?:[T_-]?(\d{2})(\d{2})(\d{2})?(?:\.\d+)?Z?)?$/,
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2})[:-]?(\d{2})(?:[:-]?(\d{2}))?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?)?$/,
  /^(\d{4})[-.]?(\d{2})$/,
  /^(\d{4})$/,
];

/** Milliseconds since 1970, or `null` if it is no date between 1800 and 2200. */
export function timeOf(value: string): number | null {
  for (const form of FORMS) {
    const found = form.exec(value);
    if (!found) continue;
    const [, year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = found.map(part =>
      part === undefined ? undefined : Number(part),
    );
    const sound = year >= 1800 && year <= 2200 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 25 && minute < 60;
    if (sound) return Date.UTC(year, month - 1, day, hour, minute, second);
  }
  return null;
}

/** Whether nearly all of some values are dates, and there are several. */
export function areDates(values: readonly string[]): boolean {
  const dates = values.filter(value => timeOf(value) !== null).length;
  return values.length > 1 && dates >= values.length * 0.9;
}

/** A date as it is typed in the form of a key's values, since they are compared as text; `end` is the end of a month or year. */
export function inFormOf(sample: string, typed: string, end: boolean): string {
  const parts = typed.match(/\d+/g)?.join('') ?? '';
  const whole = parts.length < 8 && end ? `${parts}${'9999'.slice(0, 8 - parts.length)}` : parts;
  const digits = sample.replace(/\D/g, '').length;
  // Each digit in its place, with what the values have between them.
  let i = 0;
  let text = '';
  for (const char of sample) {
    if (i >= Math.min(whole.length, digits)) break;
    text += /\d/.test(char) ? whole[i++] : char;
  }
  // After the whole day come its hours.
  return end && digits > whole.length ? `${text}~` : text;
}

/** Whether a text may be the beginning of a date. */
export function beginsDate(typed: string): boolean {
  return /^\d{1,4}$|^\d{4}[-.\d][\d.:T -]*$/.test(typed);
}

/** The end of a range as `inFormOf` made it, as people read it. */
export function showEnd(value: string): string {
  const whole = value.replace(/~$/, '').replace(/^(\d{4}(?:[-.]?(?!99)\d\d)?)(?:[-.]?99)+$/, '$1');
  return showDate(whole);
}

/** A date as people read it. */
export function showDate(value: string): string {
  const time = timeOf(value);
  if (time === null) return value;
  if (/^\d{4}$/.test(value)) return value;
  const text = new Date(time).toISOString();
  if (/^\d{4}[-.]?\d{2}$/.test(value)) return text.slice(0, 7);
  return time % 86_400_000 === 0 ? text.slice(0, 10) : text.slice(0, 16).replace('T', ' ');
}
