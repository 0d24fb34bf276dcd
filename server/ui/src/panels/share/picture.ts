/** The picture of the view that is saved: the map, its legend, and whom it thanks. */
import { said } from '../../api/client';
import type { View } from '../../map/view';
import { store } from '../../state/store';
import { save } from '../../widgets/copy';
import { type Legend, visibleLegends } from '../style/legend';

const [WIDTH, PAD, LINE] = [220, 10, 18];
const FONT = 'system-ui, sans-serif';
const [PAPER, INK] = ['rgb(255 255 255 / 92%)', '#1b1f23'];

export async function savePicture(view: View): Promise<void> {
  try {
    const canvas = await view.picture();
    const context = canvas.getContext('2d');
    if (!context) throw new Error('this browser lets the page draw no picture');
    // As large as on the screen.
    context.scale(devicePixelRatio, devicePixelRatio);
    const [width, height] = [canvas.width / devicePixelRatio, canvas.height / devicePixelRatio];
    await drawLegends(context, height, visibleLegends());
    credit(context, width, height, view.attribution);
    canvas.toBlob(blob => blob && save(blob, 'kiln.png'), 'image/png');
  } catch (error) {
    store.toast(`no picture could be made: ${said(error)}`);
  }
}

/** In the lower left. */
async function drawLegends(context: CanvasRenderingContext2D, height: number, legends: readonly Legend[]): Promise<void> {
  const linesOf = ({ colors, ramp }: Legend) => 1 + colors.length + (ramp ? 2 : 0);
  const lines = legends.reduce((sum, legend) => sum + linesOf(legend), 0);
  if (lines === 0) return;
  const tall = lines * LINE + 2 * PAD;
  let y = height - tall - PAD;
  context.fillStyle = PAPER;
  context.fillRect(PAD, y, WIDTH, tall);
  const [left, room] = [2 * PAD, WIDTH - 2 * PAD];
  y += PAD;
  const write = (text: string, x: number, font = `12px ${FONT}`) => {
    context.fillStyle = INK;
    context.font = font;
    context.fillText(text, x, y + LINE / 2, room);
  };
  context.textBaseline = 'middle';
  for (const { title, unit, colors, ramp } of legends) {
    write(unit ? `${title} ${unit}` : title, left, `600 12px ${FONT}`);
    y += LINE;
    for (const { color, text } of colors) {
      context.fillStyle = color;
      context.fillRect(left, y + 3, 12, 12);
      write(text, left + 20);
      y += LINE;
    }
    if (!ramp) continue;
    context.fillStyle = gradient(context, ramp.gradient, left, left + room);
    if (ramp.url) context.drawImage(await createImageBitmap(await (await fetch(ramp.url)).blob()), left, y + 3, room, 12);
    else context.fillRect(left, y + 3, room, 12);
    y += LINE;
    ramp.ends.forEach((end, i) => {
      context.textAlign = (['left', 'center', 'right'] as const)[i] ?? 'left';
      write(end, left + (room * i) / 2);
    });
    context.textAlign = 'left';
    y += LINE;
  }
}

/** A gradient of CSS from left to right, as a canvas has it. */
function gradient(context: CanvasRenderingContext2D, css: string, from: number, to: number): CanvasGradient {
  const made = context.createLinearGradient(from, 0, to, 0);
  const colors = css.match(/#[0-9a-f]+/gi) ?? [];
  colors.forEach((color, i) => {
    made.addColorStop(colors.length > 1 ? i / (colors.length - 1) : 0, color);
  });
  return made;
}

/** In the lower right. */
function credit(context: CanvasRenderingContext2D, width: number, height: number, text: string): void {
  if (text === '') return;
  context.font = `11px ${FONT}`;
  context.textBaseline = 'middle';
  const wide = context.measureText(text).width + PAD;
  context.fillStyle = PAPER;
  context.fillRect(width - wide, height - LINE, wide, LINE);
  context.fillStyle = INK;
  context.fillText(text, width - wide + PAD / 2, height - LINE / 2);
}
