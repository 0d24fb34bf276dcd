/** Dragging a handle: it keeps the pointer until that is let go. */

/** Begins with a `pointerdown` on the handle; `move` hears where the pointer is, in pixels of the window. */
export function followPointer(event: PointerEvent, move: (x: number) => void): void {
  const handle = event.currentTarget as HTMLElement;
  event.preventDefault();
  handle.focus();
  handle.setPointerCapture(event.pointerId);
  const follow = (e: PointerEvent) => move(e.clientX);
  const stop = () => {
    handle.removeEventListener('pointermove', follow);
    handle.removeEventListener('pointerup', stop);
    handle.removeEventListener('pointercancel', stop);
  };
  handle.addEventListener('pointermove', follow);
  handle.addEventListener('pointerup', stop);
  handle.addEventListener('pointercancel', stop);
}
