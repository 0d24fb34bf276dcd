/** Light, dark, or as the system has it; remembered on this machine, since it is the reader's and not the link's. */
import { remember, remembered } from './remember';
import { store } from './store';

const NAME = 'theme';

export function startTheme(): void {
  const known = remembered(NAME);
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
  remember(NAME, store.now.theme);
}

function apply(): void {
  const { theme } = store.now;
  document.documentElement.style.colorScheme = theme === 'auto' ? 'light dark' : theme;
}
