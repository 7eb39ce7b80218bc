/** Waits until an element is near the visible part of the page, so that a long list loads few images. */

const MARGIN = "600px";

const waiting = new WeakMap<Element, () => void>();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    observer.unobserve(target);
    waiting.get(target)?.();
    waiting.delete(target);
  }
}, { rootMargin: MARGIN });

/** Resolve when the element is near the viewport. */
export function whenNear(element: Element): Promise<void> {
  return new Promise((resolve) => {
    waiting.set(element, resolve);
    observer.observe(element);
  });
}

/** Do not wait for an element that leaves the document. */
export function forget(element: Element): void {
  observer.unobserve(element);
  waiting.delete(element);
}
