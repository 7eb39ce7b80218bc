/** One press of a key or of the button submits once. */

/** Call `submit` for Ctrl+Enter (on a Mac: ⌘Enter) in the form, and prevent submits by a held key or a double click. */
export function preventRepeatedSubmits(form: HTMLFormElement, button: HTMLButtonElement, submit: () => void): void {
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const isShortcut = event.ctrlKey || event.metaKey;
    // A held key repeats the event; on the button and in a field each would submit again.
    if (event.repeat && (isShortcut || !(event.target instanceof HTMLTextAreaElement))) event.preventDefault();
    else if (isShortcut) {
      event.preventDefault();
      submit();
    }
  });
  button.addEventListener("click", (event) => {
    // The second click of a double click has 2 as detail; a press of a key has 0.
    if (event.detail > 1) event.preventDefault();
  });
}
