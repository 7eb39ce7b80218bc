/** Choices about the page's appearance, kept in this browser. Blocked storage only loses them. */

export function storedChoice(name: string): string | null {
  try {
    return localStorage.getItem(`darkroom.${name}`);
  } catch {
    return null;
  }
}

export function storeChoice(name: string, value: string): void {
  try {
    localStorage.setItem(`darkroom.${name}`, value);
  } catch {
    // The choice holds until the page is closed.
  }
}
