/** The entry in the browser's history while the viewer is open: it contains the picture's address, and Back closes the viewer. */

import { type PictureLink, parsePictureFragment, pictureFragment } from "./picture_link";

export class ViewerHistory {
  #isLeaving = false;
  #next: (() => void) | null = null;

  /** `onAddress` is called with the picture of the address to which the user goes back or forward; null: the list. */
  constructor(onAddress: (link: PictureLink | null) => void) {
    addEventListener("popstate", () => {
      this.#isLeaving = false;
      const link = parsePictureFragment(location.hash);
      if (link === null) history.scrollRestoration = "auto";
      onAddress(link);
      const next = this.#next;
      this.#next = null;
      next?.();
    });
  }

  /** Run an action, after the entry of the closed viewer has been removed: the browser takes a moment for it. */
  whenLeft(action: () => void): void {
    if (this.#isLeaving) this.#next = action;
    else action();
  }

  /** Let Back lead from the address of a picture, with which the page was opened, to the list. */
  putListBelow(): void {
    if (!isViewerState(history.state)) history.replaceState(null, "", location.pathname + location.search);
  }

  /** Show the address of a picture, in the viewer's entry or in a new one. */
  show(link: PictureLink): void {
    const address = pictureFragment(link);
    if (isViewerState(history.state)) history.replaceState(history.state, "", address);
    else {
      // The list keeps what is visible where it is; Back must not scroll it to an earlier position.
      history.scrollRestoration = "manual";
      history.pushState({ viewer: 1 }, "", address);
    }
  }

  /** Remove the entry of the closed viewer. */
  leave(): void {
    if (!isViewerState(history.state)) return;
    this.#isLeaving = true;
    history.go(-history.state.viewer);
  }
}

/** `viewer`: how many entries of the history belong to the open viewer. */
function isViewerState(state: unknown): state is { readonly viewer: number } {
  return typeof state === "object" && state !== null && "viewer" in state;
}
