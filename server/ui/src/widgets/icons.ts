/** Icons as strokes on a grid of 24. They are decoration: what a button does stands in its label. */
import { html, nothing, svg, type TemplateResult } from 'lit-html';

const PATHS = {
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM20 20l-4.6-4.6',
  layers: 'M12 3 3 8l9 5 9-5zM3 13l9 5 9-5M3 17.5l9 5 9-5',
  close: 'M6 6l12 12M18 6 6 18',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  eye: 'M2 12s3.6-6.5 10-6.5S22 12 22 12s-3.6 6.5-10 6.5S2 12 2 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z',
  hidden:
    'M4 4l16 16M9.9 5.7A10 10 0 0 1 12 5.500c6.400 0 10 6.500 10 6.500a17 17 0 0 1-3.200 3.900M6.300 7.300A16 16 0 0 0 2 12s3.600 6.500 10 6.500a10 10 0 0 0 4.200-.900',
  up: 'M6 15l6-6 6 6',
  down: 'M6 9l6 6 6-6',
  play: 'M7 4.500v15l12-7.500z',
  pause: 'M8 5v14M16 5v14',
  back: 'M15 5l-7 7 7 7',
  next: 'M9 5l7 7-7 7',
  compare: 'M12 3v18M9 8l-4 4 4 4M15 8l4 4-4 4',
  polygon: 'M12 3l8.500 6.300-3.200 10.200H6.700L3.500 9.300z',
  rectangle: 'M4 6h16v12H4z',
  pin: 'M12 21s7-6.200 7-11.500A7 7 0 0 0 5 9.500C5 14.800 12 21 12 21zM12 12a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z',
  share: 'M12 15V3.500M7.500 8 12 3.500 16.500 8M5 13v6.500h14V13',
  sun: 'M12 16.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M5 5l1.700 1.700M17.300 17.300 19 19M5 19l1.700-1.700M17.300 6.700 19 5',
  moon: 'M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z',
  help: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.500 9.300a2.600 2.600 0 1 1 3.700 2.400c-.8.400-1.200 1-1.200 1.900M12 17v.010',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  download: 'M12 4v11M7.500 11 12 15.500 16.500 11M5 20h14',
  target: 'M12 19a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM12 2v5M12 17v5M2 12h5M17 12h5',
  trash: 'M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13',
  twin: 'M8 8h12v12H8zM4 16V4h12',
  frame: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  swap: 'M4 8h15M15 4l4 4-4 4M20 16H5M9 12l-4 4 4 4',
  alert: 'M12 4 2.500 20h19zM12 10v4.500M12 17.300v.010',
  more: 'M6 12h.010M12 12h.010M18 12h.010',
  stack: 'M5 5h10v10H5zM9 19h10V9',
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): TemplateResult {
  const shape = svg`<path d=${PATHS[name]} />`;
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${shape}</svg>`;
}

/** A button that shows an icon only, and says what it does: by its title, which would be read twice beside a label that says the same. */
export function iconButton(
  name: IconName,
  label: string,
  run: (event: Event) => void,
  more: { pressed?: boolean; expanded?: boolean; class?: string; disabled?: boolean; skipped?: boolean } = {},
): TemplateResult {
  return html`<button
    type="button"
    class="icon-button ${more.class ?? ''}"
    title=${label}
    aria-pressed=${more.pressed ?? nothing}
    aria-expanded=${more.expanded ?? nothing}
    tabindex=${more.skipped ? -1 : nothing}
    ?disabled=${more.disabled ?? false}
    @click=${run}
  >
    ${icon(name)}
  </button>`;
}
