/** Which keys of a collection are dates, by their values: only those are shown and typed as dates. */
import { at } from '../api/collections';
import { keyValues } from '../api/datasets';
import { areDates, beginsDate, inFormOf, showDate, timeOf } from './dates';
import { Failures } from './failures';
import { store } from './store';

const LOOKED_AT = 60;
const KNOWN_MAX = 200;

interface Entry {
  generation: number;
  /** A value the key has, for its form; `null` where its values are no dates. */
  sample: string | null;
  asked: Promise<string | null>;
}

/** By collection and key. */
const known = new Map<string, Entry>();
const failures = new Failures();

/** A value of a key in the form of dates, or `null` if its values are none. */
export function dateSample(collection: string, key: string): Promise<string | null> {
  const name = JSON.stringify([collection, key]);
  const found = known.get(name);
  const { generation } = store.now;
  if (found?.generation === generation) return found.asked;
  const asked = look(collection, key);
  const entry: Entry = { generation, sample: found?.sample ?? null, asked };
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(name, entry);
  asked.then(
    sample => {
      entry.sample = sample;
      store.set({});
    },
    () => {
      known.delete(name);
      failures.add(name);
    },
  );
  return asked;
}

/** A value of a key as people read it: as it is, until it is known to be a date. */
export function showValue(collection: string, key: string, value: string): string {
  return dateForm(collection, key, value) === null ? value : showDate(value);
}

/** What was typed for a key, a date in the form of the key's values. */
export function typedValue(collection: string, key: string, typed: string): string {
  const sample = dateForm(collection, key, typed);
  return sample === null ? typed : inFormOf(sample, typed, false);
}

/** What was typed so far for a key, in the form that a date of it is stored in. */
export async function storedForm(collection: string, key: string, typed: string): Promise<string> {
  const sample = beginsDate(typed) ? await dateSample(collection, key).catch(() => null) : null;
  return sample === null ? typed : inFormOf(sample, typed, false);
}

function dateForm(collection: string, key: string, value: string): string | null {
  // Of what is no date nothing is asked.
  if (timeOf(value) === null) return null;
  const name = JSON.stringify([collection, key]);
  // The page is drawn at every change; who types asks all the same.
  if (!failures.has(name)) dateSample(collection, key).catch(() => undefined);
  return known.get(name)?.sample ?? null;
}

async function look(collection: string, key: string): Promise<string | null> {
  const path = at(store.collectionOf(collection), collection);
  const values = (await keyValues(path, key, [], { limit: LOOKED_AT })).map(counted => counted.value);
  const [first] = values;
  // One alone is a date if it says its day; a number of a tile may look like a month.
  const sole = values.length === 1 && /^\d{4}-?\d{2}-?\d{2}/.test(first ?? '') && timeOf(first ?? '') !== null;
  return first !== undefined && (sole || areDates(values)) ? first : null;
}
