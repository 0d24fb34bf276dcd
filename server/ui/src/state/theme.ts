/** Light, dark, or as the system has it; remembered on this machine, since it is the reader's and not the link's. */
import { store } from './store';

const NAME = 'kiln-theme';

export function startTheme(): void {
  const known = remembered();
  if (known === 'light' || known === 'dark') store.set({ theme: known });
  apply();
  store.on(['theme'], apply);
}

export function isDark(): boolean {
  const { theme } = store.now;
  return theme === 'dark' || (theme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
}

export function toggleTheme(): void {
  store.set({ theme: isDark() ? 'light' : 'dark' });
  try {
    localStorage.setItem(NAME, store.now.theme);
  } catch {
    // It lasts as long as the page.
  }
}

function remembered(): string | null {
  try {
    return localStorage.getItem(NAME);
  } catch {
    // A browser may keep nothing for any page.
    return null;
  }
}

function apply(): void {
  const { theme } = store.now;
  document.documentElement.style.colorScheme = theme === 'auto' ? 'light dark' : theme;
}
