/** Where the shown picture is among those of the list, which changes while the viewer is open. Without DOM access. */

import type { Picture } from "../compare/compared";

/** So near the end of the list, older pictures should be loaded. */
const NEAR_END = 10;

export class PicturePosition {
  #pictures: readonly Picture[] = [];
  #index = 0;
  #isListed = false;

  /** Take the shown picture and those of the list. A picture that has left the list keeps its place in it. */
  update(shown: Picture, pictures: readonly Picture[]): void {
    const index = pictures.findIndex((other) => isSamePicture(other, shown));
    this.#pictures = pictures;
    this.#isListed = index !== -1;
    if (this.#isListed) this.#index = index;
  }

  /** "2 of 50"; empty for a picture that is not in the list. */
  get text(): string {
    return this.#isListed ? `${this.#index + 1} of ${this.#pictures.length}` : "";
  }

  /** The next (1) or the previous (-1) picture. */
  neighbour(direction: 1 | -1): Picture | undefined {
    const next = this.#isListed ? this.#index + 1 : this.#index;
    return this.#pictures[direction === 1 ? next : this.#index - 1];
  }

  get isNearEnd(): boolean {
    return this.#index >= this.#pictures.length - NEAR_END;
  }
}

export function isSamePicture(one: Picture | null, other: Picture): boolean {
  return one?.task.id === other.task.id && one.index === other.index;
}
