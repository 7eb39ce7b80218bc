/** The dice, which sets a random seed, and the lock, which keeps a seed for the next images. */

import type { Seed } from "@darkroom/web";

import { announce } from "../announcer";
import { byId, setAttribute } from "../dom";
import { randomSeed } from "../seeds";

export class SeedButtons {
  readonly #lock = byId("seed-lock", HTMLButtonElement);
  /** The seed of the last submission: the lock keeps it. */
  #last: Seed | null = null;
  #isLocked = false;

  constructor(setSeed: (seed: string) => void) {
    byId("seed-dice", HTMLButtonElement).addEventListener("click", () => {
      const seed = randomSeed();
      setSeed(seed);
      announce(`Seed ${seed}`);
    });
    this.#lock.addEventListener("click", () => { setSeed(this.#isLocked ? "" : (this.#last ?? randomSeed())); });
  }

  /** Show whether the field keeps a seed. */
  show(seed: string): void {
    this.#isLocked = seed.trim() !== "";
    setAttribute(this.#lock, "aria-pressed", String(this.#isLocked));
  }

  remember(seed: Seed | null): void {
    this.#last = seed;
  }
}
