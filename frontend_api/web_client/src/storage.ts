/** Run an action on the browser's storage; null if the storage is full or blocked: the page works without it. */
export function attempt<Result>(action: () => Result): Result | null {
  try {
    return action();
  } catch {
    return null;
  }
}
