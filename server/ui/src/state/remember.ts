/** What is the reader's and not the link's: remembered on this machine. */

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`kiln-${name}`, value);
  } catch {
    // It lasts as long as the page.
  }
}

export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(`kiln-${name}`);
  } catch {
    // A browser may keep nothing for any page.
    return null;
  }
}
