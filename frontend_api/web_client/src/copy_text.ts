/** Copy the text of a field to the clipboard. Where the page has none, select the text, so that it can be copied by hand. */
export async function copyFrom(field: HTMLInputElement, confirmation: string): Promise<string> {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    return confirmation;
  } catch {
    return "The browser does not permit to copy. Copy the selected text.";
  }
}
