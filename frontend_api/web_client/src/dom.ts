/** The few things the page asks of the DOM beyond the DOM itself. */

/** The element a selector promises; its absence is a mistake in index.html and is said at once. */
export function found<Kind extends Element>(root: ParentNode, selector: string, kind: new () => Kind): Kind {
  const element = root.querySelector(selector);
  if (!(element instanceof kind)) throw new Error(`index.html lacks ${selector}`);
  return element;
}

export function byId<Kind extends Element>(id: string, kind: new () => Kind): Kind {
  return found(document, `#${id}`, kind);
}

/** Write text only when it differs: screen readers and selections are left alone by what did not change. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Write the texts as items of a list, which is hidden without any. */
export function sayEach(list: HTMLElement, texts: readonly string[]): void {
  list.hidden = texts.length === 0;
  const shown = Array.from(list.children, (item) => item.textContent);
  if (shown.length === texts.length && shown.every((text, index) => text === texts[index])) return;
  list.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

export function setAttribute(element: Element, name: string, value: string | number | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Save bytes under a name, as if a link had been followed. */
export function save(bytes: Blob, name: string): void {
  const address = URL.createObjectURL(bytes);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The download has its own reference by then.
  setTimeout(() => { URL.revokeObjectURL(address); }, 10_000);
}
