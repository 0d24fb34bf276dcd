/** `GET /datasets` and `/keys/{key}`: what matches some filters, page by page, with where it lies; and the values keys have. */
import { encode, getJson, query } from './client';
import { apiBox, type Bounds } from './collections';

/** A condition on one key. */
export interface Filter {
  key: string;
  op: 'is' | 'has' | 'from' | 'to';
  value: string;
}

export type KeyValues = Record<string, string>;

export interface Listed {
  datasets: KeyValues[];
  bounds?: (Bounds | null)[];
  total?: number;
}

export interface Counted {
  value: string;
  count: number;
}

export interface Page {
  limit: number;
  page?: number;
  total?: boolean;
  bbox?: Bounds | null;
  descending?: boolean;
}

export function datasets(at: string, filters: readonly Filter[], page: Page, signal?: AbortSignal): Promise<Listed> {
  const params: [string, string][] = [...filterParams(filters), ['limit', String(page.limit)], ['bounds', 'true']];
  if (page.page) params.push(['page', String(page.page)]);
  if (page.total) params.push(['total', 'true']);
  if (page.bbox)
    params.push([
      'bbox',
      apiBox(page.bbox)
        .map(n => n.toFixed(5))
        .join(','),
    ]);
  if (page.descending) params.push(['ascending', 'false']);
  return getJson<Listed>(`${at}datasets?${query(params)}`, signal);
}

export async function keyValues(
  at: string,
  key: string,
  filters: readonly Filter[],
  ask: { prefix?: string; limit: number },
  signal?: AbortSignal,
): Promise<Counted[]> {
  const params: [string, string][] = [...filterParams(filters), ['limit', String(ask.limit)]];
  if (ask.prefix) params.push(['prefix', ask.prefix]);
  return (await getJson<{ values: Counted[] }>(`${at}keys/${encode(key)}?${query(params)}`, signal)).values;
}

/** Filters as the API takes them: several values of a key are alternatives. */
export function filterParams(filters: readonly Filter[]): [string, string][] {
  const equal = new Map<string, string[]>();
  const params: [string, string][] = [];
  for (const { key, op, value } of filters) {
    if (op === 'is') equal.set(key, [...(equal.get(key) ?? []), value]);
    else if (op === 'has') params.push([`match.${key}`, `*${value.replace(/[*?[\]]/g, '?')}*`]);
    else params.push([`${op}.${key}`, value]);
  }
  for (const [key, values] of equal) params.push([key, values.length === 1 && values[0] ? values[0] : `[${values.join(',')}]`]);
  return params;
}
